"""Positive and negative predictive values at chosen prevalences, by Bayes' rule.

Data collected for training hold far more fractures than most places see, so their precision does not hold
elsewhere. Sensitivity and specificity transfer better.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from utils.evaluation.bootstrap import resampled
from utils.evaluation.metrics import figure_of
from utils.evaluation.report_schema import Figure, PredictiveValues
from utils.messages import sentence

# Reported unless other prevalences are requested.
PREVALENCES = (0.05, 0.1, 0.2, 0.4)


def bayes(
    sensitivity: float | np.ndarray, specificity: float | np.ndarray, prevalence: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the positive and the negative predictive value, NaN where no such answer is given.

    Args:
        sensitivity, specificity: of one shape.
        prevalence: above 0 and below 1.

    Source:
        Altman and Bland, Diagnostic tests 2: predictive values, BMJ 1994, 309:102.
    """
    found = np.asarray(sensitivity, np.float64) * prevalence
    alarm = (1.0 - np.asarray(specificity, np.float64)) * (1.0 - prevalence)
    missed, rejected = prevalence - found, (1.0 - prevalence) - alarm
    with np.errstate(invalid="ignore"):
        return found / (found + alarm), rejected / (rejected + missed)


def predictive_values(
    labels: ArrayLike,
    probabilities: ArrayLike,
    groups: Sequence[str],
    threshold: float,
    prevalences: Sequence[float],
    *,
    resamples: int = 2000,
    seed: int = 0,
) -> tuple[PredictiveValues, ...]:
    """Return the predictive values at each prevalence (above 0 and below 1), see ``metrics.summarise``."""
    truth = np.asarray(labels).reshape(-1) == 1
    called = np.asarray(probabilities, np.float64).reshape(-1) >= threshold
    outcomes = np.stack([truth & called, truth, ~truth & ~called, ~truth], axis=1).astype(float)

    def shares(weights: np.ndarray) -> np.ndarray:
        hit, positive, rejected, negative = (weights @ outcomes).T
        with np.errstate(invalid="ignore"):
            return np.stack([hit / positive, rejected / negative])

    sensitivity, specificity = shares(np.ones((1, truth.size)))
    drawn = resampled(groups, resamples, seed, shares)
    both_classes = truth.any() and not truth.all()

    def figure(value: np.ndarray, replicates: np.ndarray | None, name: str) -> Figure:
        reason = f"none_called_{name}" if both_classes else "both_classes"
        known = None if math.isnan(value[0]) else float(value[0])
        return figure_of(known, replicates, sentence(f"evaluation.{reason}"))

    rows = []
    for prevalence in prevalences:
        values = bayes(sensitivity, specificity, prevalence)
        replicates = (None, None) if drawn is None else bayes(drawn[0], drawn[1], prevalence)
        positive, negative = map(figure, values, replicates, ("positive", "negative"))
        rows.append(PredictiveValues(prevalence=prevalence, positive=positive, negative=negative))
    return tuple(rows)
