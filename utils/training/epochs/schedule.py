"""Learning-rate schedules and patience, as functions of the settings and the history alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from utils.registry import Registry

WARM_UP = 0.05
PLATEAU_EPOCHS, PLATEAU_FACTOR = 2, 0.3


def _cosine(done: float, scores: Sequence[float]) -> float:
    """Rise over the first twentieth, then fall along a half cosine to a hundredth."""
    if done < WARM_UP:
        return max(0.01, done / WARM_UP)
    return 0.01 + 0.99 * 0.5 * (1.0 + math.cos(math.pi * (done - WARM_UP) / (1.0 - WARM_UP)))


def _plateau(done: float, scores: Sequence[float]) -> float:
    """Fall to three tenths after every second epoch in a row without a better score."""
    rate, best, waited = 1.0, -math.inf, 0
    for score in scores:
        best, waited = (score, 0) if score > best else (best, waited + 1)
        if waited == PLATEAU_EPOCHS:
            rate, waited = rate * PLATEAU_FACTOR, 0
    return rate


def _constant(done: float, scores: Sequence[float]) -> float:
    return 1.0


SCHEDULES: Registry[Callable[[float, Sequence[float]], float]] = Registry(
    "schedule", {"cosine": _cosine, "plateau": _plateau, "constant": _constant}
)

# Those that lower the rate by the validation scores.
FOLLOWS_SCORES = ("plateau",)


def learning_rate_at(schedule: str, highest: float, done: float, scores: Sequence[float]) -> float:
    """Return the learning rate of the next step.

    Args:
        schedule: name in SCHEDULES.
        highest: the phase's highest learning rate.
        done: share of the phase's steps that lie behind, in [0, 1].
        scores: validation score of each epoch of the phase so far; higher is better.

    Source:
        Cosine: Loshchilov and Hutter, SGDR, arXiv:1608.03983, equation 5, without restarts.
    """
    return highest * SCHEDULES[schedule](done, scores)


def out_of_patience(scores: Sequence[float], patience: int) -> bool:
    """Return whether the best of the scores lies more than ``patience`` epochs back."""
    if not scores:
        return False
    best = max(range(len(scores)), key=lambda epoch: scores[epoch])
    return len(scores) - 1 - best >= patience
