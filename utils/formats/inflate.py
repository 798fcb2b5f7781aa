"""Length of a compressed stream once unpacked, counted without keeping any of it."""

from __future__ import annotations

import lzma
import zlib

import numpy as np

_STEP = 1 << 16
_LZW_CLEAR, _LZW_END = 256, 257
# Widths of the codes after a clear code, as the table of strings fills up, and the bit where each starts.
_LZW_WIDTHS = np.repeat([9, 10, 11, 12], [254, 512, 1024, 2306])
_LZW_STARTS = np.cumsum(_LZW_WIDTHS) - _LZW_WIDTHS


def count_unpacked(packed: bytes | memoryview, window_bits: int, enough: int) -> tuple[int, bool]:
    """Count the bytes that a zlib stream unpacks to, in small steps.

    Args:
        packed: the compressed stream.
        window_bits: as zlib takes it: negative for a bare stream, positive for one with its header.
        enough: the count ends as soon as it is reached.

    Returns:
        The bytes counted, and whether the end of the stream was reached.

    Raises:
        zlib.error: the stream is damaged.
    """
    stream = zlib.decompressobj(window_bits)
    length = 0
    source = memoryview(packed)
    for position in range(0, len(source), _STEP):
        rest: bytes | memoryview = source[position : position + _STEP]
        while not stream.eof:
            unpacked = len(stream.decompress(rest, _STEP))
            length += unpacked
            if length >= enough:
                return length, stream.eof
            rest = stream.unconsumed_tail
            if not rest and unpacked < _STEP:
                break
    return length, stream.eof


def count_lzma(packed: bytes, enough: int) -> int:
    """Count the bytes that an LZMA or xz stream unpacks to; the count ends once it is ``enough``.

    Raises:
        lzma.LZMAError: the stream is damaged.
    """
    return len(lzma.LZMADecompressor().decompress(packed, enough))


def count_lzw(packed: bytes, enough: int) -> int:
    """Count the bytes that an LZW stream of TIFF unpacks to; the count ends once it is ``enough``.

    Codes between two clear codes lie at known bits, so that they are counted together.

    Raises:
        ValueError: a code refers to a string that is not in the table yet.

    Source:
        TIFF 6.0, section 13.
    """
    octets = np.frombuffer(packed + bytes(3), np.uint8)
    bits = 8 * len(packed)
    first = length = 0
    while length < enough:
        starts = first + _LZW_STARTS
        starts = starts[starts + _LZW_WIDTHS <= bits]
        widths = _LZW_WIDTHS[: len(starts)]
        window = octets[starts // 8 + np.arange(3)[:, None]].astype(np.int32)
        window = window[0] << 16 | window[1] << 8 | window[2]
        codes = window >> (24 - starts % 8 - widths) & (1 << widths) - 1
        ends = np.flatnonzero((codes == _LZW_CLEAR) | (codes == _LZW_END))
        count = int(ends[0]) if len(ends) else len(codes)
        length += _string_lengths(codes[:count])
        if not len(ends) or codes[count] == _LZW_END:
            return length
        first = int(starts[count] + widths[count])
    return length


def _string_lengths(codes: np.ndarray) -> int:
    """Return the sum of the lengths of the strings that LZW codes after a clear code stand for."""
    order = np.arange(len(codes))
    # The string of code 258 + n is that of the n-th code and one byte more.
    longer = codes > _LZW_END
    before = np.where(longer, codes - _LZW_END - 1, order)
    if np.any(longer & (before >= order)):
        raise ValueError("an LZW code refers to no string")
    length = longer.astype(np.int64)
    # Each step doubles how far back the strings are followed; a single byte adds nothing.
    while np.any(added := length[before]):
        length += added
        before = before[before]
    return int(length.sum()) + len(codes)


def count_packbits(packed: bytes, enough: int) -> int:
    """Count the bytes that a PackBits stream unpacks to; the count ends once it is ``enough``.

    Source:
        TIFF 6.0, section 9.
    """
    position = length = 0
    while position < len(packed) and length < enough:
        code = packed[position]
        if code < 128:
            length += min(code + 1, len(packed) - position - 1)
            position += code + 2
        else:
            # 128 is no operation.
            length += 257 - code if code > 128 and position + 1 < len(packed) else 0
            position += 2 if code > 128 else 1
    return length
