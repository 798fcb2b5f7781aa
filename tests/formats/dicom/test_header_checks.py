"""Headers that contradict their pixels: rows, stored bits, sign, colours."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.dicoms import SECONDARY_CAPTURE, draw_dicom, draw_stored, noticed, stretched
from tests.support.pictures import draw_radiograph
from utils.errors import UnreadableImage
from utils.formats import decode

HEIGHT, WIDTH = 180, 120
STORED = draw_stored(12, height=HEIGHT, width=WIDTH)


@pytest.mark.parametrize("syntax", ["explicit", "rle"])
@pytest.mark.parametrize(
    ("rows", "columns"),
    [(90, 240), (60, 360), (360, 60), (120, 180), (181, 119), (178, 121), (175, 123), (140, 154)],
)
def test_rows_of_another_length_are_refused(syntax, rows, columns):
    flat = STORED.ravel()
    declared = np.resize(flat, (rows, columns)) if rows * columns > flat.size else flat
    declared = declared.ravel()[: rows * columns].reshape(rows, columns)
    with pytest.raises(UnreadableImage, match=f"not {columns} pixels long"):
        decode(draw_dicom(declared, syntax=syntax))


@pytest.mark.parametrize("columns", [60, 240])
def test_colour_rows_are_held_against_as_well(columns):
    grey = draw_stored(8, height=HEIGHT, width=WIDTH).astype(np.uint8).reshape(-1, columns)
    colour = np.repeat(grey[..., None], 3, axis=2)
    options = {"bits": 8, "photometric": "RGB", "SOPClassUID": SECONDARY_CAPTURE}
    with pytest.raises(UnreadableImage, match="pixels long"):
        decode(draw_dicom(colour, **options))


@pytest.mark.parametrize("shape", [(400, 60), (64, 640), (128, 128), (20, 17)])
def test_rows_of_the_right_length_are_read(shape):
    assert (
        decode(draw_dicom(draw_stored(12, height=shape[0], width=shape[1]))).pixels.shape == shape
    )


def test_noise_and_stripes_have_no_wrong_rows():
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 4096, (HEIGHT, WIDTH)).astype(np.uint16)
    lines = np.where(np.arange(HEIGHT)[:, None] % 2, STORED, STORED // 10 * 9).astype(np.uint16)
    columns = np.where(np.arange(WIDTH)[None] % 2, STORED, STORED // 10 * 9).astype(np.uint16)
    for picture in (noise, lines, columns):
        assert decode(draw_dicom(picture)).pixels.size == HEIGHT * WIDTH


@pytest.mark.parametrize("high_bit", [12, 13, 15])
def test_a_high_bit_above_the_values_is_ignored(high_bit):
    content = draw_dicom(STORED, HighBit=high_bit, WindowCenter=2048, WindowWidth=4096)
    np.testing.assert_allclose(decode(content).pixels, STORED / 4095, atol=1e-6)
    assert noticed(content) == ["high_bit"]


def test_values_in_the_upper_bits_are_read():
    content = draw_dicom(STORED << 4, bits=12, HighBit=15)
    np.testing.assert_allclose(decode(content).pixels, stretched(STORED), atol=1e-6)
    assert not noticed(content)


@pytest.mark.parametrize("stored", [8, 10, 11])
def test_white_above_the_stored_bits_is_white(stored):
    content = draw_dicom(STORED, BitsStored=stored, HighBit=stored - 1)
    np.testing.assert_allclose(decode(content).pixels, stretched(STORED), atol=1e-6)
    assert noticed(content) == ["stored_values"]


@pytest.mark.parametrize("stored", [2, 3])
def test_values_below_the_stored_bits_are_read(stored):
    content = draw_dicom(STORED << 2, BitsStored=stored, HighBit=13)
    np.testing.assert_allclose(decode(content).pixels, stretched(STORED), atol=1e-3)
    assert noticed(content) == ["stored_values"]


def test_an_overlay_above_the_stored_bits_is_cut():
    overlay = np.zeros_like(STORED)
    overlay[20:160:3, 10:100] = 0x8000
    content = draw_dicom(STORED | overlay, bits=12)
    np.testing.assert_allclose(decode(content).pixels, stretched(STORED), atol=1e-6)
    assert noticed(content) == ["bits_beyond"]


@pytest.mark.parametrize("bits", [12, 16])
@pytest.mark.parametrize("signed", [False, True], ids=["unsigned", "signed"])
def test_a_wrong_sign_turns_nothing_black(signed, bits):
    stored = draw_stored(bits, signed=signed, height=HEIGHT, width=WIDTH)
    content = draw_dicom(stored, bits=bits, PixelRepresentation=int(not signed))
    np.testing.assert_allclose(decode(content).pixels, stretched(stored), atol=1e-6)
    assert noticed(content) in (["sign"], ["stored_values"])


@pytest.mark.parametrize("signed", [False, True], ids=["unsigned", "signed"])
def test_black_beside_white_is_no_wrong_sign(signed):
    stored = draw_stored(12, signed=signed, height=HEIGHT, width=WIDTH)
    stored[:, :40:2] = stored.min()
    stored[:, 1:40:2] = stored.max()
    content = draw_dicom(stored)
    np.testing.assert_allclose(decode(content).pixels, stretched(stored), atol=1e-6)
    assert not noticed(content)


@pytest.mark.parametrize("bits", [10, 12, 16])
@pytest.mark.parametrize("signed", [False, True], ids=["unsigned", "signed"])
def test_a_wrong_byte_order_is_read_the_other_way(signed, bits):
    stored = draw_stored(bits, signed=signed, height=HEIGHT, width=WIDTH)
    content = draw_dicom(stored.byteswap(), bits=bits)
    np.testing.assert_allclose(decode(content).pixels, stretched(stored), atol=1e-6)
    assert noticed(content) == ["byte_order"]


@pytest.mark.parametrize("shift", [0, 8])
def test_values_of_one_byte_keep_their_order(shift):
    stored = draw_stored(8, height=HEIGHT, width=WIDTH) << shift
    content = draw_dicom(stored, bits=16)
    np.testing.assert_allclose(decode(content).pixels, stretched(stored), atol=1e-6)
    assert not noticed(content)


GREY = np.rint(draw_radiograph(HEIGHT, WIDTH) * 255).astype(np.uint8)
GREY_RGB = np.repeat(GREY[..., None], 3, axis=2)
GREY_YBR = np.dstack([GREY, np.full_like(GREY, 128), np.full_like(GREY, 128)])


@pytest.mark.parametrize("colour", [GREY_RGB, GREY_YBR], ids=["rgb", "ybr"])
@pytest.mark.parametrize("photometric", ["RGB", "YBR_FULL", "YBR_FULL_422"])
@pytest.mark.parametrize("planar", [0, 1])
@pytest.mark.parametrize("declared", [0, 1])
def test_grey_in_colour_is_read_as_it_lies(colour, photometric, planar, declared):
    laid = np.moveaxis(colour, -1, 0).reshape(HEIGHT, WIDTH, 3) if planar else colour
    options = {"bits": 8, "photometric": photometric, "SOPClassUID": SECONDARY_CAPTURE}
    content = draw_dicom(laid, **options, PlanarConfiguration=declared)
    assert np.abs(decode(content).pixels - GREY / 255).max() < 0.6 / 255
    assert ("planar" in noticed(content)) == (planar != declared)


def test_colour_bits_that_contradict_are_amended():
    options = {"bits": 8, "photometric": "RGB", "SOPClassUID": SECONDARY_CAPTURE}
    content = draw_dicom(GREY_RGB, **options, HighBit=0)
    assert np.abs(decode(content).pixels - GREY / 255).max() < 0.6 / 255
    assert noticed(content) == ["bits"]
