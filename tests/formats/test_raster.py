"""Brightness of raster pictures: depth, colour, transparency, orientation."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageOps

from tests.support.pictures import draw_radiograph
from tests.support.raster_files import LEVELS, UNIT, grey, save
from utils.formats import decode
from utils.formats.raster import full_scale


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
def test_eight_bits_are_divided_by_255(name, content):
    radiograph = decode(content)
    assert (radiograph.format, radiograph.truncated) == (name, False)
    assert (radiograph.height, radiograph.width) == LEVELS.shape
    assert radiograph.pixels.dtype == np.float32
    assert radiograph.pixels.flags.c_contiguous
    np.testing.assert_array_equal(radiograph.pixels, UNIT)


def test_colour_becomes_luminance_by_rec_601():
    rng = np.random.default_rng(0)
    colour = rng.integers(0, 256, (32, 24, 3), dtype=np.uint8)
    expected = colour @ np.array([0.299, 0.587, 0.114]) / 255
    pixels = decode(save(Image.fromarray(colour), "PNG")).pixels
    assert np.abs(pixels - expected).max() < 0.6 / 255


def test_transparent_pixels_lie_on_black():
    alpha = np.full(LEVELS.shape, 255, np.uint8)
    alpha[:20] = 0
    alpha[20:30] = 51
    image = Image.fromarray(LEVELS).convert("RGBA")
    image.putalpha(Image.fromarray(alpha))
    pixels = decode(save(image, "PNG")).pixels
    assert pixels[:20].max() == 0
    np.testing.assert_allclose(pixels[20:30], UNIT[20:30] * 0.2, atol=1e-6)
    np.testing.assert_array_equal(pixels[30:], UNIT[30:])


def test_a_transparent_palette_entry_is_black():
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
def test_sixteen_bits_are_scaled_by_the_bits_used(bits, format):
    levels = np.rint(draw_radiograph(40, 32) * (2**bits - 1)).astype(np.uint16)
    levels[0, 0] = 2**bits - 1
    content = save(Image.fromarray(levels), format)
    np.testing.assert_allclose(decode(content).pixels, levels / (2**bits - 1), atol=1e-7)


def test_full_scale_is_the_smallest_that_fits():
    highest = [0, 255, 256, 1023, 1024, 4095, 4096, 16383, 16384, 65535]
    expected = [255, 255, 1023, 1023, 4095, 4095, 16383, 16383, 65535, 65535]
    assert [full_scale(level) for level in highest] == expected


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_exif_orientation_is_applied(format, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if format == "WEBP" else {}
    content = grey(format, exif=exif, **options)
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(content))).convert("L")
    np.testing.assert_array_equal(decode(content).pixels, np.asarray(upright) / np.float32(255))


def test_a_broken_exif_block_is_ignored():
    content = grey("JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    np.testing.assert_array_equal(decode(content).pixels, decode(grey("JPEG")).pixels)
