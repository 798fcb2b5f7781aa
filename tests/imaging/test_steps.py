"""Straight steps of brightness and of texture."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from utils.imaging.steps import SEGMENT, segment_means, straight_steps


def noise(height: int, width: int, level: float, deviation: float) -> np.ndarray:
    """Gaussian noise, float32 grey levels."""
    draw = np.random.default_rng(0).normal(level, deviation, (height, width))
    return np.clip(draw, 0, 255).astype(np.float32)


def test_segments_are_averaged() -> None:
    levels = np.arange(3 * 30, dtype=np.float32).reshape(3, 30)
    expected = levels[:, :24].reshape(3, 2, SEGMENT).mean(axis=2)
    assert np.allclose(segment_means(levels), expected)


@pytest.mark.parametrize("deviation", [0.0, 5.0, 30.0])
def test_a_step_of_brightness_is_found(deviation: float) -> None:
    levels = noise(120, 240, 100, deviation)
    levels[60:] += 60
    steps = straight_steps(levels)
    assert steps[60].mean() >= 0.9
    assert steps[[20, 40, 80, 100]].mean() <= 0.1


def test_a_step_of_noise_is_found() -> None:
    levels = noise(120, 240, 100, 10)
    levels[60:] = noise(60, 240, 100, 2)
    assert straight_steps(levels)[60].mean() >= 0.75


def test_a_gradient_has_no_steps() -> None:
    levels = np.add.outer(np.linspace(20, 180, 200), np.linspace(0, 60, 240)).astype(np.float32)
    assert not straight_steps(levels).any()


def test_a_slanted_edge_is_no_straight_step() -> None:
    levels = np.full((200, 240), 20, np.float32)
    cv2.fillPoly(levels, [np.array([[0, 60], [240, 140], [240, 200], [0, 200]])], 150.0)
    assert straight_steps(levels).mean(axis=1).max() < 0.3


def test_a_thin_line_is_no_step() -> None:
    levels = noise(120, 240, 30, 1)
    levels[60] += 40
    assert straight_steps(levels).mean(axis=1).max() < 0.3


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_a_turned_view_has_the_steps_of_its_copy(quarters: int) -> None:
    levels = noise(120, 240, 100, 10)
    levels[60:] += 60
    turned = np.rot90(levels, quarters)
    assert np.array_equal(straight_steps(turned), straight_steps(np.ascontiguousarray(turned)))
