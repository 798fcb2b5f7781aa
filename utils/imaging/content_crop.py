"""Content crop: a radiograph without the border around it."""

from __future__ import annotations

import numpy as np

from utils.imaging.brightness import robust_range
from utils.imaging.geometry import Rectangle
from utils.imaging.inset import find_insets
from utils.imaging.radiograph import Radiograph

# A line has one brightness where no pixel is farther than this from the middle: as much as JPEG adds.
_EVEN = 4.0 / 255.0
# In a dim picture less: in proportion to its range where that is smaller than this.
_FULL_RANGE = 64.0 / 255.0
# So many of such lines in a row, as a share of the side, are a band.
_LEAST_BAND = 0.04
# What lies beyond a band is border if it is shorter than this share of the longest that bands leave: a
# clock, a caption, the edge of a film, no finger beside a hand.
_LEAST_BLOCK = 0.05
# An inset has at most this share of the area that bands leave: they are exact.
_SMALLER = 0.95


def crop_in_file(crop: Rectangle, radiograph: Radiograph) -> Rectangle:
    """Return the crop of a radiograph's pixels in pixels of the picture in its file."""
    down = radiograph.height / radiograph.pixels.shape[0]
    across = radiograph.width / radiograph.pixels.shape[1]
    return crop.scaled(down, across, radiograph.height, radiograph.width)


def find_content_crop(pixels: np.ndarray) -> Rectangle:
    """Return the content crop of a picture, float32 (height, width) in [0, 1].

    The border is what lies beyond bands of lines of one brightness: nothing, or less than a twentieth of
    what lies between them, as the clock of a screenshot, a caption, or the side marker on collimated film.
    Where the border is not even, it is what lies around insets (``utils.imaging.inset``).
    """
    crop = Rectangle(0, 0, *pixels.shape)
    while True:
        inner = _without_bands(pixels, crop)
        inset = _around_insets(pixels, inner)
        if inset == inner and inner.height < crop.height and inner.width < crop.width:
            # Bands may have taken some of the inset's sides away: of a page with text, the margins.
            # Between bars alone, what would be found is the air beside a limb.
            inset = _around_insets(pixels, crop)
        if inset.height * inset.width > _SMALLER * inner.height * inner.width:
            return inner
        crop = inset


def _around_insets(pixels: np.ndarray, area: Rectangle) -> Rectangle:
    """Return the rectangle around the insets of an area of a picture; the area where there are none."""
    insets = find_insets(pixels[area.inside])
    if not insets:
        return area
    top, left = min(one.top for one in insets), min(one.left for one in insets)
    bottom = max(one.top + one.height for one in insets)
    right = max(one.left + one.width for one in insets)
    return Rectangle(area.top + top, area.left + left, bottom - top, right - left)


def _without_bands(pixels: np.ndarray, area: Rectangle) -> Rectangle:
    """Return what bands of lines of one brightness leave of an area of a picture."""
    top, left, height, width = area.top, area.left, area.height, area.width
    # A border may lie in a border: black bars beside a picture, above them a white page.
    while True:
        part = pixels[top : top + height, left : left + width]
        low, high = robust_range(part[:: max(1, height // 64), :: max(1, width // 64)])
        even = _EVEN * min(1.0, (high - low) / _FULL_RANGE)
        first, last = _between_bands(part, 1, even)
        top, height, before = top + first, last - first, height
        first, last = _between_bands(pixels[top : top + height, left : left + width], 0, even)
        left, width, across = left + first, last - first, width
        if (height, width) == (before, across):
            return Rectangle(top, left, height, width)


def _between_bands(pixels: np.ndarray, axis: int, tolerance: float) -> tuple[int, int]:
    """Return the start and stop of what lies between bands of one brightness: rows for axis 1."""
    spread = pixels.max(axis=axis) - pixels.min(axis=axis)
    even = np.concatenate([[False], spread <= 2 * tolerance, [False]])
    starts, stops = np.flatnonzero(np.diff(even.astype(np.int8))).reshape(-1, 2).T
    wide = stops - starts >= _LEAST_BAND * len(spread)
    # What the bands leave, each from the end of one to the beginning of the next.
    firsts = np.concatenate([[0], stops[wide]])
    lasts = np.concatenate([starts[wide], [len(spread)]])
    lengths = lasts - firsts
    if not lengths.any():  # of one brightness throughout
        return 0, len(spread)
    kept = np.flatnonzero(lengths >= _LEAST_BLOCK * lengths.max())
    return int(firsts[kept[0]]), int(lasts[kept[-1]])
