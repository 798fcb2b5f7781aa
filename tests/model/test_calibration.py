"""Platt scaling, against scikit-learn and Platt's targets."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.support.logits import overlapping_logits
from utils.errors import DatasetError, InputError
from utils.model.calibration import MIN_SLOPE, Calibration, fit_calibration
from utils.model.operating_point import choose_operating_point


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

    logits, labels = overlapping_logits()
    logits = logits * scale
    reference = LogisticRegression(C=np.inf, tol=1e-10, max_iter=10000).fit(
        logits[:, None] / scale, labels
    )
    found = fit_calibration(logits, labels)
    assert found.slope * scale == pytest.approx(reference.coef_[0, 0], abs=1e-4)
    assert found.intercept == pytest.approx(reference.intercept_[0], abs=1e-4)


def test_calibrated_probabilities_have_the_prevalence_as_their_mean():
    logits, labels = overlapping_logits()
    probability = fit_calibration(logits, labels).probability(logits)
    assert probability.mean() == pytest.approx(labels.mean(), abs=1e-6)


def test_classes_that_one_logit_separates_get_platts_targets_not_an_infinite_slope():
    logits = np.array([-2.0, -2.0, -2.0, 3.0, 3.0])
    found = fit_calibration(logits, [0, 0, 0, 1, 1])
    # Two distinct logits, two parameters: the fit meets Platt's targets exactly.
    assert found.probability(-2.0) == pytest.approx(1 / 5, abs=1e-6)
    assert found.probability(3.0) == pytest.approx(3 / 4, abs=1e-6)


def test_a_network_that_ranks_backwards_is_not_flipped_but_flattened():
    logits, labels = overlapping_logits()
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


@pytest.mark.parametrize("value", [-3.0, 0.0, 2.5])
def test_the_logit_of_a_probability_is_the_way_back(value):
    line = Calibration(slope=1.7, intercept=-0.4)
    assert line.logit(line.probability(value)) == pytest.approx(value)


def test_the_logits_of_certainty_are_infinite():
    line = Calibration(slope=1.7, intercept=-0.4)
    assert (line.logit(0.0), line.logit(1.0)) == (-np.inf, np.inf)
    assert Calibration(slope=2.0).probability(line.logit(1.0)) == 1.0
