"""Files whose decoder or header could tell that part of the picture is missing or replaced."""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Callable
from functools import partial

import cv2
import numpy as np
from PIL import Image
from pydicom import dcmread

from benchmarks.ways.dicom_files import TWELVE
from benchmarks.ways.files import bmp, jpeg, png, tiff, webp
from benchmarks.ways.way import Change, Encode, Way, unchanged
from tests.support.dicoms import draw_dicom, frame_of, with_frame
from tests.support.raster_files import chunk

KIND = "damage"
Damage = Callable[[bytes], bytes]
# Tags of TIFF.
IMAGE_LENGTH, STRIP_OFFSETS, STRIP_BYTE_COUNTS = 257, 273, 279


def cut(content: bytes) -> bytes:
    """Leave the first half."""
    return content[: len(content) // 2]


def zeroed(content: bytes) -> bytes:
    """Set the middle third to 0."""
    third = len(content) // 3
    return content[:third] + bytes(third) + content[2 * third :]


def doubled(content: bytes) -> bytes:
    """Repeat 64 bytes of the middle; the length stays."""
    middle = len(content) // 2
    return content[:middle] + content[middle - 64 : middle] + content[middle:-64]


def cut_and_closed(content: bytes) -> bytes:
    """Cut a JPEG and close it by an end marker."""
    return cut(content) + b"\xff\xd9"


def intervals_lost(content: bytes, *, zeros: bool) -> bytes:
    """Empty the middle half of a JPEG's restart intervals, or fill them with zeros; markers stay."""
    scan = content.index(b"\xff\xda")
    parts = re.split(rb"(\xff[\xd0-\xd7])", content[scan:])
    # Intervals are at the even places, the markers between them at the odd ones.
    quarter = len(parts) // 8 * 2
    for place in range(quarter, 3 * quarter, 2):
        parts[place] = bytes(len(parts[place])) if zeros else b""
    return content[:scan] + b"".join(parts)


def jpeg_height_halved(content: bytes) -> bytes:
    """Halve the height in the frame header."""
    place = content.index(b"\xff\xc0") + 5
    return _patched(content, place, ">H")


def png_height_halved(content: bytes) -> bytes:
    """Halve the height in the IHDR chunk, whose checksum fits."""
    return content[:8] + chunk(b"IHDR", _patched(content[16:29], 4, ">I")) + content[33:]


def bmp_height_halved(content: bytes) -> bytes:
    """Halve the height in the information header."""
    return _patched(content, 22, "<i")


def tiff_value_halved(content: bytes, tag: int) -> bytes:
    """Halve the one value of a tag."""
    entry = _tiff_entry(content, tag)
    kind = struct.unpack_from("<H", content, entry + 2)[0]
    return _patched(content, entry + 8, {3: "<H", 4: "<I"}[kind])


def half_of_the_strips_listed(content: bytes) -> bytes:
    """Halve the number of strips that a TIFF lists."""
    for tag in (STRIP_OFFSETS, STRIP_BYTE_COUNTS):
        content = _patched(content, _tiff_entry(content, tag) + 4, "<I")
    return content


def strip_zeroed(content: bytes) -> bytes:
    """Set the middle third of a TIFF's one strip to 0."""
    tags = Image.open(io.BytesIO(content)).tag_v2
    first, length = tags[STRIP_OFFSETS][0], tags[STRIP_BYTE_COUNTS][0]
    strip = zeroed(content[first : first + length])
    return content[:first] + strip + content[first + length :]


def tiff_jpeg(grey: np.ndarray) -> bytes:
    """Encode as JPEG in one strip of a TIFF."""
    return tiff(grey, compression="jpeg", strip_size=grey.size)


def tiff_of_strips(grey: np.ndarray, *, compression: int) -> bytes:
    """Encode as TIFF in strips of 32 rows; 1 is uncompressed, 5 is LZW."""
    options = (cv2.IMWRITE_TIFF_COMPRESSION, compression, cv2.IMWRITE_TIFF_ROWSPERSTRIP, 32)
    return cv2.imencode(".tiff", grey, options)[1].tobytes()


def rle_bmp(grey: np.ndarray, *, skipped: bool) -> bytes:
    """Encode as RLE8 BMP; the upper half by deltas alone if ``skipped``."""
    height, width = grey.shape
    rows = np.flipud(grey)[: (height + 1) // 2 if skipped else height]
    pairs = np.stack([np.ones_like(rows), rows], axis=2)
    coded = b"".join(row.tobytes() + b"\0\0" for row in pairs)
    left = height - len(rows)
    coded += b"".join(bytes([0, 2, 0, min(255, left - at)]) for at in range(0, left, 255))
    coded += b"\0\1"
    palette = b"".join(bytes([level, level, level, 0]) for level in range(256))
    start = 14 + 40 + len(palette)
    header = struct.pack("<2sIHHI", b"BM", start + len(coded), 0, 0, start)
    facts = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 1, len(coded), 2835, 2835, 256, 0)
    return header + facts + palette + coded


def dicom_rows(stored: np.ndarray, *, columns: int) -> bytes:
    """Encode with half the rows in the header, and ``columns`` times the columns."""
    even = stored[: len(stored) // 2 * 2]
    rows, width = len(even) // 2, columns * even.shape[1]
    return draw_dicom(even, Rows=rows, Columns=width)


def in_frame(damage: Damage, **file: object) -> Encode:
    """Return the encoder of a compressed DICOM file whose frame is damaged."""

    def encode(stored: np.ndarray) -> bytes:
        whole = draw_dicom(stored, **file)
        return with_frame(whole, damage(frame_of(dcmread(io.BytesIO(whole)))))

    return encode


def restart_jpeg_in_dicom(grey: np.ndarray) -> bytes:
    """Encode as JPEG in DICOM, restart intervals emptied."""
    return with_frame(
        draw_dicom(grey, syntax="jpeg_baseline", bits=8), emptied(with_restarts(grey))
    )


def _patched(content: bytes, place: int, layout: str) -> bytes:
    """Halve the number at a place."""
    value = struct.unpack_from(layout, content, place)[0]
    halved = bytearray(content)
    struct.pack_into(layout, halved, place, value // 2)
    return bytes(halved)


def _tiff_entry(content: bytes, tag: int) -> int:
    """Return where the directory entry of a tag begins, in a little-endian TIFF of one page."""
    directory = struct.unpack_from("<I", content, 4)[0]
    entries = struct.unpack_from("<H", content, directory)[0]
    places = [directory + 2 + 12 * number for number in range(entries)]
    return next(at for at in places if struct.unpack_from("<H", content, at)[0] == tag)


def _way(name: str, encode: Encode, *damages: Damage, change: Change = unchanged) -> Way:
    """Return the way that encodes and then damages the file."""

    def damaged(picture: np.ndarray) -> bytes:
        content = encode(picture)
        for damage in damages:
            content = damage(content)
        return content

    return Way(KIND, name, change, damaged, damaged=True)


with_restarts = partial(jpeg, restart_marker_rows=2)
emptied = partial(intervals_lost, zeros=False)
WAYS = (
    _way("JPEG, restart intervals emptied", with_restarts, emptied),
    _way("JPEG, restart intervals zeroed", with_restarts, partial(intervals_lost, zeros=True)),
    _way("JPEG in DICOM, restart intervals emptied", restart_jpeg_in_dicom),
    _way("JPEG, cut in half", jpeg, cut),
    _way("JPEG, cut and closed", jpeg, cut_and_closed),
    _way("JPEG, middle zeroed", jpeg, zeroed),
    _way("JPEG, height halved", jpeg, jpeg_height_halved),
    _way("PNG, cut in half", png, cut),
    _way("PNG, middle zeroed", png, zeroed),
    _way("PNG, height halved", png, png_height_halved),
    _way("BMP, cut in half", bmp, cut),
    _way("BMP, height halved", bmp, bmp_height_halved),
    _way("BMP, RLE that skips half", partial(rle_bmp, skipped=True)),
    _way("TIFF, height halved", tiff, partial(tiff_value_halved, tag=IMAGE_LENGTH)),
    *(
        _way(
            f"TIFF, half of the {name} strips listed",
            partial(tiff_of_strips, compression=compression),
            half_of_the_strips_listed,
        )
        for name, compression in (("uncompressed", 1), ("LZW", 5))
    ),
    _way("TIFF, JPEG strip cut", tiff_jpeg, partial(tiff_value_halved, tag=STRIP_BYTE_COUNTS)),
    _way("TIFF, JPEG strip zeroed", tiff_jpeg, strip_zeroed),
    _way("WebP, cut in half", webp, cut),
    _way("WebP, middle zeroed", webp, zeroed),
    _way("WebP, bytes doubled", webp, doubled),
    _way("DICOM, Rows halved", partial(dicom_rows, columns=1), change=TWELVE),
    _way("DICOM, Rows halved, Columns doubled", partial(dicom_rows, columns=2), change=TWELVE),
    _way("DICOM, pixels cut in half", draw_dicom, cut, change=TWELVE),
    _way("DICOM, JPEG cut", in_frame(cut, syntax="jpeg_baseline", bits=8)),
    _way("DICOM, JPEG 2000 cut", in_frame(cut, syntax="jpeg_2000"), change=TWELVE),
    _way("DICOM, JPEG 2000 zeroed", in_frame(zeroed, syntax="jpeg_2000"), change=TWELVE),
    _way("DICOM, JPEG-LS cut", in_frame(cut, syntax="jpeg_ls"), change=TWELVE),
    _way("DICOM, RLE cut", in_frame(cut, syntax="rle"), change=TWELVE),
)
