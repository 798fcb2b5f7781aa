"""Layouts of pixels that are read and refused."""

from __future__ import annotations

import pytest

from tests.support.dicoms import SECONDARY_CAPTURE, build, draw_dicom, draw_stored, write
from utils.errors import NotARadiograph, UnsupportedFormat
from utils.formats import decode


def test_several_frames_are_refused():
    with pytest.raises(NotARadiograph, match="12 frames"):
        decode(draw_dicom(NumberOfFrames=12))
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
