"""Brightness of a picture: its robust range of grey levels, and the stretch of dim or flat pictures.

Percentiles rather than extremes decide, so that a hot pixel, a burnt-in marker or a tag changes nothing. The
figures in comments are of the 3,472 readable radiographs of FracAtlas.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

# Percentiles of the robust range, and of the bulk of a picture.
_EXTREMES = (1.0, 99.5)
_BULK = (10.0, 90.0)
# A marker lies this many times farther up, or down, than the bulk reaches,
_BRIGHT_MARKER, _DARK_MARKER = 3.0, 2.0
# and is burnt in with one level: four fifths of it lie within this share of the range from the outermost.
_ONE_LEVEL = 0.1
# A narrower range is stretched; the narrowest of a radiograph is 93 levels of 255.
_NARROW = 90.0 / 255.0
# To the median range of the radiographs.
_STRETCHED = (8.0 / 255.0, 217.0 / 255.0)
# Grey levels below which a picture is flat, however it is stretched; radiographs have at least 94.
_LEAST_LEVELS = 32
# Shares of a picture that may be plain black and plain white; one radiograph in a thousand has more.
_MOST_BLACK, _MOST_WHITE = 0.6, 0.05
# Share of its rows or columns that may have one level inside the content: more are a bar that hides a part.
_MOST_PLAIN = 0.1
# Pixels that suffice for percentiles.
_SAMPLES = 40_000


@dataclass(frozen=True)
class Brightness:
    """Brightness of one picture.

    Args:
        low, high: robust range, in [0, 1].
        levels: grey levels that occur in it.
        black, white: shares of the picture at the lowest and at the highest level.
        plain: share of its rows, or of its columns, that have one level throughout.
    """

    low: float
    high: float
    levels: int
    black: float
    white: float
    plain: float = 0.0

    @property
    def narrow(self) -> bool:
        """Whether the picture is dim or flat, and is stretched before the network."""
        return self.high - self.low < _NARROW

    @property
    def few_levels(self) -> bool:
        """Whether too few grey levels are left to show a fine fracture line."""
        return self.levels < _LEAST_LEVELS

    @property
    def clipped(self) -> bool:
        """Whether parts have lost their detail to plain black or white, or lie under a bar."""
        return self.black > _MOST_BLACK or self.white > _MOST_WHITE or self.plain > _MOST_PLAIN


def measure(pixels: np.ndarray) -> Brightness:
    """Return the brightness of a picture, float32 (height, width) in [0, 1]."""
    levels = sample_of(pixels)
    low, high = robust_range(levels)
    # Any depth up to 16 bits keeps its levels apart.
    counts = np.bincount(np.rint(levels * np.float32(65535)).astype(np.intp), minlength=65536)
    occurring = np.flatnonzero(counts)
    return Brightness(
        low=low,
        high=high,
        levels=int(np.count_nonzero(counts[math.floor(low * 65535) : math.ceil(high * 65535) + 1])),
        black=float(counts[occurring[0]] / levels.size),
        white=float(counts[occurring[-1]] / levels.size),
        plain=max(float((pixels.max(axis) == pixels.min(axis)).mean()) for axis in (0, 1)),
    )


def stretched(pixels: np.ndarray, brightness: Brightness) -> np.ndarray:
    """Return a dim or flat picture with the range of a usual radiograph; any other, or a blank one, as it is.

    Args:
        pixels: float32 (height, width) in [0, 1].
        brightness: of the picture, or of the part that matters.
    """
    if not brightness.narrow or brightness.high <= brightness.low:
        return pixels
    low, high = _STRETCHED
    gain = (high - low) / (brightness.high - brightness.low)
    wide = (pixels - np.float32(brightness.low)) * np.float32(gain) + np.float32(low)
    return np.clip(wide, 0.0, 1.0)


def sample_of(pixels: np.ndarray, count: int = _SAMPLES) -> np.ndarray:
    """Return evenly spaced pixels of a picture (height, width), flat: some ``count`` of a larger one."""
    step = max(1, math.isqrt(pixels.size // count))
    return pixels[::step, ::step].ravel()


def robust_range(levels: np.ndarray) -> tuple[float, float]:
    """Return the lowest and the highest grey level that matter, whatever a few pixels or a marker are.

    Those of all pixels where nearly all have one level.

    Args:
        levels: flat sample of a picture, any real dtype; see :func:`sample_of`.
    """
    low, bulk_low, bulk_high, high = (
        float(level) for level in np.percentile(levels, sorted(_EXTREMES + _BULK))
    )
    if high - low > _BRIGHT_MARKER * (bulk_high - low):
        limit = low + _BRIGHT_MARKER * (bulk_high - low)
        beyond = levels[levels > limit]
        if _of_one_level(float(beyond.max()) - beyond, high - low):
            high = float(np.percentile(levels[levels <= limit], _EXTREMES[1]))
    if high - low > _DARK_MARKER * (high - bulk_low):
        limit = high - _DARK_MARKER * (high - bulk_low)
        beyond = levels[levels < limit]
        if _of_one_level(beyond - float(beyond.min()), high - low):
            low = float(np.percentile(levels[levels >= limit], _EXTREMES[0]))
    return (low, high) if high > low else (float(levels.min()), float(levels.max()))


def _of_one_level(distances: np.ndarray, reach: float) -> bool:
    """Return whether most pixels beyond a limit lie next to the outermost one."""
    return bool(np.mean(distances <= _ONE_LEVEL * reach) >= 0.8)
