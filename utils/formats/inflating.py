"""Turns a compressed stream into the number of bytes that it unpacks to, without keeping any of them."""

from __future__ import annotations

import zlib
from collections.abc import Iterable

_STEP = 1 << 16


def count_unpacked(
    parts: Iterable[bytes | memoryview], window_bits: int, enough: int
) -> tuple[int, bool]:
    """Count what a stream unpacks to, in small steps.

    Args:
        parts: the compressed stream, in pieces of any size.
        window_bits: as zlib takes it: negative for a bare stream, positive for one with its frame.
        enough: the count ends as soon as it is reached.

    Returns:
        The bytes counted, and whether the end of the stream was reached.

    Raises:
        zlib.error: the stream is damaged.
    """
    stream = zlib.decompressobj(window_bits)
    length = 0
    for part in parts:
        view = memoryview(part)
        for position in range(0, len(view), _STEP):
            rest: bytes | memoryview = view[position : position + _STEP]
            while not stream.eof:
                unpacked = len(stream.decompress(rest, _STEP))
                length += unpacked
                if length >= enough:
                    return length, stream.eof
                rest = stream.unconsumed_tail
                if not rest and unpacked < _STEP:
                    break
    return length, stream.eof
