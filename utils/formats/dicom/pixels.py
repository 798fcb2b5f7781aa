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
from utils.formats.dicom import frames, gdcm_codec
from utils.formats.dicom.elements import DicomFile
from utils.formats.dicom.layout import PixelLayout
from utils.formats.dicom.tags import Tag, uid_name
from utils.formats.jpeg_markers import read_markers

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
        name = uid_name(syntax) or repr(syntax[:64])
        raise UnsupportedFormat("formats.dicom_transfer_syntax", syntax=name)
    if Tag.PIXEL_DATA not in file:
        raise UnreadableImage("formats.dicom_no_pixels")
    if (file.elements[Tag.PIXEL_DATA].end is None) == (syntax in NATIVE):
        raise UnreadableImage("formats.dicom_encapsulation")
    if syntax in NATIVE or syntax == RLE:
        rle = syntax == RLE
        samples = frames.unpack_rle(file.fragments(), layout) if rle else _native(file, layout)
        return _stored_bits(samples, layout) if layout.samples == 1 else _luminance(samples, layout)
    frame = file.fragments()
    precision = frames.check_frame_header(frame, layout, jpeg_2000=syntax in JPEG_2000)
    if syntax in JPEG_LS and jpeg.END_OF_IMAGE not in frame:
        # CharLS refuses it as well, after some seconds.
        raise UnreadableImage("formats.dicom_frame_damaged")
    if syntax in JPEG:
        _check_complete(read_markers(frame).complete)
        if precision > 8 or syntax in JPEG_LOSSLESS:
            return _clip(_decode_by_gdcm(frame, syntax, layout, precision), layout)
        _check_warnings(jpeg.decoder_warning(frame))
    samples, photometric = _decode_by_pydicom(frame, syntax, layout)
    if layout.samples == 1:
        return _clip(samples, layout)
    return _luminance(samples, replace(layout, photometric=photometric))


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
    """Return uncompressed samples, (rows, columns) or (rows, columns, 3)."""
    element = file.elements[Tag.PIXEL_DATA]
    length = (element.end or 0) - element.start
    if layout.photometric == "YBR_FULL_422":
        raise UnsupportedFormat("formats.dicom_half_resolution")
    if length < layout.bytes:
        raise UnreadableImage("formats.dicom_pixels_missing", needed=layout.bytes, found=length)
    # An odd length is padded to an even one.
    if length > layout.bytes + layout.bytes % 2:
        pictures, rest = divmod(length, layout.bytes)
        if rest <= length % 2 or (rest == 1 and layout.bytes % 2):
            raise NotARadiograph("formats.dicom_several_pictures", pictures=pictures)
        raise UnreadableImage("formats.dicom_pixels_too_long", needed=layout.bytes, found=length)
    order = element.encoding.order
    dtype = np.dtype(np.uint8) if layout.allocated == 8 else np.dtype(f"{order}u2")
    count = layout.rows * layout.columns * layout.samples
    flat = np.frombuffer(file.content, dtype, count, element.start)
    if layout.samples == 1:
        return flat.reshape(layout.rows, layout.columns)
    if layout.planar:
        return np.moveaxis(flat.reshape(3, layout.rows, layout.columns), 0, -1)
    return flat.reshape(layout.rows, layout.columns, 3)


def _stored_bits(samples: np.ndarray, layout: PixelLayout) -> np.ndarray:
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
        return _stored_bits(samples, layout)
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
