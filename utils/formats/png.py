"""PNG files of any bit depth and colour type."""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import cv2
import numpy as np
from PIL import PngImagePlugin

from utils.errors import NotARadiograph, UnreadableImage
from utils.formats import raster
from utils.formats.inflate import count_unpacked
from utils.imaging.radiograph import Limits, Radiograph

if TYPE_CHECKING:
    from PIL.Image import Image

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
    """Chunks of a PNG that matter for its pixels; ``ended`` once IEND was met."""

    kept: list[tuple[bytes, bytes]] = field(default_factory=list)
    animated: bool = False
    ended: bool = False

    def assemble(self) -> bytes:
        """Return a PNG of the kept chunks, the pixels after all others."""
        chunks = sorted(self.kept, key=lambda chunk: chunk[0] == b"IDAT")
        return SIGNATURE + b"".join(
            struct.pack(">I", len(value)) + name + value + struct.pack(">I", _checksum(name, value))
            for name, value in (*chunks, (b"IEND", b""))
        )

    def hold_all_pixels(self, header: Header) -> bool:
        """Return whether the compressed stream unpacks to all the rows that the header declares.

        Raises:
            zlib.error: it is damaged.
        """
        packed = b"".join(value for name, value in self.kept if name == b"IDAT")
        needed = header.unpacked_bytes
        return count_unpacked(packed, zlib.MAX_WBITS, needed)[0] >= needed


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
        plain = chunks.assemble()
        image = PngImagePlugin.PngImageFile(io.BytesIO(plain))
        # Of deep colour Pillow keeps the upper 8 bits only, so it is not loaded here.
        deep_colour = header.bit_depth == 16 and header.colour_type != GREY
        if not deep_colour:
            _load_whole(image, chunks, header)
            return raster.radiograph(image, "png")
        if not chunks.hold_all_pixels(header):
            raise UnreadableImage("formats.ends_early", format="PNG")
        samples = cv2.imdecode(np.frombuffer(plain, np.uint8), cv2.IMREAD_UNCHANGED)
        if samples is None:
            raise UnreadableImage("formats.png_pixels")
        pixels = raster.upright(raster.deep_colour(samples), raster.orientation(image))
        return Radiograph(pixels, "png")


def _load_whole(image: Image, chunks: Chunks, header: Header) -> None:
    """Load a PNG; raise UnreadableImage where pixels are missing."""
    try:
        image.load()
    except OSError:
        # Damaged where all of it is there, else cut short.
        if chunks.hold_all_pixels(header):
            raise
        raise UnreadableImage("formats.ends_early", format="PNG") from None
    # Missing rows are zero, so that mostly one look at the last one saves the counting.
    last_row = image.crop((0, image.height - 1, image.width, image.height))
    if (header.interlaced or not any(last_row.tobytes())) and not chunks.hold_all_pixels(header):
        raise UnreadableImage("formats.ends_early", format="PNG")


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
    return chunks
