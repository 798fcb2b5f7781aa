"""Bounded walk over the elements of a DICOM file.

pydicom's own reader builds an object for everything it meets: a small file of empty sequence items
costs gigabytes, deep nesting ends in a RecursionError, a deflated one unpacks without bound. This
walk skips all but the requested elements, keeps no patient's name, and is bounded in every respect.
"""

from __future__ import annotations

import math
import re
import struct
import zlib
from dataclasses import dataclass, field

from utils.errors import TooLarge, UnreadableImage, UnsupportedFormat
from utils.formats.dicom.tags import Tag
from utils.formats.inflate import count_unpacked
from utils.imaging.radiograph import HEADER_CONTRADICTION, Limits, Notice

DEFLATED = "1.2.840.10008.1.2.1.99"
BIG_ENDIAN = "1.2.840.10008.1.2.2"

TAGS = frozenset(Tag)
ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
UNDEFINED = 0xFFFFFFFF
_DECIMAL = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_LONG_VRS = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())
# Elements and items walked in one file; a radiograph's header has some hundreds.
MAX_ELEMENTS = 200_000


@dataclass(frozen=True)
class Encoding:
    """How elements are written: with their VR or without, and in which byte order."""

    explicit: bool = True
    little: bool = True

    @property
    def order(self) -> str:
        """The byte order in struct's letters."""
        return "<" if self.little else ">"


@dataclass(frozen=True)
class Element:
    """Where an element's value lies in the file; ``end`` is None where no length is given."""

    start: int
    end: int | None
    encoding: Encoding


