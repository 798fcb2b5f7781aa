"""WebP stills, and refusal of those whose coded data is damaged.

Neither kind of coded data has a checksum, and libwebp decodes what is damaged inside to noise. But each
code depends on those before, so that after damage the last pixel is decoded too early or not at all: libwebp
reports the latter, and the former shows in data that is left unread.
"""

from __future__ import annotations

import io
import struct

import numpy as np
from PIL import WebPImagePlugin

from utils.errors import NotARadiograph, UnreadableImage
from utils.formats import raster
from utils.imaging.radiograph import Limits, Radiograph

# At most 4 bytes at the end of libwebp's coded data are padding; other encoders may add a few more.
_LAST_BYTES = 8


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
        radiograph = raster.radiograph(image, "webp")
        if _leaves_data_unread(content, np.asarray(image)):
            raise UnreadableImage("formats.webp_unread")
        return radiograph


def _leaves_data_unread(content: bytes, pixels: np.ndarray) -> bool:
    """Return whether the picture (height, width, channels) is the same without its last bytes."""
    kind, data = _coded_data(content)
    # Lossy data ends early without them; in lossless data libwebp may read zeros, so they are inverted.
    inverted = bytes(255 - byte for byte in data[-_LAST_BYTES:]) if kind == b"VP8L" else b""
    data = data[:-_LAST_BYTES] + inverted
    chunk = b"WEBP" + kind + struct.pack("<I", len(data)) + data + bytes(len(data) % 2)
    content = b"RIFF" + struct.pack("<I", len(chunk)) + chunk
    try:
        without = np.asarray(WebPImagePlugin.WebPImageFile(io.BytesIO(content)))
    except (OSError, SyntaxError):
        return False
    return np.array_equal(without[..., :3], pixels[..., :3])


def _coded_data(content: bytes) -> tuple[bytes, bytes]:
    """Return the kind and the content of the first chunk of coded pixels.

    Source:
        RFC 9649, sections 2.3 to 2.7.
    """
    position = 12
    while position + 8 <= len(content):
        kind, length = struct.unpack_from("<4sI", content, position)
        position += 8
        if kind in (b"VP8 ", b"VP8L"):
            return kind, content[position : position + length]
        # The frame of an animation of one: its chunks follow a header of 16 bytes.
        position += 16 if kind == b"ANMF" else length + length % 2
    raise UnreadableImage("formats.webp_header")


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
