"""Image formats: from the bytes of a file to a radiograph.

decode        below, with the FORMATS table
sniff         names of files that are not read, by their first bytes
raster        shared by raster formats: bit depth and full scale, orientation
channels      which channel carries the picture, and whether its transparency counts
png, bmp, tiff, webp
jpeg          decoding, and whether data is missing
jpeg_markers  frame header and scans of a JPEG
inflate       length of a zlib stream once unpacked
dicom/        DICOM files
"""

from __future__ import annotations

import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from utils.errors import NotARadiograph, UnreadableImage, UnsupportedFormat
from utils.formats import bmp, jpeg, png, tiff, webp
from utils.formats.dicom.elements import starts_dicom
from utils.formats.sniff import is_animated_gif, name_foreign
from utils.imaging.brightness import sample_of
from utils.imaging.radiograph import Limits, Radiograph
from utils.registry import Registry

__all__ = ["FORMATS", "SUFFIXES", "Limits", "Radiograph", "decode", "may_be_image"]

MIN_SIDE = 16
MAX_ASPECT = 16
BLANK_SHARE = 0.999
BLANK_LEVELS = 3
BLANK_SAMPLES = 200_000
# First bytes of a file that suffice to recognise its format.
HEAD_BYTES = 132


@dataclass(frozen=True)
class Format:
    """A file format: its title, test of first bytes, decoder (see :func:`decode`) and suffixes."""

    title: str
    matches: Callable[[bytes], bool]
    read: Callable[[bytes, Limits, bool], Radiograph]
    suffixes: tuple[str, ...]


def _read_dicom(content: bytes, limits: Limits, allow_truncated: bool) -> Radiograph:
    from utils.formats.dicom.reader import read_dicom

    return read_dicom(content, limits, allow_truncated)


def _starts(*signatures: bytes) -> Callable[[bytes], bool]:
    return lambda content: content.startswith(signatures)


FORMATS: Registry[Format] = Registry(
    "format",
    {
        "png": Format("PNG", _starts(png.SIGNATURE), png.read_png, (".png",)),
        "jpeg": Format(
            "JPEG", _starts(b"\xff\xd8\xff"), jpeg.read_jpeg, (".jpg", ".jpeg", ".jpe", ".jfif")
        ),
        "dicom": Format("DICOM", starts_dicom, _read_dicom, (".dcm", ".dicom")),
        "bmp": Format("BMP", bmp.starts_bmp, bmp.read_bmp, (".bmp",)),
        "tiff": Format("TIFF", _starts(b"II*\0", b"MM\0*"), tiff.read_tiff, (".tif", ".tiff")),
        "webp": Format("WebP", webp.starts_webp, webp.read_webp, (".webp",)),
    },
)
SUFFIXES = frozenset(suffix for format in FORMATS.values() for suffix in format.suffixes)


def may_be_image(path: Path) -> bool:
    """Return whether a regular file has an image's suffix or first bytes; its content may differ.

    Raises:
        OSError: there is no such file, or its first bytes cannot be read where its suffix is no image's.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        return False
    if path.suffix.lower() in SUFFIXES:
        return True
    with path.open("rb") as stream:
        head = stream.read(HEAD_BYTES)
    return any(format.matches(head) for format in FORMATS.values())


def decode(
    content: bytes, *, limits: Limits = Limits(), allow_truncated: bool = False
) -> Radiograph:
    """Decode one radiograph; its format follows from its first bytes, never from its name.

    Args:
        content: the whole file.
        limits: sizes, checked against the header before any pixel is decoded.
        allow_truncated: decode a JPEG that ends early, which libjpeg fills in, instead of refusing it;
            ``Radiograph.truncated`` is then set.

    Returns:
        The radiograph: float32 (height, width) in [0, 1], bone bright, upright; at a fraction of the
        file's size where that is far more than ``radiograph.DETAIL``.

    Raises:
        TooLarge: the file or the picture it declares is over a limit.
        UnsupportedFormat: the bytes are no format in FORMATS.
        UnreadableImage: the file is empty, damaged or ends early.
        NotARadiograph: another modality, several frames or pages, a blank picture, or one too
            small or narrow to show anything.
    """
    if not content:
        raise UnreadableImage("formats.empty")
    limits.check_bytes(len(content))
    for format in FORMATS.values():
        if format.matches(content):
            radiograph = format.read(content, limits, allow_truncated)
            _check_content(radiograph.pixels)
            return radiograph
    if is_animated_gif(content):
        raise NotARadiograph("formats.animated", format="GIF")
    formats = ", ".join(format.title for format in FORMATS.values())
    raise UnsupportedFormat("formats.not_read", found=name_foreign(content), formats=formats)


def _check_content(pixels: np.ndarray) -> None:
    """Raise NotARadiograph for a picture that is tiny, a mere strip, or of one grey throughout."""
    height, width = pixels.shape
    if min(height, width) < MIN_SIDE or max(height, width) > MAX_ASPECT * min(height, width):
        raise NotARadiograph(
            "formats.shape", width=width, height=height, least=MIN_SIDE, aspect=MAX_ASPECT
        )
    # Of a large picture every second or third row and column will do.
    sample = sample_of(pixels, BLANK_SAMPLES)
    # Bins are centred on the 256 grey levels.
    counts = cv2.calcHist([sample], [0], None, [256], [-0.5 / 255, 255.5 / 255]).ravel()
    most = np.convolve(counts, np.ones(BLANK_LEVELS), "valid").max()
    if most >= BLANK_SHARE * sample.size:
        raise NotARadiograph("formats.blank")
