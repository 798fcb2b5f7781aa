"""Film in a photograph: its four corners, and the picture turned upright and level.

A film on a light box, or a monitor in a dark room, is a quadrilateral that is darker, or brighter, than what
is around it. Its sides are looked for as straight lines, nearly level or upright, with one sign of step.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from utils.imaging.geometry import resize, shrunk

# Longest side of the picture in which the lines are looked for, pixels.
_SIDE = 256
# Slopes of the lines that are tried, pixels a pixel: up to 13 degrees.
_SLOPES = np.linspace(-0.23, 0.23, 24)
# Difference over two pixels, as a share of the brightness range, that counts fully as a step; share of it
# that counts as one.
_STEP, _IS_STEP = 0.08, 0.4
# Lines a side that are tried, and how far apart they lie at the least, pixels.
_LINES, _APART = 5, 6
# Least mean step along a line over the whole picture.
_LEAST_LINE = 0.12
# Points a side at which a quadrilateral is checked; shares of them, and of the points beyond them, that are
# in the picture at the least.
_POINTS, _LEAST_SEEN, _LEAST_RING = 48, 0.6, 0.3
# Shares of the points with a step: of each side, and of all.
_LEAST_SIDE, _LEAST_MEAN = 0.7, 0.9
# Distance outside the sides at which the surrounding is measured, pixels; its least level, of a range of 1,
# around a film and, upside down, around a screen; share of the points that may be below it; and its most
# second difference from point to point, in the mean.
_RING, _LIGHT_BOX, _DARK_ROOM, _NOT_PLAIN, _EVEN = 3.0, 0.45, 0.7, 0.08, 0.06
# Least area of the quadrilateral, as a share of the picture; least side, as a share of the picture's; and
# longest side over the shortest.
_LEAST_AREA, _LEAST_LENGTH, _LONGEST = 0.15, 0.25, 3.0
# A corner lies outside the picture by at most this share of its side.
_OUTSIDE = 0.15

# Where a line crosses the middle row, or column, and its slope.
_Line = tuple[float, float]


@dataclass(frozen=True, eq=False)
class _Quadrilaterals:
    """Quadrilaterals (n), and how far their sides are steps."""

    corners: np.ndarray
    share: np.ndarray


def find_film(pixels: np.ndarray) -> np.ndarray | None:
    """Return the corners of a film or screen in a photograph, or None where there is none.

    Args:
        pixels: float32 (height, width) in [0, 1], of a photograph.

    Returns:
        float32 (4, 2): x and y in pixels, clockwise from the top left; a corner may lie outside the picture.
    """
    height, width = shrunk(pixels.shape[0], pixels.shape[1], _SIDE)
    small = cv2.GaussianBlur(resize(pixels, height, width), (0, 0), 1.0)
    low, high = np.percentile(small, (2.0, 98.0))
    if high - low < 1.0 / 255.0:
        return None
    levels = (small - np.float32(low)) / np.float32(high - low)
    right, down = np.zeros_like(levels), np.zeros_like(levels)
    right[:, 1:-1] = levels[:, 2:] - levels[:, :-2]
    down[1:-1] = levels[2:] - levels[:-2]
    right, down = (right / _STEP).clip(-1.0, 1.0), (down / _STEP).clip(-1.0, 1.0)
    rising, falling = _upright_lines(right), _upright_lines(-right)
    brighter, darker = _upright_lines(down.T), _upright_lines(-down.T)
    # A film on a light box: darker from the left side on, brighter from the right one; then a screen.
    film = _fitting(
        _corners((falling, rising, darker, brighter), height, width),
        levels,
        -right,
        -down,
        _LIGHT_BOX,
    )
    screen = _fitting(
        _corners((rising, falling, brighter, darker), height, width),
        1.0 - levels,
        right,
        down,
        _DARK_ROOM,
    )
    # The light box itself may be a screen in a dark room.
    found = film if len(film.corners) else screen
    if not len(found.corners):
        return None
    best = found.corners[(found.share * np.sqrt(_area(found.corners))).argmax()]
    scale = np.array([pixels.shape[1] / width, pixels.shape[0] / height])
    return np.asarray((best + 0.5) * scale, np.float32)


def rectify(pixels: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """Return the film of a photograph, upright and level; what lies outside the picture repeats its edge.

    Args:
        pixels: float32 (height, width).
        corners: of :func:`find_film`.
    """
    transform, (height, width) = upright_transform(corners)
    return np.asarray(
        cv2.warpPerspective(
            pixels,
            transform,
            (width, height),
            flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )
    )


def upright_transform(corners: np.ndarray) -> tuple[np.ndarray, tuple[int, int]]:
    """Return how a photograph's pixels become the film's.

    Args:
        corners: of :func:`find_film`.

    Returns:
        Matrix, float64 (3, 3), from x and y in the photograph to those in the film; the film's height and
        width, each the longer of two opposite sides.
    """
    sides = np.hypot(*(np.roll(corners, -1, axis=0) - corners).T)
    width, height = (max(1, round(float(max(sides[side], sides[side + 2])))) for side in (0, 1))
    target = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    return cv2.getPerspectiveTransform(corners.astype(np.float32), target), (height, width)


def _upright_lines(steps: np.ndarray) -> list[_Line]:
    """Return the strongest nearly upright lines: the column where each crosses the middle row, its slope."""
    height, width = steps.shape
    means = np.empty((len(_SLOPES), width), np.float32)
    for number, slope in enumerate(_SLOPES):
        shear = np.array([[1.0, slope, -slope * (height - 1) / 2], [0.0, 1.0, 0.0]])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        sheared = cv2.warpAffine(steps, shear, (width, height), flags=flags)
        means[number] = cv2.reduce(sheared, 0, cv2.REDUCE_AVG)[0]
    found: list[_Line] = []
    while len(found) < _LINES:
        row, column = divmod(int(means.argmax()), width)
        if means[row, column] < _LEAST_LINE:
            break
        found.append((float(column), float(_SLOPES[row])))
        means[:, max(0, column - _APART) : column + _APART + 1] = -1.0
    return found


def _corners(sides: Sequence[list[_Line]], height: int, width: int) -> np.ndarray:
    """Return the corners (n, 4, 2) of all quadrilaterals of left, right, upper and lower lines."""
    quadrilaterals = [
        lines
        for lines in itertools.product(*sides)
        if lines[1][0] - lines[0][0] > _LEAST_LENGTH * width
        and lines[3][0] - lines[2][0] > _LEAST_LENGTH * height
    ]
    left, right, top, bottom = np.array(quadrilaterals).reshape(-1, 4, 2).transpose(1, 2, 0)
    middle = ((width - 1) / 2, (height - 1) / 2)
    pairs = ((left, top), (right, top), (right, bottom), (left, bottom))
    return np.stack([_crossing(upright, level, middle) for upright, level in pairs], axis=1)


def _crossing(upright: np.ndarray, level: np.ndarray, middle: tuple[float, float]) -> np.ndarray:
    """Return x and y (n, 2) where upright lines (2, n) cross level ones (2, n)."""
    (column, lean), (row, tilt) = upright, level
    x = (column + lean * (row - tilt * middle[0] - middle[1])) / (1.0 - lean * tilt)
    return np.stack([x, row + tilt * (x - middle[0])], axis=1)


def _fitting(
    corners: np.ndarray, levels: np.ndarray, right: np.ndarray, down: np.ndarray, least: float
) -> _Quadrilaterals:
    """Return the quadrilaterals whose sides are steps in a plain surrounding.

    Args:
        corners: (n, 4, 2).
        levels: brightness, about 0 to 1; that of a film's surrounding is high.
        right, down: steps in [-1, 1], positive at a left, or upper, side.
        least: level of the surrounding.
    """
    height, width = levels.shape
    following = np.roll(corners, -1, axis=1)
    length = np.linalg.norm(following - corners, axis=2)
    area = _area(corners)
    size = np.array([width, height])
    good = (area >= _LEAST_AREA * levels.size) & (
        length.max(axis=1) <= _LONGEST * length.min(axis=1)
    )
    good &= (corners >= -_OUTSIDE * size).all(axis=(1, 2)) & (
        corners <= (1.0 + _OUTSIDE) * size
    ).all(axis=(1, 2))
    corners, following, length = corners[good], following[good], length[good]
    along = ((np.arange(_POINTS) + 0.5) / _POINTS)[:, None]
    points = corners[:, :, None] + (following - corners)[:, :, None] * along  # (n, 4, points, 2)
    direction = (following - corners) / length[..., None]
    outwards = np.stack([direction[..., 1], -direction[..., 0]], axis=-1)
    beyond = points + _RING * outwards[:, :, None]
    seen, surrounded = _is_inside(points, levels), _is_inside(beyond, levels)
    steps = np.stack([down, -right, -down, right])[np.arange(4)[:, None], *_nearest(points, levels)]
    found, visible = ((steps > _IS_STEP) & seen).sum(axis=2), seen.sum(axis=2)
    mean = found.sum(axis=1) / np.maximum(visible.sum(axis=1), 1)
    around = np.where(surrounded, levels[_nearest(beyond, levels)], np.nan)
    good = (found >= _LEAST_SIDE * visible).all(axis=1) & (mean >= _LEAST_MEAN)
    good &= (visible >= _LEAST_SEEN * _POINTS).all(axis=1)
    good &= (surrounded.sum(axis=2) >= _LEAST_RING * _POINTS).all(axis=1)
    corners, mean, around = corners[good], mean[good], around[good]
    if not len(corners):
        return _Quadrilaterals(corners, mean)
    plain = np.nanpercentile(around, 100 * _NOT_PLAIN, axis=(1, 2)) >= least
    plain &= np.nanmean(np.abs(np.diff(around, 2, axis=2)), axis=(1, 2)) <= _EVEN
    return _Quadrilaterals(corners[plain], mean[plain])


def _is_inside(points: np.ndarray, picture: np.ndarray) -> np.ndarray:
    """Return which points (..., 2) of x and y lie in a picture."""
    height, width = picture.shape
    return np.asarray(((points >= 0) & (points <= [width - 1, height - 1])).all(axis=-1))


def _area(corners: np.ndarray) -> np.ndarray:
    """Return the areas of quadrilaterals (n, 4, 2): the shoelace formula."""
    x, y = corners[..., 0], corners[..., 1]
    crossed = x * np.roll(y, -1, axis=1) - np.roll(x, -1, axis=1) * y
    return np.asarray(0.5 * np.abs(crossed.sum(axis=1)))


def _nearest(points: np.ndarray, picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows and columns of the pixels nearest to points (..., 2) of x and y."""
    height, width = picture.shape
    nearest = np.rint(points).astype(np.intp)
    return nearest[..., 1].clip(0, height - 1), nearest[..., 0].clip(0, width - 1)
