"""Candidate boxes: the peaks of a heatmap, with the sizes and offsets at them.

A cell of the head stands for ``size / cells`` pixels of the network's square input; the centre of its
receptive field is that of the cell, moved by the receptive-field centre offset of the fine map.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from utils.imaging.geometry import overlap_of_boxes

# Peaks of a radiograph that are looked at, several times the fractures on any.
MOST_CANDIDATES = 20
# A candidate that overlaps a marked fracture by this intersection over union holds it.
LEAST_OVERLAP = 0.3
# Smallest logarithm of a side in cells: an eighth of a cell.
_SMALLEST = np.log(0.125)


@dataclass(frozen=True, eq=False)
class Candidates:
    """Possible fractures of one radiograph, the likeliest first.

    Args:
        logits: float32 (n,), before calibration.
        boxes: float32 (n, 4), x, y, width and height in pixels of the network's square input.
    """

    logits: np.ndarray
    boxes: np.ndarray


def decode_boxes(
    heatmap: np.ndarray,
    box: np.ndarray,
    size: int,
    offset: float = 0.0,
    most: int = MOST_CANDIDATES,
) -> Candidates:
    """Return the peaks of a heatmap as boxes: the cells that no neighbour exceeds, without suppression.

    Args:
        heatmap: float32 (cells, cells), logits.
        box: float32 (cells, cells, 4): x and y of the box's centre from the cell's, and the logarithms of
            width and height, all in cells.
        size: side of the network's square input, pixels.
        offset: receptive-field centre offset, pixels.
        most: candidates returned.

    Source:
        Zhou et al., Objects as Points, arXiv:1904.07850, section 4 ("From points to bounding boxes").
    """
    cells = heatmap.shape[0]
    highest = cv2.dilate(heatmap, np.ones((3, 3), np.uint8))
    rows, columns = np.nonzero(heatmap == highest)
    order = np.argsort(-heatmap[rows, columns], kind="stable")[:most]
    rows, columns = rows[order], columns[order]
    found = box[rows, columns].astype(np.float64)
    pitch = size / cells
    centres = (np.stack([columns, rows], axis=1) + 0.5 + found[:, :2]) * pitch + offset
    sides = np.exp(np.clip(found[:, 2:], _SMALLEST, np.log(cells))) * pitch
    boxes = np.hstack([centres - sides / 2, sides]).astype(np.float32)
    return Candidates(heatmap[rows, columns], boxes)


def holds_fracture(boxes: np.ndarray, marked: np.ndarray) -> np.ndarray:
    """Return which boxes hold a marked fracture: by their centre in it, or by LEAST_OVERLAP.

    Args:
        boxes: (n, 4), x, y, width and height.
        marked: (m, 4), likewise.

    Returns:
        bool (n,).
    """
    if not len(marked):
        return np.zeros(len(boxes), bool)
    centres = (boxes[:, None, :2] + boxes[:, None, 2:] / 2) - marked[None, :, :2]
    inside = ((centres >= 0) & (centres < marked[None, :, 2:])).all(axis=2)
    return (inside | (overlap_of_boxes(boxes, marked) >= LEAST_OVERLAP)).any(axis=1)
