"""Choice of the threshold and of two operating points, the edges of the doubtful zone around it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from utils.errors import InputError
from utils.messages import sentence
from utils.model.calibration import Numbers, checked_scores

# Least sensitivity of the threshold and of the sensitive point, and least specificity of the specific point.
SENSITIVITY, RULE_OUT_SENSITIVITY, RULE_IN_SPECIFICITY = 0.90, 0.95, 0.95
# A fracture less likely than not is never definite.
EVEN_CHANCE = 0.5
# Relative distance of a threshold below the lowest probability of all.
_MARGIN = 1e-6


@dataclass(frozen=True)
class OperatingPoints:
    """Threshold and doubtful zone: positive at or above the threshold.

    Args:
        threshold: in [0, 1].
        doubt: the sensitive and the specific operating point. Below the first an answer is a definite
            "no fracture found", at or above the second a definite fracture, between them it is doubtful; the
            threshold lies between them.
        chosen_by: sentence with the rules, and with the sensitivity and specificity reached.
    """

    threshold: float
    doubt: tuple[float, float]
    chosen_by: str


def choose_operating_points(
    probabilities: Numbers,
    labels: Numbers,
    *,
    images: str,
    sensitivity: float = SENSITIVITY,
    rule_out: float = RULE_OUT_SENSITIVITY,
    rule_in: float = RULE_IN_SPECIFICITY,
) -> OperatingPoints:
    """Choose a threshold by its sensitivity, a sensitive point below it and a specific one above it.

    The sensitive point rules a fracture out: it is the highest threshold that keeps the sensitivity
    ``rule_out``. The specific point rules one in: it is the lowest threshold that keeps the specificity
    ``rule_in``, and never below EVEN_CHANCE. Where the classes are so far apart that an operating point
    would lie on the wrong side of the threshold, it is the threshold.

    The threshold has a sensitivity of its own: one network serves scripts that know two answers, for which
    false alarms at the sensitive point would be too many, and readers who see which answers are
    doubtful. A missed fracture costs more than a false alarm, so sensitivity comes first there too. Every
    point is midway between two neighbouring probabilities, so that rounding moves no image across it.

    Args:
        probabilities: (n,) calibrated, of images that did not train the network.
        labels: (n,) 0 or 1.
        images: name of the images in the rule's sentence.
        sensitivity: least share of positives at or above the threshold, above 0 and at most 1.
        rule_out: likewise, at or above the sensitive point.
        rule_in: least share of negatives below the specific point, above 0 and at most 1.

    Raises:
        DatasetError: no images, or of a single class.
        InputError: a probability or a share out of its range.
    """
    from scipy.stats import binomtest

    for share in (sensitivity, rule_out, rule_in):
        if not 0.0 < share <= 1.0:
            raise InputError("model.operating_share_range", share=share)
    scores, truth = checked_scores(probabilities, labels, "probabilities")
    if scores.min() < 0.0 or scores.max() > 1.0:
        raise InputError("model.probability_range")
    threshold = _threshold_keeping(scores, truth, sensitivity)
    sensitive = min(threshold, _threshold_keeping(scores, truth, rule_out))
    specific = max(threshold, _threshold_rejecting(scores, truth, rule_in), EVEN_CHANCE)

    def reached(point: float) -> tuple[float, float]:
        return float((scores[truth] >= point).mean()), float((scores[~truth] < point).mean())

    positives, hits = int(truth.sum()), int((scores[truth] >= threshold).sum())
    interval = binomtest(hits, positives).proportion_ci(0.95, method="wilson")
    sensitive_reached, specific_reached = reached(sensitive), reached(specific)
    chosen_by = sentence(
        "model.chosen_by",
        target=sensitivity,
        images=images,
        hits=hits,
        positives=positives,
        sensitivity=hits / positives,
        low=interval.low,
        high=interval.high,
        specificity=reached(threshold)[1],
        rule_out=rule_out,
        sensitive_sensitivity=sensitive_reached[0],
        sensitive_specificity=sensitive_reached[1],
        rule_in=rule_in,
        specific_sensitivity=specific_reached[0],
        specific_specificity=specific_reached[1],
        even=EVEN_CHANCE,
    )
    return OperatingPoints(threshold, (sensitive, specific), chosen_by)


def _threshold_keeping(scores: np.ndarray, truth: np.ndarray, sensitivity: float) -> float:
    """Return the highest threshold with at least this sensitivity."""
    ranked = np.sort(scores[truth])[::-1]
    # Rounded before the ceiling: 0.9 * 10 must need 9 positives, not 10 for a rounding error.
    needed = max(1, math.ceil(round(sensitivity * ranked.size, 9)))
    return _below(scores, float(ranked[needed - 1]))


def _threshold_rejecting(scores: np.ndarray, truth: np.ndarray, specificity: float) -> float:
    """Return the lowest threshold with at least this specificity."""
    ranked = np.sort(scores[~truth])
    needed = max(1, math.ceil(round(specificity * ranked.size, 9)))
    highest = float(ranked[needed - 1])
    higher = scores[scores > highest]
    return (highest + (float(higher.min()) if higher.size else 1.0)) / 2


def _below(scores: np.ndarray, score: float) -> float:
    """Return the midpoint of a score and the next lower one."""
    lower = scores[scores < score]
    return float((lower.max() + score) / 2) if lower.size else score * (1.0 - _MARGIN)
