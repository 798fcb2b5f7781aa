"""Boxes of an answer: likely fractures with calibrated scores, consistent with the verdict."""

from __future__ import annotations

from dataclasses import dataclass

from utils.gradcam import Outputs
from utils.imaging.geometry import Rectangle, boxes_in_picture
from utils.inference.input_warnings import DEFINITE, WITHHELD
from utils.model.bundle import Bundle
from utils.model.detection.candidates import Candidates, decode_boxes


@dataclass(frozen=True)
class FractureBox:
    """Box around a likely fracture.

    Args:
        x, y: of its left and top edge, pixels of the picture in its file.
        width, height: pixels, likewise.
        score: calibrated probability that it holds a fracture.
    """

    x: float
    y: float
    width: float
    height: float
    score: float


def scored_boxes(
    bundle: Bundle, outputs: Outputs, row: int, crop: Rectangle
) -> tuple[FractureBox, ...]:
    """Return every candidate box in pixels of the picture, the largest score first.

    Args:
        bundle: of a network with a detection head; it calibrates the scores.
        outputs: of a forward pass.
        row: of the radiograph in it.
        crop: its content crop; a candidate is clipped to it, and left out where nothing remains.
    """
    assert bundle.boxes is not None
    candidates = candidates_of(bundle, outputs, row)
    scores = bundle.boxes.calibration.probability(candidates.logits).tolist()
    places = boxes_in_picture(candidates.boxes, crop, bundle.preprocess.image_size)
    return tuple(
        FractureBox(
            round(box.x, 1), round(box.y, 1), round(box.width, 1), round(box.height, 1), score
        )
        for box, score in zip(places, scores, strict=True)
        if min(box.width, box.height) >= 1.0
    )


def candidates_of(bundle: Bundle, outputs: Outputs, row: int) -> Candidates:
    """Return the candidates of one radiograph in the network's square input, before calibration."""
    assert outputs.heatmap is not None
    assert outputs.box is not None
    size = bundle.preprocess.image_size
    return decode_boxes(outputs.heatmap[row], outputs.box[row], size, bundle.map_offset * size)


def boxes_of_answer(
    bundle: Bundle,
    outputs: Outputs,
    row: int,
    crop: Rectangle,
    *,
    positive: bool,
    certainty: str,
) -> tuple[FractureBox, ...] | None:
    """Return the boxes that an answer shows: those of the least score or more, the largest score first.

    Args:
        bundle, outputs, row, crop: as for ``scored_boxes``; the bundle may have no detection head.
        positive: whether the answer is a fracture.
        certainty: of the answer, one of CERTAINTIES.

    Returns:
        None where the answer is withheld or the network has no such head; none of them, whatever their
        score, in a definite negative answer.
    """
    if bundle.boxes is None or certainty == WITHHELD:
        return None
    if certainty == DEFINITE and not positive:
        return ()
    scored = scored_boxes(bundle, outputs, row, crop)
    return tuple(box for box in scored if box.score >= bundle.boxes.threshold)
