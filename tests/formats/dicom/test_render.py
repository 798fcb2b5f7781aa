"""From stored values to brightness, against hand results and pydicom."""

from __future__ import annotations

import io

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.pixels import apply_modality_lut, apply_voi_lut
from pydicom.sequence import Sequence

from tests.support.dicoms import (
    draw_dicom,
    draw_stored,
    noticed,
    read_sample,
    stretched,
    table_item,
)
from utils.errors import NotARadiograph
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
    options |= {"WindowCenter": 1500.5, "WindowWidth": 5000}
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
    several = draw_dicom(stored, WindowCenter=[1700, 2000], WindowWidth=[2900, 4000])
    first = draw_dicom(stored, WindowCenter=1700, WindowWidth=2900)
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


def with_text(content: bytes, old: bytes, new: bytes) -> bytes:
    """Replace a decimal string by one that pydicom would not write."""
    assert content.count(old) == 1
    assert len(old) == len(new)
    return content.replace(old, new)


@pytest.mark.parametrize(
    ("center", "width"),
    [
        (0, 0),
        (2048, -4096),
        (9000, 500),
        (2048, 65536),
        (-50, 20),
        (2048, 40),
        (128, 256),
        (4000, 4096),
    ],
)
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_a_window_that_does_not_fit_is_ignored(photometric, center, width):
    stored = draw_stored(12)
    if photometric == "MONOCHROME1":
        stored, center = 4095 - stored, 4095 - center
    options = {"photometric": photometric, "WindowCenter": center, "WindowWidth": width}
    content = draw_dicom(stored, **options)
    expected = stretched(draw_stored(12))
    np.testing.assert_allclose(decode(content).pixels, expected, atol=1e-7)
    assert noticed(content) == ["window_ignored"]


@pytest.mark.parametrize("text", [b"NaN ", b"inf ", b"1e999"[:4], b"abc ", b"1_00"])
def test_a_window_of_no_number_is_ignored(text):
    content = with_text(draw_dicom(WindowCenter=2048, WindowWidth=4321), b"4321", text)
    np.testing.assert_array_equal(decode(content).pixels, decode(draw_dicom()).pixels)
    assert noticed(content) == ["window_ignored"]


def test_a_decimal_comma_is_a_point():
    point = draw_dicom(WindowCenter="2048.5", WindowWidth="4000.5", RescaleSlope="1.05")
    comma = (
        point.replace(b"2048.5", b"2048,5").replace(b"4000.5", b"4000,5").replace(b"1.05", b"1,05")
    )
    np.testing.assert_array_equal(decode(comma).pixels, decode(point).pixels)
    assert not decode(comma).notices


def test_the_first_window_that_fits_is_taken():
    stored = draw_stored(12)
    content = draw_dicom(stored, WindowCenter=[9000, 2000], WindowWidth=[100, 4000])
    second = draw_dicom(stored, WindowCenter=2000, WindowWidth=4000)
    np.testing.assert_array_equal(decode(content).pixels, decode(second).pixels)
    assert noticed(content) == ["window_ignored"]


def test_an_unknown_function_is_linear():
    window = {"WindowCenter": 2048, "WindowWidth": 4096}
    content = draw_dicom(**window, VOILUTFunction="CUBIC")
    np.testing.assert_array_equal(decode(content).pixels, decode(draw_dicom(**window)).pixels)
    assert noticed(content) == ["window_function"]


def test_a_fraction_wide_window_of_tiny_slope_counts():
    content = draw_dicom(RescaleSlope="0.0001", WindowCenter="0.2", WindowWidth="0.4")
    expected = np.clip(draw_stored(12) * 0.0001 / 0.4, 0, 1)
    np.testing.assert_allclose(decode(content).pixels, expected, atol=1e-6)


