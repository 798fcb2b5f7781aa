"""Tags and names of UIDs, against pydicom's dictionaries."""

from __future__ import annotations

import pytest
from pydicom.datadict import keyword_for_tag

from utils.formats.dicom.tags import Tag, uid_name

KEYWORDS = {
    Tag.MEDIA_SOP_CLASS: "MediaStorageSOPClassUID",
    Tag.TRANSFER_SYNTAX: "TransferSyntaxUID",
    Tag.SOP_CLASS: "SOPClassUID",
    Tag.MODALITY: "Modality",
    Tag.SAMPLES: "SamplesPerPixel",
    Tag.PHOTOMETRIC: "PhotometricInterpretation",
    Tag.PLANAR: "PlanarConfiguration",
    Tag.FRAMES: "NumberOfFrames",
    Tag.ROWS: "Rows",
    Tag.COLUMNS: "Columns",
    Tag.IMAGER_SPACING: "ImagerPixelSpacing",
    Tag.SPACING: "PixelSpacing",
    Tag.ASPECT: "PixelAspectRatio",
    Tag.ALLOCATED: "BitsAllocated",
    Tag.STORED: "BitsStored",
    Tag.HIGH_BIT: "HighBit",
    Tag.SIGNED: "PixelRepresentation",
    Tag.PADDING: "PixelPaddingValue",
    Tag.PADDING_LIMIT: "PixelPaddingRangeLimit",
    Tag.CENTER: "WindowCenter",
    Tag.WIDTH: "WindowWidth",
    Tag.INTERCEPT: "RescaleIntercept",
    Tag.SLOPE: "RescaleSlope",
    Tag.FUNCTION: "VOILUTFunction",
    Tag.MODALITY_TABLE: "ModalityLUTSequence",
    Tag.DESCRIPTOR: "LUTDescriptor",
    Tag.TABLE: "LUTData",
    Tag.VOI_TABLE: "VOILUTSequence",
    Tag.ICON: "IconImageSequence",
    Tag.SHAPE: "PresentationLUTShape",
    Tag.OVERLAY_BIT: "OverlayBitPosition",
    Tag.FLOAT_PIXELS: "FloatPixelData",
    Tag.DOUBLE_PIXELS: "DoubleFloatPixelData",
    Tag.PIXEL_DATA: "PixelData",
}


@pytest.mark.parametrize("tag", Tag, ids=lambda tag: tag.name)
def test_every_tag_is_that_of_its_keyword(tag):
    assert keyword_for_tag(tag) == KEYWORDS[tag]


def test_uids_are_named_as_in_the_standard():
    assert uid_name("1.2.840.10008.1.2.5") == "RLE Lossless"
    assert uid_name("1.2.3.4") is None
