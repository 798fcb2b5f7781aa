"""Ways that change size, proportions, sharpness or compression."""

from __future__ import annotations

from functools import partial

import cv2
import numpy as np

from benchmarks.ways.files import bmp, jpeg, to_bytes, webp
from benchmarks.ways.way import Change, Way, unchanged
from tests.support.raster_files import interlaced_png

KIND = "size and sharpness"


def scaled(down: float, across: float) -> Change:
    """Return the resizing by a factor down and a factor across."""

    def change(grey: np.ndarray, random: np.random.Generator) -> np.ndarray:
        size = (max(16, round(grey.shape[1] * across)), max(16, round(grey.shape[0] * down)))
        area = cv2.INTER_AREA if down * across < 1 else cv2.INTER_LINEAR
        return cv2.resize(grey, size, interpolation=area)

    return change


def to_square(side: int) -> Change:
    """Return the resizing to a square, proportions lost."""
    return lambda grey, _: cv2.resize(grey, (side, side), interpolation=cv2.INTER_AREA)


def trimmed(share: float) -> Change:
    """Return the change that cuts a share off each edge."""

    def change(grey: np.ndarray, random: np.random.Generator) -> np.ndarray:
        down, across = (round(share * side) for side in grey.shape)
        return grey[down : grey.shape[0] - down, across : grey.shape[1] - across]

    return change


def blurred(share: float) -> Change:
    """Return the Gaussian blur whose deviation is a share of the shorter side."""
    return lambda grey, _: cv2.GaussianBlur(grey, (0, 0), share * min(grey.shape))


def sharpened(grey: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Sharpen by an unsharp mask, as viewers do."""
    soft = cv2.GaussianBlur(grey, (0, 0), 2)
    return cv2.addWeighted(grey, 1.8, soft, -0.8, 0)


def noisy(deviation: float) -> Change:
    """Return the change that adds Gaussian noise."""
    return lambda grey, random: to_bytes(
        grey + deviation * random.standard_normal(grey.shape, np.float32)
    )


def passed_on(grey: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Compress by JPEG at quality 60 five times, a pixel trimmed each time."""
    for _ in range(5):
        coded = cv2.imencode(".jpg", grey[1:, 1:], [cv2.IMWRITE_JPEG_QUALITY, 60])[1]
        grey = cv2.imdecode(coded, cv2.IMREAD_GRAYSCALE)
    return grey


WAYS = (
    Way(KIND, "twice as wide as it should be", scaled(1, 2)),
    Way(KIND, "twice as high as it should be", scaled(2, 1)),
    Way(KIND, "1.5 times as wide as it should be", scaled(1, 1.5)),
    Way(KIND, "squeezed into a square", to_square(512)),
    Way(KIND, "half the size", scaled(0.5, 0.5)),
    Way(KIND, "a quarter of the size", scaled(0.25, 0.25), destructive=True),
    Way(KIND, "three times the size", scaled(3, 3), jpeg),
    Way(KIND, "trimmed by 3 % at each edge", trimmed(0.03)),
    Way(KIND, "JPEG of quality 50", unchanged, partial(jpeg, quality=50)),
    Way(KIND, "JPEG of quality 10", unchanged, partial(jpeg, quality=10), destructive=True),
    Way(KIND, "JPEG of quality 5", unchanged, partial(jpeg, quality=5), destructive=True),
    Way(KIND, "progressive JPEG", unchanged, partial(jpeg, progressive=True)),
    Way(KIND, "JPEG, passed on five times", passed_on, jpeg),
    Way(KIND, "WebP", unchanged, webp),
    Way(KIND, "BMP", unchanged, bmp),
    Way(KIND, "interlaced PNG", unchanged, interlaced_png),
    Way(KIND, "out of focus", blurred(1 / 150), destructive=True),
    Way(KIND, "slightly soft", blurred(1 / 600)),
    Way(KIND, "sharpened", sharpened),
    Way(KIND, "noise of 6 levels", noisy(6)),
    Way(KIND, "noise of 12 levels", noisy(12)),
)
