"""Headers of compressed frames; RLE."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from pydicom.encaps import encapsulate

from tests.support.dicoms import build, draw_dicom, draw_stored, stretched
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
