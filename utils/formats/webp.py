"""WebP stills."""

from __future__ import annotations

import io
import struct

from PIL import WebPImagePlugin

from utils.errors import NotARadiograph, UnreadableImage
from utils.formats import raster
from utils.imaging.radiograph import Limits, Radiograph


def starts_webp(content: bytes) -> bool:
    """Return whether bytes begin a WebP file."""
    return content.startswith(b"RIFF") and content[8:12] == b"WEBP"


def read_webp(content: bytes, limits: Limits, allow_truncated: bool) -> Radiograph:
    """Decode a WebP; one that ends early is always refused. See ``formats.decode``."""
    with raster.codec_errors("WebP"):
        # Pillow's plug-in sets memory aside for the whole picture as soon as it is opened.
        limits.check_pixels(*_read_size(content))
        image = WebPImagePlugin.WebPImageFile(io.BytesIO(content))
        if image.n_frames > 1:
            raise NotARadiograph("formats.animated", format="WebP")
        return raster.radiograph(image, "webp")


def _read_size(content: bytes) -> tuple[int, int]:
    """Return the (height, width) that a WebP declares.

    Source:
        RFC 9649, sections 2.5 to 2.7.
    """
    kind = content[12:16]
    if kind == b"VP8 " and content[23:26] == b"\x9d\x01\x2a" and len(content) >= 30:
        width, height = struct.unpack_from("<HH", content, 26)
        return height & 0x3FFF, width & 0x3FFF
    if kind == b"VP8L" and content[20:21] == b"\x2f" and len(content) >= 25:
        (bits,) = struct.unpack_from("<I", content, 21)
        return (bits >> 14 & 0x3FFF) + 1, (bits & 0x3FFF) + 1
    if kind == b"VP8X" and len(content) >= 30:
        width = int.from_bytes(content[24:27], "little") + 1
        return int.from_bytes(content[27:30], "little") + 1, width
    raise UnreadableImage("formats.webp_header")
