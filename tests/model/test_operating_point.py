"""Choice of the operating point, against counts by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.support.logits import overlapping_logits
from utils.errors import DatasetError, InputError
from utils.model.calibration import Calibration, fit_calibration
from utils.model.operating_point import choose_operating_point


def test_the_threshold_keeps_the_sensitivity():
    positives = np.array([0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.65, 0.6, 0.5, 0.2])
    negatives = np.array([0.55, 0.45, 0.4, 0.3, 0.1, 0.05])
    scores = np.r_[positives, negatives]
    labels = np.r_[np.ones(10), np.zeros(6)]
    point = choose_operating_point(scores, labels, sensitivity=0.9)
    # Nine of ten: down to 0.5, and midway to 0.45, the next lower one.
    assert point.threshold == pytest.approx(0.475)
    assert (positives >= point.threshold).mean() == 0.9
    # 0.95 asks for all ten: down to 0.2, midway to 0.1.
    assert point.doubt[0] == pytest.approx(0.15)
    # One false alarm (0.55) at the threshold; at most half of one is none: above 0.55, to 0.6.
    assert point.doubt[1] == pytest.approx(0.575)


@pytest.mark.parametrize("sensitivity", [0.5, 0.8, 0.9, 0.95, 1.0])
def test_no_higher_threshold_keeps_it(sensitivity):
    logits, labels = overlapping_logits(300, seed=3)
    scores = Calibration(1.0, 0.0).probability(logits)
    threshold = choose_operating_point(scores, labels, sensitivity=sensitivity).threshold
    assert (scores[labels == 1] >= threshold).mean() >= sensitivity
    above = scores[(scores > threshold) & (labels == 1)].min()
    assert (scores[labels == 1] > above).mean() < sensitivity


@pytest.mark.parametrize("seed", range(5))
def test_the_doubtful_zone_holds_half_of_the_errors(seed):
    logits, labels = overlapping_logits(500, seed)
    scores = fit_calibration(logits, labels).probability(logits)
    point = choose_operating_point(scores, labels)
    lower, upper = point.doubt
    assert 0 <= lower <= point.threshold <= upper <= 1
    misses = (scores < lower) & (labels == 1)
    assert misses.sum() <= 0.05 * (labels == 1).sum()
    alarms = ((scores >= point.threshold) & (labels == 0)).sum()
    assert ((scores >= upper) & (labels == 0)).sum() <= alarms / 2


def test_nine_tenths_of_ten_positives_are_nine():
    scores = np.linspace(0.1, 1.0, 10)
    point = choose_operating_point(np.r_[scores, 0.0], [1] * 10 + [0], sensitivity=0.9)
    assert (scores >= point.threshold).sum() == 9


def test_a_gap_is_cut_in_its_middle():
    point = choose_operating_point([0.1, 0.2, 0.8, 0.9], [0, 0, 1, 1], sensitivity=1.0)
    assert point.threshold == pytest.approx(0.5)
    assert point.doubt == (point.threshold, point.threshold)


def test_equal_probabilities_are_all_positive():
    point = choose_operating_point([0.3] * 4, [0, 1, 0, 1])
    assert 0.29 < point.threshold < 0.3
    assert point.doubt[0] <= point.threshold <= point.doubt[1]


def test_the_rule_names_sensitivity_and_interval():
    point = choose_operating_point([0.1, 0.3, 0.2, 0.8, 0.9], [0, 0, 1, 1, 1], sensitivity=0.6)
    # Wilson interval of 2 of 3 by its formula.
    z = 1.959963984540054
    middle, half = 2 / 3 + z**2 / 6, z * math.sqrt((2 / 3) * (1 / 3) / 3 + z**2 / 36)
    low, high = (middle - half) / (1 + z**2 / 3), (middle + half) / (1 + z**2 / 3)
    assert "at least 0.60 on the validation part: 2 of 3 positives (0.667" in point.chosen_by
    assert f"{low:.3f} to {high:.3f}" in point.chosen_by
    assert "specificity of 1.000" in point.chosen_by


@pytest.mark.parametrize("sensitivity", [0.0, -0.1, 1.1])
def test_an_impossible_sensitivity_is_refused(sensitivity):
    with pytest.raises(InputError, match="above 0 and at most 1"):
        choose_operating_point([0.1, 0.9], [0, 1], sensitivity=sensitivity)


def test_logits_are_no_probabilities():
    with pytest.raises(InputError, match="calibrate the logits first"):
        choose_operating_point([-1.0, 2.0], [0, 1])


@pytest.mark.parametrize("labels", [[0, 0, 0], [1, 1, 1]])
def test_a_part_with_one_class_is_refused(labels):
    with pytest.raises(DatasetError, match="both classes"):
        choose_operating_point([0.1, 0.2, 0.3], labels)
