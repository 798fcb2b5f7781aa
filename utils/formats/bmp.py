"""BMP files."""

from __future__ import annotations

import io

from PIL import BmpImagePlugin

from utils.formats import raster
from utils.imaging.radiograph import Limits, Radiograph


def starts_bmp(content: bytes) -> bool:
    """Return whether bytes begin a BMP file."""
    # "BM" starts many a text; the length of the header that follows does not.
    sizes = (12, 40, 52, 56, 64, 108, 124)
    return content[:2] == b"BM" and int.from_bytes(content[14:18], "little") in sizes


def read_bmp(content: bytes, limits: Limits, allow_truncated: bool) -> Radiograph:
    """Decode a BMP; one that ends early is always refused. See ``formats.decode``."""
    with raster.codec_errors("BMP"):
        image = BmpImagePlugin.BmpImageFile(io.BytesIO(content))
        limits.check_pixels(image.height, image.width)
        return raster.radiograph(image, "bmp")
