"""Random quality of a radiograph: blur, sharpening, noise, lost resolution, JPEG compression."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from utils.imaging.geometry import resize


@dataclass(frozen=True)
class QualityRange:
    """Rates and ranges of a random quality; those of the defaults change nothing.

    Args:
        blur: rate of Gaussian blur.
        blur_by: largest standard deviation, pixels.
        sharpen: rate of sharpening by an unsharp mask, in pictures that are not blurred.
        sharpen_by: largest weight of the mask.
        noise: rate of Gaussian noise, white or with grains of two pixels.
        noise_by: largest standard deviation, as a share of the full scale.
        shrink: rate of pictures shrunk and enlarged again.
        shrink_to: least scale of them.
        jpeg: rate of JPEG compression.
        jpeg_quality: least and largest quality, of 100.
    """

    blur: float = 0.0
    blur_by: float = 1.2
    sharpen: float = 0.0
    sharpen_by: float = 1.5
    noise: float = 0.0
    noise_by: float = 0.02
    shrink: float = 0.0
    shrink_to: float = 0.5
    jpeg: float = 0.0
    jpeg_quality: tuple[int, int] = (20, 90)


def change_quality(
    picture: np.ndarray, random: np.random.Generator, ranges: QualityRange
) -> np.ndarray:
    """Return a picture uint8 (size, size) as another device or archive would show it."""
    if random.random() < ranges.blur:
        picture = cv2.GaussianBlur(picture, (0, 0), random.uniform(0.3, ranges.blur_by))
    elif random.random() < ranges.sharpen:
        weight = random.uniform(0.2, ranges.sharpen_by)
        smooth = cv2.GaussianBlur(picture, (0, 0), random.uniform(0.7, 2.5))
        picture = cv2.addWeighted(picture, 1.0 + weight, smooth, -weight, 0.0)
    if random.random() < ranges.noise:
        picture = _add_noise(picture, random, ranges.noise_by)
    if random.random() < ranges.shrink:
        height, width = picture.shape
        share = random.uniform(ranges.shrink_to, 0.9)
        small = resize(picture, max(8, round(share * height)), max(8, round(share * width)))
        picture = resize(small, height, width)
    if random.random() < ranges.jpeg:
        low, high = ranges.jpeg_quality
        quality = int(random.integers(low, high + 1))
        _, packed = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
        picture = np.asarray(cv2.imdecode(packed, cv2.IMREAD_GRAYSCALE))
    return picture


def _add_noise(picture: np.ndarray, random: np.random.Generator, most: float) -> np.ndarray:
    """Add noise of a random strength, with grains of one or two pixels."""
    height, width = picture.shape
    grain = int(random.integers(1, 3))
    shape = (-(-height // grain), -(-width // grain))
    noise = random.standard_normal(shape, np.float32) * np.float32(255 * random.uniform(0.0, most))
    return cv2.add(picture, resize(noise, height, width), dtype=cv2.CV_8U)
