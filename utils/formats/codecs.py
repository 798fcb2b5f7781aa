"""Turns a DICOM file's pixel data into stored values, whatever transfer syntax they are packed in.

A compressed frame carries a header of its own, and a codec believes that one; so its size is held
against the file's rows and columns before the codec sees it. Codecs are those under MIT, BSD or Apache
licences: gdcm (JPEG), pyjpegls (JPEG-LS), pylibjpeg-openjpeg (JPEG 2000), and our own for RLE.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

import numpy as np

from utils.errors import NotARadiograph, UnreadableImage, UnsupportedFormat
from utils.formats.elements import PIXEL_DATA, DicomFile

_BASE = "1.2.840.10008.1.2"
NATIVE = frozenset((_BASE, f"{_BASE}.1", f"{_BASE}.1.99", f"{_BASE}.2", ""))
RLE = f"{_BASE}.5"
JPEG_EXTENDED = f"{_BASE}.4.51"
JPEG = frozenset(f"{_BASE}.4.{number}" for number in (50, 51, 57, 70))
JPEG_LS = frozenset(f"{_BASE}.4.{number}" for number in (80, 81))
JPEG_2000 = frozenset(f"{_BASE}.4.{number}" for number in (90, 91, 201, 202, 203))
PLUGINS = {
    **dict.fromkeys(JPEG, "gdcm"),
    **dict.fromkeys(JPEG_LS, "pyjpegls"),
    **dict.fromkeys(JPEG_2000, "pylibjpeg"),
}

GREY = ("MONOCHROME1", "MONOCHROME2")
COLOUR = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")
_MARKER = re.compile(rb"\xff+([\x01-\xfe])")
_NO_FRAME_HEADER = (0xC4, 0xC8, 0xCC)


@dataclass(frozen=True)
class PixelLayout:
    """How a DICOM file's pixels are laid out, by its header.

    Args:
        rows, columns: size of the picture.
        samples: samples a pixel, 1 or 3.
        photometric: Photometric Interpretation.
        allocated, stored, high_bit: bits a sample takes, bits of it that count, the highest of them.
        signed: whether samples are in two's complement.
        planar: whether colours lie in planes one after the other.
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

    def check(self) -> None:
        """Raise where no radiograph is laid out so, or where the numbers contradict each other."""
        if self.samples == 3 and self.photometric in COLOUR and self.allocated == 8:
            if (self.stored, self.high_bit, self.signed) != (8, 7, False):
                raise UnreadableImage("the DICOM header is damaged: its colour bits contradict")
            return
        if self.samples != 1 or self.photometric not in GREY:
            raise UnsupportedFormat(
                f"its pixels are {self.photometric[:16] or 'of no stated kind'} of {self.samples} "
                f"samples; {', '.join(GREY)} and 8-bit {', '.join(COLOUR)} are read"
            )
        if self.allocated not in (8, 16):
            raise UnsupportedFormat(
                f"its pixels take {self.allocated} bits each; 8 and 16 are read"
            )
        if not 1 < self.stored <= self.allocated or not self.stored - 1 <= self.high_bit < self.allocated:
            raise UnreadableImage(
                f"the DICOM header is damaged: {self.stored} bits stored up to bit {self.high_bit} "
                f"do not fit in {self.allocated}"
            )


def decode_frame(file: DicomFile, layout: PixelLayout) -> np.ndarray:
    """Unpack the pixel data.

    Returns:
        (rows, columns) uint16 or int16 between ``layout.lowest`` and ``layout.highest``; for colour
        (rows, columns, 3) uint8.

    Raises:
        UnsupportedFormat: the transfer syntax is not read.
        UnreadableImage: the pixel data is missing, damaged or ends early.
    """
    syntax = file.transfer_syntax
    if syntax not in NATIVE and syntax != RLE and syntax not in PLUGINS:
        raise UnsupportedFormat(
            f"its transfer syntax ({_syntax_name(syntax)}) is not read; "
            "export it uncompressed, as RLE, JPEG, JPEG-LS or JPEG 2000"
        )
    if PIXEL_DATA not in file:
        raise UnreadableImage(
            "the DICOM file ends before its pixels, or holds none; send the complete file"
        )
    element = file.elements[PIXEL_DATA]
    if (element.end is None) == (syntax in NATIVE):
        raise UnreadableImage("the DICOM file is damaged: its pixels are not as it declares")
    if syntax in NATIVE:
        return _native(file, layout)
    frame = file.fragments()
    if syntax == RLE:
        return _settle(_unpack_rle(frame, layout), layout)
    _check_frame_header(frame, syntax, layout)
    if syntax == JPEG_EXTENDED and layout.samples == 1 and _jpeg_precision(frame) > 8:
        return _clip(_deep_jpeg(frame, layout), layout)
    return _clip(_packed(frame, syntax, layout), layout)


