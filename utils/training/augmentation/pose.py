"""Random pose of a radiograph: mirror image, turn, rotation, scale, translation, crop, tilt, as one matrix.

A matrix (3, 3) maps pixels of the square picture to pixels of the new one, x to the right and y down, from
the upper left edge of the first pixel.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from utils.imaging.geometry import Rectangle, resize

# Share of a box that must remain in the picture; a box of which less remains is dropped.
LEAST_VISIBLE = 0.25
# Between a box and the edges of a crop around it, and of a crop around a place without a box: its side.
_CROP_MARGIN, _USUAL_BOX = 0.12, 0.05
# Largest shift of a corner of a tilted picture, as a share of the side.
_SWAY = 0.04
# Side of the thumbnail on which places with detail are found.
_CELLS = 48


@dataclass(frozen=True)
class PoseRange:
    """Rates and ranges of a random pose; those of the defaults change nothing.

    Args:
        mirror: rate of left-right mirror images.
        turn: rate of turns by 90, 180 or 270 degrees.
        degrees: largest rotation either way.
        zoom: least and largest scale.
        stretch: largest relative change of the aspect either way.
        shift: largest translation either way, as a share of the side.
        crop: rate of crops around a marked box, or around a place with detail where none is marked. They
            are not shifted, and their scale is that of ``crop_zoom``.
        crop_zoom: least and largest scale of crops; less where a box would not fit.
    """

    mirror: float = 0.0
    turn: float = 0.0
    degrees: float = 0.0
    zoom: tuple[float, float] = (1.0, 1.0)
    stretch: float = 0.0
    shift: float = 0.0
    crop: float = 0.0
    crop_zoom: tuple[float, float] = (1.5, 3.0)


def draw_pose(
    picture: np.ndarray,
    place: Rectangle,
    boxes: np.ndarray,
    random: np.random.Generator,
    ranges: PoseRange,
) -> np.ndarray:
    """Return the matrix of a random pose, float64 (3, 3).

    Args:
        picture: uint8 (size, size); only crops depend on it.
        place: of the radiograph in the picture.
        boxes: float32 (n, 4), x, y, width, height in pixels of the picture.
        random: source of every choice.
        ranges: of the pose.
    """
    size = picture.shape[0]
    zoom, middle, shift = log_uniform(random, *ranges.zoom), (size / 2, size / 2), np.zeros(2)
    if random.random() < ranges.crop:
        zoom, middle = _crop(picture, place, boxes, random, ranges.crop_zoom)
    else:
        shift = size * random.uniform(-ranges.shift, ranges.shift, 2)
    aspect = math.sqrt(log_uniform(random, 1 / (1 + ranges.stretch), 1 + ranges.stretch))
    flip = -1.0 if random.random() < ranges.mirror else 1.0
    angle = math.radians(random.uniform(-ranges.degrees, ranges.degrees))
    if random.random() < ranges.turn:
        angle += math.pi / 2 * int(random.integers(1, 4))
    rotation = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    matrix = np.eye(3)
    matrix[:2, :2] = rotation @ np.diag([flip * zoom * aspect, zoom / aspect])
    matrix[:2, 2] = size / 2 + shift - matrix[:2, :2] @ middle
    return matrix


def draw_tilt(size: int, random: np.random.Generator) -> np.ndarray:
    """Return the matrix of a picture seen a little from the side, float64 (3, 3)."""
    corners = np.array([[0, 0], [size, 0], [size, size], [0, size]], np.float32)
    swayed = corners + random.uniform(-_SWAY, _SWAY, (4, 2)) * size
    return np.asarray(cv2.getPerspectiveTransform(corners, swayed.astype(np.float32)))


def move_picture(picture: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Return a square picture moved by a matrix, bilinear, black outside; blurred first where it shrinks."""
    size = picture.shape[0]
    scale = math.sqrt(abs(np.linalg.det(matrix[:2, :2])))
    if scale < 0.95:
        # The blur that area averaging would be.
        picture = cv2.GaussianBlur(picture, (0, 0), 0.5 * math.sqrt(1 / scale**2 - 1))
    # OpenCV counts from the centre of the first pixel.
    half = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])
    centred = np.linalg.inv(half) @ matrix @ half
    if np.array_equal(matrix[2], (0, 0, 1)):
        return cv2.warpAffine(picture, centred[:2], (size, size))
    return cv2.warpPerspective(picture, centred, (size, size))


