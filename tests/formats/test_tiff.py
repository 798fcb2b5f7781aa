"""TIFF files: pages, colour of 16 bits, alpha, and data that contradicts the header."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image
from PIL.ExifTags import Base as Tag

from tests.support.pictures import draw_radiograph
from tests.support.raster_files import LEVELS, UNIT, grey, save, tiff_of
from utils.errors import NotARadiograph, UnreadableImage, UnsupportedFormat
from utils.formats import decode
from utils.formats.tiff import MAX_PAGES

HEIGHT, WIDTH = LEVELS.shape
DEEP = np.rint(draw_radiograph(48, 40) * 4095).astype(np.uint16)
CODECS = {
    "raw": {},
    "lzw": {"compression": "tiff_lzw"},
    "deflate": {"compression": "tiff_adobe_deflate"},
    "packbits": {"compression": "packbits"},
    "lzma": {"compression": "lzma"},
    "jpeg": {"compression": "jpeg", "quality": 90},
}
each_codec = pytest.mark.parametrize("options", CODECS.values(), ids=CODECS)
# Larger, so that damage meets more than the last few codes.
LARGE = np.rint(draw_radiograph(300, 240) * 255).astype(np.uint8)


def taken_apart(content: bytes) -> tuple[list[bytes], dict[int, int | tuple[int, ...]]]:
    """Return the strips of a TIFF of Pillow's, and its tags without where they lie."""
    tags = dict(Image.open(io.BytesIO(content)).tag_v2)
    places = zip(tags.pop(Tag.StripOffsets), tags.pop(Tag.StripByteCounts), strict=True)
    blocks = [content[start : start + length] for start, length in places]
    if tables := tags.pop(Tag.JPEGTables, b""):
        blocks = [tables[:-2] + block[2:] for block in blocks]
    return blocks, tags


def strips(samples: np.ndarray, rows: int) -> list[bytes]:
    """Return raw strips of so many rows."""
    return [samples[top : top + rows].tobytes() for top in range(0, len(samples), rows)]


def tags_of(samples: np.ndarray, **more: int | tuple[int, ...]) -> dict[int, int | tuple[int, ...]]:
    """Return the tags of raw samples in one strip; others are given by their name in Tag."""
    channels = samples.shape[2] if samples.ndim == 3 else 1
    tags = {
        Tag.ImageWidth: samples.shape[1],
        Tag.ImageLength: samples.shape[0],
        Tag.BitsPerSample: (8 * samples.itemsize,) * channels,
        Tag.PhotometricInterpretation: 2 if channels > 2 else 1,
        Tag.SamplesPerPixel: channels,
        Tag.RowsPerStrip: samples.shape[0],
    }
    return tags | {getattr(Tag, name): value for name, value in more.items()}


def test_white_is_zero_is_inverted_at_16_bits():
    levels = DEEP.copy()
    levels[0, 0] = 4095
    content = save(Image.fromarray(levels), "TIFF", tiffinfo={262: 0})
    np.testing.assert_allclose(decode(content).pixels, 1 - levels / 4095, atol=1e-6)


def pages(*pictures: np.ndarray, marks: tuple[int, ...] = ()) -> bytes:
    """Return a TIFF of several pages; marks are their NewSubfileType."""
    images = [Image.fromarray(picture) for picture in pictures]
    for image, mark in zip(images, marks, strict=False):
        image.encoderinfo = {"tiffinfo": {Tag.NewSubfileType: mark}}
    first, *rest = images
    info = {"tiffinfo": {Tag.NewSubfileType: marks[0]}} if marks else {}
    return save(first, "TIFF", save_all=True, append_images=rest, **info)


