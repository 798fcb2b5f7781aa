"""From labels and probabilities to figures with intervals, and to the curves that are drawn of them.

Every value is scikit-learn's or scipy's; the intervals come from ``bootstrap``, which draws groups.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from utils.evaluation.bootstrap import BINS, bin_of, draws, logits_of, replicates

LEVEL = 0.95
# Fewer defined resamples than this share, and an interval of them would say little.
_DEFINED_SHARE = 0.5

# Name in metrics.json to the words of the report, in its order.
FIGURES: dict[str, str] = {
    "accuracy": "Accuracy",
    "sensitivity": "Sensitivity (recall)",
    "specificity": "Specificity",
    "precision": "Precision",
    "f1": "F1 score",
    "roc_auc": "Area under the ROC curve",
    "average_precision": "Average precision",
    "cohen_kappa": "Cohen's kappa",
    "brier": "Brier score",
    "calibration_error": f"Calibration error ({BINS} equal-mass bins)",
    "calibration_slope": "Calibration slope (1 is ideal)",
    "calibration_intercept": "Calibration intercept (0 is ideal)",
}

Figure = dict[str, float | str | None]


@dataclass(frozen=True, eq=False)
class Reliability:
    """Bins of equal mass: what was predicted, what came true, and how many images that was.

    Args:
        predicted: (bins,) mean probability of each bin, ascending.
        observed: (bins,) share of positives in it.
        count: (bins,) images in it.
    """

    predicted: np.ndarray
    observed: np.ndarray
    count: np.ndarray


def summarise(
    labels: np.ndarray | Sequence[int],
    probabilities: np.ndarray | Sequence[float],
    groups: Sequence[str],
    threshold: float,
    *,
    resamples: int = 2000,
    seed: int = 0,
) -> dict[str, Figure]:
    """Compute every figure of FIGURES with its bootstrap interval.

    Args:
        labels: (n,) 0 or 1.
        probabilities: (n,) of the positive class; positive at or above the threshold.
        groups: (n,) key of each image's group; the bootstrap draws as many groups as there are, with
            replacement, and takes all images of each.
        threshold: of the decision.
        resamples: bootstrap draws; 0 leaves the intervals out.
        seed: of the draws.

    Returns:
        Name to ``value``, ``low`` and ``high`` (the 2.5 and 97.5 percentile of the draws), plus
        ``reason`` where one of them is null. A figure that these images do not define (a ROC curve of
        one class) is null, never a stand-in; draws that do not define it are left out of its interval,
        and where they are half of all, it has none. The interval of the calibration error tends to lie
        high, because a drawn sample is noisier than the one it is drawn from; one of no width says
        that all groups agree, not that the figure is certain.

    Source:
        Van Calster et al., Calibration: the Achilles heel of predictive analytics, 2019 (slope and
        intercept, the latter with the slope at 1).
    """
    truth = np.asarray(labels).reshape(-1) == 1
    scores = np.asarray(probabilities, np.float64).reshape(-1)
    values, reasons = _values(truth, scores, threshold)
    if truth.size == 0 or resamples == 0:
        return {name: figure_of(values[name], None, reasons.get(name)) for name in FIGURES}
    drawn: dict[str, list[np.ndarray]] = {name: [] for name in FIGURES}
    slope = values["calibration_slope"]
    for weights in draws(groups, resamples, seed):
        for name, replicate in replicates(truth, scores, weights, threshold, slope).items():
            drawn[name].append(replicate)
    alone = len(set(groups)) < 2
    return {
        name: figure_of(
            values[name], None if alone else np.concatenate(drawn[name]), reasons.get(name)
        )
        for name in FIGURES
    }


def mean_with_interval(
    values: np.ndarray | Sequence[float],
    groups: Sequence[str],
    *,
    resamples: int = 2000,
    seed: int = 0,
) -> Figure:
    """Return the mean of one number an image with the same bootstrap interval as ``summarise``."""
    numbers = np.asarray(values, np.float64).reshape(-1)
    if numbers.size == 0:
        return figure_of(None, None, "there are no images")
    if len(set(groups)) < 2 or resamples == 0:
        return figure_of(float(numbers.mean()), None, None)
    means = [weights @ numbers / weights.sum(axis=1) for weights in draws(groups, resamples, seed)]
    return figure_of(float(numbers.mean()), np.concatenate(means), None)


def pointing_game(
    peaks: Sequence[tuple[float, float] | None],
    boxes: Sequence[Sequence[tuple[float, float, float, float]]],
    groups: Sequence[str],
    *,
    resamples: int = 2000,
    seed: int = 0,
) -> Figure:
    """Return the share of images on which the map's peak lies inside a marked lesion.

    Args:
        peaks: (n,) x and y in pixels of the original; None where the map is empty, which is a miss.
        boxes: (n,) the lesions of each image as x, y, width, height in the same pixels, one or more.
        groups: (n,) as in ``summarise``.
        resamples, seed: as in ``summarise``.

    Returns:
        The share with its interval. No tolerance around a box is granted.

    Source:
        Zhang et al., Top-down neural attention by excitation backprop, 2018, section 4.1.
    """
    hits = [
        peak is not None
        and any(x <= peak[0] < x + wide and y <= peak[1] < y + high for x, y, wide, high in marked)
        for peak, marked in zip(peaks, boxes, strict=True)
    ]
    return mean_with_interval(np.array(hits, float), groups, resamples=resamples, seed=seed)


def confusion(
    labels: np.ndarray | Sequence[int],
    probabilities: np.ndarray | Sequence[float],
    threshold: float,
) -> dict[str, int]:
    """Count the four outcomes: true_positive, false_positive, false_negative, true_negative."""
    truth = np.asarray(labels).reshape(-1) == 1
    called = np.asarray(probabilities, np.float64).reshape(-1) >= threshold
    return {
        "true_positive": int((truth & called).sum()),
        "false_positive": int((~truth & called).sum()),
        "false_negative": int((truth & ~called).sum()),
        "true_negative": int((~truth & ~called).sum()),
    }


def reliability(
    labels: np.ndarray | Sequence[int], probabilities: np.ndarray | Sequence[float]
) -> Reliability:
    """Bin images by probability into BINS bins of equal mass; equal probabilities share a bin."""
    from sklearn.calibration import calibration_curve

    truth = np.asarray(labels).reshape(-1) == 1
    scores = np.asarray(probabilities, np.float64).reshape(-1)
    observed, predicted = calibration_curve(truth, scores, n_bins=BINS, strategy="quantile")
    count = np.bincount(bin_of(scores), minlength=BINS)
    return Reliability(predicted, observed, count[count > 0])


def _values(
    truth: np.ndarray, scores: np.ndarray, threshold: float
) -> tuple[dict[str, float | None], dict[str, str]]:
    """Every figure's value, and why those that are null are."""
    from sklearn import metrics as sk

    called = scores >= threshold
    reasons: dict[str, str] = {}
    if truth.size == 0:
        return dict.fromkeys(FIGURES), dict.fromkeys(FIGURES, "there are no images")
    one_class = "all images are of one class" if truth.all() or not truth.any() else None
    if one_class:
        reasons |= dict.fromkeys(
            ("roc_auc", "calibration_slope", "calibration_intercept"), one_class
        )
    elif scores.min() == scores.max():
        reasons["calibration_slope"] = "all probabilities are the same"
    elif scores[truth].min() >= scores[~truth].max() or scores[truth].max() <= scores[~truth].min():
        reasons["calibration_slope"] = "a threshold separates the classes, so the slope is infinite"
    if not truth.any():
        reasons |= dict.fromkeys(
            ("sensitivity", "average_precision"), "there are no positive images"
        )
    if truth.all():
        reasons["specificity"] = "there are no negative images"
    if not called.any():
        reasons["precision"] = "no image is called positive"
        if not truth.any():
            reasons["f1"] = "no image is positive or called so"
    if one_class and (called == truth).all():
        reasons["cohen_kappa"] = "labels and predictions are all the same, chance explains them"
    offered = {
        "accuracy": lambda: sk.accuracy_score(truth, called),
        "sensitivity": lambda: sk.recall_score(truth, called),
        "specificity": lambda: sk.recall_score(~truth, ~called),
        "precision": lambda: sk.precision_score(truth, called),
        "f1": lambda: sk.f1_score(truth, called),
        "roc_auc": lambda: sk.roc_auc_score(truth, scores),
        "average_precision": lambda: sk.average_precision_score(truth, scores),
        "cohen_kappa": lambda: sk.cohen_kappa_score(truth, called),
        "brier": lambda: np.mean((scores - truth) ** 2),
        "calibration_error": lambda: _calibration_error(truth, scores),
        "calibration_slope": lambda: _slope(truth, scores),
        "calibration_intercept": lambda: _intercept(truth, scores),
    }
    values = {
        name: None if name in reasons else float(compute()) for name, compute in offered.items()
    }
    return values, reasons


