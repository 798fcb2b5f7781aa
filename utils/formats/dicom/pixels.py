"""Stored values of a DICOM file, unpacked from any transfer syntax.

A compressed frame carries a header of its own, and a codec believes that one; so its size is compared
with the file's rows and columns before the codec reads it. All codecs are under MIT or BSD
licences: Pillow (JPEG of 8 bits, RLE), gdcm (JPEG of more, and lossless), pyjpegls (JPEG-LS),
pylibjpeg-openjpeg (JPEG 2000).
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

import numpy as np

from utils.errors import NotARadiograph, UnreadableImage, UnsupportedFormat
from utils.formats import channels, jpeg
from utils.formats.dicom import frames, gdcm_codec, header_checks
from utils.formats.dicom.elements import DEFLATED, DicomFile
from utils.formats.dicom.layout import PixelLayout
from utils.formats.dicom.tags import Tag, uid_name
from utils.formats.jpeg_markers import read_markers

log = logging.getLogger(__name__)

_BASE = "1.2.840.10008.1.2"
NATIVE = frozenset((_BASE, f"{_BASE}.1", f"{_BASE}.1.99", f"{_BASE}.2", ""))
# Digital signatures and trailing padding may come after the pixel data.
_LAST_ELEMENTS = (b"\xfa\xff\xfa\xff", b"\xfc\xff\xfc\xff")
RLE = f"{_BASE}.5"
JPEG_EXTENDED = f"{_BASE}.4.51"
JPEG_LOSSLESS = frozenset(f"{_BASE}.4.{number}" for number in (57, 70))
JPEG = JPEG_LOSSLESS | {f"{_BASE}.4.50", JPEG_EXTENDED}
JPEG_LS = frozenset(f"{_BASE}.4.{number}" for number in (80, 81))
HTJ2K = frozenset(f"{_BASE}.4.{number}" for number in (201, 202, 203))
JPEG_2000 = HTJ2K | {f"{_BASE}.4.90", f"{_BASE}.4.91"}
LOSSLESS = JPEG_LOSSLESS | {f"{_BASE}.4.80", f"{_BASE}.4.90"}
PLUGINS = {
    **dict.fromkeys(JPEG, "pillow"),
    **dict.fromkeys(JPEG_LS, "pyjpegls"),
    **dict.fromkeys(JPEG_2000, "pylibjpeg"),
}


def decode_frame(file: DicomFile, layout: PixelLayout) -> tuple[np.ndarray, PixelLayout]:
    """Unpack the pixel data; where it contradicts the header, the pixels win and it is noted.

    Returns:
        (rows, columns) uint16 or int16 between ``lowest`` and ``highest`` of the layout, which comes
        second; for colour its luminance, (rows, columns) uint8.

    Raises:
        UnsupportedFormat: the transfer syntax is not read.
        UnreadableImage: the pixel data is missing, damaged or ends early, or its rows have another length.
    """
    syntax = file.transfer_syntax
    if syntax not in NATIVE and syntax != RLE and syntax not in PLUGINS:
        name = uid_name(syntax) or repr(syntax[:64])
        raise UnsupportedFormat("formats.dicom_transfer_syntax", syntax=name)
    if Tag.PIXEL_DATA not in file:
        raise UnreadableImage("formats.dicom_no_pixels")
    if (file.elements[Tag.PIXEL_DATA].end is None) == (syntax in NATIVE):
        raise UnreadableImage("formats.dicom_encapsulation")
    if syntax in NATIVE or syntax == RLE:
        rle = syntax == RLE
        flat = (
            frames.unpack_rle(frames.read_fragments(file), layout) if rle else _native(file, layout)
        )
        if layout.samples == 1:
            words = flat.reshape(layout.rows, layout.columns)
            samples, layout = header_checks.read_stored_bits(words, file, layout)
        else:
            colours, layout = header_checks.settle_colours(flat, file, layout)
            samples = _luminance(colours, layout)
        # A compressed frame has a header of its own, which is held against the file's.
        header_checks.check_row_length(samples)
        return samples, layout
    return _decode_compressed(file, syntax, layout)


def _decode_compressed(
    file: DicomFile, syntax: str, layout: PixelLayout
) -> tuple[np.ndarray, PixelLayout]:
    """Decode a JPEG, JPEG-LS or JPEG 2000 frame; see :func:`decode_frame`."""
    frame = frames.read_fragments(file)
    precision = frames.check_frame_header(frame, layout, jpeg_2000=syntax in JPEG_2000)
    if syntax in JPEG_LS and jpeg.END_OF_IMAGE not in frame:
        # CharLS refuses it as well, after some seconds.
        raise UnreadableImage("formats.dicom_frame_damaged")
    if syntax in JPEG_2000 - HTJ2K:
        frames.check_j2k_data(frame)
    declared = layout
    layout = _widened(layout, precision)
    if syntax in JPEG:
        _check_complete(read_markers(frame).complete)
        if precision > 8 or syntax in JPEG_LOSSLESS:
            samples = _decode_by_gdcm(frame, syntax, layout, precision)
            return _settle_bits(samples, file, declared, layout)
        _check_warnings(jpeg.decoder_warning(frame))
    samples, photometric = _decode_by_pydicom(frame, syntax, layout)
    if layout.samples == 1:
        return _settle_bits(samples, file, declared, layout)
    return _luminance(samples, replace(layout, photometric=photometric)), layout


def _widened(layout: PixelLayout, precision: int) -> PixelLayout:
    """Return a layout that holds all bits of a codec's samples."""
    allocated = 8 if precision <= 8 else 16
    return replace(
        layout, allocated=allocated, stored=min(precision, 16), high_bit=min(precision, 16) - 1
    )


