"""Scores of a finished network's boxes, fitted on the validation part."""

from __future__ import annotations

from utils.datasets.training_set import TrainingSet
from utils.gradcam import Outputs
from utils.model.detection.candidates import decode_boxes
from utils.model.detection.scores import fit_box_scores
from utils.model.sidecar import BoxSection


def decide_boxes(outputs: Outputs, data: TrainingSet, offset: float) -> BoxSection | None:
    """Calibrate the boxes of a network and choose the least score that is shown.

    Fractured radiographs without a marked box are left out: where their fractures are is not known.

    Args:
        outputs: for the rows of the validation part.
        data: the training set.
        offset: receptive-field centre offset of the map, pixels.

    Returns:
        None for a network without a detection head.
    """
    if outputs.heatmap is None or outputs.box is None:
        return None
    size = data.prepared.images.shape[1]
    candidates, marked = [], []
    for number, row in enumerate(data.rows["validation"]):
        boxes = data.prepared.boxes(row)
        if data.labels[row] == 0 or len(boxes):
            found = decode_boxes(outputs.heatmap[number], outputs.box[number], size, offset)
            candidates.append(found)
            marked.append(boxes)
    return fit_box_scores(candidates, marked)
