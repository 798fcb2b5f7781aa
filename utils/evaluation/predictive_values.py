"""From sensitivity, specificity and a prevalence to how often an answer is right where that holds.

Data that are collected for training hold far more fractures than most places see, so their precision says
nothing about another place. Sensitivity and specificity travel better, and Bayes' rule does the rest.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from utils.evaluation.bootstrap import draws
from utils.evaluation.metrics import figure_of

# What is tabled unless other prevalences are asked for.
PREVALENCES = (0.05, 0.1, 0.2, 0.4)


def bayes(
    sensitivity: float | np.ndarray, specificity: float | np.ndarray, prevalence: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return how often a positive and a negative answer are right: PPV and NPV, NaN where none is given.

    Args:
        sensitivity, specificity: shares, of one shape.
        prevalence: share of positives, above 0 and below 1.

    Source:
        Altman and Bland, Diagnostic tests 2: predictive values, BMJ 1994, 309:102.
    """
    found = np.asarray(sensitivity, np.float64) * prevalence
    alarm = (1.0 - np.asarray(specificity, np.float64)) * (1.0 - prevalence)
    missed, rejected = prevalence - found, (1.0 - prevalence) - alarm
    with np.errstate(invalid="ignore"):
        return found / (found + alarm), rejected / (rejected + missed)


def predictive_values(
    labels: np.ndarray | Sequence[int],
    probabilities: np.ndarray | Sequence[float],
    groups: Sequence[str],
    threshold: float,
    prevalences: Sequence[float],
    *,
    resamples: int = 2000,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """Return the predictive values at each prevalence, with the bootstrap intervals of ``summarise``.

    Args:
        labels, probabilities, groups, threshold, resamples, seed: as in ``metrics.summarise``.
        prevalences: shares of positives, each above 0 and below 1.

    Returns:
        A record a prevalence: ``prevalence``, and as figures ``positive`` and ``negative``, how often
        answers of that kind are right.
    """
    truth = np.asarray(labels).reshape(-1) == 1
    called = np.asarray(probabilities, np.float64).reshape(-1) >= threshold
    outcomes = np.stack([truth & called, truth, ~truth & ~called, ~truth], axis=1).astype(float)

    def shares(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        hit, positive, rejected, negative = (weights @ outcomes).T
        with np.errstate(invalid="ignore"):
            return hit / positive, rejected / negative

    once = shares(np.ones((1, truth.size)))
    drawn = None
    if len(set(groups)) > 1 and resamples:
        parts = [shares(weights) for weights in draws(groups, resamples, seed)]
        drawn = (
            np.concatenate([found for found, _ in parts]),
            np.concatenate([rejected for _, rejected in parts]),
        )
    rows = []
    for prevalence in prevalences:
        row: dict[str, Any] = {"prevalence": prevalence}
        values = bayes(*once, prevalence)
        replicates = bayes(*drawn, prevalence) if drawn else (None, None)
        for name, value, replicate in zip(
            ("positive", "negative"), values, replicates, strict=True
        ):
            reason = None if truth.any() and not truth.all() else "both classes are needed"
            known = None if math.isnan(value[0]) else float(value[0])
            row[name] = figure_of(known, replicate, reason or f"no image is called {name}")
        rows.append(row)
    return rows
