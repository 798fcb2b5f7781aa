"""JPEG files: decoding, reduction, and missing data."""

from __future__ import annotations

import io
import re
import threading

import numpy as np
import pytest
from PIL import Image, ImageFile, ImageOps

from tests.support.pictures import draw_radiograph, encode
from tests.support.raster_files import LEVELS, UNIT, grey, save
from utils.errors import UnreadableImage
from utils.formats import decode
from utils.formats.jpeg import decoder_warning, names_damage, names_missing_data
from utils.imaging.geometry import resize
from utils.imaging.radiograph import DETAIL


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"quality": 30}])
def test_a_jpeg_decodes_as_in_pillow(options):
    content = grey("JPEG", **options)
    expected = np.asarray(Image.open(io.BytesIO(content)))
    np.testing.assert_array_equal(decode(content).pixels, expected / np.float32(255))


def test_cmyk_is_not_inverted():
    content = save(Image.fromarray(LEVELS).convert("CMYK"), "JPEG", quality=95)
    assert np.abs(decode(content).pixels - UNIT).max() < 0.1


def test_a_truncated_jpeg_is_filled_as_in_pillow(monkeypatch):
    content = grey("JPEG", quality=95)
    short = content[: int(len(content) * 0.7)]
    radiograph = decode(short, allow_truncated=True)
    assert radiograph.truncated
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    expected = np.asarray(Image.open(io.BytesIO(short))) / np.float32(255)
    np.testing.assert_array_equal(radiograph.pixels, expected)


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_an_added_end_marker_does_not_hide_a_cut(mode):
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
    """Hold that a JPEG is refused, and decoded as truncated where that is allowed."""
    with pytest.raises(UnreadableImage, match="ends early"):
        decode(content)
    assert decode(content, allow_truncated=True).truncated


@pytest.mark.parametrize("content", RESTARTS.values(), ids=RESTARTS)
def test_a_cut_at_a_restart_marker_is_refused(content):
    decode(content)
    markers = [found.start() for found in re.finditer(rb"\xff[\xd0-\xd7]", content)]
    for marker in (markers[0], markers[len(markers) // 2], markers[-1]):
        refused_and_flagged(content[:marker] + b"\xff\xd9")
        refused_and_flagged(content[: marker + 2] + b"\xff\xd9")


def test_a_missing_restart_interval_is_refused():
    content = RESTARTS["blocks"]
    first = content.index(b"\xff\xd1")
    second = content.index(b"\xff\xd1", first + 1)
    refused_and_flagged(content[:first] + content[second:])


@pytest.mark.parametrize("content", PROGRESSIVE.values(), ids=PROGRESSIVE)
def test_missing_last_scans_are_refused(content):
    decode(content)
    starts = [found.start() for found in re.finditer(rb"\xff\xda", content)]
    assert len(starts) > 3
    for start in starts[1:]:
        refused_and_flagged(content[:start] + b"\xff\xd9")


@pytest.mark.parametrize("content", PROGRESSIVE.values(), ids=PROGRESSIVE)
def test_a_cut_in_the_last_scan_is_refused(content):
    last = content.rindex(b"\xff\xda")
    for share in (0.2, 0.5, 0.9):
        refused_and_flagged(content[: int(last + share * (len(content) - last))] + b"\xff\xd9")


def test_a_whole_jpeg_may_end_in_mid_grey():
    levels = LEVELS.copy()
    levels[-16:] = 128
    content = save(Image.fromarray(levels), "JPEG", quality=95)
    assert decode(content).pixels[-1, -1] == np.float32(128 / 255)


def test_pillows_global_switch_is_left_alone():
    jpeg = grey("JPEG", quality=95)
    values = set()
    done = threading.Event()

    def watch() -> None:
        while not done.is_set():
            values.add(ImageFile.LOAD_TRUNCATED_IMAGES)

    watcher = threading.Thread(target=watch)
    watcher.start()
    for _ in range(20):
        decode(jpeg[:-60], allow_truncated=True)
    done.set()
    watcher.join()
    assert values == {False}


def test_fracatlas_decodes_as_in_pillow(shared_data):
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


@pytest.fixture(scope="module")
def large() -> np.ndarray:
    """A drawn radiograph of LARGE, just over the size from which half of it is decoded."""
    return draw_radiograph(*LARGE)


def test_a_large_jpeg_is_decoded_at_half_its_size(large):
    found = decode(encode(large, "JPEG", quality=95))
    assert (found.height, found.width) == LARGE
    assert found.pixels.shape == (LARGE[0] // 2, LARGE[1] // 2)
    means = resize(large.astype(np.float32), *found.pixels.shape)
    assert np.abs(found.pixels - means).mean() < 0.01


def test_below_twice_the_detail_all_pixels_stay():
    found = decode(encode(draw_radiograph(2 * DETAIL - 2, 700), "JPEG"))
    assert found.pixels.shape == (2 * DETAIL - 2, 700)


def test_a_large_jpeg_on_its_side_is_turned(large):
    picture = Image.open(io.BytesIO(encode(large, "JPEG")))
    exif = Image.Exif()
    exif[0x0112] = 6
    stream = io.BytesIO()
    picture.save(stream, "JPEG", exif=exif)
    found = decode(stream.getvalue())
    assert (found.height, found.width) == LARGE[::-1]
    assert found.pixels.shape == (LARGE[1] // 2, LARGE[0] // 2)


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("share", [0.3, 0.8, 0.98])
def test_a_large_jpeg_cut_and_closed_is_refused(large, progressive, share):
    whole = encode(large, "JPEG", quality=90, progressive=progressive)
    with pytest.raises(UnreadableImage, match="ends early"):
        decode(whole[: int(share * len(whole))] + b"\xff\xd9")


def test_a_large_progressive_jpeg_keeps_its_pixels(large):
    whole = encode(large, "JPEG", progressive=True)
    assert decode(whole).pixels.shape == LARGE


def test_of_fracatlas_only_truncated_are_refused(shared_data):
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


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_rows": 1}])
def test_missing_data_is_found_at_an_eighth(mode, options):
    content = save(Image.fromarray(LEVELS).convert(mode), "JPEG", quality=95, **options)
    assert not names_damage(decoder_warning(content))
    if mode != "CMYK":
        cut = content[: len(content) * 4 // 5] + b"\xff\xd9"
        assert names_missing_data(decoder_warning(cut))


@pytest.mark.parametrize(
    ("warning", "missing", "damage"),
    [
        ("Corrupt JPEG data: premature end of data segment", True, True),
        ("Premature end of JPEG file", True, True),
        ("Corrupt JPEG data: found marker 0xd9 instead of RST1", True, True),
        ("Corrupt JPEG data: bad Huffman code", False, True),
        ("Corrupt JPEG data: 2 extraneous bytes before marker 0xd9", False, True),
        ("Inconsistent progression sequence for component 0 coefficient 1", False, True),
        ("Invalid SOS parameters for sequential JPEG", False, False),
        ("", False, False),
    ],
)
def test_warnings_of_libjpeg_are_classified(warning, missing, damage):
    assert (names_missing_data(warning), names_damage(warning)) == (missing, damage)


def test_damaged_coded_data_is_refused():
    content = grey("JPEG", quality=95)
    start = content.index(b"\xff\xda") + 200
    zeroed = content[:start] + bytes(300) + content[start + 300 :]
    for allow_truncated in (False, True):
        with pytest.raises(UnreadableImage, match="damaged"):
            decode(zeroed, allow_truncated=allow_truncated)
