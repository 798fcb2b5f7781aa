"""Windows, tables and stretching against hand results and against pydicom's own."""

from __future__ import annotations

import math

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.pixels import apply_windowing

from utils.formats.dicom.windowing import (
    WINDOW_FUNCTIONS,
    apply_table,
    apply_window,
    fits,
    is_window,
    stretch,
)


def test_a_linear_window_follows_the_standard():
    # c = 2048, w = 4096: from 0 (black) to 4095 (white), PS3.3 C.11.2.1.2.1, note 3.
    shown = apply_window(np.array([-5, 0, 2047, 4095, 5000]), 2048, 4096)
    np.testing.assert_allclose(shown, [0, 0, 2047 / 4095, 1, 1])


def test_a_linear_window_of_width_one_is_a_step():
    np.testing.assert_array_equal(apply_window(np.array([99, 100, 101]), 100, 1), [0, 1, 1])


def test_an_exact_linear_center_is_one_half():
    shown = apply_window(np.array([50.0, 100.0, 150.0, 75.0]), 100, 100, "LINEAR_EXACT")
    np.testing.assert_allclose(shown, [0, 0.5, 1, 0.25])


def test_a_sigmoid_window_never_overflows():
    shown = apply_window(np.array([100.0, 125.0, -1e9, 1e9]), 100, 100, "SIGMOID")
    np.testing.assert_allclose(shown, [0.5, 1 / (1 + np.exp(-1)), 0, 1], atol=1e-12)


@pytest.mark.parametrize("function", WINDOW_FUNCTIONS)
@pytest.mark.parametrize(("center", "width"), [(511, 1024), (40.5, 7), (3000, 250.25)])
def test_a_window_equals_pydicoms(function, center, width):
    values = np.arange(4096, dtype=np.uint16)
    dataset = Dataset()
    dataset.WindowCenter, dataset.WindowWidth, dataset.VOILUTFunction = center, width, function
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsStored, dataset.PixelRepresentation = 12, 0
    expected = apply_windowing(values, dataset) / 4095
    np.testing.assert_allclose(apply_window(values, center, width, function), expected, atol=1e-12)


@pytest.mark.parametrize(
    ("center", "width"), [(100, 0), (100, -3), (math.nan, 100), (100, math.inf), (100, math.nan)]
)
def test_a_window_needs_finite_numbers(center, width):
    assert not is_window(center, width)
    assert is_window(100, 0.5)


def test_a_width_below_one_is_exact_linear():
    values = np.array([-0.1, 0.0, 0.2, 0.3, 0.4, 0.9])
    np.testing.assert_allclose(apply_window(values, 0.2, 0.4), [0, 0, 0.5, 0.75, 1, 1])


def test_a_few_units_of_fractions_are_exact_linear():
    values = np.arange(4097) / 1024
    np.testing.assert_allclose(apply_window(values, 2, 4), values / 4)


RAMP = np.linspace(0, 1, 1000)
EVEN = np.ones(1000, int)


@pytest.mark.parametrize(
    ("brightness", "kept"),
    [
        (RAMP, True),
        (1 - RAMP, True),
        (RAMP * 0.3, True),
        (RAMP * 0.2 + 0.4, False),
        (np.zeros(1000), False),
        ((RAMP > 0.5).astype(float), False),
        (np.clip(RAMP * 2.5, 0, 1), False),
        (np.clip(RAMP * 2.5 - 1.5, 0, 1), True),
        (np.clip(RAMP - 0.6, 0, 1), False),
    ],
    ids=["ramp", "inverse", "dim", "flat", "black", "binary", "burnt", "dark", "shifted"],
)
def test_what_keeps_contrast_fits(brightness, kept):
    assert fits(brightness, EVEN) is kept


def test_few_burnt_pixels_are_no_fault():
    counts = np.where(RAMP < 0.4, 100, 1)
    assert fits(np.clip(RAMP * 2.5, 0, 1), counts)


def test_a_table_holds_its_ends_beyond_its_range():
    shown = apply_table(np.array([-7, -2, -1, 0, 9]), -2, np.array([10, 20, 30]))
    np.testing.assert_array_equal(shown, [10, 10, 20, 30, 30])


def test_stretching_takes_low_to_black():
    np.testing.assert_allclose(stretch(np.array([5, 10, 15, 20, 25]), 10, 20), [0, 0, 0.5, 1, 1])


def test_stretching_one_value_gives_black():
    np.testing.assert_array_equal(stretch(np.array([7, 7]), 7, 7), [0, 0])


def test_inputs_are_left_alone():
    values = np.arange(16, dtype=np.float64)
    apply_window(values, 8, 4)
    apply_table(values, 3, np.arange(5))
    stretch(values, 2, 9)
    np.testing.assert_array_equal(values, np.arange(16))
