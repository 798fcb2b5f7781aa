"""utils.evaluation.metrics: numbers against scikit-learn, scipy or by hand."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from tests.support.calibrated import THRESHOLD, by_scikit_learn, lines_by_scipy, scored
from utils.evaluation.metrics import (
    confusion,
    mean_with_interval,
    reliability,
    summarise,
)
from utils.evaluation.report_schema import FIGURES, Confusion, Figure


def test_values_are_those_of_scikit_learn():
    labels, probabilities, groups = scored()
    figures = summarise(labels, probabilities, groups, THRESHOLD, resamples=50)
    for name, value in by_scikit_learn(labels, probabilities).items():
        assert getattr(figures, name).value == pytest.approx(value, abs=1e-12), name
    assert list(dict(figures)) == list(FIGURES)


def test_calibration_maximises_the_likelihood():
    labels, probabilities, groups = scored()
    figures = summarise(labels, probabilities, groups, THRESHOLD, resamples=0)
    slope, intercept = lines_by_scipy(labels, probabilities)
    assert figures.calibration_slope.value == pytest.approx(slope, abs=1e-4)
    assert figures.calibration_intercept.value == pytest.approx(intercept, abs=1e-4)


def test_overconfidence_is_a_slope_below_one():
    labels, probabilities, groups = scored(n=2000, groups=2000)
    slope = summarise(labels, probabilities, groups, THRESHOLD, resamples=200).calibration_slope
    assert slope.low < 0.6 < slope.high < 0.9


def test_the_calibration_error_is_the_mean_bin_gap():
    rng = np.random.default_rng(1)
    probabilities = rng.permutation(np.linspace(0.01, 0.99, 150))
    labels = (rng.random(150) < probabilities**2).astype(int)
    order = np.argsort(probabilities)
    gaps = [abs(probabilities[rows].mean() - labels[rows].mean()) for rows in np.split(order, 15)]
    figure = summarise(labels, probabilities, np.arange(150), 0.5, resamples=0).calibration_error
    assert figure.value == pytest.approx(np.mean(gaps), abs=1e-12)


def test_a_mean_has_the_cluster_bootstraps_interval():
    rng = np.random.default_rng(5)
    clusters = [rng.random(size) for size in (3, 1, 4, 2, 2, 5, 1, 3)]
    values = np.concatenate(clusters)
    groups = np.repeat(np.arange(8), [len(cluster) for cluster in clusters])
    means = []
    for _ in range(4000):
        chosen = rng.integers(0, 8, 8)
        means.append(np.concatenate([clusters[key] for key in chosen]).mean())
    figure = mean_with_interval(values, groups, resamples=4000)
    low, high = np.percentile(means, [2.5, 97.5])
    assert figure.value == pytest.approx(values.mean())
    assert figure.low == pytest.approx(low, abs=0.01)
    assert figure.high == pytest.approx(high, abs=0.01)


def test_images_of_one_group_widen_the_interval():
    labels, probabilities, _ = scored(n=60)
    labels, probabilities = np.tile(labels, 5), np.tile(probabilities, 5)
    apart = summarise(labels, probabilities, range(300), THRESHOLD, resamples=500).accuracy
    copies = summarise(labels, probabilities, list(range(60)) * 5, THRESHOLD, resamples=500)
    width = copies.accuracy.high - copies.accuracy.low
    # Five copies of each image: the interval is that of 60 images, sqrt(5) times as wide.
    assert width / (apart.high - apart.low) == pytest.approx(5**0.5, rel=0.2)


def test_the_seed_determines_the_intervals():
    labels, probabilities, groups = scored()
    first = summarise(labels, probabilities, groups, THRESHOLD, resamples=100, seed=1)
    again = summarise(labels, probabilities, groups, THRESHOLD, resamples=100, seed=1)
    other = summarise(labels, probabilities, groups, THRESHOLD, resamples=100, seed=2)
    assert first == again
    assert first.roc_auc.low != other.roc_auc.low


def test_intervals_contain_their_value():
    labels, probabilities, groups = scored()
    for name, figure in summarise(labels, probabilities, groups, THRESHOLD):
        assert figure.low <= figure.high, name
        if name != "calibration_error":
            assert figure.low <= figure.value <= figure.high, name


@pytest.mark.parametrize(
    ("labels", "undefined"),
    [
        ([0, 0, 0, 0], {"sensitivity", "average_precision", "roc_auc"}),
        ([1, 1, 1, 1], {"specificity", "roc_auc"}),
    ],
)
def test_one_class_leaves_figures_undefined(labels, undefined):
    figures = summarise(labels, [0.1, 0.6, 0.3, 0.8], list("abcd"), THRESHOLD, resamples=100)
    for name in undefined | {"calibration_slope", "calibration_intercept"}:
        assert (
            getattr(figures, name).value
            is getattr(figures, name).low
            is getattr(figures, name).high
            is None
        )
        assert (
            "class" in getattr(figures, name).reason
            or "there are no" in getattr(figures, name).reason
        )
    assert figures.accuracy.value == 0.5


def test_precision_needs_a_positive_answer():
    figures = summarise([0, 1, 0, 1], [0.1, 0.2, 0.1, 0.3], list("abcd"), 0.9, resamples=100)
    assert figures.precision == Figure(
        value=None, low=None, high=None, reason="no image is called positive"
    )
    assert figures.f1.value == 0.0


def test_kappa_is_undefined_for_chance_agreement():
    figures = summarise([0, 0, 0], [0.1, 0.2, 0.3], list("abc"), 0.9, resamples=0)
    assert figures.cohen_kappa.value is None
    assert figures.f1.value is None


def test_separated_classes_have_no_slope():
    figures = summarise([0, 0, 1, 1], [0.1, 0.2, 0.8, 0.9], list("abcd"), 0.5, resamples=200)
    assert figures.roc_auc.value == 1.0
    assert figures.calibration_slope.value is None
    assert "infinite" in figures.calibration_slope.reason


def test_no_images_give_no_figures():
    figures = summarise([], [], [], THRESHOLD)
    assert {figure.value for _, figure in figures} == {None}
    assert {figure.reason for _, figure in figures} == {"there are no images"}


def test_one_group_has_values_but_no_intervals():
    labels, probabilities, _ = scored()
    figures = summarise(labels, probabilities, ["one"] * labels.size, THRESHOLD)
    assert figures.accuracy.value is not None
    assert figures.accuracy.low is None
    assert "fewer than two groups" in figures.accuracy.reason


def test_an_interval_needs_half_of_the_resamples():
    # The one positive is missing from a draw with probability (1 - 1/40)^40 = 36 %.
    labels = [1] + [0] * 39
    probabilities = np.linspace(0.9, 0.1, 40)
    usual = summarise(labels, probabilities, range(40), 0.5, resamples=1000).sensitivity
    assert usual == Figure(value=1.0, low=1.0, high=1.0)
    # Only a draw with both "a" and "b" has scores that overlap: 1 - 2 * 0.75^4 + 0.5^4 = 43 %.
    rare = summarise([1, 0, 1, 0], [0.2, 0.3, 0.9, 0.1], list("abcd"), 0.5, resamples=1000)
    slope = rare.calibration_slope
    assert slope.value is not None
    assert slope.low is slope.high is None
    share = int(slope.reason.split()[1])
    assert 380 < share < 480


def test_certain_probabilities_break_nothing():
    labels, probabilities, groups = scored()
    probabilities = np.where(probabilities > 0.9, 1.0, np.where(probabilities < 0.1, 0.0, 0.5))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figures = summarise(labels, probabilities, groups, THRESHOLD, resamples=100)
    assert all(np.isfinite(figure.value) for _, figure in figures)


def test_confusion_counts_by_hand():
    labels, probabilities = [1, 1, 1, 0, 0, 0, 0], [0.4, 0.9, 0.39, 0.4, 0.1, 0.2, 0.3]
    assert confusion(labels, probabilities, 0.4) == Confusion(
        true_positive=2, false_positive=1, false_negative=1, true_negative=3
    )


def test_reliability_bins_hold_every_image():
    labels, probabilities, _ = scored()
    curve = reliability(labels, probabilities)
    assert curve.count.sum() == labels.size
    assert len(curve.count) == len(curve.predicted) == len(curve.observed)
    assert curve.predicted @ curve.count == pytest.approx(probabilities.sum())
    assert curve.observed @ curve.count == pytest.approx(labels.sum())


def test_equal_probabilities_share_one_bin():
    curve = reliability([0, 1, 1, 0, 1], [0.3] * 5)
    assert curve.count.tolist() == [5]
    assert curve.observed == pytest.approx([0.6])
