"""Turns the bytes of a file that is not read here into a name for what it seems to be."""

from __future__ import annotations

import re

# First bytes and what starts with them, "an ..." or "a ..." ready for a sentence.
_SIGNATURES: tuple[tuple[bytes, str], ...] = (
    (b"GIF87a", "a GIF picture"),
    (b"GIF89a", "a GIF picture"),
    (b"%PDF", "a PDF document"),
    (b"%!PS", "a PostScript (EPS) drawing"),
    (b"\xc5\xd0\xd3\xc6", "a PostScript (EPS) drawing"),
    (b"PK\x03\x04", "a zip archive (or an Office document)"),
    (b"PK\x05\x06", "an empty zip archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"BZh", "a bzip2 archive"),
    (b"\xfd7zXZ\0", "an xz archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"Rar!", "a RAR archive"),
    (b"II+\0", "a BigTIFF picture"),
    (b"MM\0+", "a BigTIFF picture"),
    (b"8BPS", "a Photoshop picture"),
    (b"\0\0\x01\0", "an icon"),
    (b"\0\0\0\x0cjP  ", "a bare JPEG 2000 picture"),
    (b"\xff\x4f\xff\x51", "a bare JPEG 2000 picture"),
    (b"\0\0\0\x0cJXL ", "a JPEG XL picture"),
    (b"\xff\x0a", "a JPEG XL picture"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file (a model, perhaps)"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a program"),
    (b"NRRD", "an NRRD volume"),
    (b"RIFF", "a sound or a video"),
    (b"OggS", "a sound or a video"),
    (b"\x1aE\xdf\xa3", "a video"),
)
_BRANDS = {b"heic": "a HEIC picture", b"mif1": "a HEIC picture", b"avif": "an AVIF picture"}
_TEXT_PROBE = 1024


def name_foreign(content: bytes) -> str:
    """Name what a file seems to be, for the sentence that refuses it.

    Args:
        content: the file, or its beginning.

    Returns:
        A noun with its article, such as "a PDF document".
    """
    for signature, name in _SIGNATURES:
        if content.startswith(signature):
            return name
    if content[4:8] == b"ftyp":
        return _BRANDS.get(content[8:12], "a video")
    start = content[:_TEXT_PROBE]
    if start[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "text"
    if b"\0" in start:
        return "a file of unknown kind"
    lower = start.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if b"<svg" in lower:
        return "an SVG drawing"
    if lower.startswith((b"<!doctype html", b"<html", b"<head", b"<body")):
        return "an HTML page"
    if lower.startswith(b"<?xml"):
        return "an XML document"
    # What is left of UTF-8 once its multi-byte letters are gone must be printable.
    readable = start.decode("utf-8", "ignore").encode()
    if len(readable) > max(0, len(start) - 4) and not re.search(
        rb"[\x01-\x08\x0e-\x1a\x1c-\x1f]", start
    ):
        return "text"
    return "a file of unknown kind"
