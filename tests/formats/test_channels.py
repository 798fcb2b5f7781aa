"""Which channel carries a picture, and which transparency counts."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from tests.support.pictures import draw_radiograph
from tests.support.raster_files import LEVELS, UNIT, chunk, deep_png, grey, save
from utils.errors import UnsupportedFormat
from utils.formats import decode
from utils.formats.channels import straight

DEEP = np.rint(draw_radiograph(48, 40) * 4095).astype(np.uint16)


def in_channel(samples: np.ndarray, channel: int, others: int = 0) -> np.ndarray:
    """Return red, green and blue with a picture in one of them and one level in the others."""
    colour = np.full((*samples.shape, 3), others, samples.dtype)
    colour[..., channel] = samples
    return colour


def with_alpha(alpha: np.ndarray | int, samples: np.ndarray = LEVELS) -> Image.Image:
    """Return grey samples as a picture with an alpha channel."""
    return Image.fromarray(np.dstack([samples] * 3 + [np.zeros_like(LEVELS) + np.uint8(alpha)]))


def test_colour_becomes_luminance_by_rec_601():
    rng = np.random.default_rng(0)
    colour = rng.integers(0, 256, (32, 24, 3), dtype=np.uint8)
    expected = colour @ np.array([0.299, 0.587, 0.114]) / 255
    pixels = decode(save(Image.fromarray(colour), "PNG")).pixels
    assert np.abs(pixels - expected).max() < 0.6 / 255


def test_a_tint_stays_luminance():
    colour = np.rint(LEVELS[..., None] * np.array([0.5, 0.7, 1.0])).astype(np.uint8)
    expected = np.asarray(Image.fromarray(colour).convert("L")) / np.float32(255)
    np.testing.assert_array_equal(decode(save(Image.fromarray(colour), "PNG")).pixels, expected)


@pytest.mark.parametrize("channel", [0, 1, 2], ids=["red", "green", "blue"])
@pytest.mark.parametrize("others", [0, 90, 255])
@pytest.mark.parametrize("format", ["PNG", "BMP", "TIFF", "WEBP"])
def test_a_picture_in_one_channel_is_that_channel(format, channel, others):
    options = {"lossless": True} if format == "WEBP" else {}
    content = save(Image.fromarray(in_channel(LEVELS, channel, others)), format, **options)
    np.testing.assert_array_equal(decode(content).pixels, UNIT)


@pytest.mark.parametrize("channel", [0, 1, 2], ids=["red", "green", "blue"])
def test_one_channel_of_a_jpeg_keeps_its_range(channel):
    image = Image.fromarray(in_channel(LEVELS, channel)).resize((200, 240))
    pixels = decode(save(image, "JPEG", quality=90, subsampling=0)).pixels
    expected = np.asarray(image)[..., channel] / 255
    assert np.abs(pixels - expected).mean() < 0.03


@pytest.mark.parametrize("channel", [0, 1, 2], ids=["red", "green", "blue"])
def test_one_channel_of_16_bits_is_that_channel(channel):
    pixels = decode(deep_png(in_channel(DEEP, channel, 700), colour=2)).pixels
    np.testing.assert_allclose(pixels, DEEP / 4095, atol=1e-6)


def test_two_channels_of_three_share_the_weights():
    colour = in_channel(LEVELS, 0)
    colour[..., 2] = LEVELS
    np.testing.assert_array_equal(decode(save(Image.fromarray(colour), "PNG")).pixels, UNIT)


def test_a_palette_of_blues_is_its_blue():
    image = Image.fromarray(LEVELS).convert("P")
    image.putpalette([part for level in range(256) for part in (0, 0, level)])
    np.testing.assert_array_equal(decode(save(image, "PNG")).pixels, UNIT)


@pytest.mark.parametrize("ink", ["black", "cyan"])
def test_one_ink_of_four_carries_the_picture(ink):
    inks = np.zeros((*LEVELS.shape, 4), np.uint8)
    inks[..., 3 if ink == "black" else 0] = 255 - LEVELS
    content = save(Image.fromarray(inks, "CMYK"), "TIFF")
    np.testing.assert_array_equal(decode(content).pixels, UNIT)


@pytest.mark.parametrize("alpha", [0, 1, 8, 16, 128, 200])
@pytest.mark.parametrize(
    ("mode", "format"),
    [("LA", "PNG"), ("RGBA", "PNG"), ("RGBA", "TIFF"), ("RGBA", "WEBP")],
)
def test_transparency_everywhere_is_ignored(mode, format, alpha):
    options = {"lossless": True, "exact": True} if format == "WEBP" else {}
    radiograph = decode(save(with_alpha(alpha).convert(mode), format, **options))
    np.testing.assert_array_equal(radiograph.pixels, UNIT)
    assert [notice.key for notice in radiograph.notices] == ["formats.transparency_ignored"]


@pytest.mark.parametrize(("colour", "channels"), [(4, 2), (6, 4)])
def test_deep_transparency_everywhere_is_ignored(colour, channels):
    samples = np.repeat(DEEP[..., None], channels, axis=2)
    samples[..., -1] = 16 * 257
    np.testing.assert_allclose(decode(deep_png(samples, colour)).pixels, DEEP / 4095, atol=1e-6)


def test_a_palette_all_transparent_is_ignored():
    image = Image.fromarray(LEVELS).convert("P")
    np.testing.assert_array_equal(
        decode(save(image, "PNG", transparency=bytes(256))).pixels,
        np.asarray(image.convert("L")) / np.float32(255),
    )


ODD_ALPHA = {
    "noise": np.random.default_rng(0).integers(0, 24, LEVELS.shape).astype(np.uint8),
    "gradient": np.linspace(0, 255, LEVELS.size).reshape(LEVELS.shape).astype(np.uint8),
    "opaque marker": np.where(np.indices(LEVELS.shape).max(axis=0) < 7, 255, 16).astype(np.uint8),
    "the picture itself": LEVELS,
}


@pytest.mark.parametrize("alpha", ODD_ALPHA.values(), ids=ODD_ALPHA)
def test_alpha_that_cuts_nothing_out_is_ignored(alpha):
    pixels = decode(save(with_alpha(alpha), "PNG")).pixels
    np.testing.assert_array_equal(pixels, UNIT)


def test_alpha_the_wrong_way_round_is_ignored():
    subject = np.zeros(LEVELS.shape, bool)
    subject[6:-6, 6:-6] = True
    image = with_alpha(np.where(subject, 0, 255), np.where(subject, LEVELS, 0).astype(np.uint8))
    np.testing.assert_array_equal(decode(save(image, "PNG")).pixels, UNIT * subject)


@pytest.mark.parametrize("cleared", [None, 0, 255], ids=["kept", "black", "white"])
def test_a_cut_out_subject_lies_on_black(cleared):
    alpha = np.full(LEVELS.shape, 255, np.uint8)
    alpha[:20] = 0
    alpha[20:24] = 51
    samples = LEVELS.copy()
    if cleared is not None:
        samples[:20] = cleared
    radiograph = decode(save(with_alpha(alpha, samples), "PNG"))
    assert radiograph.pixels[:20].max() == 0
    np.testing.assert_allclose(radiograph.pixels[20:24], UNIT[20:24] * 0.2, atol=1e-6)
    np.testing.assert_array_equal(radiograph.pixels[24:], UNIT[24:])
    assert not radiograph.notices


def test_a_transparent_palette_entry_is_black():
    image = Image.fromarray(LEVELS).convert("P")
    shown = int(np.asarray(image)[24, 20])
    pixels = decode(save(image, "PNG", transparency=shown)).pixels
    hidden = np.asarray(image) == shown
    assert pixels[hidden].max() == 0
    np.testing.assert_array_equal(pixels[~hidden], UNIT[~hidden])


def test_a_picture_in_alpha_over_white_is_read():
    image = with_alpha(LEVELS, np.full_like(LEVELS, 255))
    np.testing.assert_allclose(decode(save(image, "PNG")).pixels, UNIT, atol=1e-6)


def test_a_picture_in_alpha_over_black_is_refused():
    with pytest.raises(UnsupportedFormat, match="picture is in its transparency"):
        decode(save(with_alpha(LEVELS, np.zeros_like(LEVELS)), "PNG"))


def test_premultiplied_colours_are_divided():
    alpha = np.full_like(LEVELS, 128)
    multiplied = np.rint(LEVELS * (128 / 255)).astype(np.uint8)
    assert np.abs(straight(multiplied, alpha).astype(int) - LEVELS).max() <= 1


def test_colours_above_their_alpha_are_kept():
    np.testing.assert_array_equal(straight(LEVELS, np.full_like(LEVELS, 8)), LEVELS)


def test_a_transparent_level_is_black():
    content = grey("PNG")
    level = int(LEVELS[24, 20])
    keyed = content[:33] + chunk(b"tRNS", bytes([0, level])) + content[33:]
    pixels = decode(keyed).pixels
    assert pixels[level == LEVELS].max() == 0
    np.testing.assert_array_equal(pixels[level != LEVELS], UNIT[level != LEVELS])
