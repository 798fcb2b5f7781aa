"""DICOM files that hold one plain radiograph."""

from __future__ import annotations

import numpy as np

from utils.errors import NotARadiograph
from utils.formats.dicom.elements import DicomFile, read_elements
from utils.formats.dicom.layout import read_layout, square_pixels
from utils.formats.dicom.pixels import decode_frame
from utils.formats.dicom.render import render
from utils.formats.dicom.tags import Tag, uid_name
from utils.imaging.radiograph import Limits, Radiograph
from utils.messages import sentence

_STORAGE = "1.2.840.10008.5.1.4.1.1."
RADIOGRAPH_CLASSES = frozenset(
    _STORAGE + suffix
    for suffix in (
        "1",  # Computed Radiography
        "1.1",  # Digital X-Ray, for presentation
        "1.1.1",  # Digital X-Ray, for processing
        "12.2",  # X-Ray Radiofluoroscopic: a single frame of it
        *("7", "7.1", "7.2", "7.3", "7.4"),  # Secondary Capture: digitised films and exports
    )
)
_STANDARD = "1.2.840.10008."
# Without punctuation; those that the standard does not define are in use in several languages.
RADIOGRAPH_MODALITIES = ("CR", "DX", "DR", "RG", "RF", "SC", "OT", "RX", "XR", "XRAY", "RAD", "RD")
# Refused by a name of their own in the catalogue.
OTHER_MODALITIES = (
    *("CT", "MR", "US", "IVUS", "NM", "PT", "MG", "XA", "BMD", "IO", "PX", "ES", "OP", "OPT", "XC"),
    *("GM", "SM", "ECG", "SR", "DOC", "KO", "PR", "SEG", "REG"),
    *("RTDOSE", "RTIMAGE", "RTPLAN", "RTSTRUCT"),
)


def read_dicom(content: bytes, limits: Limits, allow_truncated: bool) -> Radiograph:
    """Decode a DICOM file that holds one plain radiograph.

    Args:
        content, limits: as in ``formats.decode``; the 128-byte preamble may be missing.
        allow_truncated: has no effect; a DICOM file that ends early is always refused.

    Raises:
        NotARadiograph: another modality, several frames, or no picture at all.
        TooLarge: the header declares too many pixels.
        UnsupportedFormat: a transfer syntax or pixel layout that is not read.
        UnreadableImage: the file is damaged or ends early.
    """
    file = read_elements(content, limits)
    _check_modality(file)
    layout = read_layout(file)
    limits.check_pixels(layout.rows, layout.columns)
    samples, layout = decode_frame(file, layout)
    if layout.samples == 3:
        pixels = samples.astype(np.float32) / np.float32(255)
    else:
        pixels = render(samples, file, layout)
    return Radiograph(square_pixels(pixels, file), "dicom", notices=tuple(file.notices))


def _check_modality(file: DicomFile) -> None:
    """Raise NotARadiograph for a file of another modality or SOP class."""
    sop_class = file.text(Tag.SOP_CLASS) or file.text(Tag.MEDIA_SOP_CLASS)
    modality = file.text(Tag.MODALITY).upper()
    if modality in OTHER_MODALITIES:
        found = sentence(f"formats.modality_{modality}")
    elif modality and _letters(modality) not in RADIOGRAPH_MODALITIES:
        found = sentence("formats.modality_unknown", modality=modality[:16])
    elif modality and sop_class and not sop_class.startswith(_STANDARD):
        return  # a private class: the modality decides
    elif sop_class and sop_class not in RADIOGRAPH_CLASSES:
        found = sentence("formats.modality_none")
    else:
        return
    name = uid_name(sop_class) or sentence("formats.sop_class", uid=sop_class[:64])
    name = f" ({name})" if sop_class else ""
    raise NotARadiograph("formats.dicom_other_modality", found=found, name=name)


def _letters(text: str) -> str:
    return "".join(filter(str.isalpha, text))
