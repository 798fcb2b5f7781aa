"""utils.evaluation.bootstrap: resamples against scikit-learn on the images drawn."""

from __future__ import annotations

import time

import numpy as np
import pytest

from tests.support.calibrated import THRESHOLD, by_scikit_learn, lines_by_scipy, scored
from utils.evaluation.bootstrap import draw_weights, replicates
from utils.evaluation.metrics import summarise


def test_every_resample_agrees_with_scikit_learn():
    labels, probabilities, groups = scored()
    for weights in draw_weights(groups, 12, seed=3):
        found = replicates(labels == 1, probabilities, weights, THRESHOLD, 0.6)
        for row, counts in enumerate(weights.astype(int)):
            drawn = np.repeat(np.arange(labels.size), counts)
            expected = by_scikit_learn(labels[drawn], probabilities[drawn])
            slope, intercept = lines_by_scipy(labels[drawn], probabilities[drawn])
            expected |= {"calibration_slope": slope, "calibration_intercept": intercept}
            for name, value in expected.items():
                assert found[name][row] == pytest.approx(value, abs=2e-4), name


def test_weights_of_one_give_the_calibration_error():
    labels, probabilities, groups = scored()
    once = replicates(labels == 1, probabilities, np.ones((1, labels.size)), THRESHOLD, 0.6)
    value = summarise(labels, probabilities, groups, THRESHOLD, resamples=0).calibration_error
    assert once["calibration_error"][0] == pytest.approx(value.value, abs=1e-12)


def test_a_resample_takes_whole_groups():
    groups = ["a", "a", "a", "b", "c", "c"]
    weights = np.concatenate(list(draw_weights(groups, 500, seed=0)))
    assert weights.shape == (500, 6)
    assert (weights[:, 0] == weights[:, 1]).all()
    assert (weights[:, 1] == weights[:, 2]).all()
    assert (weights[:, 4] == weights[:, 5]).all()
    assert (weights[:, [0, 3, 4]].sum(axis=1) == 3).all()
    np.testing.assert_allclose(weights.mean(axis=0), 1.0, atol=0.12)


@pytest.mark.slow
def test_two_thousand_resamples_take_seconds():
    labels, probabilities, groups = scored(n=3200, groups=800)
    started = time.perf_counter()
    summarise(labels, probabilities, groups, THRESHOLD, resamples=2000)
    assert time.perf_counter() - started < 20
