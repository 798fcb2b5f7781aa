"""Names of files that are not read."""

from __future__ import annotations

import pytest

from tests.support.raster_files import grey
from utils.errors import UnsupportedFormat
from utils.formats import FORMATS, decode


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (b"left wrist, two views, no fracture seen\n", "text"),
        ("Größe: 3 µm, no fracture".encode(), "text"),
        ("text".encode("utf-16"), "text"),
        (b"BMW is a maker of cars, and not a bitmap", "text"),
        (b"<!DOCTYPE html><html><body>404</body></html>", "HTML"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
        (b"<?xml version='1.0'?>\n<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "EPS"),
        (b"PK\x03\x04" + bytes(60), "zip"),
        (b"%PDF-1.7\n", "PDF"),
        (grey("GIF"), "GIF"),
        (b"\0\0\0\x18ftypheic" + bytes(40), "HEIC"),
        (b"\x89HDF\r\n\x1a\n" + bytes(40), "HDF5"),
        (b"\x7fELF" + bytes(40), "program"),
        (b"\0\1\2\3" * 40, "unknown kind"),
        (b"\x80", "unknown kind"),
    ],
)
def test_other_files_are_refused_by_name(content, name):
    with pytest.raises(UnsupportedFormat, match=name) as caught:
        decode(content)
    for format in FORMATS.values():
        assert format.title in str(caught.value)