@dataclass
class DicomFile:
    """Elements of one DICOM file, those in TAGS.

    Args:
        content: the bytes that the elements' positions refer to (unpacked, where deflated).
        transfer_syntax: UID, "" where it is missing.
        elements: by tag.
        notices: what was amended or ignored so far.
    """

    content: bytes
    transfer_syntax: str = ""
    elements: dict[int, Element] = field(default_factory=dict)
    notices: list[Notice] = field(default_factory=list)
    _walked: int = 0

    def __contains__(self, tag: int) -> bool:
        return tag in self.elements

    def value(self, tag: int) -> bytes | None:
        """Return an element's bytes, None where it is missing."""
        element = self.elements.get(tag)
        return self.content[element.start : element.end] if element and element.end else None

    def note(self, key: str, **facts: object) -> None:
        """Add a notice about the header; ``key`` is a sentence of formats.toml."""
        self.notices.append(Notice(HEADER_CONTRADICTION, f"formats.{key}", facts))

    def text(self, tag: int) -> str:
        """Return the first of an element's strings, "" where it is missing or empty."""
        value = self.value(tag) or b""
        return value.split(b"\\")[0].decode("ascii", "replace").strip(" \0")

    def numbers(self, tag: int) -> tuple[float, ...]:
        """Return an element's decimal strings (DS, IS), with a point or a comma; NaN for what is none."""
        value = (self.value(tag) or b"").decode("ascii", "replace").strip(" \0")
        texts = [text.strip(" \0").replace(",", ".") for text in value.split("\\")] if value else []
        return tuple(float(text) if _DECIMAL.fullmatch(text) else math.nan for text in texts)

    def number(self, tag: int) -> float | None:
        """Return the first of :meth:`numbers`, None where the element is missing or empty."""
        return next(iter(self.numbers(tag)), None)

    def integers(self, tag: int, *, signed: bool = False) -> tuple[int, ...]:
        """Return an element's 16-bit integers (US, SS), () where it is missing or empty."""
        value = self.value(tag)
        if value is None:
            return ()
        order, letter = self.elements[tag].encoding.order, "h" if signed else "H"
        return struct.unpack_from(f"{order}{len(value) // 2}{letter}", value)

    def first_item(self, tag: int) -> DicomFile | None:
        """Return a sequence's first item, None where there is no item."""
        element = self.elements.get(tag)
        end, start = (element.end or len(self.content), element.start + 8) if element else (0, 1)
        if element is None or start > end:
            return None
        marker, length = self.tag_and_length(element.start, element.encoding)
        if marker != ITEM:
            return None
        item = DicomFile(self.content, self.transfer_syntax, notices=self.notices)
        item._walked = self._walked
        stop = end if length == UNDEFINED else min(end, start + length)
        item._collect(start, stop, element.encoding)
        return item

    def count_element(self) -> None:
        """Raise UnreadableImage beyond MAX_ELEMENTS."""
        self._walked += 1
        if self._walked > MAX_ELEMENTS:
            raise UnreadableImage("formats.dicom_elements", limit=MAX_ELEMENTS)

    def check_end(self, end: int) -> None:
        """Raise UnreadableImage where the file ends before ``end``."""
        if end > len(self.content):
            raise UnreadableImage("formats.dicom_ends_early")

    def tag_and_length(self, position: int, encoding: Encoding) -> tuple[int, int]:
        """Return the tag and the 32-bit length of the item at a position."""
        self.check_end(position + 8)
        group, number, length = struct.unpack_from(f"{encoding.order}HHL", self.content, position)
        return group << 16 | number, length

    def _header(self, position: int, encoding: Encoding) -> tuple[int, int, int, Encoding]:
        """Return tag, length, where the value starts, and the encoding of what it holds."""
        tag, length = self.tag_and_length(position, encoding)
        vr = self.content[position + 4 : position + 6]
        # Some writers fall back to elements without a VR inside a file that has VRs.
        if not encoding.explicit or tag >> 16 == 0xFFFE or not _is_vr(vr):
            return tag, length, position + 8, Encoding(False, encoding.little)
        if vr not in _LONG_VRS:
            (length,) = struct.unpack_from(f"{encoding.order}H", self.content, position + 6)
            return tag, length, position + 8, encoding
        self.check_end(position + 12)
        (length,) = struct.unpack_from(f"{encoding.order}L", self.content, position + 8)
        return tag, length, position + 12, encoding

    def _collect(self, position: int, end: int, encoding: Encoding) -> None:
        """Collect the elements of one level, until an item's end, the pixel data or ``end``."""
        while position + 8 <= end:
            self.count_element()
            tag, length, start, inner = self._header(position, encoding)
            if tag == ITEM_END:
                return
            stop = None if length == UNDEFINED else start + length
            if tag == Tag.ICON and stop is not None:
                stop = self._end_of_icon(start, stop, encoding)
            if stop is not None:
                self.check_end(stop)
            if tag in TAGS:
                self.elements.setdefault(tag, Element(start, stop, inner))
            if tag == Tag.PIXEL_DATA:
                return
            position = self._skip(start, inner) if stop is None else stop

    def _end_of_icon(self, start: int, stop: int, encoding: Encoding) -> int:
        """Return the end of the icon's sequence, where it does not end as declared the file's pixel data."""
        if stop + 8 <= len(self.content):
            tag, length = self.tag_and_length(stop, encoding)
            with_vr = _is_vr(self.content[stop + 4 : stop + 6])
            fits = with_vr or (not encoding.explicit and stop + length < len(self.content))
            if Tag.ICON < tag <= Tag.PIXEL_DATA and fits:
                return stop
        self.note("dicom_icon")
        group, number = Tag.PIXEL_DATA >> 16, Tag.PIXEL_DATA & 0xFFFF
        pattern, found = struct.pack(f"{encoding.order}HH", group, number), len(self.content)
        while (found := self.content.rfind(pattern, start, found)) >= 0:
            self.count_element()
            _, length, value, inner = self._header(found, encoding)
            if inner == encoding and length in (UNDEFINED, len(self.content) - value):
                return found
        raise UnreadableImage("formats.dicom_sequence")

    def _skip(self, position: int, encoding: Encoding) -> int:
        """Return the position after a sequence of undefined length, however deep it nests."""
        inside_item = [False]
        while inside_item:
            self.count_element()
            if inside_item[-1]:
                tag, length, start, _ = self._header(position, encoding)
                closes = tag == ITEM_END
            else:
                tag, length = self.tag_and_length(position, encoding)
                start, closes = position + 8, tag == SEQUENCE_END
                if not closes and tag != ITEM:
                    raise UnreadableImage("formats.dicom_sequence")
            if closes:
                inside_item.pop()
                position = start
            elif length == UNDEFINED:
                inside_item.append(not inside_item[-1])
                position = start
            else:
                position = start + length
            self.check_end(position)
        return position


