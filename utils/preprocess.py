"""Preprocessing: a radiograph's content crop, stretched where it is dim, fitted into a square of bytes.

Training, evaluation and serving share this definition. The border of a picture (collimation, screenshot
margins, an exported page) is cut off, since it would make the bone smaller. ``fit`` returns uint8, so that a
cache of fitted images is small and exact; ``scale`` is a table of 256 rows, so that the numpy code here and
the layer in the training graph (``utils.training.graph.Scale``) agree to the bit.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from utils.errors import BundleError
from utils.imaging.brightness import Brightness, measure, stretched
from utils.imaging.content_crop import crop_in_file, find_content_crop
from utils.imaging.geometry import Rectangle, placement, resize
from utils.imaging.radiograph import DETAIL, Radiograph
from utils.registry import Registry

VERSION = 3
LETTERBOX = "letterbox"
# Sides of the network's input, pixels. Large pictures are decoded no larger than DETAIL.
SMALLEST, LARGEST = 32, DETAIL

_LEVELS = np.arange(256, dtype=np.float64)[:, None]


def _table(mean: tuple[float, float, float], deviation: tuple[float, float, float]) -> np.ndarray:
    """Rows of (level - mean) / deviation for the 256 grey levels, float32 (256, 3)."""
    return ((_LEVELS - np.array(mean)) / np.array(deviation)).astype(np.float32)


# Grey level to the three input channels, by the name keras.applications gives each convention.
SCALINGS: Registry[np.ndarray] = Registry(
    "scaling",
    {
        # ImageNet mean and deviation of levels in [0, 1]: DenseNet.
        "torch": _table((123.675, 116.28, 103.53), (58.395, 57.12, 57.375)),
        # [-1, 1]: MobileNetV2.
        "tf": _table((127.5, 127.5, 127.5), (127.5, 127.5, 127.5)),
        # [-1, 1] around 127: EfficientNet-Lite.
        "lite": _table((127.0, 127.0, 127.0), (128.0, 128.0, 128.0)),
        # Mean of each channel in blue, green, red order taken off: VGG, ResNet.
        "caffe": _table((103.939, 116.779, 123.68), (1.0, 1.0, 1.0)),
        # Levels as they are; the network scales them itself: EfficientNet.
        "raw": _table((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
        # [0, 1]: the custom network.
        "unit": _table((0.0, 0.0, 0.0), (255.0, 255.0, 255.0)),
    },
)


@dataclass(frozen=True)
class PreprocessSpec:
    """Preprocessing parameters; stored in the bundle's sidecar.

    Args:
        image_size: side of the square input, pixels.
        scaling: name in SCALINGS.
        fit: the way to a square; "letterbox" is the only one.
        version: of this module's arithmetic; a bundle of another version is refused.

    Raises:
        BundleError: a version or fit that this code does not implement, or an impossible size.
        UnknownName: a scaling that is not in SCALINGS.
    """

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 -- for the sidecar's schema

    image_size: int
    scaling: str
    fit: str = LETTERBOX
    version: int = VERSION

    def __post_init__(self) -> None:
        if self.version != VERSION or self.fit != LETTERBOX:
            raise BundleError(
                "model.unknown_preprocessing",
                version=self.version,
                fit=self.fit,
                known_version=VERSION,
                known_fit=LETTERBOX,
            )
        if not SMALLEST <= self.image_size <= LARGEST:
            raise BundleError(
                "model.image_size_out_of_range",
                size=self.image_size,
                smallest=SMALLEST,
                largest=LARGEST,
            )
        SCALINGS[self.scaling]


def fit(pixels: np.ndarray, size: int) -> np.ndarray:
    """Fit the content crop of a radiograph into a square: aspect kept, centred, black around it.

    A dim or flat crop is stretched, see ``imaging.brightness``.

    Args:
        pixels: float32 (height, width) in [0, 1].
        size: side of the square, pixels.

    Returns:
        uint8 (size, size).
    """
    content = pixels[find_content_crop(pixels).inside]
    return letterbox(stretched(content, measure(content)), size)


@dataclass(frozen=True, eq=False)
class NetworkInput:
    """What the network sees of a radiograph.

    Args:
        pixels: fitted, uint8 (size, size).
        crop: content crop, in pixels of the file's picture.
        brightness: of the crop, before it was stretched.
    """

    pixels: np.ndarray
    crop: Rectangle
    brightness: Brightness


def network_input(radiograph: Radiograph, size: int) -> NetworkInput:
    """Find the content crop of a radiograph and fit it into a square of ``size`` pixels."""
    crop = find_content_crop(radiograph.pixels)
    content = radiograph.pixels[crop.inside]
    brightness = measure(content)
    fitted = letterbox(stretched(content, brightness), size)
    return NetworkInput(fitted, crop_in_file(crop, radiograph), brightness)


def letterbox(pixels: np.ndarray, size: int) -> np.ndarray:
    """Fit a whole picture into a square; see :func:`fit`."""
    height, width = pixels.shape
    place = placement(height, width, size)
    inner = resize(pixels, place.height, place.width)
    square = np.zeros((size, size), np.uint8)
    # Scales and rounds in one pass.
    square[place.inside] = cv2.convertScaleAbs(inner, alpha=255.0)
    return square


def invert(fitted: np.ndarray, crop: Rectangle) -> np.ndarray:
    """Return a fitted radiograph with its greys inverted; the letterbox bars stay black.

    Args:
        fitted: uint8 (size, size).
        crop: content crop that was fitted.
    """
    place = placement(crop.height, crop.width, fitted.shape[0])
    inverted = np.zeros_like(fitted)
    inverted[place.inside] = 255 - fitted[place.inside]
    return inverted


def scale(fitted: np.ndarray, scaling: str) -> np.ndarray:
    """Look fitted grey levels up in a scaling's table.

    Args:
        fitted: uint8 (..., size, size).
        scaling: name in SCALINGS.

    Returns:
        float32 (..., size, size, 3).
    """
    return SCALINGS[scaling][fitted]


def preprocess(pixels: np.ndarray, spec: PreprocessSpec) -> np.ndarray:
    """Return the network's input, float32 (size, size, 3), for pixels float32 (height, width)."""
    return scale(fit(pixels, spec.image_size), spec.scaling)
