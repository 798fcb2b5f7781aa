"""From sensitivity, specificity and a prevalence to how often an answer is right where that holds.

Data that are collected for training hold far more fractures than most places see, so their precision says
nothing about another place. Sensitivity and specificity travel better, and Bayes' rule does the rest.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from utils.bootstrap import draws
from utils.metrics import figure_of

# What is tabled unless other prevalences are asked for.
PREVALENCES = (0.05, 0.1, 0.2, 0.4)

Span = tuple[float, float, float]


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


def value_of_answers(
    figures: Mapping[str, Any], prevalence: float
) -> dict[bool, dict[str, float | None]]:
    """Return what positive (True) and negative (False) answers are worth, from a model's own figures.

    Args:
        figures: of its test part, as ``metrics.summarise`` gives them; only sensitivity and specificity
            with their intervals are looked at.
        prevalence: share of positives where the answers are given, above 0 and below 1.

    Returns:
        ``prevalence``, ``value``, ``low`` and ``high`` of each kind of answer. The interval joins those
        of both figures, which come from different images; it has none where one of them has none.
        Nothing is said of a kind of answer that the figures do not define.

    Source:
        Zou and Donner, Construction of confidence limits about effect measures, Statistics in Medicine
        2008, 27:1693 (the limits of a difference, here of two logarithms).
    """
    spans = [_span(figures.get(name)) for name in ("sensitivity", "specificity")]
    told: dict[bool, dict[str, float | None]] = {}
    if spans[0] is None or spans[1] is None:
        return told
    for positive, (right, other) in ((True, spans), (False, spans[::-1])):
        assert right is not None
        assert other is not None
        value, low, high = other
        wrong = (1.0 - value, 1.0 - high, 1.0 - low)
        chance = _chance(right, wrong, prevalence if positive else 1.0 - prevalence)
        if chance is not None:
            names = ("value", "low", "high")
            numbers = (None if math.isnan(number) else number for number in chance)
            told[positive] = {"prevalence": prevalence, **dict(zip(names, numbers, strict=True))}
    return told


def _span(figure: Mapping[str, Any] | None) -> Span | None:
    """Read a figure's value and limits; NaN for limits that it has not."""
    if figure is None or figure.get("value") is None:
        return None
    limits = (figure.get("low"), figure.get("high"))
    low, high = (math.nan if limit is None else float(limit) for limit in limits)
    return float(figure["value"]), low, high


def _chance(right: Span, wrong: Span, prior: float) -> Span | None:
    """Join how often an answer is given rightly and wrongly; None where it is never given."""

    def posterior(first: float, second: float) -> float:
        return first * prior / (first * prior + second * (1.0 - prior))

    if right[0] == wrong[0] == 0.0:
        return None
    value = posterior(right[0], wrong[0])
    if math.isnan(right[1] + right[2] + wrong[1] + wrong[2]):
        return value, math.nan, math.nan
    if right[0] == 0.0 or wrong[0] == 0.0:
        # No logarithm of 0: the outermost corner instead, which is the wider interval.
        low = posterior(right[1], wrong[2]) if right[1] + wrong[2] else value
        high = posterior(right[2], wrong[1]) if right[2] + wrong[1] else value
        return value, low, high
    up, down = _distances(right), _distances(wrong)
    middle = math.log(right[0] / wrong[0]) + math.log(prior / (1.0 - prior))
    low = middle - math.hypot(up[0], down[1])
    high = middle + math.hypot(up[1], down[0])
    return value, 0.5 * (1.0 + math.tanh(0.5 * low)), 0.5 * (1.0 + math.tanh(0.5 * high))


def _distances(span: Span) -> tuple[float, float]:
    """How far the limits lie from the value, as logarithms of ratios."""
    value, low, high = span
    return (math.inf if low <= 0.0 else math.log(value / low)), math.log(high / value)
