"""Random grey levels of a radiograph: gamma, contrast, brightness, local equalisation, dimness."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from utils.imaging.brightness import measure, stretched
from utils.training.augmentation.pose import log_uniform

_LEVELS = np.linspace(0.0, 1.0, 256)


@dataclass(frozen=True)
class ToneRange:
    """Rates and ranges of random grey levels; those of the defaults change nothing.

    Args:
        gamma: largest exponent; the least is its inverse.
        contrast: largest relative change either way, about the mean level.
        brightness: largest change either way, as a share of the full scale; at most half of the mean level
            downwards, lest a dim bone turns black.
        equalise: rate of contrast-limited adaptive histogram equalisation (CLAHE).
        equalise_limit: largest clip limit of it.
        dim: rate of pictures that lost grey levels by dimming, and are stretched as in preprocessing.
        dim_by: largest divisor of their levels.
    """

    gamma: float = 1.0
    contrast: float = 0.0
    brightness: float = 0.0
    equalise: float = 0.0
    equalise_limit: float = 3.0
    dim: float = 0.0
    dim_by: int = 10


def change_tone(picture: np.ndarray, random: np.random.Generator, ranges: ToneRange) -> np.ndarray:
    """Return a picture uint8 (height, width) in other grey levels."""
    if random.random() < ranges.dim:
        divisor = int(random.integers(2, ranges.dim_by + 1))
        dimmed = (picture // divisor).astype(np.float32) / np.float32(255)
        picture = cv2.convertScaleAbs(stretched(dimmed, measure(dimmed)), alpha=255.0)
    picture = cv2.LUT(picture, _curve(cv2.mean(picture)[0] / 255.0, random, ranges))
    if random.random() < ranges.equalise:
        tiles = int(random.integers(3, 9))
        limit = random.uniform(1.0, ranges.equalise_limit)
        picture = cv2.createCLAHE(limit, (tiles, tiles)).apply(picture)
    return picture


def _curve(mean: float, random: np.random.Generator, ranges: ToneRange) -> np.ndarray:
    """Draw a table of new grey levels, uint8 (256,), for a picture of a mean level in [0, 1]."""
    gamma = log_uniform(random, 1 / ranges.gamma, ranges.gamma)
    gain = 1.0 + random.uniform(-ranges.contrast, ranges.contrast)
    offset = max(random.uniform(-ranges.brightness, ranges.brightness), -mean / 2)
    middle = mean**gamma
    curve = (np.power(_LEVELS, gamma) - middle) * gain + middle + offset
    return np.rint(255.0 * curve.clip(0.0, 1.0)).astype(np.uint8)
