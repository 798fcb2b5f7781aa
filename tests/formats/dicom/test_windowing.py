"""Windows, tables and stretching against hand results and against pydicom's own."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.pixels import apply_windowing

from utils.errors import UnreadableImage
from utils.formats.dicom.windowing import WINDOW_FUNCTIONS, apply_table, apply_window, stretch


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
    ("center", "width", "function"),
    [
        (100, 0.5, "LINEAR"),
        (100, 0, "LINEAR_EXACT"),
        (100, -3, "SIGMOID"),
        (float("nan"), 100, "LINEAR"),
        (100, float("inf"), "LINEAR"),
        (100, 100, "CUBIC"),
    ],
)
def test_a_forbidden_window_is_refused(center, width, function):
    with pytest.raises(UnreadableImage, match="window"):
        apply_window(np.arange(4), center, width, function)


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
