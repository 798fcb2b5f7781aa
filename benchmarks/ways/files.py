"""Encoders from pixels to the bytes of a file, and conversions of depth."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image

from tests.support.raster_files import save

# EXIF and TIFF tag.
ORIENTATION = 0x0112


def encode(picture: np.ndarray, format: str, **options: Any) -> bytes:
    """Encode uint8 (height, width[, channels]) or uint16 (height, width) with Pillow."""
    return save(Image.fromarray(np.ascontiguousarray(picture)), format, **options)


def png(picture: np.ndarray, **options: Any) -> bytes:
    """Encode as PNG; 16-bit grey stays 16 bits."""
    return encode(picture, "PNG", compress_level=1, **options)


def jpeg(picture: np.ndarray, quality: int = 90, **options: Any) -> bytes:
    """Encode as JPEG."""
    return encode(picture, "JPEG", quality=quality, **options)


def tiff(picture: np.ndarray, **options: Any) -> bytes:
    """Encode as TIFF."""
    return encode(picture, "TIFF", **options)


def webp(picture: np.ndarray, **options: Any) -> bytes:
    """Encode as lossy WebP, which has no grey."""
    colour = picture if picture.ndim == 3 else np.dstack([picture] * 3)
    return encode(colour, "WEBP", quality=90, method=2, **options)


def bmp(picture: np.ndarray) -> bytes:
    """Encode as BMP."""
    return encode(picture, "BMP")


def exif(orientation: int) -> Image.Exif:
    """Return an EXIF block with an orientation alone."""
    block = Image.Exif()
    block[ORIENTATION] = orientation
    return block


def to_bytes(picture: np.ndarray) -> np.ndarray:
    """Round to uint8, clipped to 0 and 255."""
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8)


def deep(grey: np.ndarray, bits: int) -> np.ndarray:
    """Spread 8 bits over the lowest ``bits`` of 16, as a detector of that depth stores them."""
    wide = grey.astype(np.uint16)
    return (wide << (bits - 8)) | (wide >> (16 - bits))
