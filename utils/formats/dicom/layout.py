"""How the pixels of a DICOM file are laid out, by its header."""

from __future__ import annotations

from dataclasses import dataclass

from utils.errors import NotARadiograph, UnreadableImage, UnsupportedFormat
from utils.formats.dicom.elements import DicomFile
from utils.formats.dicom.tags import Tag
from utils.messages import sentence

GREY = ("MONOCHROME1", "MONOCHROME2")
COLOUR = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")


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
            if (self.stored, self.high_bit, self.signed) != (8, 7, False):
                raise UnreadableImage("formats.dicom_colour_bits")
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
        if not 1 < self.stored <= self.high_bit + 1 <= self.allocated:
            raise UnreadableImage(
                "formats.dicom_stored",
                stored=self.stored,
                high_bit=self.high_bit,
                allocated=self.allocated,
            )

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
    """Read how the pixels are laid out; refuse all but a single picture of 8 to 16 bits."""
    frames = file.number(Tag.FRAMES)
    if frames is not None and frames > 1:
        raise NotARadiograph("formats.dicom_frames", frames=frames)
    if Tag.FLOAT_PIXELS in file or Tag.DOUBLE_PIXELS in file:
        raise NotARadiograph("formats.dicom_float")
    rows, columns = _integer(file, Tag.ROWS), _integer(file, Tag.COLUMNS)
    if rows is None and columns is None and Tag.PIXEL_DATA not in file:
        raise NotARadiograph("formats.dicom_no_picture")
    if not rows or not columns:
        raise UnreadableImage("formats.dicom_no_size")
    allocated = _integer(file, Tag.ALLOCATED)
    if allocated is None:
        raise UnreadableImage("formats.dicom_no_bits")
    stored = _integer(file, Tag.STORED) or allocated
    high_bit = _integer(file, Tag.HIGH_BIT)
    return PixelLayout(
        rows=rows,
        columns=columns,
        samples=_integer(file, Tag.SAMPLES) or 1,
        photometric=file.text(Tag.PHOTOMETRIC).upper(),
        allocated=allocated,
        stored=stored,
        high_bit=stored - 1 if high_bit is None else high_bit,
        signed=bool(_integer(file, Tag.SIGNED)),
        planar=bool(_integer(file, Tag.PLANAR)),
    )


def _integer(file: DicomFile, tag: Tag) -> int | None:
    values = file.integers(tag)
    return values[0] if values else None
