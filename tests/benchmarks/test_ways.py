"""Ways in which radiographs arrive: files that other decoders open, and what each way keeps."""

from __future__ import annotations

import io
from functools import partial

import numpy as np
import pytest
from PIL import Image, ImageFile, ImageOps
from pydicom import dcmread

from benchmarks.ways import all_ways, damage
from benchmarks.ways.files import deep, jpeg, png, tiff
from benchmarks.ways.way import Way
from tests.support.pictures import draw_radiograph

GREY = np.rint(255 * draw_radiograph(240, 176)).astype(np.uint8)
NORMALS = [
    np.rint(255 * draw_radiograph(200, 150, seed=seed)).astype(np.uint8) for seed in (1, 2, 3)
]
WAYS = {way.name: way for way in all_ways(NORMALS)}


def sent(way: Way, seed: int = 0) -> bytes:
    return way.send(GREY, np.random.default_rng(seed))


def opened(content: bytes) -> np.ndarray:
    """Decode by Pillow, or by pydicom."""
    if content[128:132] == b"DICM":
        return dcmread(io.BytesIO(content)).pixel_array
    return np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(content))))


def grey_of(name: str) -> np.ndarray:
    image = Image.open(io.BytesIO(sent(WAYS[name])))
    return np.asarray(ImageOps.exif_transpose(image).convert("L"))


def test_there_are_many_everyday_ways():
    everyday = [way for way in WAYS.values() if not way.damaged and not way.destructive]
    assert len(everyday) > 100
    assert len(all_ways(NORMALS)) == len(WAYS)


@pytest.mark.slow
def test_a_way_repeats_itself():
    assert [way.name for way in WAYS.values() if sent(way) != sent(way)] == []


def test_random_ways_differ_by_seed():
    random = {
        way.kind for way in WAYS.values() if way.kind != "DICOM" and sent(way, 1) != sent(way)
    }
    assert random == {"surroundings", "several radiographs", "photograph", "size and sharpness"}


def test_the_radiograph_stays_as_it_is():
    before = GREY.copy()
    for way in WAYS.values():
        sent(way)
    assert np.array_equal(GREY, before)


def test_files_open_in_other_decoders():
    shapes = {way.name: opened(sent(way)).shape for way in WAYS.values() if not way.damaged}
    small = [name for name, (height, width, *_) in shapes.items() if min(height, width) < 40]
    assert small == []


@pytest.mark.parametrize("name", [name for name in WAYS if "rientation " in name])
def test_the_orientation_tag_takes_the_turn_back(name):
    expected = GREY.astype(int)
    assert grey_of(name).shape == GREY.shape
    assert np.abs(grey_of(name) - expected).mean() < 3


@pytest.mark.parametrize("name", ["PNG with a palette", "PNG with a shuffled palette", "BMP"])
def test_an_exact_encoding_keeps_every_level(name):
    assert np.array_equal(grey_of(name), GREY)


def test_a_colour_channel_carries_the_picture():
    picture = opened(sent(WAYS["in the blue channel, the others white"]))
    assert np.array_equal(picture[..., 2], GREY)
    assert picture[..., :2].min() == 255


def test_depth_spreads_over_the_lowest_bits():
    assert deep(np.array([0, 128, 255], np.uint8), 12).tolist() == [0, 2056, 4095]


@pytest.mark.parametrize(
    "encode, halve",
    [
        (png, damage.png_height_halved),
        (jpeg, damage.jpeg_height_halved),
        (damage.bmp, damage.bmp_height_halved),
        (tiff, partial(damage.tiff_value_halved, tag=damage.IMAGE_LENGTH)),
    ],
)
def test_a_halved_height_shows_in_the_header(encode, halve):
    image = Image.open(io.BytesIO(halve(encode(GREY))))
    assert image.size == (GREY.shape[1], GREY.shape[0] // 2)


@pytest.mark.parametrize("zeros", [True, False])
def test_lost_intervals_keep_their_markers(zeros):
    whole = damage.with_restarts(GREY)
    lost = damage.intervals_lost(whole, zeros=zeros)
    scan = whole.index(b"\xff\xda")
    for marker in range(8):
        code = bytes([0xFF, 0xD0 + marker])
        assert lost.count(code, scan) == whole.count(code, scan)
    assert (len(lost) == len(whole)) == zeros
    assert lost != whole


def test_run_lengths_skip_the_upper_half():
    whole = opened(damage.rle_bmp(GREY, skipped=False))
    half = opened(damage.rle_bmp(GREY, skipped=True))
    assert np.array_equal(whole, GREY)
    assert np.array_equal(half[120:], GREY[120:])
    assert half[:120].max() == 0


def test_unlisted_strips_are_missing(monkeypatch):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    whole = damage.tiff_of_strips(GREY, compression=1)
    assert np.array_equal(opened(whole), GREY)
    tags = Image.open(io.BytesIO(damage.half_of_the_strips_listed(whole))).tag_v2
    assert len(tags[damage.STRIP_OFFSETS]) == len(tags[damage.STRIP_BYTE_COUNTS]) == 4


@pytest.mark.parametrize("way", [way for way in WAYS.values() if way.damaged], ids=lambda w: w.name)
def test_a_damaged_file_lacks_some_of_the_picture(way):
    """Pillow and pydicom refuse it, or return another picture."""
    try:
        picture = opened(sent(way))
    except (OSError, ValueError, SyntaxError, RuntimeError, AttributeError):
        return
    known = deep(GREY, 12) if picture.dtype == np.uint16 else GREY
    seen = picture if picture.ndim == 2 else picture[..., 1]
    assert seen.shape != known.shape or (np.abs(seen.astype(int) - known) > 60).mean() > 0.05
