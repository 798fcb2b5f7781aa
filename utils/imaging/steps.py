"""Straight steps: rows of a picture across which its brightness or its texture changes abruptly.

The edge of a picture that was set into another one is such a row for its whole length; an edge of bone bends
or slants, so that it crosses any one row for a short way.
"""

from __future__ import annotations

import cv2
import numpy as np

# Pixels along a row that are averaged before rows are compared.
SEGMENT = 12
# Rows averaged on either side of a step of brightness, and rows beyond them, where it has to last.
_ROWS, _BEYOND = 2, 5
# A step has so much of the difference beyond it; a blurred edge has less.
_SHARP = 0.4
# A step of brightness is larger than this many grey levels, and than this many deviations of noise.
_LEAST_STEP, _DEVIATIONS = 2.5, 3.0
# A step of texture multiplies the mean difference between neighbouring pixels by more than this.
_LEAST_RATIO = 1.7
# Grey levels added to the texture before ratios are taken: an even picture has none.
_FAINT = 0.7
# The step is the largest in so many rows: straight to a pixel.
_WINDOW = 17
# Deviation of Gaussian noise over the mean difference between neighbours: sqrt(pi) / 2.
_DEVIATION = 0.886


def segment_means(levels: np.ndarray) -> np.ndarray:
    """Return the means of segments of rows: (height, width // SEGMENT) for (height, width)."""
    count = levels.shape[1] // SEGMENT
    # An integer ratio is ten times as fast.
    return cv2.resize(
        levels[:, : count * SEGMENT], (count, len(levels)), interpolation=cv2.INTER_AREA
    )


def neighbour_differences(levels: np.ndarray) -> np.ndarray:
    """Return the absolute difference of each pixel to the one on its left, 0 in the first column."""
    # Rows one after the other, whatever the order of a turned picture is.
    difference = np.zeros(levels.shape, levels.dtype)
    cv2.absdiff(levels[:, 1:], levels[:, :-1], dst=difference[:, 1:])
    return difference


def straight_steps(levels: np.ndarray) -> np.ndarray:
    """Find where a row begins a step along its segments, give or take a pixel.

    Args:
        levels: grey levels, float32 (height, width), at least SEGMENT wide.

    Returns:
        uint8 (height, width // SEGMENT): 1 where a step lies between this row and the one above.
    """
    means, texture = segment_means(levels), segment_means(neighbour_differences(levels))
    smooth = _below(texture, _BEYOND)
    above = np.vstack([smooth[:1].repeat(_BEYOND, axis=0), smooth[:-_BEYOND]])
    noise = _DEVIATION * np.minimum(smooth, above) / np.sqrt(SEGMENT * _ROWS / 2)
    step = _difference(means, _ROWS)
    beyond = _difference(means, _BEYOND, _ROWS)
    lasting = np.minimum(step, 2 * beyond) > _LEAST_STEP + _DEVIATIONS * noise
    brightness = _is_largest(step) & lasting & (step >= _SHARP * beyond)
    change = _difference(cv2.log(texture + _FAINT), _BEYOND)
    coarseness = _is_largest(change) & (change > np.log(_LEAST_RATIO))
    return _spread(brightness, 3) | _spread(coarseness, 5)


def _below(lines: np.ndarray, count: int) -> np.ndarray:
    """Return the mean of each row and the ``count`` - 1 below it."""
    return cv2.blur(lines, (1, count), anchor=(0, 0), borderType=cv2.BORDER_REPLICATE)


def _difference(lines: np.ndarray, count: int, apart: int = 0) -> np.ndarray:
    """Return |mean of ``count`` rows below - mean of as many above| each row's upper edge.

    The rows begin ``apart`` rows away from the edge. 0 where there are not so many rows.
    """
    height, reach = len(lines), count + apart
    difference = np.zeros_like(lines)
    if height >= 2 * reach:
        means = _below(lines, count)
        difference[reach : height - reach + 1] = cv2.absdiff(
            means[reach + apart : height - count + 1], means[: height - 2 * reach + 1]
        )
    return difference


def _is_largest(step: np.ndarray) -> np.ndarray:
    """Return where a step is the largest of the rows around it."""
    return np.asarray(step >= cv2.dilate(step, np.ones((_WINDOW, 1), np.uint8)))


def _spread(found: np.ndarray, rows: int) -> np.ndarray:
    """Return uint8: where one of ``rows`` rows around is true."""
    return np.asarray(cv2.dilate(found.view(np.uint8), np.ones((rows, 1), np.uint8)))
