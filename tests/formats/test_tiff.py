"""TIFF files."""

from __future__ import annotations

import numpy as np
from PIL import Image

from tests.support.pictures import draw_radiograph
from tests.support.raster_files import save
from utils.formats import decode


def test_white_is_zero_is_inverted_at_16_bits():
    levels = np.rint(draw_radiograph(40, 32) * 4095).astype(np.uint16)
    levels[0, 0] = 4095
    content = save(Image.fromarray(levels), "TIFF", tiffinfo={262: 0})
    np.testing.assert_allclose(decode(content).pixels, 1 - levels / 4095, atol=1e-6)
