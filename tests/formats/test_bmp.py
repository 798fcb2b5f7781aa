"""BMP files: recognition, run-length coding, and headers that contradict the data."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from tests.support.raster_files import LEVELS, UNIT, grey
from utils.errors import UnreadableImage
from utils.formats import decode
from utils.formats.bmp import starts_bmp

HEIGHT, WIDTH = LEVELS.shape


def rle_bmp(codes: bytes, *, four_bits: bool = False) -> bytes:
    """Write a BMP of LEVELS' size by hand, from run-length codes."""
    colours = 16 if four_bits else 256
    palette = b"".join(bytes([level * 255 // (colours - 1)] * 3 + [0]) for level in range(colours))
    start = 54 + len(palette)
    depth, compression = (4, 2) if four_bits else (8, 1)
    header = struct.pack("<IiiHHIIiiII", 40, WIDTH, HEIGHT, 1, depth, compression, 0, 0, 0, 0, 0)
    return struct.pack("<2sIII", b"BM", start + len(codes), 0, start) + header + palette + codes


def rows(samples: np.ndarray = LEVELS) -> list[bytes]:
    """Return each row, from the bottom, as a run of literal pixels and an end of line."""
    return [bytes([0, len(row)]) + row.tobytes() + b"\0\0" for row in samples[::-1]]


END = b"\0\1"


def with_size(content: bytes, width: int, height: int) -> bytes:
    """Return a BMP whose header declares another size."""
    return content[:18] + struct.pack("<ii", width, height) + content[26:]


def test_a_bmp_is_recognised_by_its_header():
    assert starts_bmp(grey("BMP"))


@pytest.mark.parametrize("content", [b"BM", b"BMW is a maker of cars, and not a bitmap", b""])
def test_text_that_begins_with_bm_is_no_bmp(content):
    assert not starts_bmp(content)


def test_whole_run_length_codes_are_read():
    content = rle_bmp(b"".join(rows()) + END)
    np.testing.assert_array_equal(decode(content).pixels, UNIT)


def test_codes_of_four_bits_are_read():
    levels = LEVELS // 17
    pairs = levels[::-1, ::2] << 4 | levels[::-1, 1::2]
    codes = b"".join(bytes([0, WIDTH]) + row.tobytes() + b"\0\0" for row in pairs)
    pixels = decode(rle_bmp(codes + END, four_bits=True)).pixels
    np.testing.assert_array_equal(pixels, levels * 17 / np.float32(255))


SKIPS = {
    "a jump over half the rows": b"".join(rows()[:24]) + b"\0\2\0\x18" + END,
    "a jump inside a row": b"".join(rows()[:-1]) + b"\0\2\x14\0" + rows()[-1][:22] + END,
    "lines that end early": b"".join(row[:2] + row[2:22] + b"\0\0" for row in rows()) + END,
    "an empty line": b"".join(rows()[:10]) + b"\0\0" + b"".join(rows()[11:]) + END,
    "an early end": b"".join(rows()[:24]) + END,
    "no end": b"".join(rows())[:-60],
}


@pytest.mark.parametrize("codes", SKIPS.values(), ids=SKIPS)
def test_run_length_codes_that_skip_are_refused(codes):
    with pytest.raises(UnreadableImage):
        decode(rle_bmp(codes))


def test_codes_beyond_the_last_row_are_refused():
    content = rle_bmp(b"".join(rows()) + END)
    with pytest.raises(UnreadableImage, match="40 x 24 pixels that its header"):
        decode(with_size(content, WIDTH, HEIGHT // 2))


@pytest.mark.parametrize(
    ("width", "height"),
    [(WIDTH, HEIGHT // 2), (WIDTH, HEIGHT - 1), (WIDTH // 2, HEIGHT), (WIDTH, -24)],
)
def test_more_rows_than_declared_are_refused(width, height):
    with pytest.raises(UnreadableImage, match="pixels that its header declares"):
        decode(with_size(grey("BMP"), width, height))


def test_padding_after_the_pixels_is_read():
    np.testing.assert_array_equal(decode(grey("BMP") + bytes(2)).pixels, UNIT)


def bitfields_bmp(alpha: int) -> bytes:
    """Write LEVELS as a BMP of 32 bits whose header has a mask of alpha."""
    samples = np.dstack([LEVELS] * 3 + [np.full_like(LEVELS, alpha)])[::-1]
    masks = struct.pack("<4I", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    header = struct.pack("<IiiHHIIiiII", 124, WIDTH, HEIGHT, 1, 32, 3, samples.size, 0, 0, 0, 0)
    start = struct.pack("<2sIII", b"BM", 138 + samples.size, 0, 138)
    return start + (header + masks).ljust(124, b"\0") + samples.tobytes()


@pytest.mark.parametrize("alpha", [0, 8, 128, 255])
def test_alpha_everywhere_is_ignored(alpha):
    np.testing.assert_array_equal(decode(bitfields_bmp(alpha)).pixels, UNIT)


def test_a_profile_after_the_pixels_is_no_row():
    content = bitfields_bmp(255)
    profile = struct.pack("<II", len(content) - 14, 3000)
    content = content[: 14 + 112] + profile + content[14 + 120 :] + bytes(3000)
    np.testing.assert_array_equal(decode(content).pixels, UNIT)