def _settle_bits(
    samples: np.ndarray, file: DicomFile, declared: PixelLayout, layout: PixelLayout
) -> tuple[np.ndarray, PixelLayout]:
    """Bring a codec's values into the declared bits, or note that they need all of the codec's.

    Lossy ones overshoot the declared ones by a little, and are clipped.
    """
    lossless = file.transfer_syntax in LOSSLESS
    reach = 0 if lossless else (declared.highest - declared.lowest) // 8
    low, high = declared.lowest - reach, declared.highest + reach
    if declared.stored <= layout.stored:
        if low <= int(samples.min()) and int(samples.max()) <= high:
            stored = declared.stored
            layout = replace(layout, allocated=16, stored=stored, high_bit=stored - 1)
        elif declared.stored < layout.stored:
            file.note("dicom_precision", precision=layout.stored, stored=declared.stored)
    words = _clip(samples, layout).view(np.uint16)
    return header_checks.settle_sign(words, file, layout)


def _check_complete(complete: bool) -> None:
    if not complete:
        raise UnreadableImage("formats.dicom_frame_ends_early")


def _check_warnings(warnings: str) -> None:
    """Raise UnreadableImage where libjpeg warns of damage to the coded data."""
    _check_complete(not jpeg.names_missing_data(warnings))
    if jpeg.names_damage(warnings):
        raise UnreadableImage("formats.dicom_frame_damaged")


def _decode_by_gdcm(frame: bytes, syntax: str, layout: PixelLayout, precision: int) -> np.ndarray:
    """Decode a JPEG of a kind that only gdcm reads."""
    lossy = syntax not in JPEG_LOSSLESS
    if layout.samples != 1 or precision > layout.allocated or (lossy and precision != 12):
        raise UnsupportedFormat(
            "formats.dicom_jpeg_precision", samples=layout.samples, precision=precision
        )
    settings: dict[str, int | str] = {
        "transfer_syntax": syntax,
        "rows": layout.rows,
        "columns": layout.columns,
        "allocated": layout.allocated,
        # gdcm cuts samples to the stored bits, so that white which a lossy codec overshoots would
        # turn black: here it keeps all of them.
        "stored": layout.allocated if syntax == JPEG_EXTENDED else layout.stored,
        "signed": int(layout.signed),
    }
    samples, warnings = gdcm_codec.decode(settings, frame, layout.bytes)
    _check_warnings(warnings)
    dtype = ("i" if layout.signed else "u") + str(layout.allocated // 8)
    return np.frombuffer(samples, dtype).reshape(layout.rows, layout.columns)


def _luminance(samples: np.ndarray, layout: PixelLayout) -> np.ndarray:
    """Return the luminance of (rows, columns, 3) samples by Rec. 601, uint8."""
    if layout.photometric.startswith("YBR"):
        return samples[..., 0]
    return channels.picture(samples)


def _native(file: DicomFile, layout: PixelLayout) -> np.ndarray:
    """Return uncompressed samples, flat; bytes after them are padding, as long as they may be."""
    element = file.elements[Tag.PIXEL_DATA]
    length = (element.end or 0) - element.start
    if layout.photometric == "YBR_FULL_422" and length < layout.bytes:
        raise UnsupportedFormat("formats.dicom_half_resolution")
    if length < layout.bytes:
        raise UnreadableImage("formats.dicom_pixels_missing", needed=layout.bytes, found=length)
    # An odd length is padded to an even one.
    if length > layout.bytes + layout.bytes % 2:
        _check_excess(file, layout, length)
    after = file.content[element.start + length :][:4]
    if file.transfer_syntax == DEFLATED and after.strip(b"\0") and after not in _LAST_ELEMENTS:
        # A deflated stream has no checksum: damage shows by its length, mostly.
        raise UnreadableImage("formats.dicom_deflated_damaged", reason="data after its pixels")
    order = element.encoding.order
    dtype = np.dtype(np.uint8) if layout.allocated == 8 else np.dtype(f"{order}u2")
    count = layout.rows * layout.columns * layout.samples
    return np.frombuffer(file.content, dtype, count, element.start)


def _check_excess(file: DicomFile, layout: PixelLayout, length: int) -> None:
    """Note bytes after the pixels; raise where they are more pictures, or rows or columns of this one.

    Source:
        DICOM PS3.5, 8.1.1.
    """
    pictures, rest = divmod(length, layout.bytes)
    if pictures > 1 and (rest <= length % 2 or (rest == 1 and layout.bytes % 2)):
        raise NotARadiograph("formats.dicom_several_pictures", pictures=pictures)
    excess = length - layout.bytes
    row, column = layout.bytes // layout.rows, layout.bytes // layout.columns
    end = file.elements[Tag.PIXEL_DATA].start + length
    padded = len(set(file.content[end - excess : end])) == 1
    if not padded and (excess > row or excess % row == 0 or excess % column == 0):
        raise UnreadableImage("formats.dicom_pixels_too_long", needed=layout.bytes, found=length)
    file.note("dicom_excess", excess=excess)


def _clip(samples: np.ndarray, layout: PixelLayout) -> np.ndarray:
    """Bring a codec's values into the stored range; lossy ones overshoot it."""
    if layout.signed and samples.dtype.kind == "u":
        return header_checks.cut_bits(samples, layout)
    kept = np.clip(samples, layout.lowest, layout.highest)
    return kept.astype(np.int16 if layout.signed else np.uint16, copy=False)


def _decode_by_pydicom(frame: bytes, syntax: str, layout: PixelLayout) -> tuple[np.ndarray, str]:
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
        raise UnreadableImage("formats.dicom_frame_damaged") from error
    return samples, str(found["photometric_interpretation"])
