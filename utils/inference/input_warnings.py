"""Warnings about a picture, and the rule for the certainty of its answer."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from utils.imaging.geometry import Rectangle
from utils.imaging.radiograph import Radiograph
from utils.messages import sentence
from utils.model.ood import CODES, INVERTED, NOT_A_RADIOGRAPH, UNSUPPORTED_REGION

DEFINITE, DOUBTFUL, WITHHELD = "definite", "doubtful", "withheld"
CERTAINTIES = (DEFINITE, DOUBTFUL, WITHHELD)
LOW_RESOLUTION, TRUNCATED = "low_resolution", "truncated"
# Of decoders' notices: the file's header contradicts its data, or leaves out what it should say.
HEADER_CONTRADICTION = "header_contradiction"
WARNING_CODES = (*CODES, LOW_RESOLUTION, TRUNCATED, HEADER_CONTRADICTION)
# A fracture line is seldom wider than a millimetre; a hand at this many pixels has about one a millimetre.
LEAST_SIDE = 200
# Codes that make an answer doubtful, or withhold it, whatever its probability.
DOUBTED_FOR = frozenset({UNSUPPORTED_REGION, INVERTED, LOW_RESOLUTION})
WITHHELD_FOR = frozenset({NOT_A_RADIOGRAPH})


@dataclass(frozen=True)
class InputWarning:
    """One warning: a code for scripts and a sentence for people."""

    code: str
    message: str


def input_warnings(
    radiograph: Radiograph, crop: Rectangle, ood_codes: Sequence[str], regions: Sequence[str]
) -> tuple[InputWarning, ...]:
    """Return the warnings about one picture.

    Args:
        radiograph: the decoded file.
        crop: its content crop.
        ood_codes: of the out-of-distribution detector.
        regions: body parts that the model supports, empty where the bundle names none.
    """
    supported = f" ({', '.join(regions)})" if regions else ""
    facts = {"regions": supported, "side": min(crop.height, crop.width), "least": LEAST_SIDE}
    codes = list(ood_codes)
    if has_low_resolution(crop):
        codes.append(LOW_RESOLUTION)
    if radiograph.truncated:
        codes.append(TRUNCATED)
    warnings = [InputWarning(code, sentence(f"inference.{code}", **facts)) for code in codes]
    warnings += [
        InputWarning(notice.code, sentence(notice.key, **notice.facts))
        for notice in radiograph.notices
    ]
    return tuple(warnings)


def has_low_resolution(crop: Rectangle) -> bool:
    """Return whether a content crop has too few pixels for fine fracture lines."""
    return min(crop.height, crop.width) < LEAST_SIDE


def certainty_of(probability: float, zone: tuple[float, float], codes: Collection[str]) -> str:
    """Return the certainty of an answer, one of CERTAINTIES.

    Args:
        probability: calibrated, of the positive class.
        zone: doubtful zone, from the first probability on, below the second.
        codes: of all warnings about the picture.
    """
    if WITHHELD_FOR.intersection(codes):
        return WITHHELD
    low, high = zone
    if low <= probability < high or DOUBTED_FOR.intersection(codes):
        return DOUBTFUL
    return DEFINITE
