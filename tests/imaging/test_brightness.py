"""The robust range and the stretch: what a few pixels decide, and what dim pictures become."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.pictures import draw_radiograph
from utils.imaging.brightness import measure, robust_range, sample_of, stretched


@pytest.fixture
def levels() -> np.ndarray:
    """Grey levels of a radiograph, float (height, width), 0 to 255."""
    shades = np.random.default_rng(0).normal(0, 4, (400, 300))
    return np.rint(np.clip(255 * draw_radiograph(400, 300) + shades, 0, 255))


def as_pixels(levels: np.ndarray) -> np.ndarray:
    return (np.clip(np.rint(levels), 0, 255) / 255).astype(np.float32)


def test_the_range_is_of_percentiles(levels: np.ndarray) -> None:
    expected = np.percentile(levels, [1, 99.5])
    np.testing.assert_allclose(robust_range(levels.ravel()), expected)


def test_hot_pixels_decide_nothing(levels: np.ndarray) -> None:
    before = robust_range(sample_of(levels / 16))
    levels = levels / 16
    levels[::40, ::40] = 255
    np.testing.assert_allclose(robust_range(sample_of(levels)), before, atol=1)


@pytest.mark.parametrize("times", [4, 16])
def test_a_bright_marker_decides_nothing(levels: np.ndarray, times: int) -> None:
    before = robust_range(sample_of(levels / times))
    levels = levels / times
    levels[20:80, 20:80] = 255
    np.testing.assert_allclose(robust_range(sample_of(levels)), before, atol=1.5)


def test_a_dark_label_decides_nothing(levels: np.ndarray) -> None:
    flat = 120 + levels / 12
    before = robust_range(sample_of(flat))
    flat[20:80, 20:80] = 0
    np.testing.assert_allclose(robust_range(sample_of(flat)), before, atol=1.5)


def test_small_bright_bones_are_no_marker() -> None:
    picture = np.full((200, 200), 4.0)
    picture[60:80, 60:80] = np.linspace(40, 250, 400).reshape(20, 20)
    assert robust_range(picture.ravel())[1] > 100


def test_a_usual_radiograph_stays(levels: np.ndarray) -> None:
    pixels = as_pixels(levels)
    brightness = measure(pixels)
    assert not any((brightness.narrow, brightness.few_levels, brightness.clipped))
    assert stretched(pixels, brightness) is pixels


@pytest.mark.parametrize(("gain", "offset"), [(0.25, 0), (0.3, 100), (0.25, 190)])
def test_dim_and_flat_become_usual(levels: np.ndarray, gain: float, offset: float) -> None:
    pixels = as_pixels(offset + gain * levels)
    brightness = measure(pixels)
    assert brightness.narrow
    assert not brightness.few_levels
    low, high = np.percentile(255 * stretched(pixels, brightness), [1, 99.5])
    assert low == pytest.approx(8, abs=2)
    assert high == pytest.approx(217, abs=2)


def test_depth_below_eight_bits_is_no_loss(levels: np.ndarray) -> None:
    """A 12-bit picture in 16 bits has all its levels, however dim it is."""
    pixels = (np.rint(levels * 16) / 65535).astype(np.float32)
    brightness = measure(pixels)
    assert brightness.narrow
    assert brightness.levels > 100


@pytest.mark.parametrize("times", [8, 16, 32])
def test_few_levels_are_noticed(levels: np.ndarray, times: int) -> None:
    brightness = measure(as_pixels(levels // times))
    assert brightness.few_levels
    assert brightness.levels <= 256 // times + 1


@pytest.mark.parametrize("shift", [-160, 150])
def test_lost_shadows_and_highlights_are_noticed(levels: np.ndarray, shift: int) -> None:
    assert measure(as_pixels(levels + shift)).clipped


@pytest.mark.parametrize("side", [0, 1])
def test_a_bar_that_hides_a_part_is_noticed(levels: np.ndarray, side: int) -> None:
    hidden = levels.copy()
    bar = slice(120, 170)
    hidden[(bar, slice(None)) if side else (slice(None), bar)] = 0
    assert measure(as_pixels(hidden)).clipped
    assert not measure(as_pixels(levels)).clipped
