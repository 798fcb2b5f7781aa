"""The walk over elements: encodings, bounds, deflated files."""

from __future__ import annotations

import io
import json
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.encaps import encapsulate

from tests.support.dicoms import draw_dicom, draw_stored, frame_of, table_item, without_meta
from utils.errors import TooLarge, UnreadableImage
from utils.formats import Limits, decode


@pytest.mark.parametrize("syntax", ["implicit", "explicit", "big_endian"])
def test_preamble_and_meta_information_may_lack(syntax):
    content = draw_dicom(syntax=syntax)
    expected = decode(content).pixels
    np.testing.assert_array_equal(decode(without_meta(content)).pixels, expected)
    np.testing.assert_array_equal(decode(content[128:]).pixels, expected)
    np.testing.assert_array_equal(decode(content[132:]).pixels, expected)


def test_fragments_of_a_frame_are_joined():
    dataset = dcmread(io.BytesIO(draw_dicom(syntax="rle")))
    frame = frame_of(dataset)
    dataset.PixelData = encapsulate([frame], fragments_per_frame=5)
    assert dataset.PixelData.count(b"\xfe\xff\x00\xe0") >= 5
    stream = io.BytesIO()
    dataset.save_as(stream)
    np.testing.assert_array_equal(
        decode(stream.getvalue()).pixels, decode(draw_dicom(syntax="rle")).pixels
    )


@pytest.mark.parametrize("length", [b"\xff\xff\xff\xfe", b"\xfe\xff\xff\xff", b"\0\0\0\x80"])
def test_wrong_lengths_are_refused(length):
    content = draw_dicom(VOILUTSequence=table_item(0, np.arange(16), 8))
    start = content.index(b"\x28\0\x06\x30OW\0\0") + 8
    with pytest.raises(UnreadableImage, match="ends early"):
        decode(content[:start] + length + content[start + 4 :])


def nested(depth: int) -> bytes:
    """A private sequence in itself, undefined lengths throughout."""
    start = b"\x09\0\x10\x10SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff"
    end = b"\xfe\xff\x0d\xe0\0\0\0\0\xfe\xff\xdd\xe0\0\0\0\0"
    return start * depth + end * depth


def with_elements(elements: bytes) -> bytes:
    """Put elements of group 9 where they belong in a drawn file."""
    content = draw_dicom()
    position = content.index(b"\x10\0\x10\0PN")
    return content[:position] + elements + content[position:]


def test_deeply_nested_sequences_are_skipped():
    expected = decode(draw_dicom()).pixels
    np.testing.assert_array_equal(decode(with_elements(nested(20_000))).pixels, expected)


def test_too_many_empty_items_are_refused():
    items = b"\x09\0\x10\x10SQ\0\0\xff\xff\xff\xff" + b"\xfe\xff\x00\xe0\0\0\0\0" * 300_000
    with pytest.raises(UnreadableImage, match="elements"):
        decode(with_elements(items + b"\xfe\xff\xdd\xe0\0\0\0\0"))


def test_a_sequence_without_end_is_refused():
    with pytest.raises(UnreadableImage, match="ends early|out of order"):
        decode(with_elements(nested(3)[:60]))


@pytest.mark.slow
def test_a_deflated_bomb_costs_less_than_50_mb():
    """256 MB of zeros in one element, deflated to a quarter of a megabyte."""
    script = """
import json, resource, struct, zlib
from utils.errors import FractureError
from utils.formats import decode
uid = b"1.2.840.10008.1.2.1.99"
meta = b"\\x02\\0\\x10\\0UI" + struct.pack("<H", len(uid)) + uid
packer = zlib.compressobj(9, zlib.DEFLATED, -15)
parts = [packer.compress(b"\\x09\\0\\x10\\x10OB\\0\\0" + struct.pack("<L", 1 << 28))]
parts += [packer.compress(bytes(1 << 20)) for _ in range(256)] + [packer.flush()]
bomb = bytes(128) + b"DICM" + meta + b"".join(parts)
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
before = peak()
try: decode(bomb)
except FractureError as error:
    print(json.dumps([peak() - before, type(error).__name__, len(bomb), str(error)]))
"""
    root = Path(__file__).resolve().parents[3]
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=True
    )
    grown_kb, error, length, message = json.loads(done.stdout)
    assert length < 500_000
    assert error == "TooLarge"
    assert "unpacks to more than 64 MB" in message
    assert grown_kb < 50 * 1024


def test_a_damaged_deflated_stream_is_refused():
    content = draw_dicom(syntax="deflated")
    for damaged in (content[:-40], content[:400] + b"\xff" * 40 + content[440:]):
        with pytest.raises(UnreadableImage, match="deflated|damaged|early"):
            decode(damaged)


@pytest.mark.parametrize("surplus", ["packed", "unpacked"])
def test_deflated_data_after_its_end_is_refused(surplus):
    content, plain = draw_dicom(syntax="deflated"), without_meta(draw_dicom(syntax="explicit"))
    start = 144 + struct.unpack_from("<L", content, 140)[0]
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    longer = packer.compress(plain + plain[-100:]) + packer.flush()
    damaged = content + b"\x99" * 9 if surplus == "packed" else content[:start] + longer
    with pytest.raises(UnreadableImage, match="data after its"):
        decode(damaged)
    assert decode(content + b"\0").width == 32


def test_deflated_content_unpacks_as_by_zlib():
    content, plain = draw_dicom(syntax="deflated"), draw_dicom(syntax="explicit")
    start = 144 + struct.unpack_from("<L", content, 140)[0]
    unpacked = zlib.decompress(content[start:], -zlib.MAX_WBITS)
    assert unpacked == without_meta(plain)
    limits = Limits(max_bytes=len(unpacked))
    np.testing.assert_array_equal(decode(content, limits=limits).pixels, decode(plain).pixels)
    with pytest.raises(TooLarge):
        decode(content, limits=Limits(max_bytes=len(unpacked) - 1))


def with_icon(content: bytes, icon: bytes, declared: int) -> bytes:
    """Put an icon image sequence, of a declared length, before the pixel data."""
    position = content.rindex(b"\xe0\x7f\x10\x00O")
    sequence = b"\x88\0\0\x02SQ\0\0" + struct.pack("<L", declared) + icon
    return content[:position] + sequence + content[position:]


def icon_of(syntax: str) -> bytes:
    """Write an item with a small picture, as an icon has it."""
    content = without_meta(draw_dicom(draw_stored(8, height=20, width=24), bits=8, syntax=syntax))
    elements = content[content.index(b"\x28\0\x02\0US") :]
    return b"\xfe\xff\x00\xe0" + struct.pack("<L", len(elements)) + elements


@pytest.mark.parametrize("wrong", [-24, -100, -2, 2, 60, 100_000])
@pytest.mark.parametrize("icon", ["explicit", "rle"])
def test_an_icon_of_wrong_length_is_skipped(icon, wrong):
    content, item = draw_dicom(), icon_of(icon)
    radiograph = decode(with_icon(content, item, len(item) + wrong))
    np.testing.assert_array_equal(radiograph.pixels, decode(content).pixels)
    assert [notice.key for notice in radiograph.notices] == ["formats.dicom_icon"]


def test_an_icon_of_the_right_length_is_no_fault():
    content, item = draw_dicom(), icon_of("explicit")
    radiograph = decode(with_icon(content, item, len(item)))
    np.testing.assert_array_equal(radiograph.pixels, decode(content).pixels)
    assert not radiograph.notices
