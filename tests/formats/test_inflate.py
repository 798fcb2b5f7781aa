"""Counting what a zlib stream unpacks to."""

from __future__ import annotations

import zlib

import pytest

from utils.formats.inflate import count_unpacked


@pytest.mark.parametrize("length", [0, 1, 1 << 16, 1_000_003])
@pytest.mark.parametrize("bits", [zlib.MAX_WBITS, -zlib.MAX_WBITS], ids=["zlib", "bare"])
def test_a_whole_stream_is_counted_to_its_end(length, bits):
    packer = zlib.compressobj(wbits=bits)
    packed = packer.compress(bytes(length)) + packer.flush()
    assert count_unpacked(packed, bits, length + 1) == (length, True)


def test_a_cut_stream_has_no_end():
    packed = zlib.compress(bytes(range(256)) * 500)
    length, ended = count_unpacked(packed[:-10], zlib.MAX_WBITS, 1 << 30)
    assert not ended
    assert length <= 128_000


def test_counting_ends_once_it_is_enough():
    length, _ = count_unpacked(zlib.compress(bytes(10_000_000)), zlib.MAX_WBITS, 100_000)
    assert 100_000 <= length < 200_000


def test_a_damaged_stream_is_an_error():
    with pytest.raises(zlib.error):
        count_unpacked(b"no stream at all", zlib.MAX_WBITS, 10)