def _syntax_name(syntax: str) -> str:
    from pydicom.uid import UID_dictionary

    entry = UID_dictionary.get(syntax)
    return entry[0] if entry else repr(syntax[:64])


def _native(file: DicomFile, layout: PixelLayout) -> np.ndarray:
    element = file.elements[PIXEL_DATA]
    length = (element.end or 0) - element.start
    if layout.photometric == "YBR_FULL_422":
        raise UnsupportedFormat("its colours are stored at half resolution, which is not read")
    if length < layout.bytes:
        raise UnreadableImage(
            f"the DICOM file ends early: its pixels need {layout.bytes} bytes, {length} are there"
        )
    order = element.encoding.order
    kind = np.dtype(np.uint8) if layout.allocated == 8 else np.dtype(f"{order}u2")
    count = layout.rows * layout.columns * layout.samples
    flat = np.frombuffer(file.content, kind, count, element.start)
    return _settle(_arranged(flat, layout), layout)


def _arranged(flat: np.ndarray, layout: PixelLayout) -> np.ndarray:
    """Give flat samples their (rows, columns) or (rows, columns, 3)."""
    if layout.samples == 1:
        return flat.reshape(layout.rows, layout.columns)
    if layout.planar:
        return np.moveaxis(flat.reshape(3, layout.rows, layout.columns), 0, -1)
    return flat.reshape(layout.rows, layout.columns, 3)


def _settle(samples: np.ndarray, layout: PixelLayout) -> np.ndarray:
    """Cut the stored bits out of unsigned samples: other bits may hold overlays."""
    if layout.samples == 3:
        return samples
    words = samples.astype(np.uint16)
    words >>= np.uint16(layout.high_bit - layout.stored + 1)
    if not layout.signed:
        words &= np.uint16((1 << layout.stored) - 1)
        return words
    # Up to the top bit and back: the shift of a signed number carries its sign along.
    shift = 16 - layout.stored
    words <<= np.uint16(shift)
    values = words.view(np.int16)
    values >>= np.int16(shift)
    return values


def _clip(samples: np.ndarray, layout: PixelLayout) -> np.ndarray:
    """Bring a codec's values into the stored range; lossy ones overshoot it."""
    if layout.samples == 3:
        return samples
    if layout.signed and samples.dtype.kind == "u":
        return _settle(samples, layout)
    kept = np.clip(samples, layout.lowest, layout.highest)
    return kept.astype(np.int16 if layout.signed else np.uint16, copy=False)


def _unpack_rle(frame: bytes, layout: PixelLayout) -> np.ndarray:
    """Unpack run-length coded planes of bytes, never beyond their size.

    Source:
        DICOM PS3.5, annex G.
    """
    planes = layout.samples * layout.allocated // 8
    if len(frame) < 64:
        raise UnreadableImage("the DICOM file is damaged: its RLE header is incomplete")
    count, *offsets = struct.unpack_from("<16L", frame)
    if count != planes:
        raise UnreadableImage(
            f"the DICOM file is damaged: {count} RLE segments where {planes} are needed"
        )
    bounds = [*offsets[:planes], len(frame)]
    if any(end < start for start, end in zip(bounds, bounds[1:], strict=False)) or bounds[0] < 64:
        raise UnreadableImage("the DICOM file is damaged: its RLE segments are out of order")
    size = layout.rows * layout.columns
    unpacked = [
        np.frombuffer(_unpack_bits(frame[start:end], size), np.uint8).reshape(
            layout.rows, layout.columns
        )
        for start, end in zip(bounds, bounds[1:], strict=False)
    ]
    if layout.samples == 3:
        return np.stack(unpacked, axis=-1)
    if planes == 1:
        return unpacked[0]
    # The most significant byte's plane comes first.
    return unpacked[0].astype(np.uint16) << np.uint16(8) | unpacked[1]


def _unpack_bits(packed: bytes, size: int) -> bytes:
    """Unpack one PackBits segment to exactly ``size`` bytes."""
    parts, length, position, last = [], 0, 0, len(packed) - 1
    while length < size and position < last:
        control = packed[position]
        if control < 128:
            part = packed[position + 1 : position + 2 + control]
            position += 2 + control
        else:
            # 128 means nothing; 257 - 128 copies would be wrong.
            part = packed[position + 1 : position + 2] * (257 - control) if control > 128 else b""
            position += 2 if control > 128 else 1
        parts.append(part)
        length += len(part)
    if length < size:
        raise UnreadableImage("the DICOM file ends early, or is damaged: RLE rows are missing")
    return b"".join(parts)[:size]


