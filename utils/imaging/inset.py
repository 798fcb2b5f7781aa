"""Inset: the rectangle that a radiograph fills in a larger picture, found by its straight sides.

A viewer's screenshot, a page, a desktop, a light box, noise or a gradient around a radiograph have in common
that it ends on a straight step (``utils.imaging.steps``) on each side that has something beside it.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from utils.imaging.brightness import robust_range
from utils.imaging.geometry import Rectangle, resize
from utils.imaging.steps import SEGMENT, neighbour_differences, segment_means, straight_steps

# Steps are looked for where the longest side has about this many pixels.
# A picture with a shorter side than SMALLEST has no inset.
_SIDE, SMALLEST = 600, 96
# A range of fewer grey levels than this is stretched to it.
_LEAST_RANGE = 100.0
# Shares of the picture's side: the shortest side of an inset, and the narrowest border.
_LEAST_SIDE, _LEAST_BORDER = 0.25, 0.04
# Share of a side that must be a step, of a nearly closed inset's; in the mean of four sides, and of fewer.
_LEAST_SHARE, _LEAST_NEARLY, _CLOSED, _OPEN = 0.75, 0.5, 0.85, 0.9
# Where fewer than three sides lie in the picture, the inset is no larger than this share of it.
_LARGEST_OPEN = 0.92
# A nearly closed inset has so many times the structure that is outside of it; one of three sides, as much.
_HALF = 0.5
# A longer side is better where more than this share of it is a step.
_NEUTRAL = 0.6
# Part of a side at each corner that is not looked at: rounded corners.
_CORNER = 0.05
# Most lines of each direction that are tried.
_LINES = 20
# A cell has structure where its second derivative exceeds so many grey levels, and so many times the texture.
_BEND, _TEXTURES = 8.0, 3.0
# Share of cells with structure in a plain surrounding.
_PLAIN = 0.01
# Another inset beside the best, of this share of its area and its structure, belongs to the picture too.
_RIVAL_AREA, _RIVAL_STRUCTURE = 0.35, 0.25


@dataclass(frozen=True, eq=False)
class _Candidates:
    """Rectangles that may be insets: their edges in pixels, int (n,) each."""

    top: np.ndarray
    bottom: np.ndarray
    left: np.ndarray
    right: np.ndarray

    @property
    def height(self) -> np.ndarray:
        return self.bottom - self.top

    @property
    def width(self) -> np.ndarray:
        return self.right - self.left

    def apart_from(self, one: int) -> np.ndarray:
        """Return which rectangles have no area in common with one of them."""
        return (
            (self.bottom <= self.top[one] + 3)
            | (self.top >= self.bottom[one] - 3)
            | (self.right <= self.left[one] + 3)
            | (self.left >= self.right[one] - 3)
        )


def find_insets(pixels: np.ndarray) -> list[Rectangle]:
    """Return the rectangles of radiographs set into a larger picture, the most evident first.

    Args:
        pixels: float32 (height, width) in [0, 1].
    """
    if min(pixels.shape) < SMALLEST:
        return []
    levels, shrink = grey_levels(pixels)
    height, width = levels.shape
    rows, columns = straight_steps(levels), straight_steps(cv2.transpose(levels))
    found = _candidates(_lines(rows), _lines(columns), height, width)
    if not len(found.top):
        return []
    chosen = _choose(levels, found, _shares(rows, columns, found))
    return [_in_full(pixels, found, one, shrink, (height, width)) for one in chosen]


def _choose(levels: np.ndarray, found: _Candidates, shares: np.ndarray) -> list[int]:
    """Return the indices of the insets among candidates: the best, and its rivals elsewhere; or none."""
    inner = ~np.isnan(shares)
    sides = inner.sum(axis=0)
    least = np.where(inner, shares, 1.0).min(axis=0)
    mean = np.where(inner, shares, 0.0).sum(axis=0) / np.maximum(sides, 1)
    area = found.height * found.width
    closed = (sides == 4) & (least >= _LEAST_SHARE) & (mean >= _CLOSED)
    nearly = (sides == 4) & (least >= _LEAST_NEARLY) & (mean >= _CLOSED)
    three = (sides == 3) & (least >= _LEAST_SHARE) & (mean >= _OPEN)
    opened = (sides > 0) & (least >= _OPEN) & (area <= _LARGEST_OPEN * levels.size)
    if not (closed | nearly | three | opened).any():
        return []
    inside, outside = _count_structure(levels, found)
    plain = outside <= _PLAIN * (levels.size - area) / SEGMENT**2
    possible = closed | nearly & (inside > _HALF * outside)
    possible |= three & (inside > outside) | opened & plain
    possible &= inside > 0
    if not possible.any():
        return []
    lengths = np.stack([found.width, found.width, found.height, found.height])
    worth = np.where(inner, (shares - _NEUTRAL) * lengths, 0.0).sum(axis=0)
    chosen = [int(np.argmax(np.where(possible, worth, -np.inf)))]
    best = chosen[0]
    rival = (sides >= 3) & (least >= _LEAST_SHARE) & (mean >= _CLOSED)
    rival &= (area > _RIVAL_AREA * area[best]) & (inside > _RIVAL_STRUCTURE * inside[best])
    while (rival := rival & found.apart_from(chosen[-1])).any():
        chosen.append(int(np.argmax(np.where(rival, worth, -np.inf))))
    return chosen


def _in_full(
    pixels: np.ndarray, found: _Candidates, one: int, shrink: int, size: tuple[int, int]
) -> Rectangle:
    """Return a rectangle of the shrunk picture in pixels, its inner edges on the largest step there."""
    # What the shrinking left over belongs to the last row and column.
    height, width = pixels.shape
    bottom = height if found.bottom[one] == size[0] else int(found.bottom[one]) * shrink
    right = width if found.right[one] == size[1] else int(found.right[one]) * shrink
    top, left = int(found.top[one]) * shrink, int(found.left[one]) * shrink
    across = pixels[:, left:right]
    top, bottom = (_exact(across, edge, shrink) for edge in (top, bottom))
    down = pixels[top:bottom].T
    left, right = (_exact(down, edge, shrink) for edge in (left, right))
    return Rectangle(top, left, bottom - top, right - left)


def _exact(lines: np.ndarray, edge: int, reach: int) -> int:
    """Return the row that begins the largest step within ``reach`` of an edge inside the picture."""
    first = edge - reach
    if first < 1 or edge + reach + 1 > len(lines):
        return edge
    around = segment_means(np.ascontiguousarray(lines[first - 1 : edge + reach + 1]))
    return first + int(np.abs(np.diff(around, axis=0)).mean(axis=1).argmax())


def grey_levels(pixels: np.ndarray) -> tuple[np.ndarray, int]:
    """Return grey levels, stretched where they are few, of a picture a whole number of times smaller.

    Returns:
        float32 (height // times, width // times), and the times.
    """
    shrink = max(1, round(max(pixels.shape) / _SIDE))
    height, width = (side // shrink for side in pixels.shape)
    small = pixels
    if shrink > 1:
        small = resize(pixels[: height * shrink, : width * shrink], height, width)
    low, high = robust_range(small[:: max(1, height // 64), :: max(1, width // 64)])
    return small * np.float32(max(255.0, _LEAST_RANGE / max(high - low, 1.0 / 255.0))), shrink


def _lines(steps: np.ndarray) -> np.ndarray:
    """Return the rows with the longest runs of steps, in order, with the picture's first and last edge."""
    height, count = steps.shape
    border = max(3, int(_LEAST_BORDER * height))
    least = _LEAST_SIDE * _LEAST_SHARE * count
    longest = np.zeros(height)
    likely = np.flatnonzero(steps.sum(axis=1, dtype=np.int32) >= least)
    likely = likely[(likely >= border) & (likely < height - border)]
    run, best = np.zeros(len(likely)), np.zeros(len(likely))
    # Longest run with gaps: a segment without a step takes two with one.
    for segment in np.where(steps[likely].T, 1.0, -2.0):
        run = np.maximum(run + segment, 0.0)
        best = np.maximum(best, run)
    longest[likely] = np.where(best >= least, best, 0.0)
    # Steps are found give or take a pixel: the middle one of three rows is the edge.
    weight = np.convolve(longest, [0.5, 1.0, 0.5], "same") * (longest > 0)
    found = [0, height]
    while len(found) < _LINES + 2 and weight.any():
        row = int(np.argmax(weight))
        found.append(row)
        weight[max(0, row - 3) : row + 4] = 0.0
    return np.sort(found)


def _candidates(rows: np.ndarray, columns: np.ndarray, height: int, width: int) -> _Candidates:
    """Return every rectangle between two rows and two columns that is large enough, but the whole."""
    top, bottom = _pairs(rows, _LEAST_SIDE * height)
    left, right = _pairs(columns, _LEAST_SIDE * width)
    vertical, across = (grid.ravel() for grid in np.indices((len(top), len(left))))
    return _Candidates(top[vertical], bottom[vertical], left[across], right[across])


def _pairs(lines: np.ndarray, least: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the first and the second of each two lines that are ``least`` apart."""
    first, second = (grid.ravel() for grid in np.meshgrid(lines, lines, indexing="ij"))
    kept = second - first >= least
    return first[kept], second[kept]


def _shares(rows: np.ndarray, columns: np.ndarray, found: _Candidates) -> np.ndarray:
    """Return the share of the top, bottom, left and right side that is a step, (4, n); NaN at the border."""
    down, across = (
        np.pad(np.cumsum(steps, axis=1, dtype=np.int32), ((0, 1), (1, 0)))
        for steps in (rows, columns)
    )
    return np.stack(
        [
            _share(down, found.top, found.left, found.right),
            _share(down, found.bottom, found.left, found.right),
            _share(across, found.left, found.top, found.bottom),
            _share(across, found.right, found.top, found.bottom),
        ]
    )


def _share(total: np.ndarray, line: np.ndarray, first: np.ndarray, last: np.ndarray) -> np.ndarray:
    """Return the share of the segments of ``line`` between two places that is a step, (n,).

    Args:
        total: running sum of the steps along each line, one line and one segment more than there are.
        line: the lines, (n,); NaN is returned for the first and the last.
        first, last: pixels along the line, (n,).
    """
    corner = _CORNER * (last - first)
    stop = np.minimum((last - corner) // SEGMENT, total.shape[1] - 1).astype(np.intp)
    start = np.minimum(np.ceil((first + corner) / SEGMENT), stop - 1).astype(np.intp)
    share = (total[line, stop] - total[line, start]) / (stop - start)
    return np.where((line == 0) | (line == len(total) - 1), np.nan, share)


def structure(levels: np.ndarray) -> np.ndarray:
    """Return which square cells of SEGMENT pixels show more than a trend and noise, uint8."""
    cells = _cells(levels)
    texture = np.minimum(
        _cells(neighbour_differences(levels)),
        _cells(neighbour_differences(cv2.transpose(levels))).T,
    )
    bent = np.abs(cv2.Laplacian(cells, cv2.CV_32F)) > _BEND + _TEXTURES * texture
    return np.asarray(bent.astype(np.uint8))


def _count_structure(levels: np.ndarray, found: _Candidates) -> tuple[np.ndarray, np.ndarray]:
    """Return the cells with structure in each rectangle, and outside of it, (n,)."""
    cells = structure(levels)
    total = cv2.integral(cells)

    def count(margin: int) -> np.ndarray:
        """Count in rectangles that are wider by a margin of cells."""
        top, bottom, left, right = (
            np.clip(np.rint(edge / SEGMENT).astype(np.intp) + outwards * margin, 0, length)
            for edge, outwards, length in (
                (found.top, -1, cells.shape[0]),
                (found.bottom, 1, cells.shape[0]),
                (found.left, -1, cells.shape[1]),
                (found.right, 1, cells.shape[1]),
            )
        )
        return np.asarray(
            total[bottom, right] - total[top, right] - total[bottom, left] + total[top, left]
        )

    return count(-1), total[-1, -1] - count(1)


def _cells(levels: np.ndarray) -> np.ndarray:
    """Return the means of square cells of SEGMENT pixels."""
    return cv2.transpose(segment_means(cv2.transpose(segment_means(levels))))
