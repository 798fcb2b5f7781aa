"""Choice of the operating points, against counts by hand."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest

from tests.support.logits import overlapping_logits
from utils.errors import DatasetError, InputError
from utils.model import operating_point
from utils.model.calibration import Calibration, fit_calibration

choose = partial(operating_point.choose_operating_points, images="the validation part")


def test_every_point_keeps_its_rule():
    positives = np.array([0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.65, 0.6, 0.5, 0.2])
    negatives = np.array([0.72, 0.55, 0.45, 0.4, 0.3, 0.1, 0.05, 0.04, 0.03, 0.02])
    scores = np.r_[positives, negatives]
    labels = np.r_[np.ones(10), np.zeros(10)]
    points = choose(scores, labels, sensitivity=0.9, rule_out=0.95, rule_in=0.9)
    # Nine of ten: down to 0.5, and midway to 0.45, the next lower one.
    assert points.threshold == pytest.approx(0.475)
    assert (positives >= points.threshold).mean() == 0.9
    # 0.95 asks for all ten: down to 0.2, midway to 0.1.
    assert points.doubt[0] == pytest.approx(0.15)
    # Nine of ten negatives lie below: above 0.55, midway to 0.6.
    assert points.doubt[1] == pytest.approx(0.575)


@pytest.mark.parametrize("sensitivity", [0.5, 0.8, 0.9, 0.95, 1.0])
def test_no_higher_threshold_keeps_it(sensitivity):
    logits, labels = overlapping_logits(300, seed=3)
    scores = Calibration(1.0, 0.0).probability(logits)
    threshold = choose(scores, labels, sensitivity=sensitivity).threshold
    assert (scores[labels == 1] >= threshold).mean() >= sensitivity
    above = scores[(scores > threshold) & (labels == 1)].min()
    assert (scores[labels == 1] > above).mean() < sensitivity


@pytest.mark.parametrize("specificity", [0.8, 0.95, 1.0])
def test_no_lower_specific_point_keeps_it(specificity):
    logits, labels = overlapping_logits(300, seed=3)
    scores = Calibration(1.0, 3.0).probability(logits)
    upper = choose(scores, labels, rule_in=specificity).doubt[1]
    assert (scores[labels == 0] < upper).mean() >= specificity
    below = scores[(scores < upper) & (labels == 0)].max()
    assert (scores[labels == 0] < below).mean() < specificity


@pytest.mark.parametrize("seed", range(5))
def test_the_doubtful_zone_holds_the_threshold(seed):
    logits, labels = overlapping_logits(500, seed)
    scores = fit_calibration(logits, labels).probability(logits)
    points = choose(scores, labels)
    lower, upper = points.doubt
    assert 0 <= lower < points.threshold < upper <= 1
    assert ((scores < lower) & (labels == 1)).sum() <= 0.05 * (labels == 1).sum()
    assert ((scores >= upper) & (labels == 0)).sum() <= 0.05 * (labels == 0).sum()


def test_a_fracture_less_likely_than_not_is_doubtful():
    logits, labels = overlapping_logits(500)
    scores = 0.3 * Calibration(1.0, 0.0).probability(logits)
    assert choose(scores, labels).doubt[1] == 0.5


def test_separated_classes_leave_no_crossed_points():
    """Every threshold from 0.6 down keeps each rule."""
    points = choose([0.1, 0.2, 0.6, 0.9], [0, 0, 1, 1], sensitivity=0.5, rule_in=0.5)
    assert points.threshold == pytest.approx(0.75)
    assert points.doubt == (pytest.approx(0.4), points.threshold)


def test_nine_tenths_of_ten_positives_are_nine():
    scores = np.linspace(0.1, 1.0, 10)
    points = choose(np.r_[scores, 0.0], [1] * 10 + [0], sensitivity=0.9)
    assert (scores >= points.threshold).sum() == 9


def test_a_gap_is_cut_in_its_middle():
    points = choose([0.1, 0.2, 0.8, 0.9], [0, 0, 1, 1], sensitivity=1.0)
    assert points.threshold == pytest.approx(0.5)
    assert points.doubt == (points.threshold, points.threshold)


def test_equal_probabilities_are_doubtful_positives():
    points = choose([0.3] * 4, [0, 1, 0, 1])
    assert 0.29 < points.threshold < 0.3
    assert points.doubt[0] <= points.threshold < 0.3 < points.doubt[1]


def test_the_rule_names_sensitivity_and_interval():
    points = choose([0.1, 0.3, 0.2, 0.8, 0.9], [0, 0, 1, 1, 1], sensitivity=0.6)
    # Wilson interval of 2 of 3 by its formula.
    z = 1.959963984540054
    middle, half = 2 / 3 + z**2 / 6, z * math.sqrt((2 / 3) * (1 / 3) / 3 + z**2 / 36)
    low, high = (middle - half) / (1 + z**2 / 3), (middle + half) / (1 + z**2 / 3)
    assert "at least 0.60 on the validation part: 2 of 3 positives (0.667" in points.chosen_by
    assert f"{low:.3f} to {high:.3f}" in points.chosen_by
    assert "specificity of 1.000" in points.chosen_by


def test_the_rule_names_both_operating_points():
    points = choose([0.1, 0.3, 0.2, 0.8, 0.9], [0, 0, 1, 1, 1], sensitivity=0.6)
    # All three positives from 0.15 on, with one negative; both negatives below 0.55, as one positive.
    assert "at least 0.95 (reached: sensitivity 1.000, specificity 0.500)" in points.chosen_by
    assert "at least 0.50 (reached: sensitivity 0.667, specificity 1.000)" in points.chosen_by


@pytest.mark.parametrize("rule", ["sensitivity", "rule_out", "rule_in"])
@pytest.mark.parametrize("share", [0.0, -0.1, 1.1])
def test_an_impossible_share_is_refused(rule, share):
    with pytest.raises(InputError, match="above 0 and at most 1"):
        choose([0.1, 0.9], [0, 1], **{rule: share})


def test_logits_are_no_probabilities():
    with pytest.raises(InputError, match="calibrate the logits first"):
        choose([-1.0, 2.0], [0, 1])


@pytest.mark.parametrize("labels", [[0, 0, 0], [1, 1, 1]])
def test_a_part_with_one_class_is_refused(labels):
    with pytest.raises(DatasetError, match="both classes"):
        choose([0.1, 0.2, 0.3], labels)
