"""Turns a JPEG's markers into facts: its scans, and whether they hold the whole picture.

A decoder fills in what is missing and says nothing, so that a file which was cut and then closed with
an end marker would be answered as if it were whole. What each scan must hold follows from its header;
whether the last one holds it all shows where bytes are added at its end: a decoder that has all its
pixels ignores them, one that misses some reads them as pixels.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

from utils.errors import UnreadableImage, UnsupportedFormat

END_OF_IMAGE = b"\xff\xd9"
MAX_SCANS = 200
COEFFICIENTS = 64
# What a decoder puts where nothing is left of a sequential scan, and how far rounding and the
# neighbours' colour move it.
FILLER, FILLER_SPREAD = 128, 2
# Of several bytes 0xFF in a row, all but the last are fill. One before the class, not any number of them:
# with a fixed first byte the search is many times as fast.
_MARKER = re.compile(rb"\xff([\x01-\xcf\xd8-\xfe])")
_RESTART = re.compile(rb"\xff[\xd0-\xd7]")
_NO_FRAME_HEADER = (0xC4, 0xC8, 0xCC)
_SEQUENTIAL, _PROGRESSIVE, _LOSSLESS = (0xC0, 0xC1), 0xC2, 0xC3
_ARITHMETIC = range(0xC9, 0xD0)


@dataclass(frozen=True)
class JpegFrame:
    """What a frame header (SOF) declares.

    Args:
        process: its marker's second byte, 0xC0 for baseline and so on.
        height, width: pixels.
        factors: horizontal and vertical sampling factor by component.
    """

    process: int
    height: int
    width: int
    factors: dict[int, tuple[int, int]]

    def units(self, components: tuple[int, ...]) -> int:
        """Count the units that a scan of these components consists of.

        Source:
            ITU-T T.81, A.2: a unit is 8 x 8 samples, one sample where the coding is lossless.
        """
        side = 1 if self.process == _LOSSLESS else 8
        widest = max(across for across, _ in self.factors.values())
        tallest = max(down for _, down in self.factors.values())
        if len(components) > 1:
            return -(-self.width // (side * widest)) * -(-self.height // (side * tallest))
        across, down = self.factors.get(components[0], (widest, tallest))
        columns, rows = -(-self.width * across // widest), -(-self.height * down // tallest)
        return -(-columns // side) * -(-rows // side)


@dataclass(frozen=True)
class JpegScan:
    """One scan: what its header declares, and where its coded data lies in the file.

    Args:
        components: that it holds.
        first, last: coefficients that it holds.
        shift: lowest bit of them that it brings, 0 for all of them.
        interval: units between two restart markers, 0 without any.
        start, end: of the coded data.
    """

    components: tuple[int, ...]
    first: int
    last: int
    shift: int
    interval: int
    start: int
    end: int


@dataclass(frozen=True)
class JpegScans:
    """How a JPEG's compressed data lies in its file; ``end`` is where its end marker stands."""

    frame: JpegFrame | None
    scans: tuple[JpegScan, ...]
    end: int | None

    def check(self) -> None:
        """Raise where there is nothing, far too much, or nothing that can be checked to decode."""
        if self.frame is None or not self.scans:
            raise UnreadableImage(
                "the JPEG file ends before its first pixel; send the complete file"
            )
        if len(self.scans) > MAX_SCANS:
            # Each progressive scan goes over the whole picture: thousands would take minutes.
            raise UnreadableImage(
                f"the JPEG file has {len(self.scans)} scans; at most {MAX_SCANS} are decoded"
            )
        if self.frame.process in _ARITHMETIC:
            # Such data may leave out its last bytes, so that a cut does not show.
            raise UnsupportedFormat(
                "it is a JPEG with arithmetic coding, which is not read; save it as a plain JPEG"
            )

    def lacks_data(self, content: bytes) -> bool:
        """Say whether the end marker, a scan or a restart interval is missing."""
        return (
            self.frame is None
            or self.end is None
            or not self._covered(self.frame)
            or any(_lacks_intervals(self.frame, scan, content) for scan in self.scans)
        )

    def may_be_filled(self, luminance: float) -> bool:
        """Say whether the last pixel, 0 to 255, leaves open that the last scan was cut short.

        Its units come last, so that a sequential scan which misses any misses those; what a decoder
        makes of other scans that miss some looks like anything.
        """
        sequential = self.frame is not None and self.frame.process in _SEQUENTIAL
        if not sequential or len(self.scans) > 1 or len(self.scans[0].components) > 3:
            return True
        return abs(luminance - FILLER) <= FILLER_SPREAD

    def padded(self, content: bytes) -> bytes:
        """Return the file with bytes added at the end of its last scan.

        gdcm warns of these bytes and gives up at a second warning; some writers cause the first one
        by a sequential scan whose header names other coefficients than all, so that is put right.
        """
        whole = content[: self.end]
        if self.frame is not None and self.frame.process in _SEQUENTIAL:
            start = self.scans[-1].start
            whole = whole[: start - 3] + bytes((0, COEFFICIENTS - 1, 0)) + whole[start:]
        return whole + b"\x5a\xa5\x96\x69" * 256 + END_OF_IMAGE

    def _covered(self, frame: JpegFrame) -> bool:
        """Say whether the scans' headers announce all of every component."""
        if frame.process != _PROGRESSIVE:
            return set(frame.factors) <= {name for scan in self.scans for name in scan.components}
        found = {
            (name, coefficient)
            for scan in self.scans
            if scan.shift == 0
            for name in scan.components
            for coefficient in range(scan.first, scan.last + 1)
        }
        return all(
            (name, coefficient) in found
            for name in frame.factors
            for coefficient in range(COEFFICIENTS)
        )


