"""Classification and calibration metrics with bootstrap intervals, and the reliability curve.

Every value is scikit-learn's or scipy's; the intervals come from ``bootstrap``, which draws groups.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from utils.evaluation.bootstrap import BINS, bin_of, logits_of, replicates, resampled
from utils.evaluation.report_schema import FIGURES, Confusion, Figure, Figures
from utils.messages import sentence

LEVEL = 0.95
# A figure has no interval where fewer resamples than this share define it.
_DEFINED_SHARE = 0.5


@dataclass(frozen=True, eq=False)
class Reliability:
    """Mean probability (ascending), share of positives and images of bins of equal mass, (bins,) each."""

    predicted: np.ndarray
    observed: np.ndarray
    count: np.ndarray


def summarise(
    labels: ArrayLike,
    probabilities: ArrayLike,
    groups: Sequence[str],
    threshold: float,
    *,
    resamples: int = 2000,
    seed: int = 0,
) -> Figures:
    """Compute every figure with its bootstrap interval.

    Args:
        labels: (n,) 0 or 1.
        probabilities: (n,) of the positive class; positive at or above the threshold.
        groups: (n,) key of each image's group, the unit of the bootstrap.
        resamples: bootstrap draws; 0 leaves the intervals out.

    Returns:
        The figures with the 2.5 and 97.5 percentile of the draws. A figure that these images do not
        define (a ROC curve of one class) is None; draws that do not define it are left out of its
        interval, and where they are half of all, it has none. The interval of the calibration error
        tends to lie high, because a resample is noisier than the sample it is drawn from.

    Source:
        Van Calster et al., Calibration: the Achilles heel of predictive analytics, 2019 (slope and
        intercept, the latter with the slope at 1).
    """
    truth = np.asarray(labels).reshape(-1) == 1
    scores = np.asarray(probabilities, np.float64).reshape(-1)
    values, reasons = _values(truth, scores, threshold)

    def every_figure(weights: np.ndarray) -> np.ndarray:
        figures = replicates(truth, scores, weights, threshold, values["calibration_slope"])
        return np.stack([figures[name] for name in FIGURES])

    drawn = resampled(groups, resamples, seed, every_figure)
    rows = [None] * len(FIGURES) if drawn is None else drawn
    return Figures(
        **{
            name: figure_of(values[name], row, reasons.get(name))
            for name, row in zip(FIGURES, rows, strict=True)
        }
    )


def mean_with_interval(
    values: ArrayLike, groups: Sequence[str], *, resamples: int = 2000, seed: int = 0
) -> Figure:
    """Return the mean of one number an image with the same bootstrap interval as ``summarise``."""
    numbers = np.asarray(values, np.float64).reshape(-1)
    if numbers.size == 0:
        return figure_of(None, None, sentence("evaluation.no_images"))
    means = resampled(groups, resamples, seed, lambda drawn: drawn @ numbers / drawn.sum(axis=1))
    return figure_of(float(numbers.mean()), means, None)


def confusion(labels: ArrayLike, probabilities: ArrayLike, threshold: float) -> Confusion:
    """Count the four outcomes."""
    truth = np.asarray(labels).reshape(-1) == 1
    called = np.asarray(probabilities, np.float64).reshape(-1) >= threshold
    return Confusion(
        true_positive=int((truth & called).sum()),
        false_positive=int((~truth & called).sum()),
        false_negative=int((truth & ~called).sum()),
        true_negative=int((~truth & ~called).sum()),
    )


def reliability(labels: ArrayLike, probabilities: ArrayLike) -> Reliability:
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
    """Return every figure's value, and the reason of those that are None."""
    from sklearn import metrics as sk

    called = scores >= threshold
    if truth.size == 0:
        return dict.fromkeys(FIGURES), dict.fromkeys(FIGURES, sentence("evaluation.no_images"))
    undefined = _undefined(truth, scores, called)
    reasons = {name: sentence(f"evaluation.{key}") for name, key in undefined.items()}
    definitions = {
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
        name: None if name in reasons else float(compute()) for name, compute in definitions.items()
    }
    return values, reasons


def _undefined(truth: np.ndarray, scores: np.ndarray, called: np.ndarray) -> dict[str, str]:
    """Return the figures that one image or more do not define, and the key of the reason."""
    reasons: dict[str, str] = {}
    positives, negatives = scores[truth], scores[~truth]
    one_class = not positives.size or not negatives.size
    if one_class:
        names = ("roc_auc", "calibration_slope", "calibration_intercept")
        reasons |= dict.fromkeys(names, "one_class")
    elif scores.min() == scores.max():
        reasons["calibration_slope"] = "equal_probabilities"
    elif positives.min() >= negatives.max() or positives.max() <= negatives.min():
        reasons["calibration_slope"] = "separated_classes"
    if not positives.size:
        reasons |= dict.fromkeys(("sensitivity", "average_precision"), "no_positives")
    if not negatives.size:
        reasons["specificity"] = "no_negatives"
    if not called.any():
        reasons["precision"] = "none_called_positive"
        if not positives.size:
            reasons["f1"] = "none_positive_or_called"
    if one_class and (called == truth).all():
        reasons["cohen_kappa"] = "chance_agreement"
    return reasons


def figure_of(value: float | None, draws: np.ndarray | None, reason: str | None) -> Figure:
    """Join a value and its bootstrap replicates to a figure."""
    if value is None:
        return Figure(value=None, low=None, high=None, reason=reason)
    if draws is None:
        reason = sentence("evaluation.no_interval")
        return Figure(value=value, low=None, high=None, reason=reason)
    defined = draws[np.isfinite(draws)]
    if defined.size <= _DEFINED_SHARE * draws.size:
        reason = sentence("evaluation.few_resamples", defined=defined.size, all=draws.size)
        return Figure(value=value, low=None, high=None, reason=reason)
    low, high = np.quantile(defined, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Figure(value=value, low=float(low), high=float(high))


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
