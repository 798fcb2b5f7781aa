"""Length of a zlib stream once unpacked, counted without keeping any of it."""

from __future__ import annotations

import zlib

_STEP = 1 << 16


def count_unpacked(packed: bytes | memoryview, window_bits: int, enough: int) -> tuple[int, bool]:
    """Count the bytes that a stream unpacks to, in small steps.

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
