"""JPEG markers: the frame header, the scans, and whether they announce the whole picture."""

from __future__ import annotations

import itertools
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from utils.errors import UnreadableImage, UnsupportedFormat

MAX_SCANS = 200
COEFFICIENTS = range(64)
PROGRESSIVE, JPEG_LS, SCAN, END = 0xC2, 0xF7, 0xDA, 0xD9
_FRAMES = frozenset((*range(0xC0, 0xD0), JPEG_LS)) - {0xC4, 0xC8, 0xCC}
_ARITHMETIC = range(0xC9, 0xD0)
_WITHOUT_SEGMENT = (0x01, 0xD8)
# Of several bytes 0xFF in a row, all but the last are fill. One before the class, not any number of them:
# with a fixed first byte the search is many times as fast. Restart markers are left to the decoder.
_MARKER = re.compile(rb"\xff([\x01-\xcf\xd8-\xfe])")


@dataclass(frozen=True)
class FrameHeader:
    """Frame header (SOF) of a JPEG or JPEG-LS; ``process`` is its marker's second byte."""

    process: int
    precision: int
    rows: int
    columns: int
    components: tuple[int, ...]


@dataclass(frozen=True)
class Scan:
    """Scan header (SOS): components, coefficients, and the lowest of their bits that it brings."""

    components: tuple[int, ...]
    coefficients: range
    low_bit: int


@dataclass(frozen=True)
class JpegMarkers:
    """Markers of a JPEG up to its end marker: whether that is there, and the place after it."""

    frame: FrameHeader
    scans: tuple[Scan, ...]
    ended: bool
    end: int

    @property
    def complete(self) -> bool:
        """Whether the end marker is there and the scans announce every bit of every component.

        libjpeg decodes a progressive JPEG without its last scans and gives no warning.
        """
        announced = {
            pair
            for scan in self.scans
            if scan.low_bit == 0
            for pair in itertools.product(scan.components, scan.coefficients)
        }
        needed = set(itertools.product(self.frame.components, COEFFICIENTS))
        return self.ended and needed <= announced


def read_markers(content: bytes) -> JpegMarkers:
    """Read a JPEG's markers up to its end marker or the end of the file.

    Raises:
        UnreadableImage: no frame, no scan, more than MAX_SCANS, or one with its header cut short.
        UnsupportedFormat: arithmetic coding.

    Source:
        ITU-T T.81, annex B.
    """
    frame: FrameHeader | None = None
    scans: list[Scan] = []
    ended, end = False, len(content)
    for marker, segment, place in _segments(content):
        if marker == END and scans:
            ended, end = True, place
            break
        if marker == SCAN:
            scans.append(_read_scan(segment, frame is not None and frame.process == PROGRESSIVE))
        elif marker in _FRAMES and frame is None:
            frame = _read_frame(marker, segment)
    if frame is None or not scans:
        raise UnreadableImage("formats.no_pixels", format="JPEG")
    if len(scans) > MAX_SCANS:
        # Each progressive scan goes over the whole picture: thousands would take minutes.
        raise UnreadableImage("formats.jpeg_scans", scans=len(scans), limit=MAX_SCANS)
    if frame.process in _ARITHMETIC:
        # Such data may leave out its last bytes, so that a cut does not show.
        raise UnsupportedFormat("formats.jpeg_arithmetic")
    return JpegMarkers(frame, tuple(scans), ended, end)


def read_frame_header(content: bytes) -> FrameHeader | None:
    """Read the frame header of a JPEG or JPEG-LS; None where there is none before the first scan.

    Source:
        ITU-T T.81, B.2.2 and T.87, C.2.2.
    """
    for marker, segment, _ in _segments(content):
        if marker in _FRAMES:
            return _read_frame(marker, segment)
        if marker in (SCAN, END):
            return None
    return None


def _segments(content: bytes) -> Iterator[tuple[int, bytes, int]]:
    """Yield each marker's second byte with its segment and the place after it."""
    position = 2
    while found := _MARKER.search(content, position):
        marker, position = found[1][0], found.end()
        if marker in _WITHOUT_SEGMENT:
            continue
        if marker == END:
            yield marker, b"", position
            continue
        if position + 2 > len(content):
            return
        start = position + 2
        position += int.from_bytes(content[position:start], "big")
        yield marker, content[start:position], position


def _read_frame(marker: int, segment: bytes) -> FrameHeader | None:
    if len(segment) < 6 or len(segment) < 6 + 3 * segment[5] or not segment[5]:
        return None
    precision, rows, columns = struct.unpack_from(">BHH", segment)
    return FrameHeader(marker, precision, rows, columns, tuple(segment[6 : 6 + 3 * segment[5] : 3]))


def _read_scan(segment: bytes, progressive: bool) -> Scan:
    count = segment[0] if segment else 0
    if not count or len(segment) < 4 + 2 * count:
        raise UnreadableImage("formats.jpeg_scan_header")
    components = tuple(segment[1 : 1 + 2 * count : 2])
    if not progressive:
        return Scan(components, COEFFICIENTS, 0)
    first, last, bits = segment[1 + 2 * count : 4 + 2 * count]
    return Scan(components, range(first, last + 1), bits & 15)
