"""utils.training.augmentation.variation: whole variations of radiographs."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest

from tests.support.pictures import draw_radiograph
from utils.imaging.geometry import Rectangle, placement
from utils.preprocess import fit
from utils.training.augmentation.marks import MarkRates
from utils.training.augmentation.pose import PoseRange
from utils.training.augmentation.variation import PLAIN, STRONG, Variation, Varied, vary

SIZE = 96
PLACE = placement(96, 72, SIZE)
BOX = np.array([[40, 44, 12, 9]], np.float32)


@pytest.fixture
def fitted() -> np.ndarray:
    """A fitted radiograph, uint8 (96, 96)."""
    return fit(draw_radiograph(96, 72), SIZE)


def varied(fitted: np.ndarray, settings: Variation, seed: int, boxes: np.ndarray = BOX) -> Varied:
    """Vary it by a seed."""
    return vary(fitted, PLACE, boxes, np.random.default_rng(seed), settings)


def test_the_default_changes_nothing(fitted: np.ndarray) -> None:
    same = varied(fitted, Variation(), 0)
    np.testing.assert_array_equal(same.image, fitted)
    np.testing.assert_allclose(same.boxes, BOX)
    assert not same.lost


@pytest.mark.parametrize("settings", [PLAIN, STRONG])
def test_a_variation_depends_on_its_seed_alone(fitted: np.ndarray, settings: Variation) -> None:
    before = fitted.copy()
    first, again, other = (varied(fitted, settings, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.image, again.image)
    np.testing.assert_array_equal(first.boxes, again.boxes)
    assert not np.array_equal(first.image, other.image)
    np.testing.assert_array_equal(fitted, before)


@pytest.mark.parametrize("settings", [PLAIN, STRONG])
def test_varied_radiographs_are_radiographs(fitted: np.ndarray, settings: Variation) -> None:
    for seed in range(60):
        one = varied(fitted, settings, seed)
        assert one.image.dtype == np.uint8
        assert one.image.shape == fitted.shape
        assert np.abs(one.image.astype(int) - fitted).mean() > 1
        assert np.ptp(one.image) > 40


def test_letterbox_stays_black() -> None:
    """However bright the rest becomes."""
    white = np.zeros((SIZE, SIZE), np.uint8)
    place = Rectangle(30, 0, 36, SIZE)
    white[place.inside] = 255
    settings = Variation(PoseRange(), STRONG.tone, STRONG.quality, STRONG.marks)
    for seed in range(60):
        one = vary(white, place, BOX[:0], np.random.default_rng(seed), settings)
        assert not one.image[:30].any()
        assert not one.image[66:].any()


def test_a_pose_that_cuts_a_box_is_drawn_again(fitted: np.ndarray) -> None:
    boxes = np.array([[28, 4, 10, 8], [50, 82, 10, 8]], np.float32)
    found = [varied(fitted, STRONG, seed, boxes) for seed in range(200)]
    assert np.mean([one.lost for one in found]) < 0.05
    assert min(len(one.boxes) for one in found if not one.lost) == 1


def test_bright_lesions_stay_in_their_boxes() -> None:
    """After every kind of variation, what was marked is where the box says."""
    marked = np.full((SIZE, SIZE), 70, np.uint8)
    marked[44:53, 40:52] = 230
    settings = replace(STRONG, marks=MarkRates())
    for seed in range(100):
        one = vary(marked, Rectangle(0, 0, SIZE, SIZE), BOX, np.random.default_rng(seed), settings)
        if one.lost:
            continue
        x, y, width, height = one.boxes[0]
        column, row = int(x + width / 2), int(y + height / 2)
        inside = one.image[row, column]
        outside = one.image[max(0, int(y) - 9) : max(1, int(y) - 5), column]
        assert inside > outside.max(initial=0) or outside.size == 0, seed


@pytest.mark.slow
def test_a_variation_takes_few_milliseconds() -> None:
    """At the size of the usual network; the limit leaves room for a busy machine."""
    large = fit(draw_radiograph(448, 373), 448)
    place = placement(448, 373, 448)
    started = time.process_time()
    for seed in range(100):
        vary(large, place, 4 * BOX, np.random.default_rng(seed), STRONG)
    assert (time.process_time() - started) / 100 < 0.012
