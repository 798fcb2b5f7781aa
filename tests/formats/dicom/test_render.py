"""From stored values to brightness, against hand results and pydicom."""

from __future__ import annotations

import io
import warnings

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.pixels import apply_modality_lut, apply_voi_lut
from pydicom.sequence import Sequence

from tests.support.dicoms import draw_dicom, draw_stored, read_sample, stretched, table_item
from utils.errors import NotARadiograph, UnreadableImage
from utils.formats import decode


def test_without_a_window_values_are_stretched():
    pixels = decode(draw_dicom(draw_stored(12) // 4 + 100)).pixels
    assert (pixels.min(), pixels.max()) == (0, 1)


@pytest.mark.parametrize("shape", [None, "INVERSE", "IDENTITY"])
def test_monochrome1_is_inverted_once(shape):
    stored = draw_stored(12)
    options = {} if shape is None else {"PresentationLUTShape": shape}
    content = draw_dicom(4095 - stored, photometric="MONOCHROME1", **options)
    np.testing.assert_allclose(decode(content).pixels, stretched(stored), atol=1e-7)


@pytest.mark.parametrize("function", [None, "LINEAR", "LINEAR_EXACT", "SIGMOID"])
@pytest.mark.parametrize("signed", [False, True], ids=["unsigned", "signed"])
def test_rescale_and_window_agree_with_pydicom(signed, function):
    options: dict[str, object] = {"RescaleSlope": 1.5, "RescaleIntercept": -20.25}
    options |= {"WindowCenter": 1000.5, "WindowWidth": 3000}
    if function:
        options["VOILUTFunction"] = function
    content = draw_dicom(draw_stored(12, signed=signed), **options)
    dataset = dcmread(io.BytesIO(content))
    values = apply_voi_lut(apply_modality_lut(dataset.pixel_array, dataset), dataset)
    low, high = (-2048, 2047) if signed else (0, 4095)
    low, high = low * 1.5 - 20.25, high * 1.5 - 20.25
    expected = (values - low) / (high - low)
    np.testing.assert_allclose(decode(content).pixels, expected, atol=1e-6)


def test_the_first_of_several_windows_is_taken():
    stored = draw_stored(12)
    several = draw_dicom(stored, WindowCenter=[600, 2000], WindowWidth=[900, 4000])
    first = draw_dicom(stored, WindowCenter=600, WindowWidth=900)
    np.testing.assert_array_equal(decode(several).pixels, decode(first).pixels)


def test_a_negative_slope_inverts_brightness():
    stored = draw_stored(12)
    content = draw_dicom(stored, RescaleSlope=-1, RescaleIntercept=4095)
    np.testing.assert_allclose(decode(content).pixels, 1 - stretched(stored), atol=1e-7)


@pytest.mark.parametrize("syntax", ["explicit", "implicit", "big_endian"])
def test_a_voi_table_comes_before_a_window(syntax):
    entries = np.rint((np.linspace(0, 1, 3000) ** 2) * 1023).astype(np.uint16)
    item = table_item(500, entries, 10)
    if syntax == "big_endian":
        item[0].LUTData = entries.astype(">u2").tobytes()
    content = draw_dicom(syntax=syntax, VOILUTSequence=item, WindowCenter=2000, WindowWidth=4000)
    stored = draw_stored(12)
    expected = entries[np.clip(stored.astype(int) - 500, 0, 2999)] / 1023
    np.testing.assert_allclose(decode(content).pixels, expected, atol=1e-7)
    if syntax != "big_endian":  # whose tables pydicom reads in the machine's byte order
        dataset = dcmread(io.BytesIO(content))
        shown = apply_voi_lut(dataset.pixel_array, dataset) / 1023
        np.testing.assert_allclose(decode(content).pixels, shown, atol=1e-7)


def test_a_voi_table_may_start_below_zero():
    stored = draw_stored(12, signed=True)
    entries = np.arange(4096, dtype=np.uint16)
    content = draw_dicom(stored, VOILUTSequence=table_item(-2048, entries, 12, signed=True))
    np.testing.assert_allclose(decode(content).pixels, (stored + 2048.0) / 4095, atol=1e-7)


def test_a_modality_table_comes_before_the_window():
    entries = np.arange(4095, -1, -1, dtype=np.uint16)
    content = draw_dicom(
        ModalityLUTSequence=table_item(0, entries, 16), WindowCenter=2048, WindowWidth=4096
    )
    np.testing.assert_allclose(decode(content).pixels, (4095.0 - draw_stored(12)) / 4095, atol=1e-7)


def test_an_empty_table_sequence_is_ignored():
    content = draw_dicom(VOILUTSequence=Sequence([]))
    np.testing.assert_array_equal(decode(content).pixels, decode(draw_dicom()).pixels)


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("signed", [False, True], ids=["unsigned", "signed"])
def test_padding_is_black_and_not_stretched(photometric, signed):
    stored = draw_stored(12, signed=signed) // 4
    padding = -2000 if signed else 4000
    inside = stored[8:].copy()
    stored[:8] = padding
    pixels = decode(draw_dicom(stored, photometric=photometric, PixelPaddingValue=padding)).pixels
    expected = stretched(inside)
    assert pixels[:8].max() == 0
    np.testing.assert_allclose(
        pixels[8:], 1 - expected if photometric == "MONOCHROME1" else expected, atol=1e-7
    )


def test_a_padding_range_may_be_given_reversed():
    stored = draw_stored(12) // 4 + 200
    stored[:4], stored[4:8] = 10, 100
    for first, last in ((0, 150), (150, 0)):
        content = draw_dicom(stored, PixelPaddingValue=first, PixelPaddingRangeLimit=last)
        pixels = decode(content).pixels
        assert pixels[:8].max() == 0
        np.testing.assert_allclose(pixels[8:], stretched(stored[8:]), atol=1e-7)


def test_a_picture_that_is_all_padding_is_refused():
    content = draw_dicom(np.full((40, 32), 7, np.uint16), PixelPaddingValue=7)
    with pytest.raises(NotARadiograph, match="padding"):
        decode(content)


@pytest.mark.parametrize(
    "options",
    [
        {"WindowCenter": 100, "WindowWidth": 0},
        {"RescaleSlope": 0, "RescaleIntercept": 0},
        {"WindowCenter": 100, "WindowWidth": 50, "VOILUTFunction": "CUBIC"},
        {"VOILUTSequence": table_item(0, np.arange(8), 2)},
        {"ModalityLUTSequence": table_item(0, np.array([5000, 3]), 12)},
        {"BitsStored": 14},
        {"HighBit": 15, "BitsStored": 17},
    ],
    ids=str,
)
def test_a_contradictory_header_is_refused(options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        content = draw_dicom(**options)
    with pytest.raises(UnreadableImage):
        decode(content)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["RG1_J2KI", "RG2_RLE", "RG2_J2KI", "RG3_RLE", "RG3_JLSL", "DX_highdicom"]
)
def test_real_radiographs_agree_with_pydicom(shared_data, name):
    dataset = dcmread(shared_data / "dicom" / f"{name}.dcm")
    shown = apply_voi_lut(apply_modality_lut(dataset.pixel_array, dataset), dataset)
    expected = shown / (2**dataset.BitsStored - 1)
    if dataset.PhotometricInterpretation == "MONOCHROME1":
        expected = 1 - expected
    np.testing.assert_allclose(decode(read_sample(shared_data, name)).pixels, expected, atol=1e-6)


def test_real_monochrome1_has_bright_bone(shared_data):
    """The tibia's shaft in RG3 against the air beside it; the spine in RG1 against the lung."""
    tibia = decode(read_sample(shared_data, "RG3_RLE")).pixels
    assert tibia[600:900, 820:900].mean() > tibia[600:900, 500:560].mean() + 0.3
    chest = decode(read_sample(shared_data, "RG1_J2KI")).pixels
    assert chest[600:900, 850:950].mean() > chest[600:900, 450:550].mean() + 0.05
