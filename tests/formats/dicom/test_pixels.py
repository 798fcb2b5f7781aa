"""Stored values from every transfer syntax, and what is refused."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread

from tests.support.dicoms import (
    LOSSLESS,
    LOSSY,
    NATIVE,
    SECONDARY_CAPTURE,
    build,
    draw_dicom,
    draw_stored,
    frame_of,
    noticed,
    stretched,
    with_frame,
    write,
)
from utils.errors import NotARadiograph, UnreadableImage, UnsupportedFormat
from utils.formats import decode

BITS = (8, 10, 12, 16)


@pytest.mark.parametrize("signed", [False, True], ids=["unsigned", "signed"])
@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("syntax", [*NATIVE, *LOSSLESS])
def test_a_lossless_syntax_keeps_stored_values(syntax, bits, signed):
    stored = draw_stored(bits, signed=signed)
    radiograph = decode(draw_dicom(stored, syntax=syntax, bits=bits))
    assert (radiograph.format, radiograph.truncated) == ("dicom", False)
    assert radiograph.pixels.dtype == np.float32
    assert radiograph.pixels.flags.c_contiguous
    np.testing.assert_allclose(radiograph.pixels, stretched(stored), atol=1e-7)


@pytest.mark.parametrize(
    ("syntax", "bits"),
    [("jpeg_baseline", 8), ("jpeg_extended", 12), ("jpeg_extended", 10)]
    + [(syntax, bits) for syntax in ("jpeg_ls_near", "jpeg_2000_lossy") for bits in (8, 12)],
)
def test_a_lossy_syntax_is_a_few_levels_off(syntax, bits):
    stored = draw_stored(bits)
    pixels = decode(draw_dicom(stored, syntax=syntax, bits=bits)).pixels
    difference = np.abs(pixels - stretched(stored))
    assert difference.max() < 0.04
    assert difference.mean() < 0.01


def test_overlay_bits_are_cut_off():
    stored = draw_stored(12)
    words = (stored << 2) | np.uint16(0x4001)
    content = draw_dicom(words, bits=12, HighBit=13)
    np.testing.assert_allclose(decode(content).pixels, stretched(stored), atol=1e-7)


@pytest.mark.parametrize(
    ("syntax", "photometric"), [("explicit", "RGB"), ("rle", "RGB"), ("explicit", "YBR_FULL")]
)
def test_colour_becomes_luminance(syntax, photometric):
    rng = np.random.default_rng(0)
    colour = rng.integers(0, 256, (32, 24, 3), dtype=np.uint8)
    content = draw_dicom(
        colour, bits=8, syntax=syntax, photometric=photometric, SOPClassUID=SECONDARY_CAPTURE
    )
    weights = [1, 0, 0] if photometric == "YBR_FULL" else [0.299, 0.587, 0.114]
    assert np.abs(decode(content).pixels - colour @ np.array(weights) / 255).max() < 0.6 / 255


@pytest.mark.parametrize("photometric", ["RGB", "YBR_RCT"])
def test_jpeg_2000_colour_is_weighed_as_rgb(photometric):
    rng = np.random.default_rng(1)
    colour = rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)
    content = draw_dicom(
        colour, bits=8, syntax="jpeg_2000", photometric=photometric, SOPClassUID=SECONDARY_CAPTURE
    )
    expected = colour @ np.array([0.299, 0.587, 0.114]) / 255
    assert np.abs(decode(content).pixels - expected).max() < 0.6 / 255


def test_a_colour_jpeg_becomes_its_luminance():
    grey = draw_stored(8, height=48, width=40).astype(np.uint8)
    content = draw_dicom(
        np.repeat(grey[..., None], 3, axis=2),
        bits=8,
        syntax="jpeg_baseline",
        photometric="YBR_FULL_422",
        SOPClassUID=SECONDARY_CAPTURE,
    )
    assert np.abs(decode(content).pixels - grey / 255).max() < 0.05


def test_missing_pixel_data_is_unreadable():
    dataset = build(draw_stored())
    del dataset.PixelData
    with pytest.raises(UnreadableImage, match="pixels"):
        decode(write(dataset))


def test_an_unknown_transfer_syntax_is_named():
    content = draw_dicom(syntax="rle").replace(
        b"1.2.840.10008.1.2.5\0", b"1.2.840.10008.1.2.4.100\0"[:20]
    )
    with pytest.raises(UnsupportedFormat, match="transfer syntax"):
        decode(content)


@pytest.mark.parametrize("syntax", [*LOSSLESS, *LOSSY])
@pytest.mark.parametrize("share", [0.5, 0.8, 0.95])
def test_a_frame_cut_and_closed_is_refused(syntax, share):
    content = draw_dicom(syntax=syntax, bits=8 if syntax == "jpeg_baseline" else 12)
    frame = frame_of(dcmread(io.BytesIO(content)))
    for ending in (b"\xff\xd9", b""):
        with pytest.raises(UnreadableImage):
            decode(with_frame(content, frame[: int(len(frame) * share)] + ending))


@pytest.mark.parametrize("options", [{"progressive": True}, {"restart_marker_rows": 1}])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_missing_scans_or_intervals_are_refused(mode, options):
    drawn = draw_stored(8)
    stored = drawn if mode == "L" else np.repeat(drawn[..., None], 3, axis=2)
    photometric = "MONOCHROME2" if mode == "L" else "YBR_FULL"
    content = draw_dicom(stored, syntax="jpeg_baseline", bits=8, photometric=photometric)
    stream = io.BytesIO()
    Image.fromarray(stored.astype(np.uint8)).save(stream, "JPEG", quality=95, **options)
    frame = stream.getvalue()
    decode(with_frame(content, frame))
    marker = b"\xff\xda" if "progressive" in options else b"\xff\xd0"
    with pytest.raises(UnreadableImage, match="end early"):
        decode(with_frame(content, frame[: frame.rindex(marker)] + b"\xff\xd9"))


def test_a_whole_jpeg_may_end_in_mid_grey():
    stored = draw_stored(8)
    stored[-16:] = 128
    assert decode(draw_dicom(stored, syntax="jpeg_baseline", bits=8)).pixels.shape == stored.shape


@pytest.mark.parametrize("syntax", ["jpeg_lossless", "jpeg_ls", "jpeg_2000", "jpeg_baseline"])
def test_a_damaged_frame_gives_one_sentence(syntax, caplog):
    content = draw_dicom(syntax=syntax, bits=8 if syntax == "jpeg_baseline" else 12)
    frame = frame_of(dcmread(io.BytesIO(content)))
    with caplog.at_level("INFO"), pytest.raises(UnreadableImage) as caught:
        decode(with_frame(content, frame[: len(frame) // 2] + b"\xff\xd9"))
    message = str(caught.value)
    assert message.startswith("the DICOM file's compressed pixels ")
    assert "\n" not in message
    assert len(message) < 130
    assert not [record for record in caplog.records if record.name.startswith("utils")]


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"Columns": 16}, NotARadiograph, "2 pictures"),
        ({"Rows": 20}, NotARadiograph, "2 pictures"),
        ({"Columns": 31}, UnreadableImage, "need 2480 bytes, 2560 are there"),
        ({"Rows": 39}, UnreadableImage, "need 2496 bytes, 2560 are there"),
    ],
)
@pytest.mark.parametrize("syntax", list(NATIVE))
def test_surplus_pixels_are_refused(syntax, change, error, message):
    with pytest.raises(error, match=message):
        decode(draw_dicom(syntax=syntax, **change))


def test_the_padding_byte_is_no_pixel():
    stored = draw_stored(8, height=41, width=33)
    assert len(build(stored, bits=8).PixelData) == 41 * 33 + 1
    np.testing.assert_allclose(
        decode(draw_dicom(stored, bits=8)).pixels, stretched(stored), atol=1e-7
    )
    short_by_a_column = draw_stored(8, height=41, width=33)
    with pytest.raises(UnreadableImage, match="1312 bytes"):
        decode(draw_dicom(short_by_a_column, bits=8, Columns=32))


@pytest.mark.parametrize("excess", [2, 30, 1000, 4098])
def test_bytes_after_the_pixels_are_ignored(excess):
    dataset = build(draw_stored())
    dataset.PixelData += bytes(excess)
    content = write(dataset)
    np.testing.assert_array_equal(decode(content).pixels, decode(draw_dicom()).pixels)
    assert noticed(content) == ["excess"]


def test_more_picture_after_the_pixels_is_refused():
    dataset = build(draw_stored())
    dataset.PixelData += dataset.PixelData[:1002]
    with pytest.raises(UnreadableImage, match="3562 are there"):
        decode(write(dataset))


@pytest.mark.parametrize("syntax", ["jpeg_2000", "jpeg_ls", "jpeg_lossless", "jpeg_2000_lossy"])
@pytest.mark.parametrize("stored", [8, 10])
def test_a_codecs_precision_wins(syntax, stored):
    content = draw_dicom(syntax=syntax)
    start = content.index(b"\x28\0\x01\x01US\2\0") + 8
    content = content[:start] + bytes((stored, 0)) + content[start + 2 :]
    start = content.index(b"\x28\0\x02\x01US\2\0") + 8
    content = content[:start] + bytes((stored - 1, 0)) + content[start + 2 :]
    np.testing.assert_allclose(
        decode(content).pixels, decode(draw_dicom(syntax=syntax)).pixels, atol=1e-6
    )
    assert noticed(content) == ["precision"]


@pytest.mark.parametrize("syntax", ["jpeg_baseline", "jpeg_2000", "jpeg_ls", "jpeg_lossless"])
def test_eight_bits_under_a_header_of_twelve(syntax):
    stored = draw_stored(8)
    content = draw_dicom(stored, bits=8, syntax=syntax, WindowCenter=2048, WindowWidth=4096)
    dataset = dcmread(io.BytesIO(content))
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, 11
    stream = io.BytesIO()
    dataset.save_as(stream)
    pixels = decode(stream.getvalue()).pixels
    assert np.abs(pixels - stretched(stored)).max() < 0.04
    assert noticed(stream.getvalue()) == ["window_ignored"]


@pytest.mark.parametrize("syntax", ["jpeg_2000", "jpeg_ls", "jpeg_lossless"])
def test_a_compressed_frame_of_wrong_sign_keeps_white(syntax):
    stored = draw_stored(12, height=120, width=100)
    content = draw_dicom(stored, syntax=syntax)
    start = content.index(b"\x28\0\x03\x01US\2\0") + 8
    content = content[:start] + b"\1\0" + content[start + 2 :]
    np.testing.assert_allclose(decode(content).pixels, stretched(stored), atol=1e-6)
    assert noticed(content) in (["sign"], ["precision"])


@pytest.mark.parametrize("syntax", ["jpeg_2000", "jpeg_ls"])
def test_a_lossless_codec_is_never_clipped(syntax):
    stored = draw_stored(10) + np.uint16(60)
    content = draw_dicom(stored, syntax=syntax)
    assert stored.max() > 960
    start = content.index(b"\x28\0\x01\x01US\2\0") + 8
    content = content[:start] + b"\x09\0" + content[start + 2 :]
    np.testing.assert_allclose(decode(content).pixels, stretched(stored), atol=1e-6)
