"""Durations of the measurements, and the recipe's settings."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.servers import Recipe

LEVELS = (1, 4, 16)
RECIPES = (Recipe(1, 1), Recipe(1, 4), Recipe(2, 1), Recipe(4, 1))


@dataclass(frozen=True)
class Plan:
    """Durations and repetitions, seconds where no unit is named.

    Args:
        rounds: times that app and recipe take turns at every number of clients.
        app, recipe: of one turn; the recipe answers one or two a second, so it needs longer.
        pilot: with each of the recipe's settings, to find its best.
        recipes: those settings.
        bare: of one measurement of the bare forward pass.
        large: of one turn with the large picture.
        folder: of work for ``predict.py``.
        starts: times that each is started.
    """

    rounds: int = 3
    app: float = 7.0
    recipe: float = 15.0
    pilot: float = 15.0
    recipes: tuple[Recipe, ...] = RECIPES
    bare: float = 5.0
    large: float = 8.0
    folder: float = 25.0
    starts: int = 3


FULL = Plan()
# A second network needs fewer turns.
SECOND = Plan(rounds=1, pilot=8.0, recipes=(Recipe(1, 1), Recipe(2, 1)), starts=1)
QUICK = Plan(
    rounds=1, app=3.0, recipe=5.0, pilot=4.0, recipes=(Recipe(1, 1), Recipe(2, 1)), bare=2.0,
    large=3.0, folder=5.0, starts=1,
)  # fmt: skip
