"""WebP stills: the size that each kind of header declares."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

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
