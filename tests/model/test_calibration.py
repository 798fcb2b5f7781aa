"""Platt scaling, against scikit-learn and Platt's targets."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.support.logits import overlapping_logits
from utils.errors import DatasetError, InputError
from utils.model.calibration import (
    MIN_SLOPE,
    Calibration,
    comparable_logits,
    fit_calibration,
    fit_region_calibrations,
)


def test_the_probability_is_logistic_in_the_logit():
    probability = Calibration(2.0, -1.0).probability(np.array([-1.0, 0.0, 0.5, 3.0]))
    expected = [1 / (1 + math.exp(-(2.0 * logit - 1.0))) for logit in (-1.0, 0.0, 0.5, 3.0)]
    np.testing.assert_allclose(probability, expected, rtol=1e-12)
    assert probability.dtype == np.float64


def test_a_scalar_logit_gives_a_plain_float():
    assert type(Calibration(1.0, 0.0).probability(0.0)) is float
    assert type(Calibration(1.0, 0.0).probability(np.float32(1.0))) is float
    assert Calibration(1.0, 0.0).probability(0.0) == 0.5
    assert Calibration(1.0, 0.0).probability(np.zeros((2, 3), np.float32)).shape == (2, 3)


def test_extreme_logits_do_not_overflow():
    with np.errstate(all="raise"):
        np.testing.assert_array_equal(
            Calibration(1.0, 0.0).probability(np.array([-1e6, 1e6])), [0.0, 1.0]
        )


@pytest.mark.parametrize(
    "slope, intercept", [(0.0, 0.0), (-1.0, 0.0), (math.nan, 0.0), (1, math.inf)]
)
def test_slope_and_intercept_are_checked(slope, intercept):
    with pytest.raises(InputError, match="positive slope"):
        Calibration(slope, intercept)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 100.0])
def test_the_fit_agrees_with_scikit_learn(scale):
    from sklearn.linear_model import LogisticRegression

    logits, labels = overlapping_logits()
    logits = logits * scale
    reference = LogisticRegression(C=np.inf, tol=1e-10, max_iter=10000).fit(
        logits[:, None] / scale, labels
    )
    found = fit_calibration(logits, labels)
    assert found.slope * scale == pytest.approx(reference.coef_[0, 0], abs=1e-4)
    assert found.intercept == pytest.approx(reference.intercept_[0], abs=1e-4)


def test_the_mean_probability_is_the_prevalence():
    logits, labels = overlapping_logits()
    probability = fit_calibration(logits, labels).probability(logits)
    assert probability.mean() == pytest.approx(labels.mean(), abs=1e-6)


def test_separated_classes_get_platts_targets():
    logits = np.array([-2.0, -2.0, -2.0, 3.0, 3.0])
    found = fit_calibration(logits, [0, 0, 0, 1, 1])
    # Two distinct logits, two parameters: the fit meets Platt's targets exactly.
    assert found.probability(-2.0) == pytest.approx(1 / 5, abs=1e-6)
    assert found.probability(3.0) == pytest.approx(3 / 4, abs=1e-6)


def test_a_reversed_ranking_gets_the_least_slope():
    logits, labels = overlapping_logits()
    found = fit_calibration(-logits, labels)
    assert found.slope == pytest.approx(MIN_SLOPE)
    np.testing.assert_allclose(found.probability(-logits), labels.mean(), atol=0.01)


def test_equal_logits_give_the_prevalence():
    found = fit_calibration(np.full(10, 4.0), [1, 1, 1, 0, 0, 0, 0, 0, 0, 0])
    assert found.probability(4.0) == pytest.approx(0.3, abs=0.05)


@pytest.mark.parametrize("labels", [[0, 0, 0], [1, 1, 1]])
def test_a_part_with_one_class_is_refused(labels):
    with pytest.raises(
        DatasetError, match=f"{sum(labels)} positive and {3 - sum(labels)} negative"
    ):
        fit_calibration([0.1, 0.2, 0.3], labels)


def test_an_empty_part_is_refused():
    with pytest.raises(DatasetError, match="both classes"):
        fit_calibration([], [])


def test_infinite_logits_are_refused():
    with pytest.raises(InputError, match="1 of 3 logits are not finite"):
        fit_calibration([0.0, math.nan, 1.0], [0, 1, 1])


def test_different_lengths_are_refused():
    with pytest.raises(InputError, match="3 logits do not fit 2 labels"):
        fit_calibration([0.0, 1.0, 2.0], [0, 1])


@pytest.mark.parametrize("value", [-3.0, 0.0, 2.5])
def test_logit_inverts_probability(value):
    line = Calibration(slope=1.7, intercept=-0.4)
    assert line.logit(line.probability(value)) == pytest.approx(value)


def test_the_logits_of_0_and_1_are_infinite():
    line = Calibration(slope=1.7, intercept=-0.4)
    assert (line.logit(0.0), line.logit(1.0)) == (-np.inf, np.inf)
    assert Calibration(2.0, 0.0).probability(line.logit(1.0)) == 1.0


def two_parts() -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Logits of legs are twice those of hands, and 1 more; a hip is too rare to tell."""
    logits, labels = overlapping_logits(400)
    hands, legs = np.arange(400) % 2 == 0, np.arange(400) % 2 == 1
    regions = np.where(hands, "hand", "leg").astype(object)
    regions[:3] = "hip"
    return np.where(legs, 2.0 * logits + 1.0, logits), labels, regions.tolist()


def test_each_body_part_has_its_own_fit():
    logits, labels, regions = two_parts()
    found = fit_region_calibrations(logits, labels, regions, least=10)
    own = np.array(regions) == "leg"
    assert found["leg"] == fit_calibration(logits[own], labels[own])
    assert found["hand"].slope > 1.5 * found["leg"].slope
    assert found["hip"] == found[""] == fit_calibration(logits, labels)


def test_comparable_logits_are_calibrated_by_part():
    logits, labels, regions = two_parts()
    lines = fit_region_calibrations(logits, labels, regions, least=10)
    comparable = comparable_logits(logits, regions, lines)
    for name in ("hand", "leg"):
        own = np.array(regions) == name
        again = fit_calibration(comparable[own], labels[own])
        assert again.slope == pytest.approx(1.0, abs=1e-3)
        assert again.intercept == pytest.approx(0.0, abs=1e-3)


def test_an_unknown_part_has_the_fit_of_all():
    lines = {"": Calibration(2.0, 1.0), "hand": Calibration(3.0, 0.0)}
    assert comparable_logits(np.array([1.0, 1.0]), ["shoulder", "hand"], lines).tolist() == [3, 3]


def test_without_parts_logits_stay_as_they_are():
    assert comparable_logits(np.array([1.0, 2.0]), ["hand", ""], {}).tolist() == [1, 2]
