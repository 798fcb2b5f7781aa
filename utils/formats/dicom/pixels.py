"""Turns a DICOM file's pixel data into stored values, whatever transfer syntax they are packed in.

A compressed frame carries a header of its own, and a codec believes that one; so its size is held
against the file's rows and columns before the codec sees it. All codecs are under MIT or BSD
licences: Pillow (JPEG of 8 bits), gdcm (of more, and lossless), pyjpegls (JPEG-LS),
pylibjpeg-openjpeg (JPEG 2000), and our own for RLE.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from utils.errors import NotARadiograph, UnreadableImage, UnsupportedFormat
from utils.formats.dicom import frames, gdcm_codec
from utils.formats.dicom.elements import PIXEL_DATA, DicomFile
from utils.formats.jpeg import JpegScans, read_jpeg_scans

log = logging.getLogger(__name__)

_BASE = "1.2.840.10008.1.2"
NATIVE = frozenset((_BASE, f"{_BASE}.1", f"{_BASE}.1.99", f"{_BASE}.2", ""))
RLE = f"{_BASE}.5"
JPEG_EXTENDED = f"{_BASE}.4.51"
JPEG_LOSSLESS = frozenset(f"{_BASE}.4.{number}" for number in (57, 70))
JPEG = JPEG_LOSSLESS | {f"{_BASE}.4.50", JPEG_EXTENDED}
JPEG_LS = frozenset(f"{_BASE}.4.{number}" for number in (80, 81))
JPEG_2000 = frozenset(f"{_BASE}.4.{number}" for number in (90, 91, 201, 202, 203))
PLUGINS = {
    **dict.fromkeys(JPEG, "pillow"),
    **dict.fromkeys(JPEG_LS, "pyjpegls"),
    **dict.fromkeys(JPEG_2000, "pylibjpeg"),
}

GREY = ("MONOCHROME1", "MONOCHROME2")
COLOUR = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")


@dataclass(frozen=True)
class PixelLayout:
    """How a DICOM file's pixels are laid out, by its header.

    Args:
        rows, columns: size of the picture.
        samples: samples a pixel, 1 or 3.
        photometric: Photometric Interpretation.
        allocated, stored, high_bit: bits a sample takes, how many of them count, the highest one.
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
        if (
            not 1 < self.stored <= self.allocated
            or not self.stored - 1 <= self.high_bit < self.allocated
        ):
            raise UnreadableImage(
                f"the DICOM header is damaged: {self.stored} bits stored up to bit {self.high_bit} "
                f"do not fit in {self.allocated}"
            )


def decode_frame(file: DicomFile, layout: PixelLayout) -> np.ndarray:
    """Unpack the pixel data.

    Returns:
        (rows, columns) uint16 or int16 between ``layout.lowest`` and ``layout.highest``; for colour
        its luminance, (rows, columns) uint8.

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
        samples = _native(file, layout)
        return _settle(samples, layout) if layout.samples == 1 else _luminance(samples, layout)
    frame = file.fragments()
    if syntax == RLE:
        samples = _run_length_coded(frame, layout)
        return _settle(samples, layout) if layout.samples == 1 else _luminance(samples, layout)
    precision = _check_frame_header(frame, syntax, layout)
    scans = _read_scans(frame) if syntax in JPEG else None
    if scans is not None and (precision > 8 or syntax in JPEG_LOSSLESS):
        lossy = syntax not in JPEG_LOSSLESS
        if layout.samples != 1 or precision > layout.allocated or (lossy and precision != 12):
            raise UnsupportedFormat(
                f"its JPEG frame has {layout.samples} samples of {precision} bits; "
                "one grey sample of 8, 12 or (lossless) up to 16 bits is read"
            )
        return _clip(_by_gdcm(frame, scans, syntax, layout), layout)
    samples, photometric = _packed(frame, syntax, layout)
    shown = replace(layout, photometric=photometric)
    if scans is not None:
        last = _luminance(samples[-1:, -1:], shown) if layout.samples == 3 else samples[-1:, -1:]
        if scans.may_be_filled(float(last.item())):
            padded, _ = _packed(scans.padded(frame), syntax, layout)
            _refuse_short(not np.array_equal(padded, samples))
    return _luminance(samples, shown) if layout.samples == 3 else _clip(samples, layout)


def _read_scans(frame: bytes) -> JpegScans:
    """Read a JPEG frame's scans, and refuse one whose markers already show that it was cut."""
    scans = read_jpeg_scans(frame)
    scans.check()
    _refuse_short(scans.lacks_data(frame))
    return scans


def _refuse_short(short: bool) -> None:
    if short:
        raise UnreadableImage(
            "the DICOM file's compressed pixels end early: part of the picture is missing; "
            "send the complete file"
        )


