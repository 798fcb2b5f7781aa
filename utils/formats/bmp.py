"""BMP files, and refusal of those whose pixels contradict their header.

A BMP has no checksum and no end marker: that data is missing shows only in its length, or in the pixels
that its run-length codes skip.
"""

from __future__ import annotations

import io
import struct
from typing import Any, cast

from PIL import BmpImagePlugin

from utils.errors import UnreadableImage
from utils.formats import raster
from utils.imaging.radiograph import Limits, Radiograph

_HEADERS = (12, 40, 52, 56, 64, 108, V5_HEADER := 124)
_RLE4 = 2
# Codes that follow a zero in run-length coding.
_END_OF_LINE, _END_OF_BITMAP, _DELTA = 0, 1, 2


def starts_bmp(content: bytes) -> bool:
    """Return whether bytes begin a BMP file."""
    # "BM" starts many a text; the length of the header that follows does not.
    return content[:2] == b"BM" and int.from_bytes(content[14:18], "little") in _HEADERS


def read_bmp(content: bytes, limits: Limits, allow_truncated: bool) -> Radiograph:
    """Decode a BMP; one that ends early is always refused. See ``formats.decode``."""
    with raster.codec_errors("BMP"):
        image = BmpImagePlugin.BmpImageFile(io.BytesIO(content))
        limits.check_pixels(image.height, image.width)
        codec, _, start, arguments = cast("tuple[str, object, int, tuple[Any, ...]]", image.tile[0])
        if codec == "bmp_rle":
            four_bits = image.info["compression"] == _RLE4
            _check_runs(content[start:], image.width, image.height, four_bits)
        else:
            stride = arguments[1]
            if _bytes_beyond(content, start + stride * image.height) >= stride:
                raise UnreadableImage(
                    "formats.more_rows", format="BMP", width=image.width, height=image.height
                )
        return raster.radiograph(image, "bmp")


def _bytes_beyond(content: bytes, end: int) -> int:
    """Return how many bytes follow the declared pixels, up to a colour profile if there is one."""
    last = len(content)
    if int.from_bytes(content[14:18], "little") == V5_HEADER:
        profile, size = struct.unpack_from("<II", content, 14 + 112)
        if size and 14 + profile >= end:
            last = min(last, 14 + profile)
    return last - end


def _check_runs(packed: bytes, width: int, height: int, four_bits: bool) -> None:
    """Raise UnreadableImage unless run-length codes set each of the pixels that the header declares.

    Source:
        Microsoft, "Bitmap Compression" (BI_RLE8, BI_RLE4).
    """
    position = row = column = 0
    while position + 2 <= len(packed):
        count, value = packed[position], packed[position + 1]
        position += 2
        if count or value > _DELTA:
            column += count or value
            if not count:
                length = (value + 1) // 2 if four_bits else value
                position += length + length % 2
            # Four bits come in pairs: the last of a row of odd width may stand for none.
            if column > width + four_bits or row == height:
                raise UnreadableImage("formats.more_rows", format="BMP", width=width, height=height)
        elif value == _END_OF_LINE and column >= width:
            row, column = row + 1, 0
        elif value == _END_OF_BITMAP:
            break
        else:
            raise UnreadableImage("formats.bmp_skips")
    if row + (column >= width) < height or position > len(packed):
        raise UnreadableImage("formats.ends_early", format="BMP")
