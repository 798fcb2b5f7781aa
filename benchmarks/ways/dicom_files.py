"""Ways through DICOM: windows, tables and headers that do not fit the pixels, transfer syntaxes."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from benchmarks.ways.brightness import marked, with_hot_pixels
from benchmarks.ways.files import deep
from benchmarks.ways.way import Change, Encode, Way
from tests.support.dicoms import draw_dicom, table_item

KIND = "DICOM"


def of_bits(bits: int) -> Change:
    """Return the change to samples of so many bits, uint16 (rows, columns)."""
    return lambda grey, _: deep(grey, bits)


def wide(grey: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Return 12 bits at twice the columns, as a detector of oblong pixels stores them."""
    return deep(cv2.resize(grey, (2 * grey.shape[1], grey.shape[0])), 12)


def padded(grey: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Pad to twice the size with a value far above the picture's."""
    return np.pad(deep(grey, 12), [(0, side) for side in grey.shape], constant_values=63000)


def file(**elements: Any) -> Encode:
    """Return the encoder of stored values as a Computed Radiography image; see ``draw_dicom``."""
    return lambda stored: draw_dicom(stored, **elements)


def signed(stored: np.ndarray) -> bytes:
    """Encode as signed values around 0, which a rescale moves back."""
    values = stored.astype(np.int16) - 2048
    return draw_dicom(
        values, RescaleSlope=1, RescaleIntercept=2048, WindowCenter=2048, WindowWidth=4096
    )


def with_voi_lut(entries: np.ndarray, bits: int = 16) -> Encode:
    """Return the encoder with a VOI LUT whose first entry stands for 0."""
    return lambda stored: draw_dicom(stored, VOILUTSequence=table_item(0, entries, bits))


TWELVE = of_bits(12)
WINDOW = {"WindowCenter": 2048, "WindowWidth": 4096}
WAYS = (
    Way(KIND, "DICOM without a window", TWELVE, file()),
    Way(KIND, "DICOM with its window", TWELVE, file(**WINDOW)),
    Way(
        KIND, "DICOM, MONOCHROME1", lambda g, _: 4095 - deep(g, 12), file(photometric="MONOCHROME1")
    ),
    Way(KIND, "DICOM, signed values, rescaled", TWELVE, signed),
    Way(KIND, "DICOM, 8 bits", lambda grey, _: grey, file(bits=8)),
    Way(KIND, "DICOM, 14 bits stored of 16 announced", of_bits(14), file(bits=16)),
    Way(KIND, "DICOM, 10 bits in a header of 12", of_bits(10), file()),
    Way(
        KIND,
        "DICOM, window width 65536",
        TWELVE,
        file(WindowCenter=32768, WindowWidth=65536),
    ),
    Way(KIND, "DICOM, window beside the values", TWELVE, file(WindowCenter=9000, WindowWidth=400)),
    Way(KIND, "DICOM, window width 0", TWELVE, file(WindowCenter=2048, WindowWidth=0)),
    Way(KIND, "DICOM, rescale slope 0", TWELVE, file(RescaleSlope=0, RescaleIntercept=0, **WINDOW)),
    Way(KIND, "DICOM, a slope that a window forgets", TWELVE, file(RescaleSlope=16, **WINDOW)),
    Way(
        KIND,
        "DICOM, 16 bits, one hot pixel",
        lambda grey, _: with_hot_pixels(deep(grey, 12), 65535),
        file(bits=16),
    ),
    Way(
        KIND,
        "DICOM, 16 bits, burnt-in marker",
        lambda grey, _: marked(deep(grey, 12), 65535),
        file(bits=16),
    ),
    Way(KIND, "DICOM, High Bit 15 of 12 bits", TWELVE, file(HighBit=15)),
    Way(
        KIND,
        "DICOM, VOI LUT for 256 of 4096 values",
        TWELVE,
        with_voi_lut(np.linspace(0, 65535, 256)),
    ),
    Way(
        KIND,
        "DICOM, VOI LUT that reaches 3 % of its range",
        TWELVE,
        with_voi_lut(np.linspace(0, 2000, 4096)),
    ),
    Way(
        KIND,
        "DICOM, VOI LUT of 8 bits in 16",
        TWELVE,
        with_voi_lut(np.linspace(0, 255, 4096)),
    ),
    Way(KIND, "DICOM, flat VOI LUT", TWELVE, with_voi_lut(np.full(4096, 30000.0))),
    Way(
        KIND,
        "DICOM, padding that its header misnames",
        padded,
        file(bits=16, PixelPaddingValue=63536),
    ),
    Way(KIND, "DICOM, padding", padded, file(bits=16, PixelPaddingValue=63000)),
    Way(KIND, "DICOM, oblong pixels by Pixel Spacing", wide, file(PixelSpacing=[0.2, 0.1])),
    Way(
        KIND,
        "DICOM, oblong pixels by Imager Pixel Spacing",
        wide,
        file(ImagerPixelSpacing=[0.2, 0.1]),
    ),
    Way(KIND, "DICOM, oblong pixels by Pixel Aspect Ratio", wide, file(PixelAspectRatio=[2, 1])),
    Way(KIND, "DICOM, RLE", TWELVE, file(syntax="rle", **WINDOW)),
    Way(KIND, "DICOM, JPEG-LS", TWELVE, file(syntax="jpeg_ls", **WINDOW)),
    Way(KIND, "DICOM, JPEG 2000", TWELVE, file(syntax="jpeg_2000", **WINDOW)),
    Way(KIND, "DICOM, JPEG", lambda grey, _: grey, file(syntax="jpeg_baseline", bits=8)),
    Way(
        KIND,
        "DICOM, RGB",
        lambda grey, _: np.dstack([grey] * 3),
        file(photometric="RGB", bits=8),
    ),
    Way(KIND, "DICOM, big endian", TWELVE, file(syntax="big_endian", **WINDOW)),
)
