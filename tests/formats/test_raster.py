"""PNG, JPEG, BMP, TIFF and WebP: what they decode to, and what is refused, by content alone."""

from __future__ import annotations

import io
import json
import re
import struct
import subprocess
import sys
import threading
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile, ImageOps

from tests.support.pictures import draw_radiograph, encode
from utils.errors import FractureError, NotARadiograph, TooLarge, UnreadableImage, UnsupportedFormat
from utils.formats import FORMATS, Limits, decode
from utils.formats.raster import full_scale
from utils.imaging.geometry import resize
from utils.imaging.radiograph import DETAIL

LEVELS = np.rint(draw_radiograph(48, 40) * 255).astype(np.uint8)
UNIT = LEVELS.astype(np.float32) / np.float32(255)


def save(image: Image.Image, format: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format, **options)
    return stream.getvalue()


def grey(format: str, **options: object) -> bytes:
    return save(Image.fromarray(LEVELS), format, **options)


def chunk(name: bytes, value: bytes) -> bytes:
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


# --- what is read


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("png", grey("PNG")),
        ("bmp", grey("BMP")),
        ("tiff", grey("TIFF")),
        ("tiff", grey("TIFF", compression="tiff_lzw")),
        ("webp", grey("WEBP", lossless=True)),
        ("png", save(Image.fromarray(LEVELS).convert("RGB"), "PNG")),
        ("png", save(Image.fromarray(LEVELS).convert("RGBA"), "PNG")),
        ("png", save(Image.fromarray(LEVELS).convert("LA"), "PNG")),
        ("png", save(Image.fromarray(LEVELS).convert("P"), "PNG")),
        ("bmp", save(Image.fromarray(LEVELS).convert("RGB"), "BMP")),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_eight_bit_levels_come_out_divided_by_255_exactly(name, content):
    radiograph = decode(content)
    assert (radiograph.format, radiograph.truncated) == (name, False)
    assert (radiograph.height, radiograph.width) == LEVELS.shape
    assert radiograph.pixels.dtype == np.float32
    assert radiograph.pixels.flags.c_contiguous
    np.testing.assert_array_equal(radiograph.pixels, UNIT)


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"quality": 30}])
def test_a_jpeg_decodes_as_pillow_decodes_it(options):
    content = grey("JPEG", **options)
    expected = np.asarray(Image.open(io.BytesIO(content)))
    np.testing.assert_array_equal(decode(content).pixels, expected / np.float32(255))


def test_a_cmyk_jpeg_is_read_the_right_way_round():
    content = save(Image.fromarray(LEVELS).convert("CMYK"), "JPEG", quality=95)
    assert np.abs(decode(content).pixels - UNIT).max() < 0.1


def test_colour_becomes_luminance_by_rec_601():
    rng = np.random.default_rng(0)
    colour = rng.integers(0, 256, (32, 24, 3), dtype=np.uint8)
    expected = colour @ np.array([0.299, 0.587, 0.114]) / 255
    pixels = decode(save(Image.fromarray(colour), "PNG")).pixels
    assert np.abs(pixels - expected).max() < 0.6 / 255


def test_what_is_transparent_lies_on_black():
    alpha = np.full(LEVELS.shape, 255, np.uint8)
    alpha[:20] = 0
    alpha[20:30] = 51
    image = Image.fromarray(LEVELS).convert("RGBA")
    image.putalpha(Image.fromarray(alpha))
    pixels = decode(save(image, "PNG")).pixels
    assert pixels[:20].max() == 0
    np.testing.assert_allclose(pixels[20:30], UNIT[20:30] * 0.2, atol=1e-6)
    np.testing.assert_array_equal(pixels[30:], UNIT[30:])


def test_a_transparent_palette_entry_lies_on_black():
    image = Image.fromarray(LEVELS).convert("P")
    shown = int(np.asarray(image)[24, 20])
    pixels = decode(save(image, "PNG", transparency=shown)).pixels
    hidden = np.asarray(image) == shown
    assert pixels[hidden].max() == 0
    np.testing.assert_array_equal(pixels[~hidden], UNIT[~hidden])


def test_one_bit_pictures_are_black_and_white():
    image = Image.fromarray(LEVELS).convert("1")
    np.testing.assert_array_equal(decode(save(image, "PNG")).pixels, np.asarray(image))


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_sixteen_bit_grey_is_scaled_by_the_bits_it_holds(bits, format):
    levels = np.rint(draw_radiograph(40, 32) * (2**bits - 1)).astype(np.uint16)
    levels[0, 0] = 2**bits - 1
    content = save(Image.fromarray(levels), format)
    np.testing.assert_allclose(decode(content).pixels, levels / (2**bits - 1), atol=1e-7)


