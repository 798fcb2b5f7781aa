"""From the network's logit to a probability that means what it says, and to the point where it decides.

Class weighting during training shifts the logits, so what leaves the network is no probability: a slope
and an intercept, fitted on the validation part alone, make it one. The same part chooses the threshold.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np

from utils.errors import DatasetError, InputError

# A calibration never reorders images, whatever the validation part looks like.
MIN_SLOPE = 1e-3
# Thresholds lie this far (relative) below a probability where nothing lower was seen to lie between.
_MARGIN = 1e-6

Numbers = np.ndarray | Sequence[float]


@dataclass(frozen=True)
class Calibration:
    """The straight line that turns a logit into the logit of a calibrated probability.

    Args:
        slope: factor on the network's logit, above 0.
        intercept: added to it.

    Raises:
        InputError: a slope that is not positive, or a number that is not finite.
    """

    slope: float = 1.0
    intercept: float = 0.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.slope) and math.isfinite(self.intercept) and self.slope > 0):
            raise InputError(
                f"a calibration needs a positive slope and a finite intercept, "
                f"got {self.slope} and {self.intercept}"
            )

    @overload
    def probability(self, logits: float) -> float: ...
    @overload
    def probability(self, logits: np.ndarray) -> np.ndarray: ...
    def probability(self, logits: float | np.ndarray) -> float | np.ndarray:
        """Return the calibrated probability of the positive class, float64, shaped as given.

        Never overflows; a scalar comes back as a plain float.
        """
        line = self.slope * np.asarray(logits, np.float64) + self.intercept
        # The logistic function as tanh: exact at both ends, no exponential that overflows.
        probability = 0.5 * (1.0 + np.tanh(0.5 * line))
        return float(probability) if probability.ndim == 0 else probability

    def logit(self, probability: float) -> float:
        """Return the network's logit that is given this probability; infinite for 0 and 1."""
        if not 0.0 < probability < 1.0:
            return math.inf if probability >= 1.0 else -math.inf
        return (math.log(probability / (1.0 - probability)) - self.intercept) / self.slope


@dataclass(frozen=True)
class OperatingPoint:
    """Where probabilities become decisions: positive at or above the threshold.

    Args:
        threshold: in [0, 1].
        doubt: from the first probability on, and below the second, an answer is doubtful; the
            threshold lies between them.
        chosen_by: the rule and what it reached, one sentence for people.
    """

    threshold: float
    doubt: tuple[float, float]
    chosen_by: str


def fit_calibration(logits: Numbers, labels: Numbers) -> Calibration:
    """Fit slope and intercept by maximum likelihood: logistic regression without a penalty.

    Two kinds of validation part have no usable maximum, and get what stands here instead:

    - Classes that one logit separates would drive the slope to infinity. They are fitted to Platt's
      targets, (positives + 1) / (positives + 2) and 1 / (negatives + 2), whose maximum is finite.
    - A network that ranks the classes the wrong way round would get a negative slope, and its map would
      show the opposite of its answer. The slope is held at ``MIN_SLOPE`` or above, so such a network
      gets nearly the same probability, the prevalence, for every image.

    Args:
        logits: (n,) of the network on the validation part.
        labels: (n,) 0 or 1.

    Returns:
        The calibration.

    Raises:
        DatasetError: an empty part, or one with a single class.
        InputError: a logit that is not finite, as a training that diverged gives.

    Source:
        Platt, Probabilistic outputs for support vector machines, 1999, section 2.2;
        Guo et al., On calibration of modern neural networks, 2017, section 4.2.
    """
    from scipy.optimize import minimize

    scores, truth = _checked(logits, labels, "logits")
    positive, negative = scores[truth], scores[~truth]
    targets = truth.astype(np.float64)
    if positive.min() >= negative.max() or negative.min() >= positive.max():
        targets = np.where(
            truth, (positive.size + 1) / (positive.size + 2), 1 / (negative.size + 2)
        )

    # Standardised, so that the search is equally well conditioned for logits of any size.
    middle, spread = float(scores.mean()), float(scores.std()) or 1.0
    standard = (scores - middle) / spread

    def loss(line: np.ndarray) -> tuple[float, np.ndarray]:
        value = line[0] * standard + line[1]
        residual = 0.5 * (1.0 + np.tanh(0.5 * value)) - targets
        likelihood = np.logaddexp(0.0, value) - targets * value
        return float(likelihood.mean()), np.array([(residual * standard).mean(), residual.mean()])

    share = float(targets.mean())
    found = minimize(
        loss,
        x0=np.array([1.0, math.log(share / (1.0 - share))]),
        jac=True,
        method="L-BFGS-B",
        bounds=[(MIN_SLOPE * spread, None), (None, None)],
        options={"ftol": 1e-15, "gtol": 1e-10, "maxiter": 1000},
    )
    slope = float(found.x[0]) / spread
    return Calibration(slope=slope, intercept=float(found.x[1]) - slope * middle)


