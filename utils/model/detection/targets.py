"""Targets of the detection head: heatmap, centre offsets and sizes of marked boxes."""

from __future__ import annotations

import math

import numpy as np

# A box moved by the Gaussian's radius still overlaps the marked one by this intersection over union. Marked
# fractures have no sharp edges: two readers' boxes overlap by about as much.
MIN_OVERLAP = 0.3
# Least radius, cells: half of the marked fractures are two cells wide, and their centre is known to a cell.
LEAST_RADIUS = 1.0
# Channels of the box's targets: those of the head, and 1 at the centre of a box.
BOX_TARGETS = 5


def encode_boxes(
    boxes: np.ndarray, cells: int, size: int, offset: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """Return the targets of one radiograph.

    Where two boxes have their centre in one cell, the smaller one keeps it.

    Args:
        boxes: float32 (n, 4), x, y, width and height in pixels of the network's square input.
        cells: side of the head's outputs.
        size: side of the input, pixels.
        offset: receptive-field centre offset, pixels.

    Returns:
        The heatmap, float32 (cells, cells, 1): 1 at the centres, a Gaussian about them; and the boxes,
        float32 (cells, cells, BOX_TARGETS): what ``candidates.decode_boxes`` reads, then 1 at a centre.

    Source:
        Zhou et al., Objects as Points, arXiv:1904.07850, section 3.
    """
    heatmap = np.zeros((cells, cells), np.float32)
    regressed = np.zeros((cells, cells, BOX_TARGETS), np.float32)
    pitch = size / cells
    grid = np.arange(cells)
    for box in sorted(boxes.astype(np.float64), key=lambda box: -box[2] * box[3]):
        width, height = np.maximum(box[2:], 1.0) / pitch
        x, y = (box[:2] + box[2:] / 2 - offset) / pitch
        column, row = (min(max(math.floor(place), 0), cells - 1) for place in (x, y))
        deviation = (2 * max(gaussian_radius(width, height), LEAST_RADIUS) + 1) / 6
        distance = (grid[:, None] - row) ** 2 + (grid - column) ** 2
        spot = np.exp(-distance / (2 * deviation**2))
        np.maximum(heatmap, spot, out=heatmap, casting="same_kind")
        regressed[row, column] = (
            *(x - column - 0.5, y - row - 0.5),
            *(math.log(width), math.log(height), 1.0),
        )
    return heatmap[..., None], regressed


def gaussian_radius(width: float, height: float, overlap: float = MIN_OVERLAP) -> float:
    """Return how far both corners of a box may move while it overlaps the one of before.

    The least of three cases: both corners move the same way, both inwards, both outwards.

    Args:
        width, height: of the box; the radius has their unit.
        overlap: intersection over union that is kept, above 0 and below 1.

    Source:
        Law and Deng, CornerNet, arXiv:1808.01244, section 3.2, with the roots of the three quadratic
        equations divided by twice their leading coefficient, as the authors' later code does.
    """
    around, area = width + height, width * height
    together = _smaller_root(1.0, around, area * (1 - overlap) / (1 + overlap))
    inwards = _smaller_root(4.0, 2 * around, (1 - overlap) * area)
    outwards = -_smaller_root(4 * overlap, 2 * overlap * around, -(1 - overlap) * area)
    return min(together, inwards, outwards)


def _smaller_root(a: float, b: float, c: float) -> float:
    """Return (b - sqrt(b^2 - 4ac)) / 2a, the smaller root of a r^2 - b r + c."""
    return (b - math.sqrt(b * b - 4 * a * c)) / (2 * a)