def read_jpeg_scans(content: bytes) -> JpegScans:
    """Walk a JPEG's markers to its end, or to the end of the file where that comes first.

    Source:
        ITU-T T.81, annex B.
    """
    frame: JpegFrame | None = None
    headers: list[tuple[bytes, int, int]] = []
    ends: list[int] = []
    position, interval = 2, 0
    end = None
    while found := _MARKER.search(content, position):
        marker, position = found.group(1)[0], found.end()
        if marker in (0x01, 0xD8) or (marker == 0xD9 and not headers):
            continue
        if len(ends) < len(headers):
            ends.append(found.start())
        if marker == 0xD9:
            end = found.start()
            break
        if position + 2 > len(content):
            break
        start = position + 2
        position += int.from_bytes(content[position : position + 2], "big")
        segment = content[start:position]
        if marker == 0xDD:
            interval = int.from_bytes(segment[:2], "big")
        elif marker == 0xDA:
            headers.append((segment, interval, position))
        elif 0xC0 <= marker <= 0xCF and marker not in _NO_FRAME_HEADER and frame is None:
            frame = _read_frame(marker, segment)
    if len(ends) < len(headers):
        ends.append(len(content))
    scans = (_read_scan(*header, stop) for header, stop in zip(headers, ends, strict=True))
    return JpegScans(frame, tuple(scans), end)


def _read_frame(marker: int, segment: bytes) -> JpegFrame | None:
    if len(segment) < 6 or len(segment) < 6 + 3 * segment[5] or not segment[5]:
        return None
    height, width = struct.unpack_from(">HH", segment, 1)
    parts = [segment[6 + 3 * number : 9 + 3 * number] for number in range(segment[5])]
    factors = {name: (max(1, both >> 4), max(1, both & 15)) for name, both, _ in parts}
    return JpegFrame(marker, height, width, factors)


def _read_scan(segment: bytes, interval: int, start: int, end: int) -> JpegScan:
    count = segment[0] if segment else 0
    if not count or len(segment) < 4 + 2 * count:
        raise UnreadableImage("the JPEG data is damaged: the header of a scan is cut short")
    first, last, bits = segment[1 + 2 * count : 4 + 2 * count]
    components = tuple(segment[1 : 1 + 2 * count : 2])
    return JpegScan(components, first, min(last, COEFFICIENTS - 1), bits & 15, interval, start, end)


def _lacks_intervals(frame: JpegFrame, scan: JpegScan, content: bytes) -> bool:
    """Say whether a scan has fewer restart markers than its units need."""
    if not scan.interval:
        return False
    needed = -(-frame.units(scan.components) // scan.interval) - 1
    found = sum(1 for _ in _RESTART.finditer(content, scan.start, scan.end))
    return found < needed
