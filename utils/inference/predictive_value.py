"""Predictive values of positive and negative answers at the operator's prevalence."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# Value, lower and upper limit; NaN for a limit that is not known.
Interval = tuple[float, float, float]


@dataclass(frozen=True)
class PredictiveValue:
    """Share of right answers of one kind, with its 95 % interval, at a prevalence."""

    prevalence: float
    value: float
    low: float | None
    high: float | None


def predictive_value_of_answers(
    figures: Mapping[str, Any], prevalence: float
) -> dict[bool, PredictiveValue]:
    """Return the predictive values of positive (True) and negative (False) answers.

    Args:
        figures: of the model's test part, as ``metrics.summarise`` returns them; only sensitivity and
            specificity with their intervals are used.
        prevalence: share of positives where the model is used, above 0 and below 1.

    Returns:
        A value a kind of answer, none for a kind that the figures do not define. The interval combines
        those of both figures, which come from different images; it is None where one of them has none.

    Source:
        Zou and Donner, Construction of confidence limits about effect measures, Statistics in Medicine
        2008, 27:1693 (the limits of a difference, here of two logarithms).
    """
    sensitivity, specificity = (
        _interval(figures.get(name)) for name in ("sensitivity", "specificity")
    )
    values: dict[bool, PredictiveValue] = {}
    if sensitivity is None or specificity is None:
        return values
    for positive, right, other in (
        (True, sensitivity, specificity),
        (False, specificity, sensitivity),
    ):
        value, low, high = other
        wrong = (1.0 - value, 1.0 - high, 1.0 - low)
        found = _posterior_interval(right, wrong, prevalence if positive else 1.0 - prevalence)
        if found is not None:
            limits = [None if math.isnan(limit) else limit for limit in found[1:]]
            values[positive] = PredictiveValue(prevalence, found[0], *limits)
    return values


def _interval(figure: Mapping[str, Any] | None) -> Interval | None:
    """Return a figure's value and limits."""
    if figure is None or figure.get("value") is None:
        return None
    limits = (figure.get("low"), figure.get("high"))
    low, high = (math.nan if limit is None else float(limit) for limit in limits)
    return float(figure["value"]), low, high


def _posterior_interval(right: Interval, wrong: Interval, prior: float) -> Interval | None:
    """Combine the rates of right and wrong answers of one kind; None where it is never given."""

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
    up, down = _log_distances(right), _log_distances(wrong)
    middle = math.log(right[0] / wrong[0]) + math.log(prior / (1.0 - prior))
    low = middle - math.hypot(up[0], down[1])
    high = middle + math.hypot(up[1], down[0])
    return value, 0.5 * (1.0 + math.tanh(0.5 * low)), 0.5 * (1.0 + math.tanh(0.5 * high))


def _log_distances(interval: Interval) -> tuple[float, float]:
    """Return the distances of both limits from the value, on the logarithmic scale."""
    value, low, high = interval
    return (math.inf if low <= 0.0 else math.log(value / low)), math.log(high / value)
