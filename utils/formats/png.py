"""Turns the container of a raster file into facts: its size, whether it is whole, a mended copy.

Nothing here decodes a pixel to show it; the point is to know, before a codec sees the bytes, what
they declare and whether they end early, and to fill in what is missing where that was asked for.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field

from utils.errors import UnreadableImage
from utils.formats.inflating import count_unpacked

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
GREY, PALETTE = 0, 3
# Samples a pixel by PNG colour type.
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
# All else (text, colour profiles) is dropped unread: it can unpack to much and shows nothing.
_KEPT = (b"IHDR", b"PLTE", b"tRNS", b"eXIf")
# First pixel and step, by column and by row, of the seven passes of an interlaced PNG.
_ADAM7 = (
    (0, 8, 0, 8),
    (4, 8, 0, 8),
    (0, 4, 4, 8),
    (2, 4, 0, 4),
    (0, 2, 2, 4),
    (1, 2, 0, 2),
    (0, 1, 1, 2),
)


@dataclass(frozen=True)
class PngHeader:
    """What a PNG's IHDR declares."""

    width: int
    height: int
    bit_depth: int
    colour_type: int
    interlaced: bool

    @property
    def unpacked_bytes(self) -> int:
        """Length of the filtered rows that the compressed stream must unpack to."""
        bits = self.bit_depth * _CHANNELS[self.colour_type]
        if not self.interlaced:
            return self.height * (1 + (self.width * bits + 7) // 8)
        total = 0
        for x, step_x, y, step_y in _ADAM7:
            columns = max(0, -(-(self.width - x) // step_x))
            rows = max(0, -(-(self.height - y) // step_y))
            total += rows * (1 + (columns * bits + 7) // 8) if columns else 0
        return total


@dataclass
class PngChunks:
    """The chunks of a PNG that matter for its pixels."""

    kept: list[tuple[bytes, bytes]] = field(default_factory=list)
    packed: list[bytes] = field(default_factory=list)
    animated: bool = False
    truncated: bool = True

    def assemble(self) -> bytes:
        """Return a PNG of these chunks."""
        chunks = [*self.kept, *((b"IDAT", part) for part in self.packed), (b"IEND", b"")]
        return PNG_SIGNATURE + b"".join(
            struct.pack(">I", len(value))
            + name
            + value
            + struct.pack(">I", zlib.crc32(value, zlib.crc32(name)))
            for name, value in chunks
        )


def read_png_header(content: bytes) -> PngHeader:
    """Read the IHDR chunk, which must come first.

    Raises:
        UnreadableImage: it is missing, damaged or declares what no PNG may.
    """
    if len(content) < 33:
        raise UnreadableImage("the PNG file ends inside its header; send the complete file")
    length, name, width, height, depth, colour, _, _, interlace = struct.unpack_from(
        ">I4sIIBBBBB", content, 8
    )
    (crc,) = struct.unpack_from(">I", content, 29)
    if length != 13 or name != b"IHDR" or zlib.crc32(content[12:29]) != crc:
        raise UnreadableImage("the PNG file's header is damaged")
    if colour not in _CHANNELS or depth not in (1, 2, 4, 8, 16) or not width or not height:
        raise UnreadableImage("the PNG file's header declares no possible picture")
    return PngHeader(width, height, depth, colour, bool(interlace))


def read_png_chunks(content: bytes) -> PngChunks:
    """Walk a PNG's chunks to its end, or to the end of the file where that comes first.

    Raises:
        UnreadableImage: a chunk's checksum is wrong.
    """
    chunks = PngChunks()
    position = len(PNG_SIGNATURE)
    while position + 8 <= len(content):
        length, name = struct.unpack_from(">I4s", content, position)
        value = content[position + 8 : position + 8 + length]
        checksum = content[position + 8 + length : position + 12 + length]
        if len(checksum) < 4:
            if name == b"IDAT":
                chunks.packed.append(value)
            break
        if name == b"acTL":
            chunks.animated = True
        if name in _KEPT or name == b"IDAT":
            if zlib.crc32(value, zlib.crc32(name)) != int.from_bytes(checksum, "big"):
                raise UnreadableImage(
                    f"the PNG file is damaged: the checksum of its {name.decode()} chunk is wrong"
                )
            if name == b"IDAT":
                chunks.packed.append(value)
            else:
                chunks.kept.append((name, value))
        if name == b"IEND":
            chunks.truncated = False
            break
        position += 12 + length
    return chunks


def holds_all_pixels(header: PngHeader, chunks: PngChunks) -> bool:
    """Say whether the compressed stream unpacks to all the rows that the header declares.

    Raises:
        zlib.error: it is damaged.
    """
    whole = header.unpacked_bytes
    return count_unpacked(chunks.packed, zlib.MAX_WBITS, whole)[0] >= whole


def mend_png(header: PngHeader, chunks: PngChunks) -> bytes:
    """Return a whole PNG in which the rows that are missing are zero.

    Raises:
        UnreadableImage: nothing of the pixels is left.
        zlib.error: what is left cannot be unpacked.
    """
    whole = header.unpacked_bytes
    rows = _unpack_png(header, chunks)
    if not rows:
        raise UnreadableImage("the PNG file ends before its first pixel; send the complete file")
    mended = zlib.compress(rows + bytes(whole - len(rows)), 1)
    return PngChunks(chunks.kept, [mended]).assemble()


def _unpack_png(header: PngHeader, chunks: PngChunks) -> bytes:
    """Unpack the filtered rows, at most as many as the header declares."""
    return zlib.decompressobj().decompress(b"".join(chunks.packed), header.unpacked_bytes)


def read_webp_size(content: bytes) -> tuple[int, int]:
    """Return the (height, width) that a WebP declares.

    Raises:
        UnreadableImage: the header is cut short or of no kind that is known.

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
    raise UnreadableImage("the WebP file's header is damaged")
