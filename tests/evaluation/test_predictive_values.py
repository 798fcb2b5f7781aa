"""Predictive values: Bayes' rule by counting people, intervals against the bootstrap."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as sk

from utils.evaluation.metrics import summarise
from utils.evaluation.predictive_values import bayes, predictive_values
from utils.inference.predictive_value import predictive_value_of_answers


def answers(n: int = 600, seed: int = 0) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Labels, probabilities and groups of one image each, with errors of both kinds."""
    rng = np.random.default_rng(seed)
    labels = (rng.random(n) < 0.4).astype(int)
    probabilities = np.clip(0.3 + 0.4 * labels + rng.normal(0, 0.22, n), 0.01, 0.99)
    return labels, probabilities, [f"g{row}" for row in range(n)]


def test_bayes_agrees_with_ten_thousand_people():
    # 1,000 have a fracture: 900 found, 100 missed; of 9,000 others 1,800 are called by mistake.
    positive, negative = bayes(0.9, 0.8, 0.1)
    assert positive == pytest.approx(900 / (900 + 1800))
    assert negative == pytest.approx(7200 / (7200 + 100))


def test_at_the_datas_prevalence_they_are_precisions():
    labels, probabilities, groups = answers()
    (row,) = predictive_values(
        labels, probabilities, groups, 0.5, [float(labels.mean())], resamples=0
    )
    called = probabilities >= 0.5
    assert row.positive.value == pytest.approx(sk.precision_score(labels, called))
    assert row.negative.value == pytest.approx(sk.precision_score(labels, called, pos_label=0))
    assert row.positive.low is None


def test_intervals_agree_with_a_bootstrap_by_hand():
    labels, probabilities, _ = answers(n=300)
    groups = np.repeat(np.arange(100), 3)
    (row,) = predictive_values(labels, probabilities, list(groups), 0.5, [0.1], resamples=3000)
    rng = np.random.default_rng(11)
    drawn = []
    for _ in range(3000):
        chosen = (3 * rng.integers(0, 100, 100)[:, None] + np.arange(3)).ravel()
        truth, called = labels[chosen] == 1, probabilities[chosen] >= 0.5
        drawn.append(bayes(called[truth].mean(), (~called[~truth]).mean(), 0.1))
    expected = np.percentile(np.array(drawn), [2.5, 97.5], axis=0)
    for number, name in enumerate(("positive", "negative")):
        assert getattr(row, name).low == pytest.approx(expected[0, number], abs=0.01)
        assert getattr(row, name).high == pytest.approx(expected[1, number], abs=0.01)


@pytest.mark.slow
@pytest.mark.parametrize("prevalence", [0.02, 0.1, 0.4])
def test_the_apps_interval_is_near_the_bootstraps(prevalence):
    labels, probabilities, groups = answers()
    figures = summarise(labels, probabilities, groups, 0.5, resamples=3000)
    (row,) = predictive_values(labels, probabilities, groups, 0.5, [prevalence], resamples=3000)
    values = predictive_value_of_answers(figures.model_dump(), prevalence)
    for positive, name in ((True, "positive"), (False, "negative")):
        assert values[positive].prevalence == prevalence
        assert values[positive].value == pytest.approx(getattr(row, name).value, abs=1e-12)
        width = getattr(row, name).high - getattr(row, name).low
        assert values[positive].low == pytest.approx(getattr(row, name).low, abs=0.15 * width)
        assert values[positive].high == pytest.approx(getattr(row, name).high, abs=0.15 * width)


def test_prevalence_raises_ppv_and_lowers_npv():
    labels, probabilities, groups = answers()
    rows = predictive_values(
        labels, probabilities, groups, 0.5, [0.05, 0.1, 0.2, 0.4], resamples=100
    )
    alarms = [row.positive.value for row in rows]
    clears = [row.negative.value for row in rows]
    assert alarms == sorted(alarms)
    assert clears == sorted(clears, reverse=True)


def test_one_class_has_no_predictive_value():
    (row,) = predictive_values([1, 1], [0.4, 0.6], ["a", "b"], 0.5, [0.1], resamples=50)
    assert row.positive.value is row.negative.value is None
    assert row.positive.reason == "both classes are needed"


def test_an_answer_never_given_has_no_value():
    labels, probabilities, groups = [1, 0, 1, 0], [0.1, 0.2, 0.3, 0.4], list("abcd")
    (row,) = predictive_values(labels, probabilities, groups, 0.9, [0.1], resamples=50)
    assert row.positive.value is None
    assert row.positive.reason == "no image is called positive"
    assert row.negative.value == pytest.approx(0.9)