def move_place(place: Rectangle, size: int, matrix: np.ndarray) -> np.ndarray:
    """Return where the pixels of a moved rectangle are, bool (size, size)."""
    # Between the centres of the outermost pixels, from where OpenCV counts.
    first, last = np.array([place.left, place.top]) + 0.5, [place.width - 1, place.height - 1]
    corners = first + np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) * last
    moved = cv2.perspectiveTransform(corners[None], matrix) - 0.5
    mask = np.zeros((size, size), np.uint8)
    # In sixteenths of a pixel.
    cv2.fillConvexPoly(mask, np.rint(moved * 16).astype(np.int32), 1, cv2.LINE_8, 4)
    return mask > 0


@dataclass(frozen=True, eq=False)
class MovedBoxes:
    """Boxes of a moved picture.

    Args:
        boxes: float32 (n, 4), x, y, width, height of those of which LEAST_VISIBLE remains, clipped.
        lost: a dropped box is still partly visible, or all are dropped: the boxes that are left are not all
            that the picture shows.
    """

    boxes: np.ndarray
    lost: bool


def move_boxes(boxes: np.ndarray, size: int, matrix: np.ndarray) -> MovedBoxes:
    """Return boxes moved with their picture.

    A moved box bounds the ellipse in the old box: a box around the old one's corners would grow with every
    rotation, and a fracture does not reach into the corners.

    Source:
        Kalra et al., Towards Rotation Invariance in Object Detection, arXiv:2109.13488, section 3.
    """
    if not len(boxes):
        return MovedBoxes(boxes, lost=False)
    halves = boxes[:, 2:].astype(np.float64) / 2
    centres = np.c_[boxes[:, :2] + halves, np.ones(len(boxes))] @ matrix.T
    depth = centres[:, 2:]
    moved = centres[:, :2] / depth
    # Derivatives of the moved coordinates, (n, 2, 2): the last row is 0 but for a tilt.
    slopes = (matrix[None, :2, :2] - moved[:, :, None] * matrix[None, 2:, :2]) / depth[:, :, None]
    reach = np.sqrt((np.square(slopes) * np.square(halves)[:, None]).sum(axis=2))
    start, end = (np.clip(corner, 0, size) for corner in (moved - reach, moved + reach))
    visible = (end - start).prod(axis=1) / np.maximum((2 * reach).prod(axis=1), 1e-9)
    kept = visible >= LEAST_VISIBLE
    return MovedBoxes(
        np.concatenate([start, end - start], axis=1)[kept].astype(np.float32),
        lost=bool((visible[~kept] > 0).any() or not kept.any()),
    )


def log_uniform(random: np.random.Generator, low: float, high: float) -> float:
    """Draw a number whose logarithm is uniform."""
    return math.exp(random.uniform(math.log(low), math.log(high)))


def _crop(
    picture: np.ndarray,
    place: Rectangle,
    boxes: np.ndarray,
    random: np.random.Generator,
    zooms: tuple[float, float],
) -> tuple[float, tuple[float, float]]:
    """Return the scale and the middle (x, y) of a crop around one of the boxes."""
    size = picture.shape[0]
    if len(boxes):
        left, top, width, height = boxes[random.integers(len(boxes))].tolist()
    else:
        x, y = _place_with_detail(picture, place, random)
        width = height = _USUAL_BOX * size
        left, top = x - width / 2, y - height / 2
    most = (1 - 2 * _CROP_MARGIN) * size / max(width, height)
    zoom = max(1.0, min(log_uniform(random, *zooms), most))
    side = size / zoom
    x = _middle(left, width, side, place.left, place.width, random)
    y = _middle(top, height, side, place.top, place.height, random)
    return zoom, (x, y)


def _middle(
    start: float, length: float, side: float, first: int, whole: int, random: np.random.Generator
) -> float:
    """Return the middle of a crop of ``side`` around a box, within the radiograph, along one axis."""
    margin = max(0.0, min(_CROP_MARGIN * side, (side - length) / 2))
    drawn = random.uniform(start + length + margin - side / 2, start - margin + side / 2)
    if whole <= side:
        return first + whole / 2
    return min(max(drawn, first + side / 2), first + whole - side / 2)


def _place_with_detail(
    picture: np.ndarray, place: Rectangle, random: np.random.Generator
) -> tuple[float, float]:
    """Draw a place (x, y) of the radiograph, the more often the richer in contrast: bone more than air."""
    cells = resize(picture[place.inside], _CELLS, _CELLS).astype(np.float32)
    around = np.ones((3, 3), np.uint8)
    weights = np.sqrt(cv2.dilate(cells, around) - cv2.erode(cells, around)) + 1e-3
    chosen = random.choice(weights.size, p=weights.ravel() / weights.sum(dtype=np.float64))
    row, column = divmod(int(chosen), _CELLS)
    x = place.left + (column + random.random()) * place.width / _CELLS
    return x, place.top + (row + random.random()) * place.height / _CELLS
