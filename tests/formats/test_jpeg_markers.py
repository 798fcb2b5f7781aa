"""Bounds on the markers of a JPEG."""

from __future__ import annotations

import pytest

from tests.support.raster_files import grey
from utils.errors import UnreadableImage, UnsupportedFormat
from utils.formats import decode
from utils.formats.jpeg_markers import read_frame_header, read_markers


def test_arithmetic_coding_is_refused():
    content = grey("JPEG").replace(b"\xff\xc0\0", b"\xff\xc9\0", 1)
    with pytest.raises(UnsupportedFormat, match="arithmetic"):
        decode(content)


def test_hundreds_of_scans_are_refused():
    content = grey("JPEG", progressive=True)
    start = content.rindex(b"\xff\xda")
    bomb = content[:start] + content[start:-2] * 300 + content[-2:]
    with pytest.raises(UnreadableImage, match="scans"):
        decode(bomb)


def test_the_frame_header_gives_size_and_precision():
    header = read_frame_header(grey("JPEG"))
    assert header is not None
    assert (header.rows, header.columns, header.precision) == (48, 40, 8)
    assert len(header.components) == 1


@pytest.mark.parametrize("content", [b"", b"\xff\xd8", grey("JPEG")[:20]])
def test_no_frame_header_is_none(content):
    assert read_frame_header(content) is None


def test_a_baseline_jpeg_has_one_scan():
    markers = read_markers(grey("JPEG"))
    assert len(markers.scans) == 1
    assert markers.complete


def test_progressive_scans_must_cover_all_bits():
    content = grey("JPEG", progressive=True)
    assert read_markers(content).complete
    last = content.rindex(b"\xff\xda")
    assert not read_markers(content[:last] + b"\xff\xd9").complete


def test_without_an_end_marker_a_jpeg_is_incomplete():
    assert not read_markers(grey("JPEG")[:-2]).complete


def test_a_short_scan_header_is_damage():
    content = grey("JPEG")
    start = content.index(b"\xff\xda")
    with pytest.raises(UnreadableImage, match="header of a scan"):
        read_markers(content[: start + 2] + b"\0\4\1\1" + content[start + 4 :])
