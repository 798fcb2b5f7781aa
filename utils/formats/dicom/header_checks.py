"""Header of a DICOM file held against its pixels: length of a row, stored bits, sign, colours.

Where they contradict each other the pixels win and it is noted; where they leave it open the file is refused.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from utils.errors import UnreadableImage
from utils.formats.dicom.elements import DicomFile
from utils.formats.dicom.layout import PixelLayout
from utils.formats.dicom.tags import Tag
from utils.messages import sentence

# Pixels that suffice to compare neighbours, and to find the lengths of a row worth it.
_SAMPLES = 40_000
_FEW, _LIKELY = 300, 4
# The mean difference of a pixel from the one below it is at most 0.12 of that from the pixel half a row on,
# 0.74 of that from the one two rows down and 0.84 of that from any pixel beside the one below, in 250
# radiographs of FracAtlas. A row of another length has less than this share at another place.
_NEAR = 6
_NEAR_RATIO, _PART_RATIO, _FAR_RATIO = 0.87, 0.95, 0.5
# Where bits above the stored ones count up, the stored ones fall by this share of their range at least if
# both are one number; an overlay in those bits has nothing to do with them.
_CARRY = 0.1
# Neighbours that show it, and jumps over half of the range of values read with the wrong sign: a row.
_A_ROW = 0.25
# Roughness in the other byte order, of that in the declared one, below which it is the true one.
_ROUGHNESS = 0.5
# Mean difference between colours of a grey picture.
_GREY = 2.0


def check_row_length(samples: np.ndarray) -> None:
    """Raise UnreadableImage where another length of a row makes far more of a picture.

    Args:
        samples: (rows, columns) as the header declares them.
    """
    flat = samples.reshape(-1)
    rows, columns = samples.shape
    longest = max(rows, 4 * columns)
    if columns < 8 * _NEAR or longest * 2 > flat.size:
        return
    near = [columns + step for step in range(-_NEAR, _NEAR + 1) if step]
    # Beside two rows lies what interlaced rows have in common.
    near += [
        length
        for length in _likely_lengths(flat, columns)
        if _NEAR < length % columns < columns - _NEAR
    ]
    parts = [columns // count for count in (2, 3, 4)]
    far = {rows, *(columns * times for times in (2, 3, 4))} - {columns}
    step = max(1, (flat.size - longest) // _SAMPLES)
    start = flat[: flat.size - longest : step].astype(np.int32)

    def difference(length: int) -> float:
        below = flat[length : length + flat.size - longest : step]
        return float(np.abs(below.astype(np.int32) - start).mean())

    declared = difference(columns)
    limits = ((near, _NEAR_RATIO), (parts, _PART_RATIO), (far, _FAR_RATIO))
    if any(
        difference(length) < ratio * declared for lengths, ratio in limits for length in lengths
    ):
        raise UnreadableImage("formats.dicom_row_length", columns=columns)


def _likely_lengths(flat: np.ndarray, columns: int) -> list[int]:
    """Return the lengths of a row, half to twice as long, at which a few of the pixels differ least."""
    lengths = np.arange(columns // 2, min(2 * columns, flat.size // 2))
    start = np.linspace(0, flat.size - 2 * columns - 1, _FEW).astype(np.intp)
    few = flat[np.add.outer(start, lengths)].astype(np.int32)
    differences = np.abs(few - flat[start, None].astype(np.int32)).sum(axis=0)
    return [int(length) for length in lengths[np.argsort(differences)[:_LIKELY]]]


def read_stored_bits(
    words: np.ndarray, file: DicomFile, layout: PixelLayout
) -> tuple[np.ndarray, PixelLayout]:
    """Cut the stored values out of unsigned samples (rows, columns), and amend the layout by them.

    Other bits may hold overlays. The header is amended, and that noted, where words in the other byte order
    are far smoother, where the high bit has nothing below it or nothing at it, where the bits above the
    stored ones belong to the same numbers, and where only the other sign saves the picture from jumps
    between black and white.

    Returns:
        uint16 or int16 (rows, columns) between ``lowest`` and ``highest`` of the layout, which comes second.
    """
    words = words.astype(np.uint16, copy=False)
    step = max(1, math.isqrt(words.size // _SAMPLES))
    if layout.allocated == 16:
        lines = words[::step]
        if _roughness(lines.byteswap()) < _ROUGHNESS * _roughness(lines):
            words = words.byteswap()
            file.note("dicom_byte_order")
    used = int(np.bitwise_or.reduce(words, axis=None))
    if layout.high_bit + 1 > layout.stored and used < 1 << layout.stored:
        layout = replace(layout, high_bit=layout.stored - 1)
        file.note("dicom_high_bit", stored=layout.stored)
    lines = words[::step]
    shift = layout.high_bit + 1 - layout.stored
    if shift:
        below = replace(layout, stored=shift, high_bit=shift - 1)
        full = replace(layout, stored=layout.high_bit + 1)
        if _carry(lines, below, full) > _CARRY:
            file.note("dicom_stored_values", stored=layout.stored)
            layout = full
    whole = replace(layout, stored=layout.allocated, high_bit=layout.allocated - 1)
    extended = layout.signed and np.array_equal(cut_bits(lines, layout), cut_bits(lines, whole))
    if used >> layout.stored and layout.high_bit + 1 == layout.stored and not extended:
        for other in (replace(whole, signed=False), replace(whole, signed=True)):
            if _carry(lines, layout, other) > _CARRY:
                file.note("dicom_stored_values", stored=layout.stored)
                return cut_bits(words, other), other
        if Tag.OVERLAY_BIT not in file and not layout.signed:
            file.note("dicom_bits_beyond", stored=layout.stored)
    return settle_sign(words, file, layout)


def settle_sign(
    words: np.ndarray, file: DicomFile, layout: PixelLayout
) -> tuple[np.ndarray, PixelLayout]:
    """Cut the stored values out of unsigned samples, with the other sign where only that saves the picture.

    Returns:
        As :func:`read_stored_bits`.
    """
    lines = words[:: max(1, math.isqrt(words.size // _SAMPLES))]
    other = replace(layout, signed=not layout.signed)
    jumps = _jumps(lines, layout)
    if jumps >= _A_ROW * len(lines) and 4 * _jumps(lines, other) <= jumps:
        file.note("dicom_sign", signed=sentence(f"formats.dicom_signed_{other.signed}"))
        layout = other
    return cut_bits(words, layout), layout


def cut_bits(words: np.ndarray, layout: PixelLayout) -> np.ndarray:
    """Return the stored bits of unsigned samples, uint16 or (sign extended) int16."""
    words = words.astype(np.uint16)
    if not layout.signed:
        words >>= np.uint16(layout.high_bit - layout.stored + 1)
        words &= np.uint16((1 << layout.stored) - 1)
        return words
    # Up to the top bit and back: the shift of a signed number carries its sign along.
    words <<= np.uint16(15 - layout.high_bit)
    values = words.view(np.int16)
    values >>= np.int16(16 - layout.stored)
    return values


def settle_colours(
    flat: np.ndarray, file: DicomFile, layout: PixelLayout
) -> tuple[np.ndarray, PixelLayout]:
    """Arrange uncompressed colours, by planes or by pixels; grey ones show which of the two they are.

    Returns:
        uint8 (rows, columns, 3), and the layout with its Photometric Interpretation amended.
    """
    by_pixel = flat.reshape(layout.rows, layout.columns, 3)
    by_plane = np.moveaxis(flat.reshape(3, layout.rows, layout.columns), 0, -1)
    declared, other = (by_plane, by_pixel) if layout.planar else (by_pixel, by_plane)
    rgb, ybr = _colour(declared)
    other_rgb, other_ybr = _colour(other)
    if min(other_rgb, other_ybr) < min(_GREY, min(rgb, ybr) / 4):
        file.note("dicom_planar")
        declared, rgb, ybr = other, other_rgb, other_ybr
    photometric = layout.photometric
    if photometric == "RGB" and ybr < min(_GREY, rgb / 4):
        photometric = "YBR_FULL"
    elif photometric == "YBR_FULL_422":
        # Its length is that of full resolution.
        photometric = "YBR_FULL" if ybr < rgb else "RGB"
    if photometric != layout.photometric:
        file.note("dicom_photometric", found=layout.photometric, assumed=photometric)
    return declared, replace(layout, photometric=photometric)


def _roughness(words: np.ndarray) -> float:
    """Return the mean difference of neighbours in a row over the standard deviation, by the better sign."""
    return min(
        float(np.abs(np.diff(values, axis=1)).mean() / max(values.std(), 1e-6))
        for values in (words.astype(np.float32), words.view(np.int16).astype(np.float32))
    )


def _carry(lines: np.ndarray, layout: PixelLayout, whole: PixelLayout) -> float:
    """Return how far the stored bits fall where the bits above them count up, as a share of their range."""
    upper = np.diff(cut_bits(lines, whole).astype(np.int32) >> layout.stored, axis=1)
    stored = np.diff(cut_bits(lines, replace(layout, signed=False)).astype(np.int32), axis=1)
    counts = upper != 0
    if np.count_nonzero(counts) < _A_ROW * len(lines):
        return 0.0
    return float(-(np.sign(upper) * stored)[counts].mean()) / (1 << layout.stored)


def _jumps(lines: np.ndarray, layout: PixelLayout) -> int:
    """Count neighbours over half of the range apart; the edges of plain black and plain white are none."""
    values = cut_bits(lines, layout).astype(np.int32)
    plain = (values == values.min()) | (values == values.max())
    jumps = np.abs(np.diff(values, axis=1)) > 1 << layout.stored - 1
    return int(np.count_nonzero(jumps & ~plain[:, 1:] & ~plain[:, :-1]))


def _colour(samples: np.ndarray) -> tuple[float, float]:
    """Return how far samples are from grey, taken for RGB and for YBR: mean levels."""
    some = samples[:: max(1, math.isqrt(samples.size // 3 // _SAMPLES))].astype(np.int16)
    first, second, third = some[..., 0], some[..., 1], some[..., 2]
    rgb = np.abs(second - first).mean() + np.abs(third - first).mean()
    ybr = np.abs(second - 128).mean() + np.abs(third - 128).mean()
    return float(rgb), float(ybr)