SMALL = np.asarray(Image.fromarray(LEVELS).resize((WIDTH // 2, HEIGHT // 2)))
SQUARE = np.asarray(Image.fromarray(LEVELS).resize((30, 30)))
ONE_PICTURE = {
    "a thumbnail after it": pages(LEVELS, SMALL),
    "a thumbnail before it": pages(SMALL, LEVELS),
    "several thumbnails": pages(LEVELS, SMALL, SMALL[::2, ::2]),
    "a marked thumbnail": pages(LEVELS, SQUARE, marks=(0, 1)),
    "a marked thumbnail before it": pages(SQUARE, LEVELS, marks=(1, 0)),
    "a mask": pages(LEVELS, LEVELS, marks=(0, 4)),
}


@pytest.mark.parametrize("content", ONE_PICTURE.values(), ids=ONE_PICTURE)
def test_the_picture_is_read_not_its_thumbnail(content):
    np.testing.assert_array_equal(decode(content).pixels, UNIT)


SEVERAL = {
    "of one size": pages(LEVELS, LEVELS[::-1]),
    "of another shape": pages(LEVELS, SQUARE),
    "numbered pages": pages(LEVELS, LEVELS, marks=(2, 2)),
    "a small one of another kind": pages(LEVELS, np.ascontiguousarray(SMALL[::-1])),
    "a small and two large": pages(LEVELS, SMALL, LEVELS),
    "very many": pages(LEVELS, *[SMALL] * MAX_PAGES),
}


@pytest.mark.parametrize("content", SEVERAL.values(), ids=SEVERAL)
def test_several_pictures_are_refused(content):
    with pytest.raises(NotARadiograph, match="several pages"):
        decode(content)


def test_deep_colour_keeps_its_lower_bits():
    samples = np.repeat(DEEP[..., None], 3, axis=2)
    content = tiff_of([samples.tobytes()], tags_of(samples))
    np.testing.assert_allclose(decode(content).pixels, DEEP / 4095, atol=1e-6)


@pytest.mark.parametrize("orientation", [3, 6])
def test_deep_colour_is_turned_upright_once(orientation):
    samples = np.repeat(DEEP[..., None], 3, axis=2)
    content = tiff_of([samples.tobytes()], tags_of(samples) | {274: orientation})
    expected = np.rot90(DEEP, {3: 2, 6: -1}[orientation]) / 4095
    np.testing.assert_allclose(decode(content).pixels, expected, atol=1e-6)


@pytest.mark.parametrize("kind", [1, 2], ids=["associated", "unassociated"])
@pytest.mark.parametrize("alpha", [0, 16, 128])
@pytest.mark.parametrize("colours", [1, 3])
def test_colours_not_multiplied_by_alpha_are_read(colours, alpha, kind):
    samples = np.dstack([LEVELS] * colours + [np.full_like(LEVELS, alpha)])
    content = tiff_of([samples.tobytes()], tags_of(samples, ExtraSamples=kind))
    np.testing.assert_array_equal(decode(content).pixels, UNIT)


@pytest.mark.parametrize("colours", [1, 3])
def test_premultiplied_colours_are_divided(colours):
    multiplied = np.rint(LEVELS * (128 / 255)).astype(np.uint8)
    samples = np.dstack([multiplied] * colours + [np.full_like(LEVELS, 128)])
    content = tiff_of([samples.tobytes()], tags_of(samples, ExtraSamples=1))
    assert np.abs(decode(content).pixels - UNIT).max() < 1.5 / 255


def test_a_premultiplied_cut_out_lies_on_black():
    samples = np.dstack([LEVELS] * 3 + [np.full_like(LEVELS, 255)])
    samples[:20] = 0
    content = tiff_of([samples.tobytes()], tags_of(samples, ExtraSamples=1))
    pixels = decode(content).pixels
    assert pixels[:20].max() == 0
    np.testing.assert_array_equal(pixels[20:], UNIT[20:])


@pytest.mark.parametrize("alpha", [0, 16 * 257])
@pytest.mark.parametrize("kind", [1, 2], ids=["associated", "unassociated"])
def test_deep_transparency_everywhere_is_ignored(kind, alpha):
    samples = np.dstack([DEEP * 16] * 3 + [np.full_like(DEEP, alpha)])
    content = tiff_of([samples.tobytes()], tags_of(samples, ExtraSamples=kind))
    np.testing.assert_allclose(decode(content).pixels, DEEP * 16 / 65535, atol=1e-5)


@each_codec
def test_whole_strips_are_read(options):
    content = tiff_of(*taken_apart(grey("TIFF", **options)))
    expected = np.asarray(Image.open(io.BytesIO(content))) / np.float32(255)
    np.testing.assert_array_equal(decode(content).pixels, expected)


@each_codec
@pytest.mark.parametrize(
    "changed",
    [{Tag.ImageLength: 24}, {Tag.ImageLength: 24, Tag.RowsPerStrip: 24}, {Tag.ImageWidth: 20}],
)
def test_more_data_than_declared_is_refused(options, changed):
    blocks, tags = taken_apart(grey("TIFF", **options))
    with pytest.raises(UnreadableImage, match="pixels that its header declares"):
        decode(tiff_of(blocks, tags | changed))


@each_codec
@pytest.mark.parametrize(
    "changed", [{Tag.ImageLength: 96, Tag.RowsPerStrip: 96}, {Tag.ImageWidth: 80}]
)
def test_less_data_than_declared_is_refused(options, changed):
    blocks, tags = taken_apart(grey("TIFF", **options))
    with pytest.raises(UnreadableImage, match="ends early"):
        decode(tiff_of(blocks, tags | changed))


@each_codec
@pytest.mark.parametrize("damage", ["cut", "zeroed", "doubled"])
def test_damage_inside_a_strip_is_refused(options, damage):
    if damage == "zeroed" and not options:
        return  # raw pixels have nothing that tells
    (strip, *rest), tags = taken_apart(save(Image.fromarray(LARGE), "TIFF", **options))
    middle = len(strip) // 2
    damaged = {
        "cut": strip[:middle],
        "zeroed": strip[:middle] + bytes(400) + strip[middle + 400 :],
        "doubled": strip[: middle + 400] + strip[middle:],
    }[damage]
    with pytest.raises(UnreadableImage):
        decode(tiff_of([damaged, *rest], tags))


@pytest.mark.parametrize("listed", [2, 5])
def test_the_strips_must_be_as_many_as_needed(listed):
    tags = tags_of(LEVELS, RowsPerStrip=12)
    blocks = strips(LEVELS, 12)
    np.testing.assert_array_equal(decode(tiff_of(blocks, tags)).pixels, UNIT)
    with pytest.raises(UnreadableImage, match=f"lists {listed} strips or tiles, its size needs 4"):
        decode(tiff_of((blocks * 2)[:listed], tags))


def test_a_last_strip_padded_like_others_is_read():
    *full, last = strips(LEVELS, 20)
    content = tiff_of([*full, last + bytes(12 * WIDTH)], tags_of(LEVELS, RowsPerStrip=20))
    np.testing.assert_array_equal(decode(content).pixels, UNIT)


def test_tiles_must_be_whole():
    padded = np.zeros((64, 48), np.uint8)
    padded[:HEIGHT, :WIDTH] = LEVELS
    tiles = [
        padded[top : top + 16, left : left + 16].tobytes()
        for top in range(0, HEIGHT, 16)
        for left in range(0, WIDTH, 16)
    ]
    tags = tags_of(LEVELS, TileWidth=16, TileLength=16)
    del tags[Tag.RowsPerStrip]
    np.testing.assert_array_equal(decode(tiff_of(tiles, tags)).pixels, UNIT)
    for broken in (tiles[:-1], [*tiles[:-1], tiles[-1][:100]]):
        with pytest.raises(UnreadableImage):
            decode(tiff_of(broken, tags))


@pytest.mark.parametrize("planar", [1, 2], ids=["together", "apart"])
def test_colours_apart_or_together_are_read(planar):
    samples = np.dstack([LEVELS] * 3)
    planes = [LEVELS.tobytes()] * 3 if planar == 2 else [samples.tobytes()]
    content = tiff_of(planes, tags_of(samples, PlanarConfiguration=planar))
    np.testing.assert_array_equal(decode(content).pixels, UNIT)


@pytest.mark.parametrize("compression", ["group3", "group4", "zstd"])
def test_codes_that_hide_damage_are_refused(compression):
    mode = "L" if compression == "zstd" else "1"
    with pytest.raises(UnsupportedFormat, match="damage does not show"):
        decode(save(Image.fromarray(LEVELS).convert(mode), "TIFF", compression=compression))


def test_an_unknown_polarity_is_refused():
    tags = tags_of(LEVELS)
    del tags[Tag.PhotometricInterpretation]
    with pytest.raises(UnreadableImage, match="bright is high or low"):
        decode(tiff_of([LEVELS.tobytes()], tags))


@pytest.mark.parametrize("samples", [LEVELS.astype(np.float32), LEVELS.astype(np.int32) << 12])
def test_floats_and_32_bits_are_refused_by_name(samples):
    with pytest.raises(UnsupportedFormat, match="is not read|levels run"):
        decode(save(Image.fromarray(samples), "TIFF"))


def test_unknown_samples_are_refused_by_name():
    samples = np.dstack([DEEP, DEEP])
    with pytest.raises(UnsupportedFormat, match="this kind of TIFF"):
        decode(tiff_of([samples.tobytes()], tags_of(samples, ExtraSamples=2)))
