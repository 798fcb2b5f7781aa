"""utils.evaluation.metrics and bootstrap: numbers against scikit-learn, scipy or by hand."""

from __future__ import annotations

import time
import warnings

import numpy as np
import pytest
from sklearn import metrics as sk

from utils.evaluation.bootstrap import draw_weights, replicates
from utils.evaluation.metrics import (
    confusion,
    mean_with_interval,
    pointing_game,
    reliability,
    summarise,
)
from utils.evaluation.report_schema import FIGURES, Confusion, Figure
from utils.imaging.geometry import Box

THRESHOLD = 0.4


def scored(n: int = 240, seed: int = 0, groups: int = 90) -> tuple:
    """Labels, overconfident probabilities and group keys; some probabilities are equal."""
    rng = np.random.default_rng(seed)
    logits = np.round(rng.normal(-0.5, 2.0, n), 1)
    labels = (rng.random(n) < 1 / (1 + np.exp(-0.6 * logits - 0.3))).astype(int)
    return labels, 1 / (1 + np.exp(-logits)), [f"g{key}" for key in rng.integers(0, groups, n)]


def by_scikit_learn(labels: np.ndarray, probabilities: np.ndarray) -> dict[str, float]:
    called = probabilities >= THRESHOLD
    return {
        "accuracy": sk.accuracy_score(labels, called),
        "sensitivity": sk.recall_score(labels, called),
        "specificity": sk.recall_score(labels, called, pos_label=0),
        "precision": sk.precision_score(labels, called),
        "f1": sk.f1_score(labels, called),
        "roc_auc": sk.roc_auc_score(labels, probabilities),
        "average_precision": sk.average_precision_score(labels, probabilities),
        "cohen_kappa": sk.cohen_kappa_score(labels, called),
        "brier": sk.brier_score_loss(labels, probabilities),
    }


def lines_by_scipy(labels: np.ndarray, probabilities: np.ndarray) -> tuple[float, float]:
    """Slope of the free line and shift of the one with slope 1, by minimising the likelihood."""
    from scipy.optimize import minimize

    logits = np.log(probabilities / (1 - probabilities))

    def loss(line: np.ndarray) -> float:
        return float(np.sum(np.logaddexp(0, line) - labels * line))

    free = minimize(lambda p: loss(p[0] * logits + p[1]), [1.0, 0.0], tol=1e-12).x
    return float(free[0]), float(minimize(lambda p: loss(logits + p[0]), [0.0], tol=1e-12).x[0])


def test_values_are_those_of_scikit_learn():
    labels, probabilities, groups = scored()
    figures = summarise(labels, probabilities, groups, THRESHOLD, resamples=50)
    for name, value in by_scikit_learn(labels, probabilities).items():
        assert getattr(figures, name).value == pytest.approx(value, abs=1e-12), name
    assert list(dict(figures)) == list(FIGURES)


def test_calibration_lines_maximise_the_likelihood():
    labels, probabilities, groups = scored()
    figures = summarise(labels, probabilities, groups, THRESHOLD, resamples=0)
    slope, intercept = lines_by_scipy(labels, probabilities)
    assert figures.calibration_slope.value == pytest.approx(slope, abs=1e-4)
    assert figures.calibration_intercept.value == pytest.approx(intercept, abs=1e-4)


def test_overconfident_probabilities_have_a_slope_below_one():
    labels, probabilities, groups = scored(n=2000, groups=2000)
    slope = summarise(labels, probabilities, groups, THRESHOLD, resamples=200).calibration_slope
    assert slope.low < 0.6 < slope.high < 0.9


def test_the_calibration_error_is_the_weighted_gap_over_bins_of_equal_mass():
    rng = np.random.default_rng(1)
    probabilities = rng.permutation(np.linspace(0.01, 0.99, 150))
    labels = (rng.random(150) < probabilities**2).astype(int)
    order = np.argsort(probabilities)
    gaps = [abs(probabilities[rows].mean() - labels[rows].mean()) for rows in np.split(order, 15)]
    figure = summarise(labels, probabilities, np.arange(150), 0.5, resamples=0).calibration_error
    assert figure.value == pytest.approx(np.mean(gaps), abs=1e-12)


def test_every_draw_has_the_figures_of_scikit_learn_on_the_images_drawn():
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


