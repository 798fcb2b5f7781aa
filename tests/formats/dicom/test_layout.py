"""Layouts of pixels that are read, amended and refused; oblong pixels."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.dicoms import SECONDARY_CAPTURE, build, draw_dicom, draw_stored, noticed, write
from utils.errors import NotARadiograph, UnreadableImage, UnsupportedFormat
from utils.formats import decode


def test_several_frames_are_refused():
    with pytest.raises(NotARadiograph, match="12 frames"):
        decode(draw_dicom(NumberOfFrames=12))
    with pytest.raises(NotARadiograph, match="'?x'?"):
        decode(draw_dicom(NumberOfFrames=12).replace(b"IS\x02\x0012", b"IS\x02\x00x "))
    assert decode(draw_dicom(NumberOfFrames=1)).width == 32


def test_a_report_without_pixels_is_refused():
    dataset = build(draw_stored(), SOPClassUID=SECONDARY_CAPTURE, Modality="OT")
    for keyword in ("Rows", "Columns", "PixelData"):
        delattr(dataset, keyword)
    with pytest.raises(NotARadiograph, match="no picture"):
        decode(write(dataset))


@pytest.mark.parametrize(
    "options",
    [
        {"photometric": "PALETTE COLOR"},
        {"BitsAllocated": 32, "BitsStored": 32, "HighBit": 31},
        {"SamplesPerPixel": 4},
    ],
    ids=str,
)
def test_other_layouts_are_refused(options):
    with pytest.raises(UnsupportedFormat, match="read"):
        decode(draw_dicom(**options))


@pytest.mark.parametrize("name", [None, "", "MONOCHROME", "MONOCHROME 2", "GRAYSCALE", "RGB"])
def test_one_sample_of_no_name_is_monochrome2(name):
    content = draw_dicom(PhotometricInterpretation=name)
    np.testing.assert_array_equal(decode(content).pixels, decode(draw_dicom()).pixels)
    assert noticed(content) == ["photometric"]


@pytest.mark.parametrize(
    ("name", "shape"), [("MONOCHROME 1", None), ("MONOCHROME_1", None), ("MONOCHROME", "INVERSE")]
)
def test_a_misspelt_monochrome1_is_inverted(name, shape):
    options = {"PresentationLUTShape": shape} if shape else {}
    content = draw_dicom(photometric=name, **options)
    expected = decode(draw_dicom(photometric="MONOCHROME1")).pixels
    np.testing.assert_array_equal(decode(content).pixels, expected)
    assert noticed(content) == ["photometric"]


@pytest.mark.parametrize(
    "bits",
    [
        {"BitsStored": None},
        {"BitsStored": None, "HighBit": None},
        {"BitsAllocated": None},
        {"HighBit": 0},
        {"HighBit": 5},
        {"HighBit": 16},
        {"BitsStored": 14},
        {"BitsStored": 17, "HighBit": 15},
    ],
    ids=str,
)
def test_impossible_bits_are_amended(bits):
    content = draw_dicom(**bits)
    np.testing.assert_array_equal(decode(content).pixels, decode(draw_dicom()).pixels)
    assert noticed(content) == ["bits"]


def test_a_missing_high_bit_is_the_last_stored():
    assert not noticed(draw_dicom(HighBit=None))


def test_pixels_without_any_bits_are_refused():
    with pytest.raises(UnreadableImage, match="Bits Allocated"):
        decode(draw_dicom(BitsAllocated=None, BitsStored=None))


def drawn_circle(height: int, width: int) -> np.ndarray:
    """Draw a disc over the middle of a picture, as wide and high as four fifths of it."""
    row = (np.arange(height) + 0.5)[:, None] / height - 0.5
    column = (np.arange(width) + 0.5)[None, :] / width - 0.5
    return np.where(row**2 + column**2 < 0.16, 3000, 200).astype(np.uint16)


@pytest.mark.parametrize(
    "options",
    [
        {"PixelAspectRatio": [2, 1]},
        {"PixelSpacing": [0.4, 0.2]},
        {"ImagerPixelSpacing": [0.3, 0.15]},
        {"PixelSpacing": [0.4, 0.2], "PixelAspectRatio": [1, 1]},
        {"PixelSpacing": [0, 0], "PixelAspectRatio": [2, 1]},
    ],
    ids=str,
)
def test_pixels_twice_as_high_become_square(options):
    radiograph = decode(draw_dicom(drawn_circle(100, 200), **options))
    assert (radiograph.height, radiograph.width) == (200, 200)
    disc = radiograph.pixels > 0.5
    assert disc[:, 100].sum() == pytest.approx(160, abs=2)
    assert disc[100].sum() == pytest.approx(160, abs=2)


def test_pixels_twice_as_wide_become_square():
    pixels = decode(draw_dicom(drawn_circle(200, 100), PixelSpacing=[0.1, 0.2])).pixels
    assert pixels.shape == (200, 200)
    assert (pixels > 0.5)[:, 100].sum() == pytest.approx(160, abs=2)


def test_a_large_picture_is_shrunk_to_square():
    pixels = decode(draw_dicom(drawn_circle(1100, 2200), PixelAspectRatio=[2, 1])).pixels
    assert pixels.shape == (1100, 1100)


@pytest.mark.parametrize("spacing", [[0.2, 0.2], [1.2, 1.2012], [0, 0], [0.2, 0]])
def test_square_pixels_stay_as_they_are(spacing):
    content = draw_dicom(PixelSpacing=spacing)
    np.testing.assert_array_equal(decode(content).pixels, decode(draw_dicom()).pixels)
    assert not noticed(content)


def test_an_absurd_aspect_is_ignored():
    content = draw_dicom(PixelSpacing=[0.2, 20])
    assert decode(content).pixels.shape == (40, 32)
    assert noticed(content) == ["aspect_ignored"]
