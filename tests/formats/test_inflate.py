"""Counting what a compressed stream unpacks to."""

from __future__ import annotations

import io
import zlib

import numpy as np
import pytest
from PIL import Image

from tests.support.pictures import draw_radiograph
from tests.support.raster_files import save
from utils.formats.inflate import count_lzma, count_lzw, count_packbits, count_unpacked


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


def tiff_strip(samples: np.ndarray, compression: str) -> bytes:
    """Return samples as one strip of a TIFF, compressed by libtiff."""
    content = save(Image.fromarray(samples), "TIFF", compression=compression, strip_size=1 << 24)
    tags = Image.open(io.BytesIO(content)).tag_v2
    assert len(tags[273]) == 1
    return content[tags[273][0] : tags[273][0] + tags[279][0]]


RNG = np.random.default_rng(0)
SAMPLES = {
    "flat": np.zeros((300, 200), np.uint8),
    "noise": RNG.integers(0, 256, (300, 200)).astype(np.uint8),
    "few levels": RNG.integers(0, 3, (300, 200)).astype(np.uint8),
    "a picture": np.rint(draw_radiograph(300, 200) * 255).astype(np.uint8),
    "a few pixels": np.arange(6, dtype=np.uint8).reshape(2, 3),
}
COUNTS = {"tiff_lzw": count_lzw, "packbits": count_packbits, "lzma": count_lzma}


@pytest.mark.parametrize("samples", SAMPLES.values(), ids=SAMPLES)
@pytest.mark.parametrize(("compression", "count"), COUNTS.items(), ids=COUNTS)
def test_strips_of_libtiff_are_counted(compression, count, samples):
    packed = tiff_strip(samples, compression)
    assert count(packed, 1 << 30) == samples.size
    assert count(packed[: len(packed) // 3], 1 << 30) < samples.size


def test_an_lzw_code_without_a_string_is_an_error():
    # A clear code, then the string 258, of 9 bits each.
    with pytest.raises(ValueError, match="no string"):
        count_lzw(((256 << 9 | 258) << 6).to_bytes(3, "big"), 100)
