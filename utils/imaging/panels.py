"""Panels: the several radiographs of one picture, beside or above each other, or on a sheet.

Two pictures set against each other, with a gap or without, meet in a straight step over the whole length.
Two exposures on one film have a border between them that is rarely as straight: they stay one picture.
"""

from __future__ import annotations

import itertools

import cv2
import numpy as np

from utils.imaging.geometry import Rectangle
from utils.imaging.inset import SMALLEST, find_insets, grey_levels, structure
from utils.imaging.steps import segment_means, straight_steps

# Share of a line that is a step where two pictures meet.
_SEAM = 0.93
# Shares of the picture's side: the narrowest panel, and its least distance of a seam from the border.
_NARROWEST = 0.18
# Share of a panel's cells that show structure.
_LEAST_STRUCTURE = 0.02
# Grey levels from the ground's that are the same; share of a piece that is at most; a radiograph's ground may
# be plain black.
_ONE_LEVEL, _MOST_EVEN, _BLACK = 1.0, 0.6, 4.0


def find_panels(pixels: np.ndarray, crop: Rectangle) -> list[Rectangle]:
    """Return the several radiographs of a picture, in reading order; none where there is only one.

    Args:
        pixels: float32 (height, width) in [0, 1].
        crop: their content crop.
    """
    whole = (crop.height, crop.width) == pixels.shape
    insets = [] if whole else find_insets(pixels)
    panels = insets if len(insets) > 1 else _split(pixels, crop, 2)
    return sorted(panels, key=lambda one: (one.top, one.left)) if len(panels) > 1 else []


def _split(pixels: np.ndarray, area: Rectangle, depth: int) -> list[Rectangle]:
    """Return the panels of an area, itself where it has no seams."""
    part = pixels[area.inside]
    if depth == 0 or min(part.shape) < SMALLEST:
        return [area]
    levels, shrink = grey_levels(part)
    for across in (True, False):
        lines = cv2.transpose(levels) if across else levels
        pieces = _between_seams(lines)
        if len(pieces) < 2:
            continue
        panels = []
        for first, last in pieces:
            if _is_picture(lines[first:last]):
                stop = last * shrink if last < len(lines) else None
                panels += _split(pixels, _piece(area, first * shrink, stop, across), depth - 1)
        if len(panels) > 1:
            return panels
    return [area]


def _is_picture(levels: np.ndarray) -> bool:
    """Return whether a piece shows structure, and not on one grey level as text does."""
    means = segment_means(levels)
    ground = np.median(means)
    even = (np.abs(means - ground) < _ONE_LEVEL).mean() > _MOST_EVEN and ground > _BLACK
    return bool(not even and structure(levels).mean() >= _LEAST_STRUCTURE)


def _piece(area: Rectangle, first: int, last: int | None, across: bool) -> Rectangle:
    """Return the columns, or rows, of an area from ``first`` up to ``last``; None is its end."""
    if across:
        stop = area.width if last is None else last
        return Rectangle(area.top, area.left + first, area.height, stop - first)
    stop = area.height if last is None else last
    return Rectangle(area.top + first, area.left, stop - first, area.width)


def _between_seams(lines: np.ndarray) -> list[tuple[int, int]]:
    """Return the first and last row of the pieces between seams that are high enough for a panel."""
    height = len(lines)
    share = straight_steps(lines).mean(axis=1)
    seams = np.flatnonzero(
        (share >= _SEAM) & (share >= cv2.dilate(share[:, None], np.ones((5, 1), np.uint8))[:, 0])
    )
    edges = [0, *(int(seam) for seam in seams), height]
    return [
        (first, last)
        for first, last in itertools.pairwise(edges)
        if last - first >= _NARROWEST * height
    ]