LINEAR = np.arange(4096)


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize(
    ("entries", "bits"),
    [
        (LINEAR, 16),
        (LINEAR // 16, 16),
        (LINEAR // 8, 12),
        (LINEAR * 2, 12),
        (LINEAR, 2),
        (LINEAR, 0),
    ],
    ids=["12_of_16", "8_of_16", "9_of_12", "13_of_12", "2", "0"],
)
def test_a_voi_table_of_wrong_bits_is_scaled(entries, bits, photometric):
    stored = draw_stored(12)
    shown = stored if photometric == "MONOCHROME2" else 4095 - stored
    item = table_item(0, entries, bits)
    content = draw_dicom(shown, photometric=photometric, VOILUTSequence=item)
    expected = entries[shown] / entries.max()
    expected = expected if photometric == "MONOCHROME2" else 1 - expected
    np.testing.assert_allclose(decode(content).pixels, expected, atol=1e-6)
    assert noticed(content) == ["voi_table_scaled"]


@pytest.mark.parametrize(
    "item",
    [
        table_item(0, np.arange(256), 8),
        table_item(20_000, LINEAR, 12),
        table_item(0, 32_000 + LINEAR // 4, 16),
        table_item(0, LINEAR * 0, 12),
        table_item(0, LINEAR // 2048 * 4095, 12),
    ],
    ids=["short", "beside", "flat", "black", "binary"],
)
def test_a_voi_table_that_does_not_fit_is_ignored(item):
    content = draw_dicom(VOILUTSequence=item)
    np.testing.assert_allclose(decode(content).pixels, stretched(draw_stored(12)), atol=1e-7)
    assert noticed(content)[-1] == "voi_table_ignored"


def test_after_a_useless_table_comes_the_window():
    window = {"WindowCenter": 2048, "WindowWidth": 4096}
    content = draw_dicom(VOILUTSequence=table_item(0, LINEAR * 0, 12), **window)
    np.testing.assert_array_equal(decode(content).pixels, decode(draw_dicom(**window)).pixels)
    assert noticed(content) == ["voi_table_ignored"]


@pytest.mark.parametrize("fault", ["half", "descriptor"])
def test_an_incomplete_table_is_ignored(fault):
    item = table_item(0, LINEAR, 12)
    if fault == "half":
        item[0].LUTData = item[0].LUTData[:4096]
    else:
        del item[0][0x00283002]
    content = draw_dicom(VOILUTSequence=item)
    np.testing.assert_array_equal(decode(content).pixels, decode(draw_dicom()).pixels)
    assert noticed(content) == ["voi_table_ignored"]


def test_entries_of_a_byte_each_are_read():
    item = table_item(0, LINEAR, 8)
    item[0].LUTData = (LINEAR // 16).astype(np.uint8).tobytes()
    content = draw_dicom(VOILUTSequence=item)
    np.testing.assert_allclose(decode(content).pixels, draw_stored(12) // 16 / 255, atol=1e-7)


@pytest.mark.parametrize(
    "item",
    [table_item(0, LINEAR * 0, 12), table_item(0, np.arange(256), 8)],
    ids=["flat", "short"],
)
def test_a_useless_modality_table_is_ignored(item):
    content = draw_dicom(ModalityLUTSequence=item)
    np.testing.assert_array_equal(decode(content).pixels, decode(draw_dicom()).pixels)
    assert noticed(content) == ["modality_table_ignored"]


def test_a_modality_tables_bits_do_not_matter():
    content = draw_dicom(ModalityLUTSequence=table_item(0, LINEAR, 10))
    np.testing.assert_array_equal(decode(content).pixels, decode(draw_dicom()).pixels)


@pytest.mark.parametrize("slope", [b"0.00", b"NaN ", b"x   ", b"inf "])
def test_a_rescale_that_cannot_be_is_ignored(slope):
    content = with_text(draw_dicom(RescaleSlope="1.25", RescaleIntercept=0), b"1.25", slope)
    np.testing.assert_array_equal(decode(content).pixels, decode(draw_dicom()).pixels)
    assert noticed(content) == ["rescale_ignored"]


def test_a_huge_intercept_swallows_nothing():
    content = draw_dicom(RescaleSlope=1, RescaleIntercept="1e20")
    np.testing.assert_array_equal(decode(content).pixels, decode(draw_dicom()).pixels)


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("size", [(1, 1), (3, 1)], ids=["hot_pixel", "marker"])
def test_a_few_bright_pixels_decide_nothing(photometric, size):
    stored = draw_stored(12, height=160, width=120)
    content_of = lambda values: draw_dicom(values, bits=16, photometric=photometric)  # noqa: E731
    inverse = photometric == "MONOCHROME1"
    plain = 30_000 - stored if inverse else stored
    marked = plain.copy()
    marked[20 : 20 + size[0] * 4, 30 : 30 + size[1] * 4] = 0 if inverse else 65535
    expected, found = decode(content_of(plain)).pixels, decode(content_of(marked)).pixels
    difference = np.abs(found - expected)[40:]
    assert difference.max() < 0.02
    assert found[21, 31] == 1


@pytest.mark.parametrize(("declared", "found"), [(63536, 63000), (None, 65535), (None, 0)])
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_a_misnamed_padding_is_black(photometric, declared, found):
    stored = draw_stored(12, height=80, width=64)
    shown = (4095 - stored if photometric == "MONOCHROME1" else stored) + 20_000
    padded = np.pad(shown, 20, constant_values=found)
    options = {"PixelPaddingValue": declared} if declared else {}
    content = draw_dicom(padded, bits=16, photometric=photometric, **options)
    expected = np.pad(stretched(stored), 20)
    assert np.abs(decode(content).pixels - expected).max() < 0.02
    assert noticed(content) == ["padding_undeclared"]


@pytest.mark.parametrize("limit", [1000, 3500])
def test_a_padding_range_over_values_is_ignored(limit):
    content = draw_dicom(PixelPaddingValue=0, PixelPaddingRangeLimit=limit)
    np.testing.assert_array_equal(decode(content).pixels, decode(draw_dicom()).pixels)
    assert noticed(content) == ["padding_ignored"]


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
