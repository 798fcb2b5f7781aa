"""How often an answer is right at the prevalence that the operator set."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

Span = tuple[float, float, float]


def predictive_value_of_answers(
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
