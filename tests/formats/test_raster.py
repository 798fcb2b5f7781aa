"""Raster pictures: depth, full scale and orientation."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageOps

from tests.support.pictures import draw_radiograph
from tests.support.raster_files import LEVELS, UNIT, deep_png, grey, save
from utils.errors import NotARadiograph
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
    assert [full_scale(np.full((4, 4), level, np.uint16)) for level in highest] == expected


def twelve_bits() -> np.ndarray:
    """A drawn radiograph of 12 bits in 16, (96, 72)."""
    return np.rint(draw_radiograph() * 4095).astype(np.uint16)


def with_hot_pixel(levels: np.ndarray) -> np.ndarray:
    levels = levels.copy()
    levels[5, 7] = 65535
    return levels


def with_marker(levels: np.ndarray) -> np.ndarray:
    levels = levels.copy()
    levels[4:16, 4:10] = 65535
    return levels


ODD = {"hot pixel": with_hot_pixel, "marker": with_marker}


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_a_few_white_pixels_decide_nothing(format, odd):
    levels = twelve_bits()
    content = save(Image.fromarray(odd(levels)), format)
    expected = np.minimum(odd(levels) / np.float32(4095), 1)
    np.testing.assert_allclose(decode(content).pixels, expected, atol=1e-6)


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
def test_nor_do_they_in_deep_colour(odd):
    levels = odd(twelve_bits())
    content = deep_png(np.repeat(levels[..., None], 3, axis=2), colour=2)
    expected = np.minimum(levels / np.float32(4095), 1)
    np.testing.assert_allclose(decode(content).pixels, expected, atol=1e-6)


def test_a_bright_tail_of_the_picture_is_kept():
    levels = np.rint(draw_radiograph() * 3900).astype(np.uint16)
    levels[30:36, 30:35] = np.linspace(4200, 6000, 30).reshape(6, 5)
    content = save(Image.fromarray(levels), "PNG")
    np.testing.assert_allclose(decode(content).pixels, levels / 16383, atol=1e-6)


ORIENTED = {
    "jpeg": ("JPEG", LEVELS, {}),
    "png": ("PNG", LEVELS, {}),
    "png with alpha": ("PNG", np.dstack([LEVELS, LEVELS * 0 + 255]), {}),
    "png of 16 bits": ("PNG", LEVELS * np.uint16(257), {}),
    "tiff": ("TIFF", LEVELS, {}),
    "tiff with alpha": ("TIFF", np.dstack([LEVELS] * 3 + [LEVELS * 0 + 255]), {}),
    "tiff of 16 bits": ("TIFF", LEVELS * np.uint16(257), {}),
    "webp": ("WEBP", LEVELS, {"lossless": True}),
    "webp with alpha": ("WEBP", np.dstack([LEVELS] * 3 + [LEVELS | 16]), {"lossless": True}),
}


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(("format", "samples", "options"), ORIENTED.values(), ids=ORIENTED)
def test_exif_orientation_is_applied(format, samples, options, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = save(Image.fromarray(samples), format, exif=exif, **options)
    plain = decode(save(Image.fromarray(samples), format, **options)).pixels
    upright = ImageOps.exif_transpose(tagged(plain, orientation))
    np.testing.assert_array_equal(decode(content).pixels, np.asarray(upright))


def tagged(pixels: np.ndarray, orientation: int) -> Image.Image:
    """Return float32 pixels as a picture of Pillow with an EXIF orientation."""
    image = Image.fromarray(pixels)
    image.getexif()[0x0112] = orientation
    return image


def test_a_broken_exif_block_is_ignored():
    content = grey("JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    np.testing.assert_array_equal(decode(content).pixels, decode(grey("JPEG")).pixels)


@pytest.mark.parametrize("first", ["PNG", "JPEG"])
@pytest.mark.parametrize("second", ["PNG", "JPEG", "WEBP", "TIFF"])
def test_a_second_picture_behind_is_refused(first, second):
    with pytest.raises(NotARadiograph, match=f"follows the first one in this {first} file"):
        decode(grey(first) + bytes(3) + grey(second))


@pytest.mark.parametrize("format", ["PNG", "JPEG"])
def test_other_bytes_behind_are_ignored(format):
    plain = decode(grey(format)).pixels
    np.testing.assert_array_equal(decode(grey(format) + b"\0\0 exported by a viewer").pixels, plain)
