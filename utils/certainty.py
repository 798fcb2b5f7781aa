"""From a probability and a picture's warnings to how certain the answer is, for app and report alike."""

from __future__ import annotations

from collections.abc import Collection

from utils.familiarity import STRANGE, UNSUPPORTED

DEFINITE, DOUBTFUL, WITHHELD = "definite", "doubtful", "withheld"
CERTAINTIES = (DEFINITE, DOUBTFUL, WITHHELD)
# Codes of warnings that make an answer doubtful, or keep it back, whatever its probability.
DOUBTED_FOR = frozenset({UNSUPPORTED})
WITHHELD_FOR = frozenset({STRANGE})


def certainty_of(probability: float, zone: tuple[float, float], warnings: Collection[str]) -> str:
    """Say how certain an answer is.

    Args:
        probability: calibrated, of the positive class.
        zone: doubtful probabilities, from the first to below the second.
        warnings: codes of all that the picture is warned of.

    Returns:
        One of CERTAINTIES.
    """
    if WITHHELD_FOR.intersection(warnings):
        return WITHHELD
    low, high = zone
    if low <= probability < high or DOUBTED_FOR.intersection(warnings):
        return DOUBTFUL
    return DEFINITE
