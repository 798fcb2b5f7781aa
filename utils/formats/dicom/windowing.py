"""Windows, look-up tables and plain stretching of DICOM values, in float64."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from utils.formats.dicom.elements import DicomFile
from utils.formats.dicom.tags import Tag

WINDOW_FUNCTIONS = ("LINEAR", "LINEAR_EXACT", "SIGMOID")
# Below this width, of values with fractions, LINEAR's half units would be half of the window.
_FRACTION_WIDTH = 16.0
# A display transformation that fits the pixels spreads their robust range over this share of the brightness
# at least, and keeps this share of the range away from plain black and white.
_LEAST_CONTRAST, LEAST_KEPT = 0.25, 0.25
# Where it keeps less than half of the range in less than so much of the brightness, it is shifted.
_SHIFTED_KEPT, _SHIFTED_CONTRAST = 0.5, 0.6
# It burns at most this share of the range to white, or this share of the pixels.
_MOST_BURNT, _MOST_BURNT_PIXELS = 0.5, 0.1
_PLAIN = 0.002


@dataclass(frozen=True)
class Table:
    """A look-up table: the value of its first entry, its entries, and bits an entry as declared."""

    first: int
    entries: np.ndarray
    bits: int

    @property
    def fills_bits(self) -> bool:
        """Whether the entries use the declared bits: their maximum lies in the upper half."""
        return 2 ** (self.bits - 1) <= int(self.entries.max()) < 2**self.bits


def read_table(file: DicomFile, sequence: Tag, inputs: np.ndarray) -> Table | None:
    """Read a sequence's first look-up table, None where there is none or it is incomplete.

    Args:
        file: its elements.
        sequence: the table's sequence.
        inputs: values that will be looked up; the first value has their sign.

    Source:
        DICOM PS3.3, C.11.1.1 and C.11.2.1.1.
    """
    item = file.first_item(sequence)
    if item is None:
        return None
    descriptor, packed = item.integers(Tag.DESCRIPTOR), item.value(Tag.TABLE)
    if len(descriptor) < 3 or not packed:
        return None
    count, bits = descriptor[0] or 65536, descriptor[2]
    first = item.integers(Tag.DESCRIPTOR, signed=bool(inputs.min() < 0))[1]
    words = f"{item.elements[Tag.TABLE].encoding.order}u2"
    entries = np.frombuffer(packed, words, len(packed) // 2)[:count]
    if len(entries) < count:
        # Entries of 8 bits take a byte each. Half a table of 16 bits, taken for bytes, would zigzag.
        entries = np.frombuffer(packed, np.uint8)[:count]
        if len(entries) < count or (bits > 8 and not _is_monotone(entries)):
            return None
    return Table(first, entries, bits)


def read_windows(file: DicomFile) -> list[tuple[float, float]]:
    """Return the centers and widths of all windows; NaN for what is no number."""
    return list(zip(file.numbers(Tag.CENTER), file.numbers(Tag.WIDTH), strict=False))


def apply_window(
    values: np.ndarray, center: float, width: float, function: str = "LINEAR"
) -> np.ndarray:
    """Map values to display brightness with a DICOM window.

    Args:
        values: any shape, in the units of the file's modality transformation.
        center, width: of the window, same units; finite, the width above 0. LINEAR of a width that the
            standard forbids (below 1), or of few units of values with fractions, is LINEAR_EXACT.
        function: name in WINDOW_FUNCTIONS.

    Returns:
        float64 of the same shape in [0, 1]; values outside the window are clipped.

    Source:
        DICOM PS3.3, C.11.2.1.2.1 (LINEAR), C.11.2.1.3.1 (SIGMOID) and C.11.2.1.3.2 (LINEAR_EXACT).
    """
    values = np.asarray(values, np.float64)
    if function == "SIGMOID":
        # Beyond 700 the exponential leaves float64, and the result is 0 or 1 long before.
        exponent = np.clip(-4.0 * (values - center) / width, -700.0, 700.0)
        return 1.0 / (1.0 + np.exp(exponent))
    narrow = width < 1 or (width < _FRACTION_WIDTH and bool((values % 1).any()))
    if function == "LINEAR_EXACT" or narrow:
        return np.clip((values - center) / width + 0.5, 0.0, 1.0)
    if width == 1:
        return (values > center - 0.5).astype(np.float64)
    return np.clip((values - (center - 0.5)) / (width - 1.0) + 0.5, 0.0, 1.0)


def is_window(center: float, width: float) -> bool:
    """Return whether a window's numbers are finite and its width is above 0."""
    return math.isfinite(center) and math.isfinite(width) and width > 0


def apply_table(values: np.ndarray, first: int, table: np.ndarray) -> np.ndarray:
    """Look integers up in a table whose first entry stands for ``first``.

    Values below the first take the first entry, values beyond the last take the last.

    Args:
        values: any shape; fractions are cut off.
        first: the value that the first entry stands for.
        table: (entries,), at least one.

    Returns:
        float64 of the same shape as ``values``.

    Source:
        DICOM PS3.3, C.11.1.1 (Modality LUT) and C.11.2.1.1 (VOI LUT).
    """
    positions = np.trunc(np.asarray(values, np.float64)) - first
    return table[np.clip(positions, 0, len(table) - 1).astype(np.intp)].astype(np.float64)


def stretch(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Map ``low`` to 0 and ``high`` to 1, clipped; all zero where the two are equal."""
    values = np.asarray(values, np.float64)
    if high <= low:
        return np.zeros(values.shape)
    return np.clip((values - low) / (high - low), 0.0, 1.0)


def fits(brightness: np.ndarray, counts: np.ndarray, least_kept: float = LEAST_KEPT) -> bool:
    """Return whether a display transformation keeps the contrast of the pixels.

    Args:
        brightness: (values,) that it gives to the values of the pixels' robust range, bone bright.
        counts: pixels of each value.
        least_kept: share of the range to be kept away from its lowest and highest brightness.
    """
    low, high = float(brightness.min()), float(brightness.max())
    if high - low < _LEAST_CONTRAST:
        return False
    white = brightness >= high - _PLAIN
    plain = white | (brightness <= low + _PLAIN)
    kept = 1.0 - float(plain.mean())
    if kept < least_kept or (kept < _SHIFTED_KEPT and high - low < _SHIFTED_CONTRAST):
        return False
    burnt_pixels = counts[white].sum() / max(1, counts.sum())
    return bool(white.mean() <= _MOST_BURNT or burnt_pixels <= _MOST_BURNT_PIXELS)


def _is_monotone(entries: np.ndarray) -> bool:
    steps = np.diff(entries.astype(np.int32))
    return bool((steps >= 0).all() or (steps <= 0).all())
