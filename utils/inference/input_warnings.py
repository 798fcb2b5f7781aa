"""Warnings about a picture, and the rule for the certainty of its answer."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from utils.gradcam import Outputs
from utils.imaging.brightness import Brightness
from utils.imaging.geometry import Rectangle
from utils.imaging.radiograph import HEADER_CONTRADICTION, Radiograph
from utils.messages import sentence
from utils.model import ood
from utils.model.bundle import Bundle
from utils.model.ood import OODDetector

DEFINITE, DOUBTFUL, WITHHELD = "definite", "doubtful", "withheld"
CERTAINTIES = (DEFINITE, DOUBTFUL, WITHHELD)
LOW_RESOLUTION, LOW_CONTRAST, CLIPPED = "low_resolution", "low_contrast", "clipped"
UNTESTED_BODY_PART, TRUNCATED = "untested_body_part", "truncated"
# Of the answer: a definite fracture without a box around it.
NOT_LOCALISED = "not_localised"
PICTURE_CODES = (LOW_RESOLUTION, LOW_CONTRAST, CLIPPED)
# Of what the network saw and answered, see ``warning_codes``; the next two are of the file.
ANSWER_CODES = (*ood.CODES, UNTESTED_BODY_PART, *PICTURE_CODES)
WARNING_CODES = (*ANSWER_CODES, TRUNCATED, HEADER_CONTRADICTION, NOT_LOCALISED)
# A fracture line is seldom wider than a millimetre; a hand at this many pixels has about one a millimetre.
LEAST_SIDE = 200
# Codes that make an answer doubtful, or withhold it, whatever its probability.
DOUBTED_FOR = frozenset(
    {
        ood.INVERTED,
        ood.TURNED,
        ood.STRETCHED,
        ood.PHOTOGRAPHED,
        ood.UNLIKE_TRAINING,
        UNTESTED_BODY_PART,
        *PICTURE_CODES,
    }
)
WITHHELD_FOR = frozenset({ood.NOT_A_RADIOGRAPH, ood.UNSUPPORTED_REGION, ood.SEVERAL_RADIOGRAPHS})


@dataclass(frozen=True)
class InputWarning:
    """One warning: a code for scripts and a sentence for people."""

    code: str
    message: str


def warning_codes(
    bundle: Bundle,
    detector: OODDetector | None,
    outputs: Outputs,
    row: int,
    crop: Rectangle,
    brightness: Brightness,
) -> tuple[str, ...]:
    """Return the codes of the warnings about one picture, from what the network saw and answered.

    Args:
        bundle: the network's.
        detector: its out-of-distribution detector, None where it has none.
        outputs: of a forward pass.
        row: of the picture in it.
        crop, brightness: of the picture.
    """
    codes = list(detector.codes(outputs.embedding[row])) if detector else []
    if outputs.region is not None and not WITHHELD_FOR.intersection(codes):
        region = bundle.regions[int(outputs.region[row].argmax())]
        if region in bundle.untested_regions:
            codes.append(UNTESTED_BODY_PART)
    if min(crop.height, crop.width) < LEAST_SIDE:
        codes.append(LOW_RESOLUTION)
    if brightness.few_levels:
        codes.append(LOW_CONTRAST)
    elif brightness.clipped:
        codes.append(CLIPPED)
    return tuple(codes)


def input_warnings(
    codes: Collection[str], radiograph: Radiograph, crop: Rectangle, bundle: Bundle
) -> tuple[InputWarning, ...]:
    """Return the warnings of one picture, its file's included.

    Args:
        codes: of ``warning_codes``.
        radiograph: the decoded file.
        crop: its content crop.
        bundle: names the body parts that the model supports.
    """
    facts = {
        "regions": f" ({', '.join(bundle.regions)})" if bundle.regions else "",
        "untested": ", ".join(bundle.untested_regions),
        "side": min(crop.height, crop.width),
        "least": LEAST_SIDE,
    }
    codes = [*codes, TRUNCATED] if radiograph.truncated else codes
    warnings = [InputWarning(code, sentence(f"inference.{code}", **facts)) for code in codes]
    warnings += [
        InputWarning(notice.code, sentence(notice.key, **notice.facts))
        for notice in radiograph.notices
    ]
    return tuple(warnings)


def not_localised() -> InputWarning:
    """Return the warning that a fracture has no box around it."""
    return InputWarning(NOT_LOCALISED, sentence(f"inference.{NOT_LOCALISED}"))


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
