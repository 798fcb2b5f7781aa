"""TIFF files of one page."""

from __future__ import annotations

import io
from contextlib import suppress

from PIL import TiffImagePlugin

from utils.errors import NotARadiograph
from utils.formats import raster
from utils.imaging.radiograph import Limits, Radiograph


def read_tiff(content: bytes, limits: Limits, allow_truncated: bool) -> Radiograph:
    """Decode a TIFF; one that ends early is always refused. See ``formats.decode``."""
    with raster.codec_errors("TIFF"):
        image = TiffImagePlugin.TiffImageFile(io.BytesIO(content))
        limits.check_pixels(image.height, image.width)
        with suppress(EOFError):
            TiffImagePlugin.TiffImageFile(io.BytesIO(content)).seek(1)
            raise NotARadiograph("formats.several_pages")
        return raster.radiograph(image, "tiff")