def starts_dicom(content: bytes) -> bool:
    """Return whether bytes are a DICOM file, with its 128-byte preamble or without."""
    return _dataset_start(content) is not None


def read_elements(content: bytes, limits: Limits) -> DicomFile:
    """Read the top-level elements of a DICOM file that are in TAGS, up to the pixel data.

    Args:
        content: the whole file.
        limits: ``max_bytes`` also bounds what a deflated file may unpack to.

    Raises:
        UnsupportedFormat: it is no DICOM file.
        UnreadableImage: it is damaged, or ends inside an element.
        TooLarge: it is deflated and unpacks beyond the limit.

    Source:
        DICOM PS3.10, 7.1 (file meta information) and PS3.5, 7.1 (elements).
    """
    start = _dataset_start(content)
    if start is None:
        raise UnsupportedFormat("formats.dicom_none")
    file = DicomFile(content)
    position = start
    while content[position : position + 2] == b"\x02\0":
        file.count_element()
        tag, length, value, _ = file._header(position, Encoding())
        position = value + length
        file.check_end(position)
        if tag in TAGS:
            file.elements[tag] = Element(value, position, Encoding())
    file.transfer_syntax = file.text(Tag.TRANSFER_SYNTAX)
    if file.transfer_syntax == DEFLATED:
        file.content = content[:position] + _inflate(content, position, limits)
    encoding = _encoding(file.content[position : position + 8], file.transfer_syntax)
    file._collect(position, len(file.content), encoding)
    return file


def _is_vr(vr: bytes) -> bool:
    return len(vr) == 2 and vr.isalpha() and vr.isupper()


def _dataset_start(content: bytes) -> int | None:
    """Return where the elements begin, after the preamble or at once; None for no DICOM."""
    if content[128:132] == b"DICM":
        return 132
    if content[:4] == b"DICM":
        return 4
    if len(content) < 16:
        return None
    group, number, length = struct.unpack_from("<HHL", content)
    explicit = _is_vr(content[4:6])
    if group == 0x0002 and number <= 0x0102 and explicit:
        return 0
    # Without file meta information a dataset starts with the group that identifies the image.
    if group == 0x0008 and number <= 0x0020 and (explicit or length <= 64):
        return 0
    if content[:3] == b"\0\x08\0" and content[3] <= 0x20 and explicit:
        return 0
    return None


def _encoding(first: bytes, transfer_syntax: str) -> Encoding:
    """Return the encoding by the transfer syntax, corrected by the first element."""
    little = first[:1] != b"\0" if not transfer_syntax else transfer_syntax != BIG_ENDIAN
    return Encoding(explicit=_is_vr(first[4:6]), little=little)


def _inflate(content: bytes, position: int, limits: Limits) -> bytes:
    """Unpack a deflated dataset."""
    packed = memoryview(content)[position:]
    try:
        length, ended = count_unpacked(packed, -zlib.MAX_WBITS, limits.max_bytes + 1)
        if length > limits.max_bytes:
            raise TooLarge("formats.dicom_deflated_too_large", limit=limits.max_bytes / 2**20)
        if not ended:
            raise UnreadableImage("formats.dicom_deflated_ends_early")
        stream = zlib.decompressobj(-zlib.MAX_WBITS)
        unpacked = stream.decompress(packed, length + 1)
        if stream.unused_data.strip(b"\0"):
            raise UnreadableImage("formats.dicom_deflated_damaged", reason="data after its end")
        return unpacked
    except zlib.error as error:
        raise UnreadableImage("formats.dicom_deflated_damaged", reason=error) from error
