"""Ways that change brightness and depth: dim, flat, over-exposed, 12 bits in 16, a marker."""

from __future__ import annotations

import numpy as np

from benchmarks.ways.files import deep, tiff, to_bytes
from benchmarks.ways.way import Change, Way, unchanged

KIND = "brightness"


def marked(samples: np.ndarray, level: int) -> np.ndarray:
    """Burn an L of a level into a corner, a twentieth of the shorter side high."""
    side = max(10, min(samples.shape) // 20)
    burnt = samples.copy()
    burnt[side : 2 * side, side : side + side // 3] = level
    burnt[2 * side - side // 3 : 2 * side, side : 2 * side] = level
    return burnt


def with_hot_pixels(samples: np.ndarray, level: int, share: float = 0.0) -> np.ndarray:
    """Set a share of the pixels to a level, at least one; the same pixels each time."""
    hot = samples.copy()
    count = max(1, round(share * samples.size))
    hot.ravel()[np.random.default_rng(0).integers(0, samples.size, count)] = level
    return hot


def divided(divisor: int) -> Change:
    """Return the change that leaves so many times fewer grey levels, dark."""
    return lambda grey, _: grey // divisor


def flattened(share: float, middle: float = 127.5) -> Change:
    """Return the change to a share of the contrast around a level."""
    return lambda grey, _: to_bytes(middle + (grey - middle) * share)


def shifted(levels: int) -> Change:
    """Return the change of every level by a number."""
    return lambda grey, _: to_bytes(grey.astype(np.float32) + levels)


def multiplied(gain: float) -> Change:
    """Return the change by a gain, which clips."""
    return lambda grey, _: to_bytes(grey * np.float32(gain))


def curved(gamma: float) -> Change:
    """Return the change by a power of the brightness."""
    return lambda grey, _: to_bytes(255 * (grey / np.float32(255)) ** gamma)


def posterised(levels: int) -> Change:
    """Return the change to so many evenly spaced levels."""
    step = 255 / (levels - 1)
    return lambda grey, _: to_bytes(np.rint(grey / step) * step)


def equalised(grey: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Equalise the histogram."""
    cumulated = np.cumsum(np.bincount(grey.ravel(), minlength=256))
    return to_bytes(255 * cumulated / cumulated[-1])[grey]


def with_fog(grey: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Brighten one side, as a half-fogged film or a strong heel effect does."""
    fog = np.linspace(0, 90, grey.shape[1], dtype=np.float32)
    return to_bytes(grey * np.float32(0.65) + fog)


WAYS = (
    *(
        Way(KIND, f"grey levels / {divisor}", divided(divisor), destructive=divisor >= 16)
        for divisor in (2, 4, 8, 16, 32)
    ),
    *(
        Way(KIND, f"contrast {percent} % around mid-grey", flattened(percent / 100))
        for percent in (50, 25, 10)
    ),
    Way(KIND, "contrast 6 % around mid-grey", flattened(0.06, 120), destructive=True),
    Way(KIND, "contrast 25 % in the whites", flattened(0.25, 255)),
    Way(KIND, "every level -100", shifted(-100), destructive=True),
    Way(KIND, "every level -60", shifted(-60), destructive=True),
    Way(KIND, "every level +60", shifted(60)),
    *(Way(KIND, f"{gain:g} times as bright", multiplied(gain)) for gain in (0.1, 0.25, 1.4)),
    *(
        Way(KIND, f"over-exposed {gain} times", multiplied(gain), destructive=True)
        for gain in (2, 4)
    ),
    *(Way(KIND, f"gamma {gamma:g}", curved(gamma)) for gamma in (0.4, 0.6, 1.7, 2.5)),
    Way(KIND, "histogram equalised", equalised),
    Way(KIND, "brighter on one side", with_fog),
    Way(KIND, "greys inverted", lambda grey, _: 255 - grey),
    Way(KIND, "posterised to 32 levels", posterised(32)),
    Way(KIND, "posterised to 12 levels", posterised(12), destructive=True),
    Way(KIND, "grey levels / 4 with a white marker", lambda grey, _: marked(grey // 4, 255)),
    Way(KIND, "grey levels / 8, 0.1 % hot pixels", lambda g, _: with_hot_pixels(g // 8, 255, 1e-3)),
    Way(KIND, "8-bit TIFF", unchanged, tiff),
    Way(KIND, "12 bits in 16-bit PNG", lambda grey, _: deep(grey, 12)),
    Way(
        KIND,
        "12 bits in 16-bit PNG, one hot pixel",
        lambda grey, _: with_hot_pixels(deep(grey, 12), 65535),
    ),
    Way(
        KIND,
        "12 bits in 16-bit PNG, 0.1 % hot pixels",
        lambda grey, _: with_hot_pixels(deep(grey, 12), 65535, 1e-3),
    ),
    Way(
        KIND,
        "12 bits in 16-bit PNG, burnt-in marker",
        lambda grey, _: marked(deep(grey, 12), 65535),
    ),
    Way(
        KIND,
        "12 bits in 16-bit TIFF, burnt-in marker",
        lambda grey, _: marked(deep(grey, 12), 65535),
        tiff,
    ),
    Way(
        KIND,
        "10 bits in 16-bit PNG, burnt-in marker",
        lambda grey, _: marked(deep(grey, 10), 65535),
    ),
    Way(KIND, "12 bits from 32768 on in 16-bit PNG", lambda grey, _: deep(grey, 12) + 32768),
)
