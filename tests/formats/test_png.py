"""PNG files: deep colour, missing rows, bombs."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from tests.support.pictures import draw_radiograph, encode
from tests.support.raster_files import (
    LEVELS,
    UNIT,
    chunk,
    deep_png,
    grey,
    interlaced_png,
    png_of,
    save,
)
from utils.errors import TooLarge, UnreadableImage
from utils.formats import decode


def refused_as_short(content: bytes) -> None:
    """Hold that a PNG is refused, also where truncated files are allowed."""
    for allowed in (False, True):
        with pytest.raises(UnreadableImage, match="ends early"):
            decode(content, allow_truncated=allowed)


def test_deep_colour_keeps_its_lower_bits():
    levels = np.rint(draw_radiograph(40, 32) * 4095).astype(np.uint16)
    levels[0, 0] = 4095
    content = deep_png(np.repeat(levels[..., None], 3, axis=2), colour=2)
    np.testing.assert_allclose(decode(content).pixels, levels / 4095, atol=1e-7)


def test_deep_colour_becomes_luminance():
    rng = np.random.default_rng(1)
    colour = rng.integers(0, 65536, (24, 32, 3), dtype=np.uint16)
    expected = colour @ np.array([0.299, 0.587, 0.114]) / 65535
    np.testing.assert_allclose(decode(deep_png(colour, colour=2)).pixels, expected, atol=2e-5)


@pytest.mark.parametrize(("colour", "channels"), [(4, 2), (6, 4)])
def test_deep_transparency_lies_on_black(colour, channels):
    levels = np.rint(draw_radiograph(40, 32) * 65535).astype(np.uint16)
    levels[0, 0] = 65535
    samples = np.repeat(levels[..., None], channels, axis=2)
    samples[..., -1] = 65535
    samples[:8, :, -1] = 13107  # a fifth
    expected = levels / 65535
    expected[:8] *= 0.2
    np.testing.assert_allclose(decode(deep_png(samples, colour)).pixels, expected, atol=2e-5)


def test_deep_colour_is_turned_upright():
    exif = Image.Exif()
    exif[0x0112] = 6
    plain = decode(deep_png(np.repeat(LEVELS[..., None] * np.uint16(257), 3, axis=2), 2)).pixels
    content = deep_png(np.repeat(LEVELS[..., None] * np.uint16(257), 3, axis=2), 2)
    turned = content[:33] + chunk(b"eXIf", exif.tobytes()[6:]) + content[33:]
    np.testing.assert_array_equal(decode(turned).pixels, np.rot90(plain, -1))


def test_a_wrong_checksum_is_refused():
    content = bytearray(grey("PNG"))
    content[60] ^= 0x10
    with pytest.raises(UnreadableImage, match="checksum"):
        decode(bytes(content))


def test_an_interlaced_png_needs_all_seven_passes():
    np.testing.assert_array_equal(decode(interlaced_png(LEVELS)).pixels, UNIT)
    for share in (0.3, 0.7, 0.99):
        refused_as_short(interlaced_png(LEVELS, share))


# Bits, colour type of the file, and bytes a pixel.
KINDS = {
    "grey-1": (1, 0, 1 / 8),
    "grey-2": (2, 0, 1 / 4),
    "grey-4": (4, 0, 1 / 2),
    "grey-8": (8, 0, 1),
    "grey-16": (16, 0, 2),
    "colour-8": (8, 2, 3),
    "colour-16": (16, 2, 6),
    "palette-8": (8, 3, 1),
    "alpha-8": (8, 4, 2),
    "alpha-16": (16, 4, 4),
    "rgba-8": (8, 6, 4),
    "rgba-16": (16, 6, 8),
}


@pytest.mark.parametrize(("depth", "colour", "wide"), KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("kept", [0.5, 0.999])
def test_missing_rows_are_refused_at_every_depth(depth, colour, wide, kept):
    rng = np.random.default_rng(0)
    rows = b"".join(b"\0" + rng.bytes(int(32 * wide)) for _ in range(40))
    palette = [chunk(b"PLTE", rng.bytes(3 * 256))] if colour == 3 else []
    assert not decode(png_of(32, 40, depth, colour, rows, *palette)).truncated
    refused_as_short(png_of(32, 40, depth, colour, rows[: int(len(rows) * kept)], *palette))


def test_a_whole_png_may_end_in_black_rows():
    levels = LEVELS.copy()
    levels[-9:] = 0
    assert not decode(save(Image.fromarray(levels), "PNG")).truncated


def test_an_end_chunk_does_not_hide_a_cut():
    rows = zlib.compress(b"".join(b"\0" + row.tobytes() for row in LEVELS))
    start = png_of(LEVELS.shape[1], LEVELS.shape[0], 8, 0, b"")[:33]
    refused_as_short(start + chunk(b"IDAT", rows[: len(rows) // 2]) + chunk(b"IEND", b""))


def test_a_wrong_sum_after_all_rows_is_damage():
    rows = zlib.compress(b"".join(b"\0" + row.tobytes() for row in LEVELS))
    start = png_of(LEVELS.shape[1], LEVELS.shape[0], 8, 0, b"")[:33]
    with pytest.raises(UnreadableImage, match="damaged"):
        decode(start + chunk(b"IDAT", rows[:-4] + b"abcd") + chunk(b"IEND", b""))


@pytest.mark.parametrize(("width", "height"), [(40, 24), (40, 47), (20, 48)])
@pytest.mark.parametrize("samples", [LEVELS, LEVELS * np.uint16(257)], ids=["8 bits", "16 bits"])
def test_more_rows_than_declared_are_refused(samples, width, height):
    content = save(Image.fromarray(samples), "PNG")
    header = struct.pack(">II", width, height) + content[24:29]
    with pytest.raises(UnreadableImage, match=f"{width} x {height} pixels that its header"):
        decode(content[:8] + chunk(b"IHDR", header) + content[33:])


def test_a_few_bytes_after_the_last_row_are_read():
    rows = b"".join(b"\0" + row.tobytes() for row in LEVELS)
    content = png_of(LEVELS.shape[1], LEVELS.shape[0], 8, 0, rows + bytes(12))
    np.testing.assert_array_equal(decode(content).pixels, UNIT)


def test_the_declared_size_is_checked_first():
    rows = zlib.compress(bytes(1000))
    for colour, depth in ((0, 1), (0, 8), (2, 16)):
        header = struct.pack(">IIBBBBB", 20000, 20000, depth, colour, 0, 0, 0)
        bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows)
        with pytest.raises(TooLarge, match="400 megapixels"):
            decode(bomb)


@pytest.mark.slow
def test_a_bomb_costs_less_than_50_mb():
    """A PNG of 20,000 x 20,000 pixels in 49 kB, and text in a PNG that unpacks to 200 MB."""
    script = """
