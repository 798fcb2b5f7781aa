"""BMP files."""

from __future__ import annotations

import pytest

from tests.support.raster_files import grey
from utils.formats.bmp import starts_bmp


def test_a_bmp_is_recognised_by_its_header():
    assert starts_bmp(grey("BMP"))


@pytest.mark.parametrize("content", [b"BM", b"BMW is a maker of cars, and not a bitmap", b""])
def test_text_that_begins_with_bm_is_no_bmp(content):
    assert not starts_bmp(content)
