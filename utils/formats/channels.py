"""Channels of a raster picture: which of them carry it, and whether its transparency means anything.

Colour becomes luminance by Rec. 601 (0.299 red, 0.587 green, 0.114 blue) of the channels that carry the
picture: a radiograph stored in one of them, beside empty ones, is that channel. Transparent pixels are
composited on black where they cut out a subject. Transparency that hides the picture is ignored.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from utils.errors import UnsupportedFormat
from utils.imaging.brightness import robust_range, sample_of

# Rec. 601 in whole numbers that sum to 2**16, so that grey stays exactly itself.
_WEIGHTS = (19595, 38470, 7471)
# A channel whose robust range is a smaller share of the widest one's carries nothing.
_CARRIES = 0.25
# Robust range, as a share of full scale, of what is of one level.
_FLAT = 2 / 255
# Shares of full scale between which alpha is neither opaque nor transparent; of a cut-out, few pixels are so.
_TRANSLUCENT = (0.1, 0.9)
_MOST_TRANSLUCENT = 0.25
# Share of a picture that must be visible where its transparent part holds more than one level.
_LEAST_VISIBLE = 0.25
# Share of premultiplied pixels that may be brighter than their alpha, by rounding.
_MOST_ABOVE_ALPHA = 0.001


def picture(colour: np.ndarray) -> np.ndarray:
    """Return red, green and blue (height, width, 3), uint8 or uint16, as one channel of the same type."""
    weights = _weights_of(colour)
    if weights == _WEIGHTS and colour.dtype == np.uint8:
        # The same sum, several times as fast.
        return np.asarray(Image.fromarray(np.ascontiguousarray(colour)).convert("L"))
    return _weighted(colour, weights).astype(colour.dtype)


def straight(colour: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Return premultiplied (associated) colours divided by their alpha.

    Colours brighter than their alpha were never multiplied by it, and are returned as they are.

    Args:
        colour: (height, width) or (height, width, 3), uint8 or uint16.
        alpha: (height, width) of the same type.
    """
    alpha = alpha if colour.ndim == 2 else alpha[..., None]
    if np.mean(colour > alpha) > _MOST_ABOVE_ALPHA:
        return colour
    highest = np.iinfo(colour.dtype).max
    divided = colour.astype(np.float32) * np.float32(highest) / np.maximum(alpha, 1)
    return np.rint(np.minimum(divided, highest)).astype(colour.dtype)


def cuts_out(alpha: np.ndarray, levels: np.ndarray) -> bool:
    """Return whether transparency cuts a subject out of its ground, rather than hiding the picture.

    Args:
        alpha: uint8 or uint16 (height, width).
        levels: float32 (height, width) in [0, 1], the picture as if it were opaque.

    Raises:
        UnsupportedFormat: the picture is in alpha alone, over a dark colour, so that its polarity is unknown.
    """
    opacity = sample_of(alpha) / np.float32(np.iinfo(alpha.dtype).max)
    sample = sample_of(levels)
    if _spread(sample) <= _FLAT and _spread(opacity) > _FLAT:
        if np.median(sample) < 0.5:
            raise UnsupportedFormat("formats.only_transparency")
        return True
    low, high = _TRANSLUCENT
    if np.mean((opacity > low) & (opacity < high)) > _MOST_TRANSLUCENT:
        return False
    visible, hidden = sample[opacity >= 0.5], sample[opacity < 0.5]
    if not visible.size:
        return False
    return _spread(hidden) <= _FLAT or (
        visible.size >= _LEAST_VISIBLE * sample.size and _spread(visible) >= _spread(hidden) / 2
    )


def _weights_of(colour: np.ndarray) -> tuple[int, ...]:
    """Return the weights of the channels that carry a picture: Rec. 601's, shared out among them."""
    sample = np.stack([sample_of(colour[..., channel]) for channel in range(3)])
    if np.array_equal(sample[0], sample[1]) and np.array_equal(sample[1], sample[2]):
        return _WEIGHTS
    spreads = [_spread(channel) for channel in sample]
    kept = [
        weight if spread >= _CARRIES * max(spreads) else 0
        for weight, spread in zip(_WEIGHTS, spreads, strict=True)
    ]
    shares = [round(weight / sum(kept) * sum(_WEIGHTS)) for weight in kept]
    return tuple(shares)


def _weighted(colour: np.ndarray, weights: tuple[int, ...]) -> np.ndarray:
    """Return the weighted mean of red, green and blue, uint32 (height, width).

    Args:
        colour: (height, width, 3), levels of at most 16 bits.
        weights: of the channels, with the sum 2**16.
    """
    weighted = colour[..., 0] * np.uint32(weights[0])
    weighted += colour[..., 1] * np.uint32(weights[1])
    weighted += colour[..., 2] * np.uint32(weights[2])
    weighted += np.uint32(1 << 15)
    weighted >>= np.uint32(16)
    return weighted


def _spread(levels: np.ndarray) -> float:
    """Return the width of the robust range of a flat sample, 0 of none."""
    if not levels.size:
        return 0.0
    low, high = robust_range(levels)
    return high - low