def test_the_calibration_error_of_a_draw_of_everything_once_is_the_value():
    labels, probabilities, groups = scored()
    once = replicates(labels == 1, probabilities, np.ones((1, labels.size)), THRESHOLD, 0.6)
    value = summarise(labels, probabilities, groups, THRESHOLD, resamples=0).calibration_error
    assert once["calibration_error"][0] == pytest.approx(value.value, abs=1e-12)


def test_a_draw_takes_groups_whole_and_as_many_as_there_are():
    groups = ["a", "a", "a", "b", "c", "c"]
    weights = np.concatenate(list(draw_weights(groups, 500, seed=0)))
    assert weights.shape == (500, 6)
    assert (weights[:, 0] == weights[:, 1]).all()
    assert (weights[:, 1] == weights[:, 2]).all()
    assert (weights[:, 4] == weights[:, 5]).all()
    assert (weights[:, [0, 3, 4]].sum(axis=1) == 3).all()
    np.testing.assert_allclose(weights.mean(axis=0), 1.0, atol=0.12)


def test_the_interval_of_a_mean_is_that_of_the_cluster_bootstrap_by_hand():
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


def test_the_same_seed_gives_the_same_intervals_and_another_seed_others():
    labels, probabilities, groups = scored()
    first = summarise(labels, probabilities, groups, THRESHOLD, resamples=100, seed=1)
    again = summarise(labels, probabilities, groups, THRESHOLD, resamples=100, seed=1)
    other = summarise(labels, probabilities, groups, THRESHOLD, resamples=100, seed=2)
    assert first == again
    assert first.roc_auc.low != other.roc_auc.low


def test_every_interval_but_the_calibration_errors_holds_its_value():
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
def test_a_figure_that_one_class_does_not_define_is_null_with_the_reason(labels, undefined):
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


def test_precision_without_a_positive_call_is_null_not_zero():
    figures = summarise([0, 1, 0, 1], [0.1, 0.2, 0.1, 0.3], list("abcd"), 0.9, resamples=100)
    assert figures.precision == Figure(
        value=None, low=None, high=None, reason="no image is called positive"
    )
    assert figures.f1.value == 0.0


def test_kappa_is_null_where_chance_explains_everything():
    figures = summarise([0, 0, 0], [0.1, 0.2, 0.3], list("abc"), 0.9, resamples=0)
    assert figures.cohen_kappa.value is None
    assert figures.f1.value is None


def test_probabilities_that_separate_the_classes_have_no_slope_but_an_area():
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


def test_an_interval_needs_more_than_half_of_its_draws_to_define_the_figure():
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


def test_reliability_bins_hold_every_image_and_their_means():
    labels, probabilities, _ = scored()
    curve = reliability(labels, probabilities)
    assert curve.count.sum() == labels.size
    assert len(curve.count) == len(curve.predicted) == len(curve.observed)
    assert curve.predicted @ curve.count == pytest.approx(probabilities.sum())
    assert curve.observed @ curve.count == pytest.approx(labels.sum())


def test_reliability_of_probabilities_that_are_all_the_same_is_one_bin():
    curve = reliability([0, 1, 1, 0, 1], [0.3] * 5)
    assert curve.count.tolist() == [5]
    assert curve.observed == pytest.approx([0.6])


def test_the_pointing_game_counts_peaks_inside_a_box_edges_as_pixels():
    lesion = Box(10, 20, 5, 4)
    boxes = [[lesion]] * 6 + [[Box(0, 0, 2, 2), lesion]]
    peaks = [(10, 20), (14, 23), (15, 20), (10, 24), (9, 20), None, (12, 21)]
    figure = pointing_game(peaks, boxes, range(7), resamples=200)
    assert figure.value == pytest.approx(3 / 7)
    assert 0 <= figure.low < 3 / 7 < figure.high <= 1


def test_the_pointing_game_without_marked_images_is_null():
    assert pointing_game([], [], []).value is None


def test_two_thousand_draws_of_a_large_test_part_take_seconds():
    labels, probabilities, groups = scored(n=3200, groups=800)
    started = time.perf_counter()
    summarise(labels, probabilities, groups, THRESHOLD, resamples=2000)
    assert time.perf_counter() - started < 20
