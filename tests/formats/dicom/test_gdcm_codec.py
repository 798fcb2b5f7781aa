"""JPEG of 12 bits and lossless, decoded in a process of its own."""

from __future__ import annotations

import io

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.encaps import encapsulate

from tests.support.dicoms import draw_dicom, frame_of, with_frame
from utils.errors import SetupError, UnreadableImage
from utils.formats import decode
from utils.formats.dicom import gdcm_codec, gdcm_process


def test_white_that_overshoots_stays_white():
    """gdcm would cut 1024 to 10 bits, which is 0: a black speck in the brightest bone."""
    rng = np.random.default_rng(0)
    stored = rng.choice(np.array([623, 1023], np.uint16), (64, 64))
    stored[:, :8] = 0
    content = draw_dicom(
        stored, syntax="jpeg_extended", bits=10, WindowCenter=512, WindowWidth=1024
    )
    assert decode(content).pixels[:, 8:].min() > 0.55


def test_a_scan_may_name_other_coefficients():
    """As some devices write it; gdcm warns of that, and gives up at a second warning."""
    content = draw_dicom(syntax="jpeg_extended")
    frame = bytearray(frame_of(dcmread(io.BytesIO(content))))
    header = frame.index(b"\xff\xda\0\x08")
    assert frame[header + 8] == 63
    frame[header + 8] = 0
    expected = decode(content).pixels
    np.testing.assert_array_equal(decode(with_frame(content, bytes(frame))).pixels, expected)


@pytest.mark.parametrize(("position", "value"), [(15, 0x00), (15, 0x01), (15, 0x20), (16, 0xFF)])
def test_a_crash_of_gdcm_is_an_error(position, value):
    """A wrong byte in the header, over which gdcm 3.2 aborts or touches foreign memory."""
    dataset = dcmread(io.BytesIO(draw_dicom(syntax="jpeg_lossless")))
    frame = bytearray(frame_of(dataset))
    frame[position] = value
    dataset.PixelData = encapsulate([bytes(frame)])
    dataset["PixelData"].is_undefined_length = True
    stream = io.BytesIO()
    dataset.save_as(stream)
    with pytest.raises(UnreadableImage, match="damaged"):
        decode(stream.getvalue())


def test_a_missing_gdcm_is_named(monkeypatch, tmp_path):
    script = tmp_path / "no_gdcm.py"
    script.write_text(f"raise SystemExit({gdcm_process.NO_GDCM})")
    monkeypatch.setattr(gdcm_process, "__file__", str(script))
    with pytest.raises(SetupError, match="gdcm"):
        decode(draw_dicom(syntax="jpeg_lossless"))


def test_a_frame_that_takes_too_long_is_refused(monkeypatch, tmp_path):
    script = tmp_path / "sleeps.py"
    script.write_text("import time; time.sleep(30)")
    monkeypatch.setattr(gdcm_process, "__file__", str(script))
    monkeypatch.setattr(gdcm_codec, "SECONDS", 0.5)
    with pytest.raises(UnreadableImage, match="seconds"):
        decode(draw_dicom(syntax="jpeg_lossless"))
