"""Boxes and rectangles, the letterbox both ways for maps and boxes, and masks of boxes.

Coordinates are pixels, x to the right and y down, the origin at the top left corner of the picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

# Longest side of a map over the picture, pixels.
MAP_SIDE = 512
# Weight of a lesion mask at the edge of a box, where its middle has 1: a maximum at the edge of a small
# lesion is a pixel from missing it.
EDGE_WEIGHT = 0.25


@dataclass(frozen=True)
class Rectangle:
    """Whole rows and columns of a picture."""

    top: int
    left: int
    height: int
    width: int

    @property
    def inside(self) -> tuple[slice, slice]:
        """The rows and the columns, to index a picture with."""
        return slice(self.top, self.top + self.height), slice(self.left, self.left + self.width)

    def scaled(self, down: float, across: float, height: int, width: int) -> Rectangle:
        """Return the rectangle in a (height, width) picture ``down`` times as high, ``across`` as wide."""
        top, left = round(self.top * down), round(self.left * across)
        return Rectangle(
            top,
            left,
            min(round(self.height * down), height - top),
            min(round(self.width * across), width - left),
        )


@dataclass(frozen=True)
class Box:
    """A marked lesion, in pixels of the picture in its file; x and y are its left and top edge."""

    x: float
    y: float
    width: float
    height: float

    def contains(self, x: float, y: float) -> bool:
        """Return whether a point lies in the box; its right and bottom edges do not belong to it."""
        return self.x <= x < self.x + self.width and self.y <= y < self.y + self.height

    def meets(self, area: Rectangle) -> bool:
        """Return whether the box and a rectangle have an area in common."""
        return (
            self.x < area.left + area.width
            and self.y < area.top + area.height
            and self.x + self.width > area.left
            and self.y + self.height > area.top
        )


def shrunk(height: int, width: int, side: int) -> tuple[int, int]:
    """Return (height, width) shrunk, never enlarged, so that the longest side is at most ``side``."""
    ratio = min(1.0, side / max(height, width))
    return max(1, round(height * ratio)), max(1, round(width * ratio))


def placement(height: int, width: int, size: int) -> Rectangle:
    """Return where a (height, width) picture lies in a letterboxed square: centred, aspect kept."""
    ratio = size / max(height, width)
    inner_height = min(size, max(1, round(height * ratio)))
    inner_width = min(size, max(1, round(width * ratio)))
    top, left = (size - inner_height) // 2, (size - inner_width) // 2
    return Rectangle(top, left, inner_height, inner_width)


def resize(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resize a picture: the one resizer of the project.

    Area averaging where both sides shrink (no aliasing), bilinear elsewhere.

    Args:
        picture: (height, width) or (height, width, channels), uint8 or float32.
        height, width: of the result, pixels.
    """
    if picture.shape[:2] == (height, width):
        return picture.copy()
    shrinks = height <= picture.shape[0] and width <= picture.shape[1]
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return cv2.resize(picture, (width, height), interpolation=method)


def map_over_picture(
    signed: np.ndarray,
    height: int,
    width: int,
    offset: float = 0.0,
    crop: Rectangle | None = None,
) -> np.ndarray:
    """Undo the letterbox of an activation map and lay it over the picture.

    Args:
        signed: float32 (cells, cells) over the network's square input.
        height, width: of the picture, pixels.
        offset: receptive-field centre offset, as a share of the square (``Bundle.map_offset``).
        crop: content crop of the picture; None for all of it.

    Returns:
        float32 (height, width) of the picture's aspect, at most MAP_SIDE long: the positive part of the
        map, logits a cell; 0 outside the content crop.
    """
    # Bilinear between the centres of the cells. The square is as large as the map that is shown, so that
    # moving and cutting it at whole pixels moves no edge by more than half a pixel of that map.
    square = resize(np.maximum(signed, 0.0), MAP_SIDE, MAP_SIDE)
    square = _move(square, round(offset * MAP_SIDE))
    if crop is None or (crop.height, crop.width) == (height, width):
        return square[placement(height, width, MAP_SIDE).inside]
    inner = square[placement(crop.height, crop.width, MAP_SIDE).inside]
    whole = placement(height, width, MAP_SIDE)
    rows = _share(crop.top, crop.height, height, whole.height)
    columns = _share(crop.left, crop.width, width, whole.width)
    layer = np.zeros((whole.height, whole.width), np.float32)
    layer[rows, columns] = resize(inner, rows.stop - rows.start, columns.stop - columns.start)
    return layer


def peak(activation: np.ndarray, height: int, width: int) -> tuple[int, int] | None:
    """Return (x, y) of the maximum of a map in pixels of a (height, width) picture.

    Of several equal maxima, as on a plateau, the first in reading order; None where the map is nowhere
    positive.
    """
    row, column = np.unravel_index(int(np.argmax(activation)), activation.shape)
    if activation[row, column] <= 0:
        return None
    x = int((column + 0.5) * width / activation.shape[1])
    y = int((row + 0.5) * height / activation.shape[0])
    return min(x, width - 1), min(y, height - 1)


