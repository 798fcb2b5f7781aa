"""Brightness of stored DICOM values, bone bright.

Stored values pass through the modality transformation (table, or slope and intercept), then the
first VOI table, else the first window, else a stretch over the values that occur. MONOCHROME1 is
then inverted, whether or not PresentationLUTShape repeats it, and padding ends up black. All of it
is done once for each value that can occur (65,536 at most), and the picture is one look-up.
"""

from __future__ import annotations

import numpy as np

from utils.errors import NotARadiograph, UnreadableImage
from utils.formats.dicom import windowing
from utils.formats.dicom.elements import DicomFile
from utils.formats.dicom.layout import PixelLayout
from utils.formats.dicom.tags import Tag

BAND_ROWS = 256


def render(samples: np.ndarray, file: DicomFile, layout: PixelLayout) -> np.ndarray:
    """Return stored values as brightness, float32 (rows, columns) in [0, 1], bone bright.

    Args:
        samples: uint16 or int16 (rows, columns), as ``pixels.decode_frame`` returns them.
        file: its elements.
        layout: its pixels.
    """
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
    """Return which stored values mark the surroundings of the picture.

    Source:
        DICOM PS3.3, C.7.5.1.1.2: a single value, or the range up to the limit, both included.
    """
    first = file.integers(Tag.PADDING, signed=layout.signed)[:1]
    if not first:
        return np.zeros(values.shape, bool)
    last = file.integers(Tag.PADDING_LIMIT, signed=layout.signed)[:1] or first
    low, high = sorted((first[0], last[0]))
    return (values >= low) & (values <= high)


def _brightness(
    file: DicomFile, layout: PixelLayout, values: np.ndarray, occurs: np.ndarray
) -> np.ndarray:
    """Return the brightness of each stored value, before MONOCHROME1 is inverted."""
    shown = _modality_values(file, layout, values)
    table = _first_table(file, Tag.VOI_TABLE, shown)
    if table is not None:
        first, entries, bits = table
        return windowing.apply_table(shown, first, entries) / float(2**bits - 1)
    center, width = file.number(Tag.CENTER), file.number(Tag.WIDTH)
    if center is not None and width is not None:
        function = file.text(Tag.FUNCTION).upper() or "LINEAR"
        return windowing.apply_window(shown, center, width, function)
    if not occurs.any():
        raise NotARadiograph("formats.dicom_padding")
    return windowing.stretch(shown, shown[occurs].min(), shown[occurs].max())


def _modality_values(file: DicomFile, layout: PixelLayout, values: np.ndarray) -> np.ndarray:
    """Apply the modality transformation: its table, else slope and intercept.

    Source:
        DICOM PS3.3, C.11.1.
    """
    table = _first_table(file, Tag.MODALITY_TABLE, values)
    if table is not None:
        first, entries, _ = table
        return windowing.apply_table(values, first, entries)
    slope, intercept = file.number(Tag.SLOPE), file.number(Tag.INTERCEPT)
    slope = 1.0 if slope is None else slope
    intercept = 0.0 if intercept is None else intercept
    if slope == 0 or not np.isfinite([slope, intercept]).all():
        raise UnreadableImage("formats.dicom_rescale", slope=slope, intercept=intercept)
    return values * slope + intercept


def _first_table(
    file: DicomFile, sequence: Tag, inputs: np.ndarray
) -> tuple[int, np.ndarray, int] | None:
    """Read a sequence's first look-up table: first value, entries, bits an entry; None without one.

    Source:
        DICOM PS3.3, C.11.1.1 and C.11.2.1.1.
    """
    item = file.first_item(sequence)
    if item is None:
        return None
    descriptor, packed = item.integers(Tag.DESCRIPTOR), item.value(Tag.TABLE)
    if len(descriptor) < 3 or not packed:
        raise UnreadableImage("formats.dicom_table_incomplete")
    count, bits = descriptor[0] or 65536, descriptor[2]
    # The first value has the sign of the values that are looked up.
    first = item.integers(Tag.DESCRIPTOR, signed=bool(inputs.min() < 0))[1]
    order = item.elements[Tag.TABLE].encoding.order
    wide = len(packed) >= 2 * count
    entries = np.frombuffer(packed, f"{order}u2" if wide else np.uint8)[:count]
    if len(entries) < count or not 8 <= bits <= 16 or int(entries.max()) >= 2**bits:
        raise UnreadableImage("formats.dicom_table", entries=count, bits=bits, found=len(packed))
    return first, entries, bits
