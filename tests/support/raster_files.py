"""Raster files for the tests of the formats: drawn pictures encoded by Pillow, and PNGs written by hand."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
from PIL import Image

from tests.support.pictures import draw_radiograph

LEVELS = np.rint(draw_radiograph(48, 40) * 255).astype(np.uint8)
UNIT = LEVELS.astype(np.float32) / np.float32(255)


def save(image: Image.Image, format: str, **options: object) -> bytes:
    """Encode a picture by Pillow."""
    stream = io.BytesIO()
    image.save(stream, format, **options)
    return stream.getvalue()


def grey(format: str, **options: object) -> bytes:
    """Encode LEVELS by Pillow."""
    return save(Image.fromarray(LEVELS), format, **options)


def chunk(name: bytes, value: bytes) -> bytes:
    """Write a PNG chunk."""
    return (
        struct.pack(">I", len(value)) + name + value + struct.pack(">I", zlib.crc32(name + value))
    )


def png_of(width: int, height: int, depth: int, colour: int, rows: bytes, *more: bytes) -> bytes:
    """Write a PNG by hand, from filtered rows."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + b"".join(more)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def deep_png(samples: np.ndarray, colour: int) -> bytes:
    """Write a 16-bit PNG by hand from (height, width, channels)."""
    height, width = samples.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)
    return png_of(width, height, 16, colour, rows)


def interlaced_png(samples: np.ndarray, share: float = 1.0) -> bytes:
    """Write an interlaced 8-bit grey PNG by hand, of so much of its seven passes."""
    passes = ((0, 8, 0, 8), (0, 8, 4, 8), (4, 8, 0, 4), (0, 4, 2, 4))
    passes += ((2, 4, 0, 2), (0, 2, 1, 2), (1, 2, 0, 1))
    rows = b"".join(
        b"\0" + row.tobytes()
        for top, down, left, across in passes
        for row in samples[top::down, left::across]
    )
    height, width = samples.shape
    content = png_of(width, height, 8, 0, rows[: int(len(rows) * share)])
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 1)
    return content[:8] + chunk(b"IHDR", header) + content[33:]


def tiff_of(blocks: list[bytes], tags: dict[int, int | tuple[int, ...]]) -> bytes:
    """Write a little-endian TIFF by hand: strips (or tiles, where tags say so), and numbers as its tags.

    Offsets and byte counts are those of the blocks unless the tags have others.
    """
    places = (324, 325) if 322 in tags else (273, 279)
    ends = np.cumsum([8, *map(len, blocks)]).tolist()
    tags = {places[0]: tuple(ends[:-1]), places[1]: tuple(map(len, blocks))} | tags
    data = b"".join(blocks) + bytes(ends[-1] % 2)
    directory, start = b"", 8 + len(data)
    values = start + 2 + 12 * len(tags) + 4
    more = b""
    for tag, given in sorted(tags.items()):
        numbers = given if isinstance(given, tuple) else (given,)
        packed = struct.pack(f"<{len(numbers)}I", *numbers)
        if len(numbers) > 1:
            packed, more = struct.pack("<I", values + len(more)), more + packed
        directory += struct.pack("<HHI", tag, 4, len(numbers)) + packed
    return (
        struct.pack("<2sHI", b"II", 42, start)
        + data
        + struct.pack("<H", len(tags))
        + directory
        + bytes(4)
        + more
    )
