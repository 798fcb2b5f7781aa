"""Compressed frames: fragments, headers, damage; RLE."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.encaps import encapsulate

from tests.support.dicoms import build, draw_dicom, draw_stored, frame_of, stretched, with_frame
from utils.errors import UnreadableImage
from utils.formats import decode
from utils.formats.dicom import pixels as pixel_data


@pytest.mark.parametrize("syntax", ["jpeg_baseline", "jpeg_lossless", "jpeg_ls", "jpeg_2000"])
def test_a_frame_of_another_size_is_refused(syntax):
    bits = 8 if syntax == "jpeg_baseline" else 12
    content = draw_dicom(syntax=syntax, bits=bits)
    rows, columns = struct.pack("<H", 40), struct.pack("<H", 32)
    start = content.index(b"\x28\0\x10\0US\2\0" + rows)
    grown = content[: start + 8] + struct.pack("<H", 44) + content[start + 10 :]
    assert columns in grown
    with pytest.raises(UnreadableImage, match="32 x 40"):
        decode(grown)


def test_a_huge_frame_never_reaches_its_codec(monkeypatch):
    content = draw_dicom(syntax="jpeg_2000")
    start = content.index(b"\xff\x4f\xff\x51") + 8
    huge = content[:start] + struct.pack(">2L", 60000, 60000) + content[start + 8 :]

    def codec(*_: object) -> None:
        raise AssertionError("the codec was reached")

    monkeypatch.setattr(pixel_data, "_decode_by_pydicom", codec)
    with pytest.raises(UnreadableImage, match="60000 x 60000"):
        decode(huge)


def rle_with(segment: bytes, planes: int = 1) -> bytes:
    dataset = build(draw_stored(8), bits=8, syntax="rle")
    offsets = [64] + [0] * 14
    dataset.PixelData = encapsulate([struct.pack("<16L", planes, *offsets) + segment])
    dataset["PixelData"].is_undefined_length = True
    stream = io.BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def test_rle_follows_the_standards_example():
    """PackBits: 128 is skipped, 129 to 255 repeat, 0 to 127 copy."""
    row = b"\x80" + bytes([257 - 20]) + b"\x07" + bytes([11]) + bytes(range(12))
    expected = np.tile(np.array([7] * 20 + list(range(12)), np.uint8), (40, 1))
    pixels = decode(rle_with(row * 40)).pixels
    np.testing.assert_allclose(pixels, stretched(expected), atol=1e-7)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (rle_with(b"\x1f" + bytes(32)), "RLE rows are missing"),
        (rle_with(b"\x1f" + bytes(32), planes=2), "2 RLE segments"),
    ],
)
def test_rle_that_does_not_fit_is_refused(content, message):
    with pytest.raises(UnreadableImage, match=message):
        decode(content)


@pytest.mark.parametrize(
    "syntax", ["jpeg_baseline", "jpeg_lossless", "rle", "jpeg_ls", "jpeg_2000"]
)
@pytest.mark.parametrize("ending", [b"", bytes(8), bytes(2)], ids=["none", "zeros", "two"])
def test_the_delimiter_may_lack(syntax, ending):
    content = draw_dicom(syntax=syntax, bits=8 if syntax == "jpeg_baseline" else 12)
    delimiter = b"\xfe\xff\xdd\xe0\0\0\0\0"
    assert content.endswith(delimiter)
    radiograph = decode(content[:-8] + ending)
    np.testing.assert_array_equal(radiograph.pixels, decode(content).pixels)
    assert [notice.key for notice in radiograph.notices] == ["formats.dicom_delimiter"]


@pytest.mark.parametrize("ending", [b"\xfe\xff\xdd", b"\0\0junk\0\0", b"\xfe\xff\0\xe0\x99\0\0\0"])
def test_anything_else_after_the_pixels_is_refused(ending):
    with pytest.raises(UnreadableImage, match=r"order|early"):
        decode(draw_dicom(syntax="jpeg_2000")[:-8] + ending)


def test_the_table_of_offsets_may_lack():
    content = draw_dicom(syntax="jpeg_2000")
    table = b"\xfe\xff\x00\xe0\0\0\0\0"
    start = content.index(b"\xe0\x7f\x10\x00OB") + 12
    if content[start : start + 8] != table:  # an offset of the one frame
        length = 8 + int.from_bytes(content[start + 4 : start + 8], "little")
    else:
        length = 8
    without = content[:start] + content[start + length :]
    np.testing.assert_array_equal(decode(without).pixels, decode(content).pixels)


LARGE = draw_stored(12, height=240, width=200)


def damaged(frame: bytes, kind: str) -> bytes:
    """Return a compressed frame with a hundredth of it damaged amid its data."""
    start, length = len(frame) // 2, max(80, len(frame) // 100)
    amid = frame[start : start + length]
    replaced = {"zeroed": bytes(length), "ones": b"\xff" * length, "doubled": amid * 2, "cut": b""}
    return frame[:start] + replaced[kind] + frame[start + length :]


@pytest.mark.parametrize("kind", ["zeroed", "ones", "doubled", "cut"])
@pytest.mark.parametrize(
    "syntax", ["rle", "jpeg_ls", "jpeg_ls_near", "jpeg_2000", "jpeg_2000_lossy"]
)
def test_damage_amid_the_data_is_refused(syntax, kind):
    content = draw_dicom(LARGE, syntax=syntax)
    frame = frame_of(dcmread(io.BytesIO(content)))
    with pytest.raises(UnreadableImage):
        decode(with_frame(content, damaged(frame, kind)))


def test_a_segment_longer_than_its_rows_is_refused():
    row = b"\x1f" + bytes(range(32))
    assert decode(rle_with(row * 40 + b"\0")).pixels.shape == (40, 32)
    with pytest.raises(UnreadableImage, match="more than its rows"):
        decode(rle_with(row * 41))
