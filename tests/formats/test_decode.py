"""What holds for every format: limits, damage, and refused pictures."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.support.raster_files import LEVELS, deep_png, grey, save
from utils.errors import FractureError, NotARadiograph, TooLarge, UnreadableImage
from utils.formats import Limits, decode


@pytest.mark.parametrize("format", ["PNG", "JPEG"])
def test_junk_after_the_end_changes_nothing(format):
    content = grey(format)
    for junk in (b"\0" * 500, b"a note of the exporting program", content[100:200]):
        np.testing.assert_array_equal(decode(content + junk).pixels, decode(content).pixels)


@pytest.mark.parametrize("format", ["PNG", "JPEG", "BMP", "TIFF", "WEBP"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_a_file_that_ends_early_is_refused(format, share):
    content = grey(format)
    with pytest.raises(UnreadableImage):
        decode(content[: int(len(content) * share)])


@pytest.mark.parametrize("missing", [1, 2, 6, 12, 14])
@pytest.mark.parametrize("format", ["PNG", "JPEG"])
def test_a_missing_last_byte_is_refused(format, missing):
    with pytest.raises(UnreadableImage, match="ends early"):
        decode(grey(format)[:-missing])


def test_a_mere_header_is_unreadable():
    for content in (grey("PNG")[:40], grey("JPEG")[:200]):
        with pytest.raises(UnreadableImage):
            decode(content, allow_truncated=True)


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


@pytest.mark.slow
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    seed=st.sampled_from(SEEDS),
    edits=st.lists(st.tuples(st.integers(0, 2000), st.binary(max_size=6)), min_size=1, max_size=6),
    cut=st.integers(0, 4000),
    allow=st.booleans(),
)
def test_damage_gives_a_radiograph_or_our_error(seed, edits, cut, allow):
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


@pytest.mark.parametrize("format", ["JPEG", "BMP", "TIFF", "WEBP", "PNG"])
def test_every_format_obeys_the_pixel_limit(format):
    with pytest.raises(TooLarge, match="40 x 48"):
        decode(grey(format), limits=Limits(max_pixels=40 * 48 - 1))
    assert decode(grey(format), limits=Limits(max_pixels=40 * 48)).width == 40


def test_a_file_over_the_byte_limit_is_refused():
    with pytest.raises(TooLarge, match="MB"):
        decode(grey("PNG"), limits=Limits(max_bytes=100))


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
def test_several_pictures_are_refused_by_name(format, options, name):
    first, *rest = frames()
    content = save(first, format, save_all=True, append_images=rest, **options)
    with pytest.raises(NotARadiograph, match=name):
        decode(content)


@pytest.mark.parametrize("level", [0, 7, 128, 255])
@pytest.mark.parametrize("format", ["PNG", "JPEG", "BMP"])
def test_a_constant_picture_is_refused(level, format):
    with pytest.raises(NotARadiograph, match="blank"):
        decode(save(Image.fromarray(np.full((64, 64), level, np.uint8)), format))


def test_noise_alone_is_refused_a_small_mark_is_not():
    rng = np.random.default_rng(2)
    noise = rng.integers(30, 33, (128, 128), dtype=np.uint8)
    with pytest.raises(NotARadiograph, match="blank"):
        decode(save(Image.fromarray(noise), "PNG"))
    noise[40:48, 40:48] = 200
    assert decode(save(Image.fromarray(noise), "PNG")).width == 128


@pytest.mark.parametrize("size", [(1, 1), (15, 400), (400, 8), (17, 500)])
def test_a_tiny_or_narrow_picture_is_refused(size):
    rng = np.random.default_rng(3)
    picture = rng.integers(0, 256, size, dtype=np.uint8)
    with pytest.raises(NotARadiograph, match=f"{size[1]} x {size[0]} pixels"):
        decode(save(Image.fromarray(picture), "PNG"))


def test_an_empty_file_is_named_empty():
    with pytest.raises(UnreadableImage, match="empty"):
        decode(b"")


def test_pictures_of_no_bone_decode_as_well(shared_data):
    files = sorted(file for file in (shared_data / "ood").glob("*/*") if file.is_file())
    assert len(files) >= 45
    for file in files:
        assert decode(file.read_bytes()).pixels.max() > 0.5
