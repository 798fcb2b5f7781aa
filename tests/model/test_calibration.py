"""utils.model.calibration: fitted lines against scikit-learn, thresholds against counts by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from utils.errors import DatasetError, InputError
from utils.model.calibration import MIN_SLOPE, Calibration, choose_operating_point, fit_calibration


def overlapping(n: int = 400, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Logits whose true calibration line is 0.7 * logit - 1.2."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0.5, 2.0, n)
    return logits, (rng.random(n) < 1 / (1 + np.exp(-(0.7 * logits - 1.2)))).astype(int)


def test_the_probability_is_the_logistic_function_of_the_line():
    probability = Calibration(2.0, -1.0).probability(np.array([-1.0, 0.0, 0.5, 3.0]))
    expected = [1 / (1 + math.exp(-(2.0 * logit - 1.0))) for logit in (-1.0, 0.0, 0.5, 3.0)]
    np.testing.assert_allclose(probability, expected, rtol=1e-12)
    assert probability.dtype == np.float64


def test_a_scalar_logit_gives_a_plain_float_and_an_array_keeps_its_shape():
    assert type(Calibration().probability(0.0)) is float
    assert type(Calibration().probability(np.float32(1.0))) is float
    assert Calibration().probability(0.0) == 0.5
    assert Calibration().probability(np.zeros((2, 3), np.float32)).shape == (2, 3)


def test_extreme_logits_neither_overflow_nor_warn():
    with np.errstate(all="raise"):
        np.testing.assert_array_equal(Calibration().probability(np.array([-1e6, 1e6])), [0.0, 1.0])


@pytest.mark.parametrize(
    "slope, intercept", [(0.0, 0.0), (-1.0, 0.0), (math.nan, 0.0), (1, math.inf)]
)
def test_a_line_that_could_flip_or_lose_an_answer_is_no_calibration(slope, intercept):
    with pytest.raises(InputError, match="positive slope"):
        Calibration(slope, intercept)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 100.0])
def test_the_fit_is_the_unpenalised_logistic_regression_of_scikit_learn(scale):
    from sklearn.linear_model import LogisticRegression

    logits, labels = overlapping()
    logits = logits * scale
    reference = LogisticRegression(C=np.inf, tol=1e-10, max_iter=10000).fit(
        logits[:, None] / scale, labels
    )
    found = fit_calibration(logits, labels)
    assert found.slope * scale == pytest.approx(reference.coef_[0, 0], abs=1e-4)
    assert found.intercept == pytest.approx(reference.intercept_[0], abs=1e-4)


def test_calibrated_probabilities_have_the_prevalence_as_their_mean():
    logits, labels = overlapping()
    probability = fit_calibration(logits, labels).probability(logits)
    assert probability.mean() == pytest.approx(labels.mean(), abs=1e-6)


def test_classes_that_one_logit_separates_get_platts_targets_not_an_infinite_slope():
    logits = np.array([-2.0, -2.0, -2.0, 3.0, 3.0])
    found = fit_calibration(logits, [0, 0, 0, 1, 1])
    # Two distinct logits, two parameters: the fit meets Platt's targets exactly.
    assert found.probability(-2.0) == pytest.approx(1 / 5, abs=1e-6)
    assert found.probability(3.0) == pytest.approx(3 / 4, abs=1e-6)


def test_a_network_that_ranks_backwards_is_not_flipped_but_flattened():
    logits, labels = overlapping()
    found = fit_calibration(-logits, labels)
    assert found.slope == pytest.approx(MIN_SLOPE)
    np.testing.assert_allclose(found.probability(-logits), labels.mean(), atol=0.01)


def test_logits_that_are_all_the_same_give_the_prevalence():
    found = fit_calibration(np.full(10, 4.0), [1, 1, 1, 0, 0, 0, 0, 0, 0, 0])
    assert found.probability(4.0) == pytest.approx(0.3, abs=0.05)


@pytest.mark.parametrize("labels", [[0, 0, 0], [1, 1, 1]])
def test_a_part_with_one_class_is_refused_with_its_counts(labels):
    with pytest.raises(
        DatasetError, match=f"{sum(labels)} positive and {3 - sum(labels)} negative"
    ):
        fit_calibration([0.1, 0.2, 0.3], labels)
    with pytest.raises(DatasetError, match="both classes"):
        choose_operating_point([0.1, 0.2, 0.3], labels)


def test_an_empty_part_is_refused():
    with pytest.raises(DatasetError, match="both classes"):
        fit_calibration([], [])


def test_logits_of_a_training_that_diverged_are_refused():
    with pytest.raises(InputError, match="1 of 3 logits are not finite"):
        fit_calibration([0.0, math.nan, 1.0], [0, 1, 1])


def test_logits_and_labels_of_different_lengths_are_refused():
    with pytest.raises(InputError, match="3 logits do not fit 2 labels"):
        fit_calibration([0.0, 1.0, 2.0], [0, 1])


def test_the_threshold_is_the_highest_that_keeps_the_sensitivity():
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
def test_no_higher_observed_probability_would_keep_the_sensitivity(sensitivity):
    logits, labels = overlapping(300, seed=3)
    scores = Calibration().probability(logits)
    threshold = choose_operating_point(scores, labels, sensitivity=sensitivity).threshold
    assert (scores[labels == 1] >= threshold).mean() >= sensitivity
    above = scores[(scores > threshold) & (labels == 1)].min()
    assert (scores[labels == 1] > above).mean() < sensitivity


@pytest.mark.parametrize("seed", range(5))
def test_the_doubt_zone_contains_the_threshold_and_half_of_the_errors(seed):
    logits, labels = overlapping(500, seed)
    scores = fit_calibration(logits, labels).probability(logits)
    point = choose_operating_point(scores, labels)
    lower, upper = point.doubt
    assert 0 <= lower <= point.threshold <= upper <= 1
    misses = (scores < lower) & (labels == 1)
    assert misses.sum() <= 0.05 * (labels == 1).sum()
    alarms = ((scores >= point.threshold) & (labels == 0)).sum()
    assert ((scores >= upper) & (labels == 0)).sum() <= alarms / 2


def test_ten_positives_at_nine_tenths_need_nine_whatever_the_rounding():
    scores = np.linspace(0.1, 1.0, 10)
    point = choose_operating_point(np.r_[scores, 0.0], [1] * 10 + [0], sensitivity=0.9)
    assert (scores >= point.threshold).sum() == 9


def test_a_perfect_ranking_is_cut_in_the_middle_of_the_gap():
    point = choose_operating_point([0.1, 0.2, 0.8, 0.9], [0, 0, 1, 1], sensitivity=1.0)
    assert point.threshold == pytest.approx(0.5)
    assert point.doubt == (point.threshold, point.threshold)


def test_probabilities_that_are_all_the_same_are_all_called_positive():
    point = choose_operating_point([0.3] * 4, [0, 1, 0, 1])
    assert 0.29 < point.threshold < 0.3
    assert point.doubt[0] <= point.threshold <= point.doubt[1]


def test_the_rule_names_what_it_reached_and_how_sure_that_is():
    point = choose_operating_point([0.1, 0.3, 0.2, 0.8, 0.9], [0, 0, 1, 1, 1], sensitivity=0.6)
    # Wilson interval of 2 of 3 by its formula.
    z = 1.959963984540054
    middle, half = 2 / 3 + z**2 / 6, z * math.sqrt((2 / 3) * (1 / 3) / 3 + z**2 / 36)
    low, high = (middle - half) / (1 + z**2 / 3), (middle + half) / (1 + z**2 / 3)
    assert "at least 0.60 on the validation part: 2 of 3 positives (0.667" in point.chosen_by
    assert f"{low:.3f} to {high:.3f}" in point.chosen_by
    assert "specificity of 1.000" in point.chosen_by


@pytest.mark.parametrize("sensitivity", [0.0, -0.1, 1.1])
def test_a_sensitivity_that_no_threshold_has_is_refused(sensitivity):
    with pytest.raises(InputError, match="above 0 and at most 1"):
        choose_operating_point([0.1, 0.9], [0, 1], sensitivity=sensitivity)


def test_logits_given_as_probabilities_are_refused():
    with pytest.raises(InputError, match="calibrate the logits first"):
        choose_operating_point([-1.0, 2.0], [0, 1])


@pytest.mark.parametrize("value", [-3.0, 0.0, 2.5])
def test_the_logit_of_a_probability_is_the_way_back(value):
    line = Calibration(slope=1.7, intercept=-0.4)
    assert line.logit(line.probability(value)) == pytest.approx(value)


def test_the_logits_of_certainty_are_infinite():
    line = Calibration(slope=1.7, intercept=-0.4)
    assert (line.logit(0.0), line.logit(1.0)) == (-np.inf, np.inf)
    assert Calibration(slope=2.0).probability(line.logit(1.0)) == 1.0
