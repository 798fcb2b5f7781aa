"""Turns the bytes of a DICOM radiograph into brightness, float32 in [0, 1], bone bright.

Stored values pass through the modality transformation (table, or slope and intercept), then the
first VOI table, else the first window, else a stretch over the values that occur. MONOCHROME1 is
then inverted, whether or not PresentationLUTShape says so too, and padding ends up black. All of it
is done once for each value that can occur (65,536 at most), and the picture is one look-up.
"""

from __future__ import annotations

import numpy as np

from utils.errors import NotARadiograph, UnreadableImage
from utils.formats.dicom import pixels as pixel_data
from utils.formats.dicom import windowing
from utils.formats.dicom.elements import PIXEL_DATA, DicomFile, read_elements
from utils.formats.dicom.pixels import PixelLayout
from utils.imaging.radiograph import Limits, Picture

SOP_CLASS, MODALITY, MEDIA_SOP_CLASS = 0x00080016, 0x00080060, 0x00020002
SAMPLES, PHOTOMETRIC, FRAMES = 0x00280002, 0x00280004, 0x00280008
ROWS, COLUMNS, PLANAR = 0x00280010, 0x00280011, 0x00280006
ALLOCATED, STORED, HIGH_BIT, SIGNED = 0x00280100, 0x00280101, 0x00280102, 0x00280103
PADDING, PADDING_LIMIT = 0x00280120, 0x00280121
CENTER, WIDTH, FUNCTION = 0x00281050, 0x00281051, 0x00281056
INTERCEPT, SLOPE = 0x00281052, 0x00281053
MODALITY_TABLE, VOI_TABLE, DESCRIPTOR, TABLE = 0x00283000, 0x00283010, 0x00283002, 0x00283006
FLOAT_PIXELS, DOUBLE_PIXELS = 0x7FE00008, 0x7FE00009

_WANTED = frozenset(
    (
        *(
            SOP_CLASS,
            MODALITY,
            MEDIA_SOP_CLASS,
            SAMPLES,
            PHOTOMETRIC,
            FRAMES,
            ROWS,
            COLUMNS,
            PLANAR,
        ),
        *(ALLOCATED, STORED, HIGH_BIT, SIGNED, PADDING, PADDING_LIMIT, CENTER, WIDTH, FUNCTION),
        *(INTERCEPT, SLOPE, MODALITY_TABLE, VOI_TABLE, FLOAT_PIXELS, DOUBLE_PIXELS, PIXEL_DATA),
    )
)

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
# What a file of each modality is, for the sentence that refuses it. PS3.3, C.7.3.1.1.1.
OTHER_MODALITIES = {
    "CT": "a CT slice",
    "MR": "an MR slice",
    "US": "an ultrasound image",
    "IVUS": "an intravascular ultrasound image",
    "NM": "a nuclear medicine image",
    "PT": "a PET image",
    "MG": "a mammogram",
    "XA": "an angiogram",
    "BMD": "a bone densitometry image",
    "IO": "a dental radiograph",
    "PX": "a panoramic dental radiograph",
    "ES": "an endoscopy image",
    "OP": "an eye photograph",
    "OPT": "an eye tomogram",
    "XC": "a photograph",
    "GM": "a microscopy image",
    "SM": "a slide microscopy image",
    "ECG": "an electrocardiogram",
    "SR": "a report",
    "DOC": "a document",
    "KO": "a list of key objects",
    "PR": "a presentation state",
    "SEG": "a segmentation",
    "REG": "a registration",
    "RTDOSE": "a radiotherapy dose",
    "RTIMAGE": "a radiotherapy image",
    "RTPLAN": "a radiotherapy plan",
    "RTSTRUCT": "a radiotherapy structure set",
}
BAND_ROWS = 256
RADIOGRAPH_MODALITIES = ("CR", "DX", "DR", "RG", "RF", "SC", "OT")