def _check_frame_header(frame: bytes, syntax: str, layout: PixelLayout) -> None:
    """Raise UnreadableImage where a compressed frame declares another size than the file."""
    found = _j2k_size(frame) if syntax in JPEG_2000 else _jpeg_size(frame)
    if found is None:
        raise UnreadableImage("the DICOM file is damaged: its compressed frame has no header")
    rows, columns, samples = found
    if (rows, columns, samples) != (layout.rows, layout.columns, layout.samples):
        raise UnreadableImage(
            f"the DICOM file is damaged: it declares {layout.columns} x {layout.rows} pixels of "
            f"{layout.samples} samples, its compressed frame {columns} x {rows} of {samples}"
        )


def _j2k_size(frame: bytes) -> tuple[int, int, int] | None:
    """Return rows, columns and components from a JPEG 2000 codestream's SIZ (T.800, A.5.1)."""
    start = frame.find(b"\xff\x4f\xff\x51")
    if start < 0 or len(frame) < start + 42:
        return None
    right, bottom, left, top = struct.unpack_from(">4L", frame, start + 8)
    (components,) = struct.unpack_from(">H", frame, start + 40)
    return bottom - top, right - left, components


def _jpeg_frame(frame: bytes) -> tuple[int, int, int, int] | None:
    """Return precision, rows, columns and components from a JPEG's frame header (T.81, B.2.2)."""
    position = 2
    while found := _MARKER.search(frame, position):
        marker, position = found.group(1)[0], found.end()
        if marker == 0xD8 or marker == 0x01 or 0xD0 <= marker <= 0xD7:
            continue
        if position + 8 > len(frame) or marker in (0xD9, 0xDA):
            return None
        if marker == 0xF7 or (0xC0 <= marker <= 0xCF and marker not in _NO_FRAME_HEADER):
            precision, rows, columns, components = struct.unpack_from(">BHHB", frame, position + 2)
            return precision, rows, columns, components
        position += int.from_bytes(frame[position : position + 2], "big")
    return None


def _jpeg_size(frame: bytes) -> tuple[int, int, int] | None:
    header = _jpeg_frame(frame)
    return header[1:] if header else None


def _jpeg_precision(frame: bytes) -> int:
    header = _jpeg_frame(frame)
    return header[0] if header else 0


def _packed(frame: bytes, syntax: str, layout: PixelLayout) -> np.ndarray:
    """Decode one frame by pydicom with the one codec that is named for its transfer syntax."""
    from pydicom.encaps import encapsulate
    from pydicom.pixels import get_decoder
    from pydicom.uid import UID

    try:
        samples, _ = get_decoder(UID(syntax)).as_array(
            encapsulate([frame]),
            raw=True,
            validate=True,
            decoding_plugin=PLUGINS[syntax],
            transfer_syntax_uid=UID(syntax),
            rows=layout.rows,
            columns=layout.columns,
            samples_per_pixel=layout.samples,
            photometric_interpretation=layout.photometric,
            planar_configuration=int(layout.planar),
            bits_allocated=layout.allocated,
            bits_stored=layout.stored,
            pixel_representation=int(layout.signed),
            number_of_frames=1,
            pixel_keyword="PixelData",
        )
    except MemoryError:
        raise
    # Codecs raise anything at all over damaged bytes, and each means the same to the caller.
    except Exception as error:
        raise UnreadableImage(f"the DICOM file's compressed pixels are damaged: {error}") from error
    return samples


def _deep_jpeg(frame: bytes, layout: PixelLayout) -> np.ndarray:
    """Decode a lossy JPEG of 12 bits, which pydicom leaves to codecs under the GPL.

    gdcm cuts values to the bits that it is told are stored, so that white which overshoots turns
    black; it is told 16.
    """
    import gdcm

    fragment = gdcm.Fragment()
    fragment.SetByteStringValue(frame)
    fragments = gdcm.SequenceOfFragments.New()
    fragments.AddFragment(fragment)
    element = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    element.SetValue(fragments.__ref__())
    image = gdcm.Image()
    image.SetNumberOfDimensions(2)
    image.SetDimensions((layout.columns, layout.rows, 1))
    image.SetDataElement(element)
    grey = gdcm.PhotometricInterpretation.GetPIType("MONOCHROME2")
    image.SetPhotometricInterpretation(gdcm.PhotometricInterpretation(grey))
    syntax = gdcm.TransferSyntax.GetTSType(JPEG_EXTENDED)
    image.SetTransferSyntax(gdcm.TransferSyntax(syntax))
    image.SetPixelFormat(gdcm.PixelFormat(1, 16, 16, 15, 0))
    try:
        unpacked = image.GetBuffer().encode("utf-8", "surrogateescape")
        return np.frombuffer(unpacked, np.uint16).reshape(layout.rows, layout.columns)
    except (TypeError, ValueError, UnicodeError, AttributeError) as error:
        raise UnreadableImage("the DICOM file's compressed pixels are damaged") from error