def mask_of_boxes(
    boxes: Sequence[Box], height: int, width: int, shape: tuple[int, int]
) -> np.ndarray:
    """Return bool of ``shape``: where the pixel centres of a map over the picture lie in a box."""
    row = (np.arange(shape[0]) + 0.5) * height / shape[0]
    column = (np.arange(shape[1]) + 0.5) * width / shape[1]
    mask = np.zeros(shape, bool)
    for box in boxes:
        rows = (row >= box.y) & (row < box.y + box.height)
        columns = (column >= box.x) & (column < box.x + box.width)
        mask |= rows[:, None] & columns[None, :]
    return mask


def fitted_boxes(boxes: Sequence[Box], crop: Rectangle, size: int) -> np.ndarray:
    """Map boxes of a picture into the letterboxed square of ``size`` pixels that the network sees.

    Returns:
        float32 (n, 4), x, y, width and height in pixels of the square, of the boxes that meet the content
        crop, clipped to it.
    """
    met = [(box.x, box.y, box.width, box.height) for box in boxes if box.meets(crop)]
    place = placement(crop.height, crop.width, size)
    return _moved(np.array(met, np.float64).reshape(-1, 4), crop, place).astype(np.float32)


def boxes_in_picture(fitted: np.ndarray, crop: Rectangle, size: int) -> tuple[Box, ...]:
    """Map boxes (n, 4) of the network's square back into the picture, clipped to its content crop."""
    place = placement(crop.height, crop.width, size)
    return tuple(Box(*row) for row in _moved(fitted, place, crop).tolist())


def overlap_of_boxes(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return the intersection over union (n, m) of boxes (n, 4) and others (m, 4); 0 where both are empty."""
    first, second = boxes[:, None].astype(np.float64), others[None].astype(np.float64)
    start = np.maximum(first[..., :2], second[..., :2])
    end = np.minimum(first[..., :2] + first[..., 2:], second[..., :2] + second[..., 2:])
    shared = np.maximum(end - start, 0.0).prod(axis=2)
    both = first[..., 2:].prod(axis=2) + second[..., 2:].prod(axis=2) - shared
    return shared / np.maximum(both, 1e-9)


def lesion_mask(boxes: np.ndarray, size: int) -> np.ndarray:
    """Draw boxes (n, 4) of the network's square, see :func:`fitted_boxes`, into a mask of it.

    Returns:
        uint8 (size, size): 255 in the middle of a box, falling to EDGE_WEIGHT of it at the edge; 0
        elsewhere. A box covers at least one pixel.
    """
    mask = np.zeros((size, size), np.uint8)
    for left, top, width, height in boxes.tolist():
        rows, high = _extent(top, top + height, size)
        columns, wide = _extent(left, left + width, size)
        weights = 255.0 * (1.0 - (1.0 - EDGE_WEIGHT) * np.maximum.outer(high, wide))
        mask[rows, columns] = np.maximum(mask[rows, columns], weights.astype(np.uint8))
    return mask


def _moved(boxes: np.ndarray, source: Rectangle, target: Rectangle) -> np.ndarray:
    """Map boxes (n, 4) by the scaling of one rectangle onto another, and clip them to that."""
    ratio = np.array([target.width / source.width, target.height / source.height])
    limit, corner = np.array([target.width, target.height]), np.array([target.left, target.top])
    start = (boxes[:, :2] - (source.left, source.top)) * ratio
    end = start + boxes[:, 2:] * ratio
    start, end = np.clip(start, 0.0, limit), np.clip(end, 0.0, limit)
    return np.hstack([start + corner, end - start])


def _share(start: int, length: int, whole: int, side: int) -> slice:
    """Return the pixels of a side that a part of the picture's whole length covers, at least one."""
    first = min(round(start * side / whole), side - 1)
    return slice(first, max(first + 1, round((start + length) * side / whole)))


def _move(square: np.ndarray, pixels: int) -> np.ndarray:
    """Move a picture right and down (left and up if negative), repeating its first row and column."""
    if not pixels:
        return square
    forth, back = max(pixels, 0), max(-pixels, 0)
    side = square.shape[0]
    wider = cv2.copyMakeBorder(square, forth, back, forth, back, cv2.BORDER_REPLICATE)
    return wider[back : back + side, back : back + side]


def _extent(first: float, last: float, size: int) -> tuple[slice, np.ndarray]:
    """Return the pixels of an extent, at least one, and the distance of each: 0 mid-way, 1 at an end."""
    start = min(max(0, round(first)), size - 1)
    stop = min(max(start + 1, round(last)), size)
    middle, half = (start + stop) / 2, (stop - start) / 2
    return slice(start, stop), np.abs(np.arange(start, stop) + 0.5 - middle) / half
