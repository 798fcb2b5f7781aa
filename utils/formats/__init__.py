"""Turns the bytes of a picture file, whatever it is, into a radiograph, or says why it cannot.

What a file is follows from its first bytes, never from its name.
"""

from __future__ import annotations

import math
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from utils.errors import NotARadiograph, UnreadableImage, UnsupportedFormat
from utils.formats import raster
from utils.formats.dicom.elements import starts_dicom
from utils.formats.sniff import name_foreign
from utils.imaging.radiograph import Limits, Picture, Radiograph
from utils.registry import Registry

__all__ = ["FORMATS", "SUFFIXES", "Limits", "Radiograph", "decode", "may_be_image"]

MIN_SIDE = 16
MAX_ASPECT = 16
BLANK_SHARE = 0.999
BLANK_LEVELS = 3
BLANK_SAMPLES = 200_000
# As many first bytes of a file as tell its kind.
HEAD_BYTES = 132

Reader = Callable[[bytes, Limits, bool], Picture]


@dataclass(frozen=True)
class Format:
    """One kind of file: how it is recognised and read.

    Args:
        title: its name for people.
        matches: says whether a file of these bytes is of this kind.
        read: bytes, limits and allow_truncated to float32 (height, width) in [0, 1], whether the file
            ended early, and its picture's size where it was reduced.
        suffixes: what names of such files end in.
    """

    title: str
    matches: Callable[[bytes], bool]
    read: Reader
    suffixes: tuple[str, ...]


def _read_dicom(content: bytes, limits: Limits, allow_truncated: bool) -> Picture:
    from utils.formats.dicom.reader import read_dicom

    return read_dicom(content, limits, allow_truncated)


def _is_bmp(content: bytes) -> bool:
    # "BM" starts many a text; the length of the header that follows does not.
    sizes = (12, 40, 52, 56, 64, 108, 124)
    return content[:2] == b"BM" and int.from_bytes(content[14:18], "little") in sizes


FORMATS: Registry[Format] = Registry(
    "format",
    {
        "png": Format(
            "PNG", lambda c: c.startswith(b"\x89PNG\r\n\x1a\n"), raster.read_png, (".png",)
        ),
        "jpeg": Format(
            "JPEG",
            lambda c: c.startswith(b"\xff\xd8\xff"),
            raster.read_jpeg,
            (".jpg", ".jpeg", ".jpe", ".jfif"),
        ),
        "dicom": Format("DICOM", starts_dicom, _read_dicom, (".dcm", ".dicom")),
        "bmp": Format("BMP", _is_bmp, raster.read_bmp, (".bmp",)),
        "tiff": Format(
            "TIFF", lambda c: c[:4] in (b"II*\0", b"MM\0*"), raster.read_tiff, (".tif", ".tiff")
        ),
        "webp": Format(
            "WebP",
            lambda c: c.startswith(b"RIFF") and c[8:12] == b"WEBP",
            raster.read_webp,
            (".webp",),
        ),
    },
)
SUFFIXES = frozenset(suffix for format in FORMATS.values() for suffix in format.suffixes)


def may_be_image(path: Path) -> bool:
    """Say whether a regular file is named like an image or begins like one; its content may differ.

    Raises:
        OSError: there is no such file, or its first bytes cannot be read where its name says nothing.
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
    """Decode one radiograph.

    Args:
        content: the whole file.
        limits: sizes, checked against the header before any pixel is decoded.
        allow_truncated: decode a PNG or JPEG that ends early and fill in the rest, instead of
            refusing it; ``Radiograph.truncated`` then says so.

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
        raise UnreadableImage("the file is empty; choose the radiograph again and send it whole")
    limits.check_bytes(len(content))
    for name, format in FORMATS.items():
        if format.matches(content):
            pixels, truncated, size = format.read(content, limits, allow_truncated)
            _refuse_what_shows_nothing(pixels)
            return Radiograph(pixels, name, truncated, size)
    if content.startswith(b"GIF8") and raster.is_animated_gif(content):
        raise NotARadiograph("this is an animated GIF; a single picture is needed")
    raise UnsupportedFormat(
        f"this seems to be {name_foreign(content)}; "
        f"{', '.join(format.title for format in FORMATS.values())} files are read"
    )


def _refuse_what_shows_nothing(pixels: np.ndarray) -> None:
    """Raise NotARadiograph over a picture that is tiny, a mere strip, or of one grey throughout."""
    height, width = pixels.shape
    if min(height, width) < MIN_SIDE or max(height, width) > MAX_ASPECT * min(height, width):
        raise NotARadiograph(
            f"the picture is {width} x {height} pixels; a radiograph has at least {MIN_SIDE} "
            f"pixels a side, and sides that differ by at most {MAX_ASPECT} times"
        )
    # Of a large picture every second or third row and column will do.
    step = max(1, math.isqrt(pixels.size // BLANK_SAMPLES))
    looked_at = np.ascontiguousarray(pixels[::step, ::step])
    # Bins are centred on the 256 grey levels.
    counts = cv2.calcHist([looked_at], [0], None, [256], [-0.5 / 255, 255.5 / 255]).ravel()
    most = np.convolve(counts, np.ones(BLANK_LEVELS), "valid").max()
    if most >= BLANK_SHARE * looked_at.size:
        raise NotARadiograph(
            "the picture is blank: nearly all of it has one brightness; nothing can be read from it"
        )
