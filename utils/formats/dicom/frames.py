"""Turns a compressed DICOM frame into what its own header declares, or (RLE) into its bytes."""

from __future__ import annotations

import itertools
import re
import struct
from dataclasses import dataclass

import numpy as np

from utils.errors import UnreadableImage

_MARKER = re.compile(rb"\xff+([\x01-\xfe])")
_NO_FRAME_HEADER = (0xC4, 0xC8, 0xCC)


@dataclass(frozen=True)
class FrameSize:
    """What a compressed frame declares: its size, samples a pixel, and bits a sample."""

    rows: int
    columns: int
    samples: int
    precision: int


def read_j2k_size(frame: bytes) -> FrameSize | None:
    """Read a JPEG 2000 codestream's SIZ segment; None where there is none.

    Source:
        ITU-T T.800, A.5.1.
    """
    start = frame.find(b"\xff\x4f\xff\x51")
    if start < 0 or len(frame) < start + 43:
        return None
    right, bottom, left, top = struct.unpack_from(">4L", frame, start + 8)
    (components,) = struct.unpack_from(">H", frame, start + 40)
    precision = (frame[start + 42] & 0x7F) + 1
    return FrameSize(bottom - top, right - left, components, precision)


def read_jpeg_size(frame: bytes) -> FrameSize | None:
    """Read the frame header of a JPEG or JPEG-LS; None where there is none before the first scan.

    Source:
        ITU-T T.81, B.2.2 and T.87, C.2.2.
    """
    position = 2
    while found := _MARKER.search(frame, position):
        marker, position = found.group(1)[0], found.end()
        if marker == 0xD8 or marker == 0x01 or 0xD0 <= marker <= 0xD7:
            continue
        if position + 8 > len(frame) or marker in (0xD9, 0xDA):
            return None
        if marker == 0xF7 or (0xC0 <= marker <= 0xCF and marker not in _NO_FRAME_HEADER):
            precision, rows, columns, components = struct.unpack_from(">BHHB", frame, position + 2)
            return FrameSize(rows, columns, components, precision)
        position += int.from_bytes(frame[position : position + 2], "big")
    return None


def unpack_rle(frame: bytes, planes: int, size: int) -> list[np.ndarray]:
    """Unpack a run-length coded frame, never beyond its size.

    Args:
        frame: the compressed frame.
        planes: planes of bytes that it must hold: samples a pixel times bytes a sample.
        size: bytes a plane: rows times columns.

    Returns:
        A uint8 (size,) for each plane, in the file's order.

    Raises:
        UnreadableImage: it holds another number of planes, or ends early.

    Source:
        DICOM PS3.5, annex G.
    """
    if len(frame) < 64:
        raise UnreadableImage("the DICOM file is damaged: its RLE header is incomplete")
    count, *offsets = struct.unpack_from("<16L", frame)
    if count != planes:
        raise UnreadableImage(
            f"the DICOM file is damaged: {count} RLE segments where {planes} are needed"
        )
    bounds = [*offsets[:planes], len(frame)]
    if any(end < start for start, end in itertools.pairwise(bounds)) or bounds[0] < 64:
        raise UnreadableImage("the DICOM file is damaged: its RLE segments are out of order")
    return [
        np.frombuffer(_unpack_bits(frame[start:end], size), np.uint8)
        for start, end in itertools.pairwise(bounds)
    ]


def _unpack_bits(packed: bytes, size: int) -> bytes:
    """Unpack one PackBits segment to exactly ``size`` bytes."""
    parts, length, position, last = [], 0, 0, len(packed) - 1
    while length < size and position < last:
        control = packed[position]
        if control < 128:
            part = packed[position + 1 : position + 2 + control]
            position += 2 + control
        else:
            # 128 means nothing; 257 - 128 copies would be wrong.
            part = packed[position + 1 : position + 2] * (257 - control) if control > 128 else b""
            position += 2 if control > 128 else 1
        parts.append(part)
        length += len(part)
    if length < size:
        raise UnreadableImage("the DICOM file ends early, or is damaged: RLE rows are missing")
    return b"".join(parts)[:size]