def test_full_scale_is_the_smallest_that_holds_the_highest_level():
    highest = [0, 255, 256, 1023, 1024, 4095, 4096, 16383, 16384, 65535]
    expected = [255, 255, 1023, 1023, 4095, 4095, 16383, 16383, 65535, 65535]
    assert [full_scale(level) for level in highest] == expected


def test_sixteen_bit_colour_keeps_its_lower_bits():
    levels = np.rint(draw_radiograph(40, 32) * 4095).astype(np.uint16)
    levels[0, 0] = 4095
    content = deep_png(np.repeat(levels[..., None], 3, axis=2), colour=2)
    np.testing.assert_allclose(decode(content).pixels, levels / 4095, atol=1e-7)


def test_sixteen_bit_colour_becomes_luminance_in_the_right_order():
    rng = np.random.default_rng(1)
    colour = rng.integers(0, 65536, (24, 32, 3), dtype=np.uint16)
    expected = colour @ np.array([0.299, 0.587, 0.114]) / 65535
    np.testing.assert_allclose(decode(deep_png(colour, colour=2)).pixels, expected, atol=2e-5)


@pytest.mark.parametrize(("colour", "channels"), [(4, 2), (6, 4)])
def test_sixteen_bit_transparency_lies_on_black(colour, channels):
    levels = np.rint(draw_radiograph(40, 32) * 65535).astype(np.uint16)
    levels[0, 0] = 65535
    samples = np.repeat(levels[..., None], channels, axis=2)
    samples[..., -1] = 65535
    samples[:10, :, -1] = 13107  # a fifth
    expected = levels / 65535
    expected[:10] *= 0.2
    np.testing.assert_allclose(decode(deep_png(samples, colour)).pixels, expected, atol=2e-5)


def test_a_sixteen_bit_tiff_in_which_white_is_zero_is_turned():
    levels = np.rint(draw_radiograph(40, 32) * 4095).astype(np.uint16)
    levels[0, 0] = 4095
    content = save(Image.fromarray(levels), "TIFF", tiffinfo={262: 0})
    np.testing.assert_allclose(decode(content).pixels, 1 - levels / 4095, atol=1e-6)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_exif_orientation_is_applied(format, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if format == "WEBP" else {}
    content = grey(format, exif=exif, **options)
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(content))).convert("L")
    np.testing.assert_array_equal(decode(content).pixels, np.asarray(upright) / np.float32(255))


def test_exif_orientation_is_applied_to_sixteen_bit_colour_too():
    exif = Image.Exif()
    exif[0x0112] = 6
    plain = decode(deep_png(np.repeat(LEVELS[..., None] * np.uint16(257), 3, axis=2), 2)).pixels
    content = deep_png(np.repeat(LEVELS[..., None] * np.uint16(257), 3, axis=2), 2)
    turned = content[:33] + chunk(b"eXIf", exif.tobytes()[6:]) + content[33:]
    np.testing.assert_array_equal(decode(turned).pixels, np.rot90(plain, -1))