def choose_operating_point(
    probabilities: Numbers,
    labels: Numbers,
    *,
    sensitivity: float = 0.90,
    part: str = "validation",
) -> OperatingPoint:
    """Choose the highest threshold that keeps a sensitivity, and the doubt zone around it.

    A missed fracture costs more than a false alarm, so sensitivity comes first and the specificity is
    what is left. The threshold is put midway between the lowest probability that must still be called
    positive and the next lower one seen, so that rounding moves no image across it.

    The doubt zone is where the two kinds of error are most of what is decided: below its lower edge lie
    at most half of the misses that the sensitivity allows (it is the threshold for (1 + sensitivity) /
    2), and at or above its upper edge at most half of the false alarms that the threshold makes.

    Args:
        probabilities: (n,) calibrated, of the validation part.
        labels: (n,) 0 or 1.
        sensitivity: least share of positives to be called positive, above 0 and at most 1.
        part: what the images are called in the rule's words.

    Returns:
        Threshold, doubt zone and the rule in words, with the sensitivity reached, its Wilson interval
        and the specificity.

    Raises:
        DatasetError: an empty part, or one with a single class.
        InputError: a probability or a sensitivity out of its range.
    """
    from scipy.stats import binomtest

    if not 0.0 < sensitivity <= 1.0:
        raise InputError(
            f"the sensitivity to keep must be above 0 and at most 1, got {sensitivity}"
        )
    scores, truth = _checked(probabilities, labels, "probabilities")
    if scores.min() < 0.0 or scores.max() > 1.0:
        raise InputError("the probabilities lie outside 0 to 1; calibrate the logits first")
    threshold = _threshold_keeping(scores, truth, sensitivity)
    lower = _threshold_keeping(scores, truth, (1.0 + sensitivity) / 2.0)
    upper = max(threshold, _threshold_halving_false_alarms(scores, truth, threshold))

    called = scores >= threshold
    positives, hits = int(truth.sum()), int((called & truth).sum())
    interval = binomtest(hits, positives).proportion_ci(0.95, method="wilson")
    specificity = float((~called & ~truth).sum() / (~truth).sum())
    chosen_by = (
        f"highest threshold with a sensitivity of at least {sensitivity:.2f} on the {part} part: "
        f"{hits} of {positives} positives ({hits / positives:.3f}, 95 % Wilson interval "
        f"{interval.low:.3f} to {interval.high:.3f}) at a specificity of {specificity:.3f}; "
        f"doubtful where half of its misses and half of its false alarms lie"
    )
    return OperatingPoint(threshold, (lower, upper), chosen_by)


def _threshold_keeping(scores: np.ndarray, truth: np.ndarray, sensitivity: float) -> float:
    """Highest threshold that calls at least this share of the positives positive."""
    ranked = np.sort(scores[truth])[::-1]
    # Rounded before the ceiling: 0.9 * 10 must need 9 positives, not 10 for a rounding error.
    needed = max(1, math.ceil(round(sensitivity * ranked.size, 9)))
    return _below(scores, float(ranked[needed - 1]))


def _threshold_halving_false_alarms(
    scores: np.ndarray, truth: np.ndarray, threshold: float
) -> float:
    """Lowest threshold with at most half of the false alarms of the one given."""
    alarms = np.sort(scores[~truth & (scores >= threshold)])[::-1]
    if alarms.size == 0:
        return threshold
    first_called_off = float(alarms[alarms.size // 2])
    higher = scores[scores > first_called_off]
    return float((first_called_off + higher.min()) / 2) if higher.size else first_called_off


def _below(scores: np.ndarray, score: float) -> float:
    """A number between a score and the next lower one seen."""
    lower = scores[scores < score]
    return float((lower.max() + score) / 2) if lower.size else score * (1.0 - _MARGIN)


def _checked(scores: Numbers, labels: Numbers, kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Return scores as float64 and labels as bool, both (n,), with both classes in them."""
    values = np.asarray(scores, np.float64).reshape(-1)
    truth = np.asarray(labels).reshape(-1) == 1
    if values.size != truth.size:
        raise InputError(f"{values.size} {kind} do not fit {truth.size} labels")
    if truth.all() or not truth.any():
        raise DatasetError(
            f"both classes are needed to calibrate and to choose a threshold; the {values.size} "
            f"images given hold {int(truth.sum())} positive and {int((~truth).sum())} negative ones"
        )
    if not np.isfinite(values).all():
        raise InputError(
            f"{int((~np.isfinite(values)).sum())} of {values.size} {kind} are not finite: the training "
            f"diverged; lower the learning rate"
        )
    return values, truth
