"""utils.evaluation.localisation: maps on lesions, counted out by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.support.evaluations import facts_of
from utils.datasets.sample import Sample
from utils.evaluation.localisation import (
    MapLocalisation,
    localise,
    pointing_game_hit,
    summarise_localisation,
)
from utils.imaging.geometry import Box, map_over_picture

SQUARE = facts_of(64, 64)


def sample(*boxes: Box) -> Sample:
    return Sample(Path("a.png"), "a.png", 1, "a", boxes=boxes)


def test_a_constant_map_reaches_chance():
    localised = localise(np.ones((4, 4), np.float32), sample(Box(0, 0, 32, 16)), SQUARE)
    assert localised.evidence_inside == pytest.approx(1 / 8, abs=1e-6)
    assert localised.overlap == pytest.approx(1 / 8, abs=1e-6)
    assert localised.covered == pytest.approx(1 / 8, abs=1e-6)


def test_negative_evidence_is_ignored():
    signed = np.full((4, 4), -5.0, np.float32)
    signed[:, :2] = 1.0
    inside = localise(signed, sample(Box(0, 0, 40, 64)), SQUARE)
    assert inside.evidence_inside == pytest.approx(1.0, abs=1e-6)


def test_overlapping_boxes_count_once():
    twice = sample(Box(0, 0, 32, 64), Box(0, 0, 32, 64), Box(16, 0, 16, 64))
    localised = localise(np.ones((4, 4), np.float32), twice, SQUARE)
    assert localised.covered == localised.evidence_inside == pytest.approx(0.5)


def test_the_outline_is_at_half_of_the_maximum():
    """The map is the app's: bilinear between the middles of cells, so that its half is known by hand."""
    signed = np.zeros((2, 2), np.float32)
    signed[:, 0] = 1.0
    # From 1 at x = 16 to 0 at x = 48: half of the maximum is reached at x = 32.
    localised = localise(signed, sample(Box(0, 0, 32, 64)), SQUARE)
    assert localised.overlap == pytest.approx(1.0, abs=0.01)
    # A box of the left quarter is half of what the map outlines, one of the right quarter none of it.
    assert localise(signed, sample(Box(0, 0, 16, 64)), SQUARE).overlap == pytest.approx(
        0.5, abs=0.01
    )
    assert localise(signed, sample(Box(48, 0, 16, 64)), SQUARE).overlap == 0.0
    # Up to x = 16 the value is 1, then a triangle of 16: the quarter holds 16 of 32.
    quarter = localise(signed, sample(Box(0, 0, 16, 64)), SQUARE)
    assert quarter.evidence_inside == pytest.approx(16 / 32, abs=0.01)


def test_an_empty_map_is_a_miss_by_every_measure():
    localised = localise(np.full((4, 4), -1.0, np.float32), sample(Box(0, 0, 32, 32)), SQUARE)
    assert (localised.peak, localised.evidence_inside, localised.overlap) == (None, 0.0, 0.0)
    assert localised.covered == pytest.approx(0.25)


def test_the_letterbox_is_no_part_of_the_picture():
    wide = facts_of(32, 64)
    signed = np.ones((4, 4), np.float32)
    signed[0] = signed[3] = 100.0  # above and below the picture, and drawn in between cells
    activation = map_over_picture(signed, 32, 64)
    localised = localise(signed, sample(Box(0, 0, 32, 32)), wide)
    assert localised.covered == pytest.approx(0.5)
    assert localised.evidence_inside == pytest.approx(
        activation[:, : activation.shape[1] // 2].sum() / activation.sum()
    )


def test_a_hit_is_a_peak_inside_a_box():
    lesion = Box(10, 20, 5, 4)
    boxes = [[lesion]] * 6 + [[Box(0, 0, 2, 2), lesion]]
    peaks = [(10, 20), (14, 23), (15, 20), (10, 24), (9, 20), None, (12, 21)]
    hits = list(map(pointing_game_hit, peaks, boxes))
    assert hits == [True, True, False, False, False, False, True]
    localised = [MapLocalisation(None, hit, 0.0, 0.0, 0.1) for hit in hits]
    figure = summarise_localisation(localised, range(7), resamples=200).pointing_game
    assert figure.value == pytest.approx(3 / 7)
    assert 0 <= figure.low < 3 / 7 < figure.high <= 1


def test_no_marked_image_gives_no_pointing_game():
    assert summarise_localisation([], []).pointing_game.value is None
