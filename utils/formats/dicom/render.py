"""Brightness of stored DICOM values, bone bright.

Stored values pass through the modality transformation (table, or slope and intercept), then the
first VOI table or window that fits the pixels, else a stretch over their robust range. MONOCHROME1 is
then inverted, whether or not PresentationLUTShape repeats it, and padding ends up black. All of it
is done once for each value that can occur (65,536 at most), and the picture is one look-up.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from utils.errors import NotARadiograph
from utils.formats.dicom import windowing
from utils.formats.dicom.elements import DicomFile
from utils.formats.dicom.layout import PixelLayout
from utils.formats.dicom.tags import Tag
from utils.imaging.brightness import robust_range, sample_of

BAND_ROWS = 256
# Without a window, values this share of the robust range beyond it are still kept apart.
_MARGIN = 0.25
# Share of the picture's edge that padding takes at least, where the header does not declare it.
_PADDED_EDGE = 0.2
# Share of the robust range that a Modality LUT must keep apart: it covers all values that a detector has.
_LEAST_MODALITY = 0.75
# A declared padding range of more values than this may be wrong; a picture has more.
_PADDING_VALUES = 16
# It is wrong if it covers more than this share of all values.
_MOST_PADDING = 0.125


def render(samples: np.ndarray, file: DicomFile, layout: PixelLayout) -> np.ndarray:
    """Return stored values as brightness, float32 (rows, columns) in [0, 1], bone bright.

    Args:
        samples: uint16 or int16 (rows, columns), as ``pixels.decode_frame`` returns them.
        file: its elements; what is ignored of them is noted there.
        layout: its pixels.
    """
    values = np.arange(layout.lowest, layout.highest + 1)
    # Where values start below zero, this wraps round to positions that start at zero.
    positions = samples.view(np.uint16) - np.uint16(layout.lowest % 65536)
    # numpy widens what it indexes with to 64 bits: by bands of rows, that stays small.
    bands = [positions[row : row + BAND_ROWS] for row in range(0, layout.rows, BAND_ROWS)]
    counts = np.zeros(len(values), np.intp)
    for band in bands:
        counts += np.bincount(band.ravel(), minlength=len(values))
    edge = np.concatenate([positions[0], positions[-1], positions[:, 0], positions[:, -1]])
    padding = _declared_padding(file, layout, values, counts)
    padding |= _undeclared_padding(file, values, counts * ~padding, edge)
    if not (counts * ~padding).any():
        raise NotARadiograph("formats.dicom_padding")
    sample = sample_of(positions)
    counts[padding] = 0
    brightness = _brightness(file, layout, values, counts, sample[~padding[sample]])
    brightness[padding] = 0.0
    table = brightness.astype(np.float32)
    pixels = np.empty(samples.shape, np.float32)
    for number, band in enumerate(bands):
        pixels[number * BAND_ROWS : number * BAND_ROWS + len(band)] = table[band]
    return pixels


def _declared_padding(
    file: DicomFile, layout: PixelLayout, values: np.ndarray, counts: np.ndarray
) -> np.ndarray:
    """Return which stored values mark the surroundings of the picture by the header.

    Source:
        DICOM PS3.3, C.7.5.1.1.2: a single value, or the range up to the limit, both included.
    """
    nothing = np.zeros(values.shape, bool)
    first = file.integers(Tag.PADDING, signed=layout.signed)[:1]
    if not first:
        return nothing
    last = file.integers(Tag.PADDING_LIMIT, signed=layout.signed)[:1] or first
    low, high = sorted((first[0], last[0]))
    padding = (values >= low) & (values <= high)
    occurring = np.flatnonzero(counts)
    padded = int(padding[occurring].sum())
    if padded > max(_PADDING_VALUES, _MOST_PADDING * len(occurring)):
        file.note("dicom_padding_ignored", low=low, high=high)
        return nothing
    return padding


def _undeclared_padding(
    file: DicomFile, values: np.ndarray, counts: np.ndarray, edge: np.ndarray
) -> np.ndarray:
    """Return the highest and lowest value where they are a constant surrounding far from all others.

    Args:
        counts: pixels of each value, 0 for padding that the header declares.
        edge: positions of the outermost pixels in ``values``.
    """
    padding = np.zeros(values.shape, bool)
    for end in (-1, 0):
        occurring = np.flatnonzero(counts * ~padding)
        if len(occurring) < 2 or np.mean(edge == occurring[end]) < _PADDED_EDGE:
            continue
        outermost = occurring[end]
        rest = counts * ~padding
        rest[outermost] = 0
        reached = np.cumsum(rest) / rest.sum()
        low, high = np.searchsorted(reached, (0.01, 0.995))
        if max(outermost - high, low - outermost) > high - low > _PADDING_VALUES:
            padding[outermost] = True
            file.note("dicom_padding_undeclared", value=int(values[outermost]))
    return padding


def _brightness(
    file: DicomFile,
    layout: PixelLayout,
    values: np.ndarray,
    counts: np.ndarray,
    sample: np.ndarray,
) -> np.ndarray:
    """Return the brightness of each stored value, MONOCHROME1 inverted.

    Args:
        values: all stored values that can occur.
        counts: pixels of each, padding left out.
        sample: positions in ``values`` of some of the pixels, padding left out.
    """
    occurring = np.flatnonzero(counts)
    if not len(sample):
        sample = occurring
    shown = _modality_values(file, values, counts, sample)
    inverted = layout.photometric == "MONOCHROME1"
    # Markers are bright: the robust range is measured bone bright.
    bright = -shown if inverted else shown
    low, high = robust_range(bright[sample])
    reach = _MARGIN * (high - low)
    kept = bright[occurring]
    kept = kept[(kept >= low - reach) & (kept <= high + reach)]
    core = occurring[(bright[occurring] >= low) & (bright[occurring] <= high)]
    core = np.arange(core.min(), core.max() + 1)
    for name, facts, brightness in _transformations(file, shown):
        if inverted:
            brightness = 1.0 - brightness
        if windowing.fits(brightness[core], counts[core]):
            return brightness
        file.note(name, **facts)
    # Where one value is nearly all of the picture, the robust range is empty and all of them count.
    low, high = (
        (kept.min(), kept.max())
        if high > low
        else (bright[occurring].min(), bright[occurring].max())
    )
    return windowing.stretch(bright, low, high)


def _transformations(
    file: DicomFile, shown: np.ndarray
) -> Iterator[tuple[str, dict[str, object], np.ndarray]]:
    """Yield the display transformations of a header, tables before windows.

    Each comes with the sentence and the facts that report it where it is ignored; those that cannot be
    applied at all are noted here.
    """
    if file.first_item(Tag.VOI_TABLE) is not None:
        table = windowing.read_table(file, Tag.VOI_TABLE, shown)
        if table is None or not table.entries.any():
            file.note("dicom_voi_table_ignored")
        else:
            scale = 2**table.bits - 1 if table.fills_bits else int(table.entries.max())
            if not table.fills_bits:
                file.note("dicom_voi_table_scaled", bits=table.bits, highest=scale)
            yield (
                "dicom_voi_table_ignored",
                {},
                windowing.apply_table(shown, table.first, table.entries) / float(scale),
            )
    windows = windowing.read_windows(file)
    function = file.text(Tag.FUNCTION).upper() or "LINEAR"
    if windows and function not in windowing.WINDOW_FUNCTIONS:
        file.note("dicom_window_function", function=function[:16])
        function = "LINEAR"
    for center, width in windows:
        facts: dict[str, object] = {"center": center, "width": width}
        if windowing.is_window(center, width):
            brightness = windowing.apply_window(shown, center, width, function)
            yield "dicom_window_ignored", facts, brightness
        else:
            file.note("dicom_window_ignored", **facts)


def _modality_values(
    file: DicomFile, values: np.ndarray, counts: np.ndarray, sample: np.ndarray
) -> np.ndarray:
    """Apply the modality transformation: its table, else slope and intercept; unusable ones are noted.

    Source:
        DICOM PS3.3, C.11.1.
    """
    if file.first_item(Tag.MODALITY_TABLE) is not None:
        table = windowing.read_table(file, Tag.MODALITY_TABLE, values)
        if table is not None:
            shown = windowing.apply_table(values, table.first, table.entries)
            low, high = (int(position) for position in robust_range(sample))
            core = slice(low, high + 1)
            spread = windowing.stretch(shown, shown[core].min(), shown[core].max())
            if windowing.fits(spread[core], counts[core], _LEAST_MODALITY):
                return shown
        file.note("dicom_modality_table_ignored")
    slope, intercept = file.number(Tag.SLOPE), file.number(Tag.INTERCEPT)
    slope = 1.0 if slope is None else slope
    intercept = 0.0 if intercept is None else intercept
    with np.errstate(all="ignore"):
        shown = values * slope + intercept
    if np.isfinite(shown).all() and (np.diff(shown) != 0).all():
        return shown
    file.note("dicom_rescale_ignored", slope=slope, intercept=intercept)
    return values.astype(np.float64)
