"""Choice of the operating point: threshold and doubtful zone at a required sensitivity."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from utils.errors import InputError
from utils.messages import sentence
from utils.model.calibration import Numbers, checked_scores

# Relative distance of a threshold below the lowest probability of all.
_MARGIN = 1e-6


@dataclass(frozen=True)
class OperatingPoint:
    """Threshold and doubtful zone: positive at or above the threshold.

    Args:
        threshold: in [0, 1].
        doubt: an answer is doubtful from the first probability on and below the second; the threshold
            lies between them.
        chosen_by: sentence with the rule and the sensitivity and specificity reached.
    """

    threshold: float
    doubt: tuple[float, float]
    chosen_by: str


def choose_operating_point(
    probabilities: Numbers,
    labels: Numbers,
    *,
    sensitivity: float = 0.90,
    part: str = "validation",
) -> OperatingPoint:
    """Choose the highest threshold that keeps a sensitivity, and the doubtful zone around it.

    A missed fracture costs more than a false alarm, so sensitivity comes first and the specificity is
    what is left. The threshold is midway between the lowest probability that must still be positive and
    the next lower one, so that rounding moves no image across it.

    Below the lower edge of the doubtful zone lie at most half of the misses that the sensitivity allows
    (it is the threshold for (1 + sensitivity) / 2), and at or above its upper edge at most half of the
    false alarms that the threshold makes.

    Args:
        probabilities: (n,) calibrated, of the validation part.
        labels: (n,) 0 or 1.
        sensitivity: least share of positives to be called positive, above 0 and at most 1.
        part: name of the images in the rule's sentence.

    Returns:
        Threshold, doubtful zone and the rule, with the sensitivity reached, its Wilson interval and the
        specificity.

    Raises:
        DatasetError: an empty part, or one with a single class.
        InputError: a probability or a sensitivity out of its range.
    """
    from scipy.stats import binomtest

    if not 0.0 < sensitivity <= 1.0:
        raise InputError("model.sensitivity_range", sensitivity=sensitivity)
    scores, truth = checked_scores(probabilities, labels, "probabilities")
    if scores.min() < 0.0 or scores.max() > 1.0:
        raise InputError("model.probability_range")
    threshold = _threshold_keeping(scores, truth, sensitivity)
    lower = _threshold_keeping(scores, truth, (1.0 + sensitivity) / 2.0)
    upper = max(threshold, _threshold_halving_false_alarms(scores, truth, threshold))

    called = scores >= threshold
    positives, hits = int(truth.sum()), int((called & truth).sum())
    interval = binomtest(hits, positives).proportion_ci(0.95, method="wilson")
    chosen_by = sentence(
        "model.chosen_by",
        target=sensitivity,
        part=part,
        hits=hits,
        positives=positives,
        sensitivity=hits / positives,
        low=interval.low,
        high=interval.high,
        specificity=float((~called & ~truth).sum() / (~truth).sum()),
    )
    return OperatingPoint(threshold, (lower, upper), chosen_by)


def _threshold_keeping(scores: np.ndarray, truth: np.ndarray, sensitivity: float) -> float:
    """Return the highest threshold with at least this sensitivity."""
    ranked = np.sort(scores[truth])[::-1]
    # Rounded before the ceiling: 0.9 * 10 must need 9 positives, not 10 for a rounding error.
    needed = max(1, math.ceil(round(sensitivity * ranked.size, 9)))
    return _below(scores, float(ranked[needed - 1]))


def _threshold_halving_false_alarms(
    scores: np.ndarray, truth: np.ndarray, threshold: float
) -> float:
    """Return the lowest threshold with at most half of the false alarms of the one given."""
    alarms = np.sort(scores[~truth & (scores >= threshold)])[::-1]
    if alarms.size == 0:
        return threshold
    first_avoided = float(alarms[alarms.size // 2])
    higher = scores[scores > first_avoided]
    return float((first_avoided + higher.min()) / 2) if higher.size else first_avoided


def _below(scores: np.ndarray, score: float) -> float:
    """Return the midpoint of a score and the next lower one."""
    lower = scores[scores < score]
    return float((lower.max() + score) / 2) if lower.size else score * (1.0 - _MARGIN)