def _by_gdcm(frame: bytes, scans: JpegScans, syntax: str, layout: PixelLayout) -> np.ndarray:
    """Decode a JPEG of a kind that only gdcm reads."""
    order: dict[str, int | str] = {
        "transfer_syntax": syntax,
        "rows": layout.rows,
        "columns": layout.columns,
        "allocated": layout.allocated,
        # gdcm cuts samples to the bits that it is told are stored, so that white which a lossy
        # codec overshoots would turn black: it is told all of them.
        "stored": layout.allocated if syntax == JPEG_EXTENDED else layout.stored,
        "signed": int(layout.signed),
    }
    packed = gdcm_codec.decode(order, frame, scans.padded(frame), layout.bytes)
    _refuse_short(packed is None)
    kind = ("i" if layout.signed else "u") + str(layout.allocated // 8)
    return np.frombuffer(packed or b"", kind).reshape(layout.rows, layout.columns)


def _luminance(samples: np.ndarray, layout: PixelLayout) -> np.ndarray:
    """Return the luminance of (rows, columns, 3) samples by Rec. 601, uint8."""
    if layout.photometric.startswith("YBR"):
        return samples[..., 0]
    # Whole numbers that sum to 2**16, so that grey stays exactly itself.
    weighted = samples[..., 0] * np.uint32(19595)
    weighted += samples[..., 1] * np.uint32(38470)
    weighted += samples[..., 2] * np.uint32(7471)
    return ((weighted + np.uint32(1 << 15)) >> np.uint32(16)).astype(np.uint8)


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
    # An odd length is padded to an even one.
    if length > layout.bytes + layout.bytes % 2:
        pictures, rest = divmod(length, layout.bytes)
        if rest <= length % 2 or (rest == 1 and layout.bytes % 2):
            raise NotARadiograph(
                f"its pixels are {pictures} pictures of the size that it declares; "
                "a single radiograph is needed"
            )
        raise UnreadableImage(
            f"the DICOM header is damaged: the pixels that it declares need {layout.bytes} bytes, "
            f"{length} are there"
        )
    order = element.encoding.order
    kind = np.dtype(np.uint8) if layout.allocated == 8 else np.dtype(f"{order}u2")
    count = layout.rows * layout.columns * layout.samples
    flat = np.frombuffer(file.content, kind, count, element.start)
    return _arranged(flat, layout)


def _arranged(flat: np.ndarray, layout: PixelLayout) -> np.ndarray:
    """Give flat samples their (rows, columns) or (rows, columns, 3)."""
    if layout.samples == 1:
        return flat.reshape(layout.rows, layout.columns)
    if layout.planar:
        return np.moveaxis(flat.reshape(3, layout.rows, layout.columns), 0, -1)
    return flat.reshape(layout.rows, layout.columns, 3)


def _settle(samples: np.ndarray, layout: PixelLayout) -> np.ndarray:
    """Cut the stored bits out of unsigned samples: other bits may hold overlays."""
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
    if layout.signed and samples.dtype.kind == "u":
        return _settle(samples, layout)
    kept = np.clip(samples, layout.lowest, layout.highest)
    return kept.astype(np.int16 if layout.signed else np.uint16, copy=False)


def _run_length_coded(frame: bytes, layout: PixelLayout) -> np.ndarray:
    planes = frames.unpack_rle(
        frame, layout.samples * layout.allocated // 8, layout.rows * layout.columns
    )
    if layout.samples == 3:
        return np.stack(planes, axis=-1).reshape(layout.rows, layout.columns, 3)
    samples = planes[0]
    if layout.allocated == 16:
        # The most significant byte's plane comes first.
        samples = samples.astype(np.uint16) << np.uint16(8) | planes[1]
    return samples.reshape(layout.rows, layout.columns)


def _check_frame_header(frame: bytes, syntax: str, layout: PixelLayout) -> int:
    """Return the bits of a compressed frame's samples.

    Raises:
        UnreadableImage: it declares another size than the file does, or none.
    """
    read_size = frames.read_j2k_size if syntax in JPEG_2000 else frames.read_jpeg_size
    found = read_size(frame)
    if found is None:
        raise UnreadableImage("the DICOM file is damaged: its compressed frame has no header")
    if (found.rows, found.columns, found.samples) != (layout.rows, layout.columns, layout.samples):
        raise UnreadableImage(
            f"the DICOM file is damaged: it declares {layout.columns} x {layout.rows} pixels of "
            f"{layout.samples} samples, its compressed frame {found.columns} x {found.rows} of "
            f"{found.samples}"
        )
    return found.precision


def _packed(frame: bytes, syntax: str, layout: PixelLayout) -> tuple[np.ndarray, str]:
    """Decode one frame by pydicom with the one codec that is named for its transfer syntax.

    Returns:
        The samples, and their Photometric Interpretation now: codecs turn some colours into RGB.
    """
    from pydicom.encaps import encapsulate
    from pydicom.pixels import get_decoder
    from pydicom.uid import UID

    options: dict[str, Any] = {
        "transfer_syntax_uid": UID(syntax),
        "rows": layout.rows,
        "columns": layout.columns,
        "samples_per_pixel": layout.samples,
        "photometric_interpretation": layout.photometric,
        "planar_configuration": int(layout.planar),
        "bits_allocated": layout.allocated,
        "bits_stored": layout.stored,
        "pixel_representation": int(layout.signed),
        "number_of_frames": 1,
        "pixel_keyword": "PixelData",
    }
    try:
        samples, found = get_decoder(UID(syntax)).as_array(
            encapsulate([frame]), raw=True, decoding_plugin=PLUGINS[syntax], **options
        )
    except MemoryError:
        raise
    # Codecs raise anything at all over damaged bytes, and each means the same to the caller.
    except Exception as error:
        log.debug("a compressed frame cannot be decoded: %s", error)
        raise UnreadableImage(
            "the DICOM file's compressed pixels are damaged; send the complete file"
        ) from error
    return samples, str(found["photometric_interpretation"])