import resource, struct, sys, zlib, json
from utils.errors import FractureError
from utils.formats import decode
def chunk(n, v): return struct.pack(">I", len(v)) + n + v + struct.pack(">I", zlib.crc32(n + v))
def png(side, extra=b""):
    head = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    rows = zlib.compress((b"\\0" + bytes((side + 7) // 8)) * side, 9)
    chunks = chunk(b"IHDR", head) + extra + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    return b"\\x89PNG\\r\\n\\x1a\\n" + chunks
text = chunk(b"zTXt", b"a\\0\\0" + zlib.compress(bytes(1 << 20), 9)) * 200
bombs = [png(20000), png(64, text)]
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
before, errors = peak(), []
for bomb in bombs:
    try: decode(bomb)
    except FractureError as error: errors.append(type(error).__name__)
print(json.dumps([peak() - before, errors]))
"""
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=True
    )
    grown_kb, errors = json.loads(done.stdout)
    assert errors == ["TooLarge", "NotARadiograph"]
    assert grown_kb < 50 * 1024


def test_opencv_decodes_a_plain_png_alike():
    content = encode(draw_radiograph(50, 60))
    expected = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_GRAYSCALE)
    np.testing.assert_array_equal(decode(content).pixels, expected / np.float32(255))


@pytest.mark.parametrize(
    "content",
    [
        grey("PNG"),
        save(Image.fromarray(LEVELS).convert("RGBA"), "PNG"),
        deep_png(np.repeat(LEVELS[..., None] * np.uint16(257), 3, axis=2), 2),
        deep_png(LEVELS[..., None] * np.uint16(257), 0),
    ],
    ids=["grey", "rgba", "colour-16", "grey-16"],
)
def test_a_truncated_png_is_always_refused(content):
    refused_as_short(content[: int(len(content) * 0.6)])