def figure_of(value: float | None, drawn: np.ndarray | None, reason: str | None) -> Figure:
    """Join a value and the draws of it to the record that is written."""
    if value is None:
        return {"value": None, "low": None, "high": None, "reason": reason}
    if drawn is None:
        return {
            "value": value,
            "low": None,
            "high": None,
            "reason": "fewer than two groups or draws",
        }
    defined = drawn[np.isfinite(drawn)]
    if defined.size <= _DEFINED_SHARE * drawn.size:
        share = f"only {defined.size} of {drawn.size} resamples define it"
        return {"value": value, "low": None, "high": None, "reason": share}
    low, high = np.quantile(defined, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return {"value": value, "low": float(low), "high": float(high)}


def _calibration_error(truth: np.ndarray, scores: np.ndarray) -> float:
    """Expected calibration error: gap between predicted and observed, weighted by images."""
    curve = reliability(truth, scores)
    return float(np.average(np.abs(curve.predicted - curve.observed), weights=curve.count))


def _slope(truth: np.ndarray, scores: np.ndarray) -> float:
    """Slope of the logistic regression of the labels on the logit."""
    from sklearn.linear_model import LogisticRegression

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitted = LogisticRegression(C=np.inf, tol=1e-8, max_iter=5000).fit(
            logits_of(scores)[:, None], truth
        )
    return float(fitted.coef_[0, 0])


def _intercept(truth: np.ndarray, scores: np.ndarray) -> float:
    """Shift of the logit that makes the mean probability the observed prevalence."""
    from scipy.optimize import brentq
    from scipy.special import expit

    logits = logits_of(scores)
    return float(brentq(lambda shift: expit(logits + shift).mean() - truth.mean(), -60.0, 60.0))