def test_a_broken_exif_block_leaves_the_picture_as_it_is_stored():
    content = grey("JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    np.testing.assert_array_equal(decode(content).pixels, decode(grey("JPEG")).pixels)


@pytest.mark.parametrize("format", ["PNG", "JPEG"])
def test_junk_after_the_end_changes_nothing(format):
    content = grey(format)
    for junk in (b"\0" * 500, b"\xff\xd8\xff\xe0 more", content[:100]):
        np.testing.assert_array_equal(decode(content + junk).pixels, decode(content).pixels)


# --- what ends early


@pytest.mark.parametrize("format", ["PNG", "JPEG", "BMP", "TIFF", "WEBP"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_a_file_that_ends_early_is_refused(format, share):
    content = grey(format)
    with pytest.raises(UnreadableImage):
        decode(content[: int(len(content) * share)])


@pytest.mark.parametrize("missing", [1, 2, 6, 12, 14])
@pytest.mark.parametrize("format", ["PNG", "JPEG"])
def test_even_the_last_bytes_may_not_be_missing(format, missing):
    with pytest.raises(UnreadableImage, match="ends early"):
        decode(grey(format)[:-missing])


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
def test_a_truncated_png_is_filled_with_black_where_allowed(content):
    whole = decode(content).pixels
    radiograph = decode(content[: int(len(content) * 0.6)], allow_truncated=True)
    assert radiograph.truncated
    assert radiograph.pixels.shape == whole.shape
    np.testing.assert_array_equal(radiograph.pixels[:12], whole[:12])
    assert radiograph.pixels[-3:].max() == 0


def test_a_truncated_jpeg_equals_pillows_filling_where_allowed(monkeypatch):
    content = grey("JPEG", quality=95)
    short = content[: int(len(content) * 0.7)]
    radiograph = decode(short, allow_truncated=True)
    assert radiograph.truncated
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    expected = np.asarray(Image.open(io.BytesIO(short))) / np.float32(255)
    np.testing.assert_array_equal(radiograph.pixels, expected)


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_short_jpeg_that_was_given_an_end_marker_is_still_seen_to_be_short(mode):
    content = save(Image.fromarray(LEVELS).convert(mode), "JPEG", quality=95)
    closed = content[: int(len(content) * 0.7)] + b"\xff\xd9"
    with pytest.raises(UnreadableImage, match="ends early"):
        decode(closed)
    assert decode(closed, allow_truncated=True).truncated


PROGRESSIVE = {
    mode: save(Image.fromarray(LEVELS).convert(mode), "JPEG", quality=95, progressive=True)
    for mode in ("L", "RGB")
}
RESTARTS = {
    "rows": grey("JPEG", quality=95, restart_marker_rows=1),
    "blocks": grey("JPEG", quality=95, restart_marker_blocks=2),
    "colour": save(
        Image.fromarray(LEVELS).convert("RGB"), "JPEG", quality=95, restart_marker_rows=1
    ),
}


def refused_and_flagged(content: bytes) -> None:
    with pytest.raises(UnreadableImage, match="ends early"):
        decode(content)
    assert decode(content, allow_truncated=True).truncated


@pytest.mark.parametrize("content", RESTARTS.values(), ids=RESTARTS)
def test_a_jpeg_that_was_cut_at_a_restart_marker_and_closed_is_seen_to_be_short(content):
    decode(content)
    markers = [found.start() for found in re.finditer(rb"\xff[\xd0-\xd7]", content)]
    for marker in (markers[0], markers[len(markers) // 2], markers[-1]):
        refused_and_flagged(content[:marker] + b"\xff\xd9")
        refused_and_flagged(content[: marker + 2] + b"\xff\xd9")


def test_a_restart_interval_that_is_missing_in_the_middle_is_seen_to_be_missing():
    content = RESTARTS["blocks"]
    first = content.index(b"\xff\xd1")
    second = content.index(b"\xff\xd1", first + 1)
    refused_and_flagged(content[:first] + content[second:])


@pytest.mark.parametrize("content", PROGRESSIVE.values(), ids=PROGRESSIVE)
def test_a_progressive_jpeg_that_lacks_its_last_scans_is_seen_to_be_short(content):
    decode(content)
    starts = [found.start() for found in re.finditer(rb"\xff\xda", content)]
    assert len(starts) > 3
    for start in starts[1:]:
        refused_and_flagged(content[:start] + b"\xff\xd9")


@pytest.mark.parametrize("content", PROGRESSIVE.values(), ids=PROGRESSIVE)
def test_a_progressive_jpeg_that_was_cut_in_its_last_scan_is_seen_to_be_short(content):
    last = content.rindex(b"\xff\xda")
    for share in (0.2, 0.5, 0.9):
        refused_and_flagged(content[: int(last + share * (len(content) - last))] + b"\xff\xd9")


def test_a_jpeg_with_arithmetic_coding_is_refused_because_a_cut_would_not_show():
    content = grey("JPEG").replace(b"\xff\xc0\0", b"\xff\xc9\0", 1)
    with pytest.raises(UnsupportedFormat, match="arithmetic"):
        decode(content)


def test_a_whole_jpeg_that_ends_in_mid_grey_is_no_short_one():
    levels = LEVELS.copy()
    levels[-16:] = 128
    content = save(Image.fromarray(levels), "JPEG", quality=95)
    assert decode(content).pixels[-1, -1] == np.float32(128 / 255)


def test_reading_truncated_files_leaves_pillows_switch_alone_for_other_threads():
    png, jpeg = grey("PNG"), grey("JPEG", quality=95)
    seen = set()
    done = threading.Event()

    def watch() -> None:
        while not done.is_set():
            seen.add(ImageFile.LOAD_TRUNCATED_IMAGES)

    watcher = threading.Thread(target=watch)
    watcher.start()
    for _ in range(20):
        decode(png[:-60], allow_truncated=True)
        decode(jpeg[:-60], allow_truncated=True)
    done.set()
    watcher.join()
    assert seen == {False}


def test_only_a_header_is_unreadable_even_where_truncated_files_are_allowed():
    for content in (grey("PNG")[:40], grey("JPEG")[:200]):
        with pytest.raises(UnreadableImage):
            decode(content, allow_truncated=True)


# --- what is damaged


def test_a_png_with_a_wrong_checksum_is_refused():
    content = bytearray(grey("PNG"))
    content[60] ^= 0x10
    with pytest.raises(UnreadableImage, match="checksum"):
        decode(bytes(content))


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


def test_an_interlaced_png_is_whole_where_its_seven_passes_are():
    np.testing.assert_array_equal(decode(interlaced_png(LEVELS)).pixels, UNIT)
    for share in (0.3, 0.7, 0.99):
        refused_and_flagged(interlaced_png(LEVELS, share))


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
def test_a_png_with_fewer_rows_than_it_declares_is_short_whatever_its_kind(
    depth, colour, wide, kept
):
    rng = np.random.default_rng(0)
    rows = b"".join(b"\0" + rng.bytes(int(32 * wide)) for _ in range(40))
    palette = [chunk(b"PLTE", rng.bytes(3 * 256))] if colour == 3 else []
    assert not decode(png_of(32, 40, depth, colour, rows, *palette)).truncated
    refused_and_flagged(png_of(32, 40, depth, colour, rows[: int(len(rows) * kept)], *palette))


def test_missing_rows_of_a_png_are_black_where_that_is_allowed():
    rows = b"".join(b"\0" + row.tobytes() for row in LEVELS[:20])
    content = png_of(LEVELS.shape[1], LEVELS.shape[0], 8, 0, rows)
    radiograph = decode(content, allow_truncated=True)
    np.testing.assert_array_equal(radiograph.pixels[:20], UNIT[:20])
    assert radiograph.pixels[20:].max() == 0


def test_a_png_whose_last_rows_are_black_is_no_short_one():
    levels = LEVELS.copy()
    levels[-9:] = 0
    assert not decode(save(Image.fromarray(levels), "PNG")).truncated


def test_a_png_whose_compressed_stream_stops_before_its_end_chunk_is_a_short_one():
    rows = zlib.compress(b"".join(b"\0" + row.tobytes() for row in LEVELS))
    start = png_of(LEVELS.shape[1], LEVELS.shape[0], 8, 0, b"")[:33]
    refused_and_flagged(start + chunk(b"IDAT", rows[: len(rows) // 2]) + chunk(b"IEND", b""))


def test_a_png_with_all_its_rows_and_a_wrong_sum_is_damaged_and_not_short():
    rows = zlib.compress(b"".join(b"\0" + row.tobytes() for row in LEVELS))
    start = png_of(LEVELS.shape[1], LEVELS.shape[0], 8, 0, b"")[:33]
    with pytest.raises(UnreadableImage, match="damaged"):
        decode(start + chunk(b"IDAT", rows[:-4] + b"abcd") + chunk(b"IEND", b""))


def test_a_jpeg_of_thousands_of_scans_is_refused_before_it_is_decoded():
    content = grey("JPEG", progressive=True)
    start = content.rindex(b"\xff\xda")
    bomb = content[:start] + content[start:-2] * 300 + content[-2:]
    with pytest.raises(UnreadableImage, match="scans"):
        decode(bomb)


SEEDS = [
    grey("PNG"),
    grey("JPEG"),
    grey("JPEG", progressive=True),
    grey("BMP"),
    grey("TIFF"),
    grey("TIFF", compression="tiff_lzw"),
    grey("WEBP", lossless=True),
    grey("GIF"),
    deep_png(np.repeat(LEVELS[..., None] * np.uint16(257), 3, axis=2), 2),
]


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    seed=st.sampled_from(SEEDS),
    edits=st.lists(st.tuples(st.integers(0, 2000), st.binary(max_size=6)), min_size=1, max_size=6),
    cut=st.integers(0, 4000),
    allow=st.booleans(),
)
def test_damaged_files_give_a_radiograph_or_one_of_our_errors(seed, edits, cut, allow):
    content = bytearray(seed)
    for position, value in edits:
        position %= len(content)
        content[position : position + len(value)] = value
    try:
        pixels = decode(bytes(content[:cut] if cut > 40 else content), allow_truncated=allow).pixels
    except FractureError:
        return
    assert pixels.dtype == np.float32
    assert pixels.flags.c_contiguous
    assert pixels.min() >= 0
    assert pixels.max() <= 1


# --- what is too large


def test_the_size_in_the_header_is_checked_before_a_pixel_is_decoded():
    rows = zlib.compress(bytes(1000))
    for colour, depth in ((0, 1), (0, 8), (2, 16)):
        header = struct.pack(">IIBBBBB", 20000, 20000, depth, colour, 0, 0, 0)
        bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows)
        with pytest.raises(TooLarge, match="400 megapixels"):
            decode(bomb)


@pytest.mark.parametrize("format", ["JPEG", "BMP", "TIFF", "WEBP", "PNG"])
def test_every_format_obeys_the_pixel_limit(format):
    with pytest.raises(TooLarge, match="40 x 48"):
        decode(grey(format), limits=Limits(max_pixels=40 * 48 - 1))
    assert decode(grey(format), limits=Limits(max_pixels=40 * 48)).width == 40


def test_a_file_over_the_byte_limit_is_refused():
    with pytest.raises(TooLarge, match="MB"):
        decode(grey("PNG"), limits=Limits(max_bytes=100))


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


# --- what is no single radiograph


def frames() -> list[Image.Image]:
    return [Image.fromarray(np.roll(LEVELS, step, axis=0)) for step in (0, 5, 9)]


@pytest.mark.parametrize(
    ("format", "options", "name"),
    [
        ("PNG", {}, "animated PNG"),
        ("WEBP", {"lossless": True}, "animated WebP"),
        ("GIF", {}, "animated GIF"),
        ("TIFF", {}, "TIFF of several pages"),
    ],
)
def test_several_pictures_in_one_file_are_refused_by_name(format, options, name):
    first, *rest = frames()
    content = save(first, format, save_all=True, append_images=rest, **options)
    with pytest.raises(NotARadiograph, match=name):
        decode(content)


@pytest.mark.parametrize("level", [0, 7, 128, 255])
@pytest.mark.parametrize("format", ["PNG", "JPEG", "BMP"])
def test_a_constant_picture_is_refused(level, format):
    with pytest.raises(NotARadiograph, match="blank"):
        decode(save(Image.fromarray(np.full((64, 64), level, np.uint8)), format))


def test_a_nearly_constant_picture_is_refused_and_a_sparse_one_is_not():
    rng = np.random.default_rng(2)
    noise = rng.integers(30, 33, (128, 128), dtype=np.uint8)
    with pytest.raises(NotARadiograph, match="blank"):
        decode(save(Image.fromarray(noise), "PNG"))
    noise[40:48, 40:48] = 200
    assert decode(save(Image.fromarray(noise), "PNG")).width == 128


@pytest.mark.parametrize("size", [(1, 1), (15, 400), (400, 8), (17, 500)])
def test_a_picture_too_small_or_narrow_to_show_anything_is_refused(size):
    rng = np.random.default_rng(3)
    picture = rng.integers(0, 256, size, dtype=np.uint8)
    with pytest.raises(NotARadiograph, match=f"{size[1]} x {size[0]} pixels"):
        decode(save(Image.fromarray(picture), "PNG"))


# --- what is no picture


def test_an_empty_file_is_said_to_be_empty():
    with pytest.raises(UnreadableImage, match="empty"):
        decode(b"")


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (b"left wrist, two views, no fracture seen\n", "text"),
        ("Größe: 3 µm, no fracture".encode(), "text"),
        ("text".encode("utf-16"), "text"),
        (b"BMW is a maker of cars, and not a bitmap", "text"),
        (b"<!DOCTYPE html><html><body>404</body></html>", "HTML"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
        (b"<?xml version='1.0'?>\n<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "EPS"),
        (b"PK\x03\x04" + bytes(60), "zip"),
        (b"%PDF-1.7\n", "PDF"),
        (grey("GIF"), "GIF"),
        (b"\0\0\0\x18ftypheic" + bytes(40), "HEIC"),
        (b"\x89HDF\r\n\x1a\n" + bytes(40), "HDF5"),
        (b"\x7fELF" + bytes(40), "program"),
        (b"\0\1\2\3" * 40, "unknown kind"),
        (b"\x80", "unknown kind"),
    ],
)
def test_what_is_no_picture_is_refused_by_name_with_the_formats_that_are_read(content, name):
    with pytest.raises(UnsupportedFormat, match=name) as caught:
        decode(content)
    for format in FORMATS.values():
        assert format.title in str(caught.value)


# --- real files


def test_a_sample_of_fracatlas_equals_pillows_decoding(shared_data):
    files = sorted((shared_data / "fracatlas" / "images").glob("*/*.jpg"))[::60]
    short = 0
    for file in files:
        content = file.read_bytes()
        try:
            image = ImageOps.exif_transpose(Image.open(io.BytesIO(content)))
        except OSError:
            short += 1
            with pytest.raises(UnreadableImage):
                decode(content)
            continue
        expected = np.asarray(image.convert("L")) / np.float32(255)
        found = decode(content)
        assert (found.height, found.width) == expected.shape
        if max(expected.shape) < 2 * DETAIL:
            np.testing.assert_array_equal(found.pixels, expected)
    assert len(files) - short > 40


LARGE = (2 * DETAIL + 10, 1500)


def test_a_large_jpeg_is_decoded_at_half_its_size_and_says_how_large_it_is():
    drawn = draw_radiograph(*LARGE)
    found = decode(encode(drawn, "JPEG", quality=95))
    assert (found.height, found.width) == LARGE
    assert found.pixels.shape == (LARGE[0] // 2, LARGE[1] // 2)
    means = resize(drawn.astype(np.float32), *found.pixels.shape)
    assert np.abs(found.pixels - means).mean() < 0.01


def test_a_jpeg_below_twice_the_detail_keeps_its_pixels():
    found = decode(encode(draw_radiograph(2 * DETAIL - 2, 700), "JPEG"))
    assert found.pixels.shape == (2 * DETAIL - 2, 700)


def test_a_large_jpeg_that_lies_on_its_side_is_turned_and_so_is_its_size():
    picture = Image.open(io.BytesIO(encode(draw_radiograph(*LARGE), "JPEG")))
    exif = Image.Exif()
    exif[0x0112] = 6
    stream = io.BytesIO()
    picture.save(stream, "JPEG", exif=exif)
    found = decode(stream.getvalue())
    assert (found.height, found.width) == LARGE[::-1]
    assert found.pixels.shape == (LARGE[1] // 2, LARGE[0] // 2)


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("share", [0.3, 0.8, 0.98])
def test_a_large_jpeg_that_was_cut_and_closed_is_refused(progressive, share):
    whole = encode(draw_radiograph(*LARGE), "JPEG", quality=90, progressive=progressive)
    with pytest.raises(UnreadableImage, match="ends early"):
        decode(whole[: int(share * len(whole))] + b"\xff\xd9")


def test_a_large_progressive_jpeg_keeps_its_pixels():
    whole = encode(draw_radiograph(*LARGE), "JPEG", progressive=True)
    assert decode(whole).pixels.shape == LARGE


def test_exactly_the_truncated_files_of_fracatlas_are_refused(shared_data):
    """All the small Non_fractured files, among which every truncated one is."""
    files = sorted((shared_data / "fracatlas" / "images" / "Non_fractured").glob("*.jpg"))
    files = [file for file in files if file.stat().st_size <= 16384 and file.stem >= "IMG0004000"]
    truncated, refused = set(), set()
    for file in files:
        content = file.read_bytes()
        try:
            Image.open(io.BytesIO(content)).load()
        except OSError:
            truncated.add(file.name)
        try:
            decode(content)
        except UnreadableImage:
            refused.add(file.name)
            assert decode(content, allow_truncated=True).truncated
    assert refused == truncated
    assert len(truncated) > 30


def test_pictures_that_are_no_bone_decode_all_the_same(shared_data):
    files = sorted(file for file in (shared_data / "ood").glob("*/*") if file.is_file())
    assert len(files) >= 45
    for file in files:
        assert decode(file.read_bytes()).pixels.max() > 0.5


def test_opencv_agrees_about_a_plain_png():
    content = encode(draw_radiograph(50, 60))
    expected = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_GRAYSCALE)
    np.testing.assert_array_equal(decode(content).pixels, expected / np.float32(255))