def read_dicom(content: bytes, limits: Limits, allow_truncated: bool) -> Picture:
    """Decode a DICOM file that holds one plain radiograph.

    Args:
        content: the whole file, with or without its 128-byte preamble.
        limits: checked against the header before a pixel is decoded.
        allow_truncated: has no effect; a DICOM file that ends early is always refused.

    Returns:
        float32 (height, width) in [0, 1], never truncated.

    Raises:
        NotARadiograph: another modality, several frames, or no picture at all.
        TooLarge: the header declares too many pixels.
        UnsupportedFormat: a transfer syntax or pixel layout that is not read.
        UnreadableImage: the file is damaged or ends early.
    """
    file = read_elements(content, _WANTED, limits)
    _refuse_other_modalities(file)
    layout = _read_layout(file)
    limits.check_pixels(layout.rows, layout.columns)
    samples = pixel_data.decode_frame(file, layout)
    if layout.samples == 3:
        return Picture(samples.astype(np.float32) / np.float32(255))
    return Picture(_render(samples, file, layout))


def _refuse_other_modalities(file: DicomFile) -> None:
    """Raise NotARadiograph where the file says that it holds something else."""
    sop_class = file.text(SOP_CLASS) or file.text(MEDIA_SOP_CLASS)
    modality = file.text(MODALITY).upper()
    if modality in OTHER_MODALITIES:
        what = OTHER_MODALITIES[modality]
    elif modality and modality not in RADIOGRAPH_MODALITIES:
        what = f"an object of modality {modality[:16]!r}"
    elif sop_class and sop_class not in RADIOGRAPH_CLASSES:
        what = "no radiograph"
    else:
        return
    name = f" ({_class_name(sop_class)})" if sop_class else ""
    raise NotARadiograph(
        f"this is {what}{name}; send a single plain radiograph "
        "(Computed Radiography, Digital X-Ray or Secondary Capture)"
    )


def _class_name(sop_class: str) -> str:
    from pydicom.uid import UID_dictionary

    entry = UID_dictionary.get(sop_class)
    return entry[0] if entry else f"SOP class {sop_class[:64]!r}"


def _read_layout(file: DicomFile) -> PixelLayout:
    """Read how the pixels are laid out, and refuse what is no single picture of 8 to 16 bits."""
    frames = file.number(FRAMES)
    if frames is not None and frames > 1:
        raise NotARadiograph(
            f"this is a series of {frames:.0f} frames in one file; a single radiograph is needed"
        )
    if FLOAT_PIXELS in file or DOUBLE_PIXELS in file:
        raise NotARadiograph("its pixels are floating-point numbers, which no radiograph has")
    rows, columns = _whole(file, ROWS), _whole(file, COLUMNS)
    if rows is None and columns is None and PIXEL_DATA not in file:
        raise NotARadiograph(
            "this DICOM file holds no picture (a report or another document, perhaps); "
            "send the radiograph itself"
        )
    if not rows or not columns:
        raise UnreadableImage("the DICOM header is damaged: it declares no rows or no columns")
    allocated = _whole(file, ALLOCATED)
    if allocated is None:
        raise UnreadableImage("the DICOM header is damaged: Bits Allocated is missing")
    stored = _whole(file, STORED) or allocated
    high_bit = _whole(file, HIGH_BIT)
    layout = PixelLayout(
        rows=rows,
        columns=columns,
        samples=_whole(file, SAMPLES) or 1,
        photometric=file.text(PHOTOMETRIC).upper(),
        allocated=allocated,
        stored=stored,
        high_bit=stored - 1 if high_bit is None else high_bit,
        signed=bool(_whole(file, SIGNED)),
        planar=bool(_whole(file, PLANAR)),
    )
    layout.check()
    return layout


def _whole(file: DicomFile, tag: int) -> int | None:
    values = file.integers(tag)
    return values[0] if values else None


