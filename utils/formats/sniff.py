"""Names of files that are not read, by their first bytes."""

from __future__ import annotations

import io
import re

from PIL import GifImagePlugin

from utils.formats.raster import codec_errors
from utils.messages import sentence

# First bytes of files by the key of their name in the catalogue.
_SIGNATURES: dict[str, tuple[bytes, ...]] = {
    "gif": (b"GIF87a", b"GIF89a"),
    "pdf": (b"%PDF",),
    "eps": (b"%!PS", b"\xc5\xd0\xd3\xc6"),
    "zip": (b"PK\x03\x04",),
    "empty_zip": (b"PK\x05\x06",),
    "gzip": (b"\x1f\x8b",),
    "bzip2": (b"BZh",),
    "xz": (b"\xfd7zXZ\0",),
    "7z": (b"7z\xbc\xaf\x27\x1c",),
    "rar": (b"Rar!",),
    "bigtiff": (b"II+\0", b"MM\0+"),
    "photoshop": (b"8BPS",),
    "icon": (b"\0\0\x01\0",),
    "jpeg_2000": (b"\0\0\0\x0cjP  ", b"\xff\x4f\xff\x51"),
    "jpeg_xl": (b"\0\0\0\x0cJXL ", b"\xff\x0a"),
    "hdf5": (b"\x89HDF\r\n\x1a\n",),
    "program": (b"\x7fELF", b"MZ"),
    "nrrd": (b"NRRD",),
    "sound_or_video": (b"RIFF", b"OggS"),
    "video": (b"\x1aE\xdf\xa3",),
}
_BRANDS = {b"heic": "heic", b"mif1": "heic", b"avif": "avif"}
_TEXT_PROBE = 1024


def name_foreign(content: bytes) -> str:
    """Name what a file seems to be, for the sentence that refuses it.

    Args:
        content: the file, or its beginning.

    Returns:
        A noun with its article, such as "a PDF document".
    """
    return sentence(f"formats.file_{_kind(content)}")


def is_animated_gif(content: bytes) -> bool:
    """Return whether a file is a GIF of more than one picture."""
    if not content.startswith(b"GIF8"):
        return False
    with codec_errors("GIF"):
        return bool(GifImagePlugin.GifImageFile(io.BytesIO(content)).is_animated)


def _kind(content: bytes) -> str:
    for kind, signatures in _SIGNATURES.items():
        if content.startswith(signatures):
            return kind
    if content[4:8] == b"ftyp":
        return _BRANDS.get(content[8:12], "video")
    start = content[:_TEXT_PROBE]
    if start[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "text"
    if b"\0" in start:
        return "unknown"
    lower = start.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if b"<svg" in lower:
        return "svg"
    if lower.startswith((b"<!doctype html", b"<html", b"<head", b"<body")):
        return "html"
    if lower.startswith(b"<?xml"):
        return "xml"
    # What is left of UTF-8 once its multi-byte letters are gone must be printable.
    readable = start.decode("utf-8", "ignore").encode()
    printable = not re.search(rb"[\x01-\x08\x0e-\x1a\x1c-\x1f]", start)
    return "text" if printable and len(readable) > max(0, len(start) - 4) else "unknown"
