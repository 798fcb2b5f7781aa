"""From a probability and a picture's warnings to how certain the answer is, for app and report alike."""

from __future__ import annotations

from collections.abc import Collection

from utils.imaging.geometry import Rectangle
from utils.model.ood import INVERTED, NOT_A_RADIOGRAPH, UNSUPPORTED_REGION

DEFINITE, DOUBTFUL, WITHHELD = "definite", "doubtful", "withheld"
CERTAINTIES = (DEFINITE, DOUBTFUL, WITHHELD)
LOW_RESOLUTION = "low_resolution"
# A fracture line is seldom wider than a millimetre; a hand at this many pixels has about one a millimetre.
LEAST_SIDE = 200
# Codes of warnings that make an answer doubtful, or keep it back, whatever its probability.
DOUBTED_FOR = frozenset({UNSUPPORTED_REGION, INVERTED, LOW_RESOLUTION})
WITHHELD_FOR = frozenset({NOT_A_RADIOGRAPH})


def has_low_resolution(crop: Rectangle) -> bool:
    """Say whether what is seen of a picture has too few pixels for fine lines."""
    return min(crop.height, crop.width) < LEAST_SIDE


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
