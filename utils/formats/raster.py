"""Brightness of raster pictures: grey levels, colour, transparency and orientation.

Colour becomes luminance by Rec. 601 (0.299 red, 0.587 green, 0.114 blue); transparent pixels are
composited on black. A sample of 8 bits is ``level / 255`` exactly. A sample of 16 bits is divided by the full
scale of the smallest of 8, 10, 12, 14 and 16 bits that holds the picture's highest level, because
scanners and exports store 12 bits in 16 without saying so.

Pillow's switch for truncated files and its size limit belong to the whole process, and threads
serve requests; so the formats open its plug-ins directly and check sizes against the header.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from utils.errors import FractureError, UnreadableImage, UnsupportedFormat
from utils.imaging.radiograph import Radiograph

if TYPE_CHECKING:
    from PIL.Image import Image

FULL_SCALE_BITS = (8, 10, 12, 14, 16)
ORIENTATION_TAG = 0x0112
# Orientations in which rows become columns.
SIDEWAYS = (5, 6, 7, 8)
DEEP_MODES = ("I;16", "I;16L", "I;16B", "I;16N", "I")
PLAIN_MODES = ("1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr")


@contextmanager
def codec_errors(format: str) -> Iterator[None]:
    """Raise UnreadableImage for whatever a codec raises over a damaged file."""
    try:
        yield
    except (FractureError, MemoryError):
        raise
    # Codecs raise anything at all over damaged bytes (SyntaxError, struct.error, KeyError, ...),
    # and each of them means the same to the caller.
    except Exception as error:
        raise UnreadableImage("formats.damaged", format=format, reason=error) from error


def radiograph(image: Image, format: str) -> Radiograph:
    """Return an opened picture of a format in FORMATS as a radiograph, upright."""
    return Radiograph(upright(brightness(image), orientation(image)), format)


def brightness(image: Image) -> np.ndarray:
    """Load an opened picture and return its brightness, float32 (height, width) in [0, 1].

    Raises:
        UnsupportedFormat: a pixel layout that is not read.
    """
    image.load()
    if image.mode in DEEP_MODES:
        return _deep_grey(image)
    if image.mode not in PLAIN_MODES:
        raise UnsupportedFormat("formats.pixel_mode", mode=image.mode)
    alpha = None
    if image.has_transparency_data:
        image = image.convert("RGBA") if image.mode != "LA" else image
        alpha = np.asarray(image.getchannel("A"))
    elif image.mode not in ("1", "L", "RGB"):
        image = image.convert("RGB")
    pixels = np.asarray(image.convert("L")).astype(np.float32)
    pixels /= np.float32(255)
    if alpha is not None and alpha.min() < 255:
        pixels *= alpha.astype(np.float32) / np.float32(255)
    return pixels


def luminance(colour: np.ndarray) -> np.ndarray:
    """Return the luminance of red, green and blue (height, width, 3) by Rec. 601, uint32."""
    # Whole numbers that sum to 2**16, so that grey stays exactly itself.
    weighted = colour[..., 0] * np.uint32(19595)
    weighted += colour[..., 1] * np.uint32(38470)
    weighted += colour[..., 2] * np.uint32(7471)
    weighted += np.uint32(1 << 15)
    weighted >>= np.uint32(16)
    return weighted


def deep_colour(samples: np.ndarray) -> np.ndarray:
    """Return 16-bit blue, green, red (and alpha) as luminance, float32 in [0, 1]."""
    colour = samples[..., :3]
    pixels = luminance(colour[..., ::-1]).astype(np.float32)
    pixels /= np.float32(full_scale(int(colour.max())))
    if samples.shape[2] == 4:
        pixels *= samples[..., 3].astype(np.float32) / np.float32(65535)
    return pixels


def orientation(image: Image) -> int:
    """Return the EXIF orientation, 1 where there is none or the block cannot be read."""
    try:
        found = image.getexif().get(ORIENTATION_TAG, 1)
    # A broken EXIF block is common and does not concern the pixels: viewers show such files as
    # they are stored.
    except (OSError, SyntaxError, ValueError, TypeError, LookupError, struct.error):
        return 1
    return found if isinstance(found, int) else 1


def upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Apply an EXIF orientation (1 to 8) to (height, width) pixels.

    Source:
        EXIF 2.32 (CIPA DC-008), tag 0x0112.
    """
    if orientation in SIDEWAYS:
        pixels = pixels.T
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)


def full_scale(highest: int) -> int:
    """Return the level that means white in a 16-bit picture whose highest level is given."""
    return next(2**bits - 1 for bits in FULL_SCALE_BITS if highest < 2**bits)


def _deep_grey(image: Image) -> np.ndarray:
    """Return 16-bit grey as float32 in [0, 1], by the rule in the module's docstring."""
    levels = np.asarray(image)
    low, high = int(levels.min()), int(levels.max())
    if low < 0 or high >= 2 ** FULL_SCALE_BITS[-1]:
        raise UnsupportedFormat("formats.levels", low=low, high=high)
    pixels = levels.astype(np.float32)
    pixels /= np.float32(full_scale(high))
    tags = getattr(image, "tag_v2", {})
    if tags.get(262) == 0:  # TIFF's WhiteIsZero, which Pillow inverts for 8 bits only
        np.subtract(np.float32(1), pixels, out=pixels)
    return pixels
