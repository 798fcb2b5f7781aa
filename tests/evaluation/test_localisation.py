"""utils.evaluation.localisation: maps on lesions, counted out by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from utils.datasets.image_cache import FileFacts
from utils.datasets.sample import Sample
from utils.evaluation.localisation import localisation, localise
from utils.imaging.geometry import Box, Rectangle, map_over_picture

SQUARE = FileFacts("0" * 64, 64, 64, False, Rectangle(0, 0, 64, 64))


def sample(*boxes: Box) -> Sample:
    return Sample(Path("a.png"), "a.png", 1, "a", boxes=boxes)


def test_a_map_of_one_value_has_the_lesions_share_of_the_picture_inside_them():
    aim = localise(np.ones((4, 4), np.float32), sample(Box(0, 0, 32, 16)), SQUARE)
    assert aim.evidence_inside == pytest.approx(1 / 8, abs=1e-6)
    assert aim.overlap == pytest.approx(1 / 8, abs=1e-6)
    assert aim.covered == pytest.approx(1 / 8, abs=1e-6)


def test_evidence_against_a_fracture_counts_for_nothing():
    signed = np.full((4, 4), -5.0, np.float32)
    signed[:, :2] = 1.0
    inside = localise(signed, sample(Box(0, 0, 40, 64)), SQUARE)
    assert inside.evidence_inside == pytest.approx(1.0, abs=1e-6)


def test_overlapping_boxes_count_once():
    twice = sample(Box(0, 0, 32, 64), Box(0, 0, 32, 64), Box(16, 0, 16, 64))
    aim = localise(np.ones((4, 4), np.float32), twice, SQUARE)
    assert aim.covered == aim.evidence_inside == pytest.approx(0.5)


def test_half_of_the_maximum_is_what_is_held_against_the_outline():
    """The map is the app's: bilinear between the middles of cells, so that its half is known by hand."""
    signed = np.zeros((2, 2), np.float32)
    signed[:, 0] = 1.0
    # From 1 at x = 16 to 0 at x = 48: half of the maximum is reached at x = 32.
    aim = localise(signed, sample(Box(0, 0, 32, 64)), SQUARE)
    assert aim.overlap == pytest.approx(1.0, abs=0.01)
    # A box of the left quarter is half of what the map outlines, one of the right quarter none of it.
    assert localise(signed, sample(Box(0, 0, 16, 64)), SQUARE).overlap == pytest.approx(
        0.5, abs=0.01
    )
    assert localise(signed, sample(Box(48, 0, 16, 64)), SQUARE).overlap == 0.0
    # Up to x = 16 the value is 1, then a triangle of 16: the quarter holds 16 of 32.
    quarter = localise(signed, sample(Box(0, 0, 16, 64)), SQUARE)
    assert quarter.evidence_inside == pytest.approx(16 / 32, abs=0.01)


def test_an_empty_map_is_a_miss_by_every_measure():
    aim = localise(np.full((4, 4), -1.0, np.float32), sample(Box(0, 0, 32, 32)), SQUARE)
    assert (aim.peak, aim.evidence_inside, aim.overlap) == (None, 0.0, 0.0)
    assert aim.covered == pytest.approx(0.25)


def test_the_letterbox_is_no_part_of_the_picture():
    wide = FileFacts("0" * 64, 32, 64, False, Rectangle(0, 0, 32, 64))
    signed = np.ones((4, 4), np.float32)
    signed[0] = signed[3] = 100.0  # above and below the picture, and drawn in between cells
    activation = map_over_picture(signed, 32, 64)
    aim = localise(signed, sample(Box(0, 0, 32, 32)), wide)
    assert aim.covered == pytest.approx(0.5)
    assert aim.evidence_inside == pytest.approx(
        activation[:, : activation.shape[1] // 2].sum() / activation.sum()
    )


def test_only_radiographs_with_marked_lesions_are_measured():
    maps = np.zeros((3, 2, 2), np.float32)
    maps[0, 0, 0] = maps[2, 1, 1] = 1.0
    marked = sample(Box(0, 0, 32, 32))
    samples, files = [marked, sample(), marked], [SQUARE] * 3
    found = localisation(maps, samples, files, ["a", "b", "c"], resamples=50)
    assert found.n == 2
    # The first peak lies in the box, the third in the opposite corner.
    assert found.pointing_game.value == 0.5
    assert found.overlap.value == pytest.approx(
        np.mean([localise(maps[row], marked, SQUARE).overlap for row in (0, 2)])
    )
    assert localisation(maps, [sample()] * 3, files, ["a", "b", "c"]) is None
