"""PNG files of any bit depth and colour type."""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import dataclass, field

import cv2
import numpy as np
from PIL import PngImagePlugin

from utils.errors import NotARadiograph, UnreadableImage
from utils.formats import raster
from utils.formats.inflate import count_unpacked
from utils.imaging.radiograph import Limits, Radiograph

SIGNATURE = b"\x89PNG\r\n\x1a\n"
GREY = 0
# Samples a pixel by PNG colour type.
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
# All else (text, colour profiles) is dropped unread: it can unpack to much and holds no pixel.
_KEPT = (b"IHDR", b"PLTE", b"tRNS", b"eXIf")
# First pixel and step, by column and by row, of the seven passes of an interlaced PNG (Adam7).
_PASSES = (
    *((0, 8, 0, 8), (4, 8, 0, 8), (0, 4, 4, 8), (2, 4, 0, 4)),
    *((0, 2, 2, 4), (1, 2, 0, 2), (0, 1, 1, 2)),
)


@dataclass(frozen=True)
class Header:
    """IHDR chunk of a PNG."""

    width: int
    height: int
    bit_depth: int
    colour_type: int
    interlaced: bool

    @property
    def row_bytes(self) -> int:
        """Length of a whole filtered row."""
        return 1 + (self.width * self.bit_depth * _CHANNELS[self.colour_type] + 7) // 8

    @property
    def unpacked_bytes(self) -> int:
        """Length of the filtered rows that the compressed stream must unpack to."""
        bits = self.bit_depth * _CHANNELS[self.colour_type]
        total = 0
        for x, step_x, y, step_y in _PASSES if self.interlaced else ((0, 1, 0, 1),):
            columns = max(0, -(-(self.width - x) // step_x))
            rows = max(0, -(-(self.height - y) // step_y))
            total += rows * (1 + (columns * bits + 7) // 8) if columns else 0
        return total


@dataclass
class Chunks:
    """Chunks of a PNG that matter for its pixels; ``ended`` once IEND was met, ``end`` the place after it."""

    kept: list[tuple[bytes, bytes]] = field(default_factory=list)
    animated: bool = False
    ended: bool = False
    end: int = 0

    def assemble(self) -> bytes:
        """Return a PNG of the kept chunks, the pixels after all others."""
        chunks = sorted(self.kept, key=lambda chunk: chunk[0] == b"IDAT")
        return SIGNATURE + b"".join(
            struct.pack(">I", len(value)) + name + value + struct.pack(">I", _checksum(name, value))
            for name, value in (*chunks, (b"IEND", b""))
        )

    def check_rows(self, header: Header) -> None:
        """Raise where the compressed stream unpacks to other rows than the header declares, or is damaged.

        Neither libpng nor Pillow reads on after the last row that the header declares.
        """
        packed = b"".join(value for name, value in self.kept if name == b"IDAT")
        needed = header.unpacked_bytes
        length, ended = count_unpacked(packed, zlib.MAX_WBITS, needed + header.row_bytes)
        if length < needed or (length == needed and not ended):
            raise UnreadableImage("formats.ends_early", format="PNG")
        if length >= needed + header.row_bytes:
            raise UnreadableImage(
                "formats.more_rows", format="PNG", width=header.width, height=header.height
            )


def read_png(content: bytes, limits: Limits, allow_truncated: bool) -> Radiograph:
    """Decode a PNG; one that ends early is always refused. See ``formats.decode``."""
    with raster.codec_errors("PNG"):
        header = _read_header(content)
        limits.check_pixels(header.height, header.width)
        chunks = _read_chunks(content)
        if chunks.animated:
            raise NotARadiograph("formats.animated", format="PNG")
        if not chunks.ended:
            raise UnreadableImage("formats.ends_early", format="PNG")
        raster.check_single(content[chunks.end :], "PNG")
        chunks.check_rows(header)
        plain = chunks.assemble()
        image = PngImagePlugin.PngImageFile(io.BytesIO(plain))
        if header.bit_depth != 16 or header.colour_type == GREY:
            return raster.radiograph(image, "png")
        # Of deep colour Pillow keeps the upper 8 bits only.
        samples = cv2.imdecode(np.frombuffer(plain, np.uint8), cv2.IMREAD_UNCHANGED)
        if samples is None:
            raise UnreadableImage("formats.png_pixels")
        return raster.from_bgr(samples, "png", raster.orientation(image))


def _checksum(name: bytes, value: bytes) -> int:
    return zlib.crc32(value, zlib.crc32(name))


def _read_header(content: bytes) -> Header:
    """Read the IHDR chunk, which must come first."""
    if len(content) < 33:
        raise UnreadableImage("formats.png_header_short")
    length, name, width, height, depth, colour, _, _, interlace = struct.unpack_from(
        ">I4sIIBBBBB", content, 8
    )
    (crc,) = struct.unpack_from(">I", content, 29)
    if length != 13 or name != b"IHDR" or zlib.crc32(content[12:29]) != crc:
        raise UnreadableImage("formats.png_header")
    if colour not in _CHANNELS or depth not in (1, 2, 4, 8, 16) or not width or not height:
        raise UnreadableImage("formats.png_size")
    return Header(width, height, depth, colour, bool(interlace))


def _read_chunks(content: bytes) -> Chunks:
    """Walk a PNG's chunks to its end chunk, or to the end of the file."""
    chunks = Chunks()
    position = len(SIGNATURE)
    while position + 12 <= len(content) and not chunks.ended:
        length, name = struct.unpack_from(">I4s", content, position)
        position += 8
        value = content[position : position + length]
        checksum = content[position + length : position + length + 4]
        if len(checksum) < 4:
            break
        if name in (*_KEPT, b"IDAT"):
            if _checksum(name, value) != int.from_bytes(checksum, "big"):
                raise UnreadableImage("formats.png_checksum", chunk=name.decode())
            chunks.kept.append((name, value))
        chunks.animated |= name == b"acTL"
        chunks.ended = name == b"IEND"
        position += length + 4
        chunks.end = position
    return chunks
