"""Scores of boxes: calibration of the peaks' logits, and the least score of a box that is shown."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from utils.messages import sentence
from utils.model.calibration import MIN_SLOPE, Calibration, fit_calibration
from utils.model.detection.candidates import Candidates, holds_fracture
from utils.model.sidecar import BoxSection

# False boxes on a normal radiograph that are accepted.
FALSE_BOXES = 0.2
# A box that holds a fracture less often than one in twenty is never shown.
LEAST_SCORE = 0.05


def fit_box_scores(
    candidates: Sequence[Candidates],
    marked: Sequence[np.ndarray],
    *,
    false_boxes: float = FALSE_BOXES,
    part: str = "validation",
) -> BoxSection:
    """Calibrate the peaks' logits and choose the least score of a box that is shown.

    A score is the share of boxes like it that hold a marked fracture. The least score is the lowest one that
    leaves at most ``false_boxes`` on a normal radiograph, on average, and never under LEAST_SCORE.

    Args:
        candidates: of each radiograph; fractured ones without a marked box are left out.
        marked: float32 (m, 4) of each, its marked boxes in the network's square input; none where it is
            normal.
        false_boxes: accepted on a normal radiograph.
        part: name of the images in the rule's sentence.
    """
    found = [
        holds_fracture(*pair) for pair in zip((c.boxes for c in candidates), marked, strict=True)
    ]
    logits = np.concatenate([one.logits for one in candidates])
    calibration = _calibrate(logits, np.concatenate(found))
    scores = [np.asarray(calibration.probability(one.logits)) for one in candidates]
    normal = [not len(boxes) for boxes in marked]
    alarms = [values for values, is_normal in zip(scores, normal, strict=True) if is_normal]
    threshold = max(
        _threshold_below(
            np.concatenate(scores), np.concatenate([*alarms, []]), false_boxes * len(alarms)
        ),
        LEAST_SCORE,
    )
    shown = [values >= threshold for values in scores]
    right = [bool((one & holds).any()) for one, holds in zip(shown, found, strict=True)]
    return BoxSection(
        calibration=calibration,
        threshold=threshold,
        chosen_by=sentence(
            "model.boxes_chosen_by",
            limit=false_boxes,
            part=part,
            least=LEAST_SCORE,
            false_boxes=sum(int((values >= threshold).sum()) for values in alarms)
            / max(len(alarms), 1),
            normals=len(alarms),
            right=sum(right),
            marked=len(marked) - len(alarms),
        ),
    )


def _calibrate(logits: np.ndarray, holds: np.ndarray) -> Calibration:
    """Fit Platt's line; where all peaks or none hold a fracture, nearly the same score for each."""
    hits = int(holds.sum())
    if 0 < hits < holds.size:
        return fit_calibration(logits, holds)
    odds = (hits + 1) / (holds.size - hits + 1)
    return Calibration(MIN_SLOPE, math.log(odds) - MIN_SLOPE * float(logits.mean()))


def _threshold_below(scores: np.ndarray, alarms: np.ndarray, accepted: float) -> float:
    """Return the lowest threshold that at most ``accepted`` of the alarms reach."""
    ranked = np.sort(alarms)[::-1]
    first_avoided = int(accepted + 1e-9)
    if first_avoided >= ranked.size:
        return 0.0
    highest = float(ranked[first_avoided])
    higher = scores[scores > highest]
    return (highest + float(higher.min())) / 2 if higher.size else float(np.nextafter(highest, 1.0))