def _render(samples: np.ndarray, file: DicomFile, layout: PixelLayout) -> np.ndarray:
    """Return stored values as brightness: one table over all values, one look-up."""
    values = np.arange(layout.lowest, layout.highest + 1)
    # Where values start below zero, this wraps round to positions that start at zero.
    positions = samples.view(np.uint16) - np.uint16(layout.lowest % 65536)
    # numpy widens what it indexes with to 64 bits: by bands of rows, that stays small.
    bands = [positions[row : row + BAND_ROWS] for row in range(0, layout.rows, BAND_ROWS)]
    occurs = np.zeros(len(values), bool)
    for band in bands:
        occurs[band] = True
    padding = _padding(file, layout, values)
    brightness = _brightness(file, layout, values, occurs & ~padding)
    if layout.photometric == "MONOCHROME1":
        brightness = 1.0 - brightness
    brightness[padding] = 0.0
    table = brightness.astype(np.float32)
    pixels = np.empty(samples.shape, np.float32)
    for number, band in enumerate(bands):
        pixels[number * BAND_ROWS : number * BAND_ROWS + len(band)] = table[band]
    return pixels


def _padding(file: DicomFile, layout: PixelLayout, values: np.ndarray) -> np.ndarray:
    """Say which stored values mark the surroundings of the picture.

    Source:
        DICOM PS3.3, C.7.5.1.1.2: a single value, or the range up to the limit, both included.
    """
    first = file.integers(PADDING, signed=layout.signed)[:1]
    if not first:
        return np.zeros(values.shape, bool)
    last = file.integers(PADDING_LIMIT, signed=layout.signed)[:1] or first
    low, high = sorted((first[0], last[0]))
    return (values >= low) & (values <= high)


def _brightness(
    file: DicomFile, layout: PixelLayout, values: np.ndarray, occurs: np.ndarray
) -> np.ndarray:
    """Return the brightness of each stored value, before MONOCHROME1 is inverted."""
    shown = _modality_values(file, layout, values)
    table = _first_table(file, VOI_TABLE, shown)
    if table is not None:
        first, entries, bits = table
        return windowing.apply_table(shown, first, entries) / float(2**bits - 1)
    center, width = file.number(CENTER), file.number(WIDTH)
    if center is not None and width is not None:
        function = file.text(FUNCTION).upper() or "LINEAR"
        return windowing.apply_window(shown, center, width, function)
    if not occurs.any():
        raise NotARadiograph("the picture is blank: all of it is marked as padding")
    return windowing.stretch(shown, shown[occurs].min(), shown[occurs].max())


def _modality_values(file: DicomFile, layout: PixelLayout, values: np.ndarray) -> np.ndarray:
    """Apply the modality transformation: its table, else slope and intercept.

    Source:
        DICOM PS3.3, C.11.1.
    """
    table = _first_table(file, MODALITY_TABLE, values)
    if table is not None:
        first, entries, _ = table
        return windowing.apply_table(values, first, entries)
    slope, intercept = file.number(SLOPE), file.number(INTERCEPT)
    slope = 1.0 if slope is None else slope
    intercept = 0.0 if intercept is None else intercept
    if slope == 0 or not np.isfinite([slope, intercept]).all():
        raise UnreadableImage(
            f"the DICOM header is damaged: rescale slope {slope:g}, intercept {intercept:g}"
        )
    return values * slope + intercept


def _first_table(
    file: DicomFile, sequence: int, inputs: np.ndarray
) -> tuple[int, np.ndarray, int] | None:
    """Read a sequence's first look-up table: first value, entries, bits an entry; None without one.

    Source:
        DICOM PS3.3, C.11.1.1 and C.11.2.1.1.
    """
    item = file.first_item(sequence, (DESCRIPTOR, TABLE))
    if item is None:
        return None
    descriptor, packed = item.integers(DESCRIPTOR), item.value(TABLE)
    if len(descriptor) < 3 or not packed:
        raise UnreadableImage("the DICOM header is damaged: a look-up table is incomplete")
    count, bits = descriptor[0] or 65536, descriptor[2]
    # The first value has the sign of the values that are looked up.
    first = item.integers(DESCRIPTOR, signed=bool(inputs.min() < 0))[1]
    order = item.elements[TABLE].encoding.order
    wide = len(packed) >= 2 * count
    entries = np.frombuffer(packed, f"{order}u2" if wide else np.uint8)[:count]
    if len(entries) < count or not 8 <= bits <= 16 or int(entries.max()) >= 2**bits:
        raise UnreadableImage(
            f"the DICOM header is damaged: a look-up table of {count} entries of {bits} bits "
            f"holds {len(packed)} bytes"
        )
    return first, entries, bits
