"""Tags of the DICOM elements that are read, and names of UIDs. PS3.6, chapter 6 and annex A."""

from __future__ import annotations

from enum import IntEnum


class Tag(IntEnum):
    """A DICOM tag, group and element number."""

    MEDIA_SOP_CLASS = 0x00020002
    TRANSFER_SYNTAX = 0x00020010
    SOP_CLASS = 0x00080016
    MODALITY = 0x00080060
    IMAGER_SPACING = 0x00181164
    SAMPLES = 0x00280002
    PHOTOMETRIC = 0x00280004
    PLANAR = 0x00280006
    FRAMES = 0x00280008
    ROWS = 0x00280010
    COLUMNS = 0x00280011
    SPACING = 0x00280030
    ASPECT = 0x00280034
    ALLOCATED = 0x00280100
    STORED = 0x00280101
    HIGH_BIT = 0x00280102
    SIGNED = 0x00280103
    PADDING = 0x00280120
    PADDING_LIMIT = 0x00280121
    CENTER = 0x00281050
    WIDTH = 0x00281051
    INTERCEPT = 0x00281052
    SLOPE = 0x00281053
    FUNCTION = 0x00281056
    MODALITY_TABLE = 0x00283000
    DESCRIPTOR = 0x00283002
    TABLE = 0x00283006
    VOI_TABLE = 0x00283010
    ICON = 0x00880200
    SHAPE = 0x20500020
    OVERLAY_BIT = 0x60000102
    FLOAT_PIXELS = 0x7FE00008
    DOUBLE_PIXELS = 0x7FE00009
    PIXEL_DATA = 0x7FE00010


def uid_name(uid: str) -> str | None:
    """Return the name of a transfer syntax or SOP class, None for an unknown UID."""
    from pydicom.uid import UID_dictionary

    entry = UID_dictionary.get(uid)
    return entry[0] if entry else None
