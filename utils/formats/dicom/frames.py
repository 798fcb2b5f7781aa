"""Compressed DICOM frames: their fragments, the size that each declares, and RLE."""

from __future__ import annotations

import itertools
import re
import struct

import numpy as np
from PIL import Image

from utils.errors import UnreadableImage
from utils.formats.dicom.elements import ITEM, SEQUENCE_END, UNDEFINED, DicomFile
from utils.formats.dicom.layout import PixelLayout
from utils.formats.dicom.tags import Tag
from utils.formats.jpeg_markers import FrameHeader, read_frame_header

SIZE = 0x51
# First bytes of a JPEG, a JPEG-LS and a JPEG 2000 frame.
_FRAME_STARTS = (b"\xff\xd8", b"\xff\x4f\xff\x51")
_START_OF_DATA, _END_OF_CODESTREAM = b"\xff\x93", b"\xff\xd9"
# Among packets are the markers SOT, SOP, EPH, and SOD and the PLT, POC, PPT and COM before it.
_NO_MARKER = re.compile(rb"\xff(?!\x90\0\x0a|\x91\0\x04|\x92|\x93|[\x00-\x8f])")
# Empty packets are a byte 0 each: few of them follow each other.
_MOST_ZEROS = 64


def read_fragments(file: DicomFile) -> bytes:
    """Return the compressed frame: the fragments of encapsulated pixel data, joined.

    The delimiter after the last fragment may be missing, or zeros.

    Raises:
        UnreadableImage: the file ends before its last fragment does, or it is damaged.

    Source:
        DICOM PS3.5, A.4.
    """
    element = file.elements[Tag.PIXEL_DATA]
    position, parts, ended = element.start, [], False
    while not ended and position + 8 <= len(file.content):
        marker, length = file.tag_and_length(position, element.encoding)
        if marker == SEQUENCE_END:
            ended = True
        elif marker == ITEM and length != UNDEFINED:
            file.count_element()
            file.check_end(position + 8 + length)
            parts.append((position + 8, position + 8 + length))
            position += 8 + length
        else:
            break
    if not ended:
        if not parts or file.content[position:].strip(b"\0"):
            raise UnreadableImage("formats.dicom_fragments")
        file.note("dicom_delimiter")
    # The first item is the table of offsets, which a single frame does not need and some files lack.
    start = parts[0][0] if parts else 0
    if not file.content.startswith(_FRAME_STARTS, start):
        parts = parts[1:]
    return b"".join(file.content[start:end] for start, end in parts)


def check_frame_header(frame: bytes, layout: PixelLayout, *, jpeg_2000: bool) -> int:
    """Return the bits a sample of a compressed frame.

    Raises:
        UnreadableImage: it declares another size than the file does, or none.
    """
    header = _read_j2k_header(frame) if jpeg_2000 else read_frame_header(frame)
    if header is None:
        raise UnreadableImage("formats.dicom_frame_header")
    rows, columns, samples = header.rows, header.columns, len(header.components)
    if (rows, columns, samples) != (layout.rows, layout.columns, layout.samples):
        raise UnreadableImage(
            "formats.dicom_frame_size",
            **{"rows": layout.rows, "columns": layout.columns, "samples": layout.samples},
            **{"frame_rows": rows, "frame_columns": columns, "frame_samples": samples},
        )
    return header.precision


def check_j2k_data(frame: bytes) -> None:
    """Raise UnreadableImage where the packets of a JPEG 2000 frame hold what no encoder writes.

    OpenJPEG gives no warning: zeros are empty packets to it, so that detail is lost. The data of HTJ2K may
    hold long runs of zeros.

    Source:
        ITU-T T.800, A.1.3 (no marker code in packets) and B.10.
    """
    start, end = frame.find(_START_OF_DATA), frame.rfind(_END_OF_CODESTREAM)
    if start < 0 or end < start:
        raise UnreadableImage("formats.dicom_frame_ends_early")
    if frame.find(bytes(_MOST_ZEROS), start, end) >= 0 or _NO_MARKER.search(frame, start + 2, end):
        raise UnreadableImage("formats.dicom_frame_damaged")


def unpack_rle(frame: bytes, layout: PixelLayout) -> np.ndarray:
    """Unpack a run-length coded frame, never beyond its size.

    Returns:
        uint8 or uint16 (rows, columns), or uint8 (rows, columns, 3).

    Raises:
        UnreadableImage: it holds another number of planes, or ends early.

    Source:
        DICOM PS3.5, annex G.
    """
    # A plane of bytes for each sample of a pixel and each byte of a sample.
    needed = layout.samples * layout.allocated // 8
    if len(frame) < 64:
        raise UnreadableImage("formats.dicom_rle_header")
    count, *offsets = struct.unpack_from("<16L", frame)
    if count != needed:
        raise UnreadableImage("formats.dicom_rle_segments", found=count, needed=needed)
    bounds = [*offsets[:needed], len(frame)]
    if any(end < start for start, end in itertools.pairwise(bounds)) or bounds[0] < 64:
        raise UnreadableImage("formats.dicom_rle_order")
    planes = [
        _unpack_bits(frame[start:end], layout).reshape(layout.rows, layout.columns)
        for start, end in itertools.pairwise(bounds)
    ]
    if layout.samples == 3:
        return np.stack(planes, axis=-1)
    # The most significant byte's plane comes first.
    return planes[0] if needed == 1 else planes[0].astype(np.uint16) << np.uint16(8) | planes[1]


def _unpack_bits(packed: bytes, layout: PixelLayout) -> np.ndarray:
    """Unpack one PackBits segment by Pillow, as one row: a run may cross the end of a row."""
    length = layout.rows * layout.columns
    try:
        plane = np.asarray(Image.frombytes("L", (length, 1), packed, "packbits", "L"))
    except ValueError as error:
        raise UnreadableImage("formats.dicom_rle_short") from error
    try:
        # Zeros that make a segment's length even can be taken for one more byte.
        Image.frombytes("L", (length + 2, 1), packed, "packbits", "L")
    except ValueError:
        return plane
    raise UnreadableImage("formats.dicom_rle_long")


def _read_j2k_header(frame: bytes) -> FrameHeader | None:
    """Read the header of a JPEG 2000 frame; None where there is no SIZ segment.

    Source:
        ITU-T T.800, A.5.1.
    """
    start = frame.find(bytes((0xFF, 0x4F, 0xFF, SIZE)))
    if start < 0 or len(frame) < start + 43:
        return None
    right, bottom, left, top = struct.unpack_from(">4L", frame, start + 8)
    (components,) = struct.unpack_from(">H", frame, start + 40)
    precision = (frame[start + 42] & 0x7F) + 1
    return FrameHeader(SIZE, precision, bottom - top, right - left, tuple(range(components)))
