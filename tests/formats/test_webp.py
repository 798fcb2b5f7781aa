"""WebP stills: the size that each kind of header declares, and damage to the coded data."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from PIL import Image

from tests.support.pictures import draw_radiograph, encode
from tests.support.raster_files import LEVELS, grey, save
from utils.errors import TooLarge, UnreadableImage
from utils.formats import Limits, decode

RGBA = Image.fromarray(np.dstack([LEVELS] * 3 + [LEVELS | 1]))
KINDS = {
    b"VP8 ": grey("WEBP", quality=80),
    b"VP8L": grey("WEBP", lossless=True),
    b"VP8X": save(RGBA, "WEBP", quality=80),
}


@pytest.mark.parametrize(("kind", "content"), KINDS.items(), ids=["lossy", "lossless", "extended"])
def test_every_header_is_checked_before_decoding(kind, content):
    assert content[12:16] == kind
    with pytest.raises(TooLarge, match="40 x 48"):
        decode(content, limits=Limits(max_pixels=40 * 48 - 1))
    assert decode(content).pixels.shape == LEVELS.shape


def test_an_unknown_header_is_refused():
    with pytest.raises(UnreadableImage, match="header is damaged"):
        decode(grey("WEBP").replace(b"VP8 ", b"VP9 ", 1))


LARGE = draw_radiograph(300, 240, fractured=True)
WHOLE = {
    "lossy": encode(LARGE, "WEBP", quality=80),
    "lossless": encode(LARGE, "WEBP", lossless=True),
}
DAMAGE = {
    "zeroed": lambda data, start, end: data[:start] + bytes(end - start) + data[end:],
    "doubled": lambda data, start, end: data[:end] + data[start:],
    "dropped": lambda data, start, end: data[:start] + data[end:],
}


@pytest.mark.parametrize("content", WHOLE.values(), ids=WHOLE)
@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_damage_inside_the_coded_data_is_refused(content, damage):
    assert decode(content).pixels.shape == LARGE.shape
    damaged = damage(content, len(content) // 2, len(content) // 2 + 200)
    # The lengths in the header follow suit.
    riff, chunk = len(damaged) - 8, len(damaged) - 20
    damaged = (
        damaged[:4]
        + struct.pack("<I", riff)
        + damaged[8:16]
        + struct.pack("<I", chunk)
        + damaged[20:]
    )
    with pytest.raises(UnreadableImage):
        decode(damaged)


def test_a_height_halved_in_the_header_is_refused():
    content = WHOLE["lossy"]
    halved = content[:28] + struct.pack("<H", 150) + content[30:]
    with pytest.raises(UnreadableImage, match="ends before its data"):
        decode(halved)


def test_a_frame_alone_in_an_animation_is_read():
    content = WHOLE["lossless"]
    chunks = content[12:]
    width, height = (side.to_bytes(3, "little") for side in (239, 299))
    frame = bytes(6) + width + height + bytes(4) + chunks
    body = b"VP8X" + struct.pack("<IB3x", 10, 2) + width + height
    body += b"ANIM" + struct.pack("<I", 6) + bytes(6)
    body += b"ANMF" + struct.pack("<I", len(frame)) + frame
    animation = b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body
    np.testing.assert_array_equal(decode(animation).pixels, decode(content).pixels)


@pytest.mark.parametrize("tail", [0, 30, 120], ids=["none", "some", "much"])
@pytest.mark.parametrize("options", [{"quality": 75}, {"lossless": True, "method": 1}])
def test_a_whole_picture_with_a_flat_end_is_read(options, tail):
    picture = LARGE.copy()
    picture[len(picture) - tail :] = 0
    assert decode(encode(picture, "WEBP", **options)).pixels.shape == LARGE.shape
