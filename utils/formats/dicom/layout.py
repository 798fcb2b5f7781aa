"""How the pixels of a DICOM file are laid out, by its header."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from utils.errors import NotARadiograph, UnreadableImage, UnsupportedFormat
from utils.formats.dicom.elements import DicomFile
from utils.formats.dicom.tags import Tag
from utils.imaging.geometry import resize
from utils.imaging.radiograph import DETAIL
from utils.messages import sentence

GREY = ("MONOCHROME1", "MONOCHROME2")
COLOUR = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")

# Pixels whose sides differ by less than this (a logarithm) are square; no detector's differ by more than so
# many times.
_SQUARE = 0.02
_MOST_OBLONG = 4.0


@dataclass(frozen=True)
class PixelLayout:
    """How a DICOM file's pixels are laid out.

    Args:
        rows, columns: size of the picture.
        samples: samples a pixel, 1 or 3.
        photometric: Photometric Interpretation.
        allocated, stored, high_bit: bits a sample takes, how many of them count, the highest one.
        signed: whether samples are in two's complement.
        planar: whether colours lie in planes one after the other.

    Raises:
        UnsupportedFormat: no radiograph is laid out so.
        UnreadableImage: the numbers contradict each other.
    """

    rows: int
    columns: int
    samples: int
    photometric: str
    allocated: int
    stored: int
    high_bit: int
    signed: bool
    planar: bool

    def __post_init__(self) -> None:
        if self.samples == 3 and self.photometric in COLOUR and self.allocated == 8:
            return
        if self.samples != 1 or self.photometric not in GREY:
            raise UnsupportedFormat(
                "formats.dicom_layout",
                photometric=self.photometric[:16] or sentence("formats.dicom_no_photometric"),
                samples=self.samples,
                grey=", ".join(GREY),
                colour=", ".join(COLOUR),
            )
        if self.allocated not in (8, 16):
            raise UnsupportedFormat("formats.dicom_allocated", allocated=self.allocated)
        if self.stored < 2:
            raise UnreadableImage("formats.dicom_stored", stored=self.stored)

    @property
    def lowest(self) -> int:
        """Lowest value that can be stored."""
        return -(1 << self.stored - 1) if self.signed else 0

    @property
    def highest(self) -> int:
        """Highest value that can be stored."""
        return (1 << self.stored - self.signed) - 1

    @property
    def bytes(self) -> int:
        """Length of the unpacked pixels."""
        return self.rows * self.columns * self.samples * self.allocated // 8


def read_layout(file: DicomFile) -> PixelLayout:
    """Read how the pixels are laid out; refuse all but a single picture of 8 to 16 bits.

    What is missing or impossible in the header is amended where one meaning is left, and noted. Whether
    what is possible is true is decided by the pixels (``header_checks``).
    """
    frames = file.number(Tag.FRAMES)
    if frames is not None and not frames <= 1:
        raise NotARadiograph("formats.dicom_frames", frames=file.text(Tag.FRAMES)[:16])
    if Tag.FLOAT_PIXELS in file or Tag.DOUBLE_PIXELS in file:
        raise NotARadiograph("formats.dicom_float")
    rows, columns = _integer(file, Tag.ROWS), _integer(file, Tag.COLUMNS)
    if rows is None and columns is None and Tag.PIXEL_DATA not in file:
        raise NotARadiograph("formats.dicom_no_picture")
    if not rows or not columns:
        raise UnreadableImage("formats.dicom_no_size")
    samples = _integer(file, Tag.SAMPLES) or 1
    photometric = _read_photometric(file, samples)
    allocated, stored, high_bit = _read_bits(file)
    return PixelLayout(
        rows=rows,
        columns=columns,
        samples=samples,
        photometric=photometric,
        allocated=allocated,
        stored=stored,
        high_bit=high_bit,
        signed=bool(_integer(file, Tag.SIGNED)) and samples == 1,
        planar=bool(_integer(file, Tag.PLANAR)),
    )


def square_pixels(pixels: np.ndarray, file: DicomFile) -> np.ndarray:
    """Resample a picture of oblong pixels to square ones.

    The finer side is shrunk where both stay DETAIL long, else the coarser one is enlarged.

    Args:
        pixels: (rows, columns) as stored.
        file: its elements: Pixel Spacing, else Imager Pixel Spacing, else Pixel Aspect Ratio.

    Source:
        DICOM PS3.3, 10.7.1.3 and C.7.6.3.1.7.
    """
    for tag in (Tag.SPACING, Tag.IMAGER_SPACING, Tag.ASPECT):
        size = file.numbers(tag)[:2]
        if len(size) == 2 and all(side > 0 and math.isfinite(side) for side in size):
            break
    else:
        return pixels
    # How many times as high as wide a pixel is.
    ratio = size[0] / size[1]
    if abs(math.log(ratio)) < _SQUARE:
        return pixels
    if not 1 / _MOST_OBLONG <= ratio <= _MOST_OBLONG:
        file.note("dicom_aspect_ignored", height=size[0], width=size[1])
        return pixels
    rows, columns = pixels.shape
    if ratio > 1:
        shrunk = (rows, round(columns / ratio))
        enlarged = (round(rows * ratio), columns)
    else:
        shrunk = (round(rows * ratio), columns)
        enlarged = (rows, round(columns / ratio))
    return resize(pixels, *(shrunk if min(shrunk) >= DETAIL else enlarged))


def _read_photometric(file: DicomFile, samples: int) -> str:
    """Return the Photometric Interpretation; of one sample, what is no name is MONOCHROME2."""
    found = file.text(Tag.PHOTOMETRIC).upper()
    if samples != 1 or found in GREY or found.startswith("PALETTE"):
        return found
    name = "".join(filter(str.isalnum, found))
    # Presentation LUT Shape repeats a MONOCHROME1, so it tells one where the name is lost.
    inverse = name == GREY[0] or (name not in GREY and file.text(Tag.SHAPE).upper() == "INVERSE")
    assumed = GREY[0] if inverse else GREY[1]
    file.note("dicom_photometric", found=found[:16], assumed=assumed)
    return assumed


def _read_bits(file: DicomFile) -> tuple[int, int, int]:
    """Return the bits allocated, the bits stored and the high bit; missing and impossible ones are noted."""
    allocated, stored = _integer(file, Tag.ALLOCATED), _integer(file, Tag.STORED)
    high_bit = _integer(file, Tag.HIGH_BIT)
    found = (allocated, stored, high_bit)
    if not allocated:
        if not stored:
            raise UnreadableImage("formats.dicom_no_bits")
        allocated = 8 if stored <= 8 else 16
    if not stored:
        stored = allocated if high_bit is None else high_bit + 1
    stored = min(stored, allocated)
    if high_bit is None or not stored <= high_bit + 1 <= allocated:
        high_bit = stored - 1
    # A missing high bit follows from the rest.
    given = high_bit if found[2] is None else found[2]
    if (allocated, stored, high_bit) != (found[0], found[1], given):
        file.note("dicom_bits", allocated=allocated, stored=stored, high_bit=high_bit)
    return allocated, stored, high_bit


def _integer(file: DicomFile, tag: Tag) -> int | None:
    values = file.integers(tag)
    return values[0] if values else None
