"""Overlays: back on the original's pixels, on an absolute scale."""

from __future__ import annotations

import io

import cv2
import numpy as np
import pytest
from PIL import Image

from utils import overlay
from utils.preprocess import placement


@pytest.mark.parametrize(("height", "width"), [(454, 373), (373, 454), (300, 300), (2880, 900)])
def test_a_hot_cell_comes_back_where_it_was_seen(height: int, width: int) -> None:
    cells = 12
    place = placement(height, width, 384)
    for row, column in [(3, 5), (6, 6), (8, 6)]:
        signed = np.full((cells, cells), -1.0, np.float32)
        signed[row, column] = 2.0
        activation = overlay.undo_letterbox(signed, height, width)
        found = overlay.peak(activation, height, width)
        assert found is not None
        cell = 384 / cells
        expected_x = ((column + 0.5) * cell - place.left) * width / place.width
        expected_y = ((row + 0.5) * cell - place.top) * height / place.height
        # Bilinear interpolation leaves a plateau about the cell's middle: half a cell at most.
        assert abs(found[0] - expected_x) <= 0.25 * cell * width / place.width
        assert abs(found[1] - expected_y) <= 0.25 * cell * height / place.height


def test_the_map_keeps_the_originals_aspect() -> None:
    activation = overlay.undo_letterbox(np.ones((10, 10), np.float32), 2880, 2304)
    assert activation.shape[0] / activation.shape[1] == pytest.approx(2880 / 2304, rel=0.01)


def test_no_evidence_is_transparent_and_has_no_peak() -> None:
    activation = overlay.undo_letterbox(np.full((10, 10), -3.0, np.float32), 100, 80)
    assert not activation.any()
    assert overlay.peak(activation, 100, 80) is None
    assert not overlay.layer(activation, 50, 40, 1.0)[..., 3].any()


def test_a_colour_means_the_same_on_every_picture() -> None:
    """The same value among low and among high ones gets the same colour: nothing is stretched."""
    calm, hot = np.full((8, 8), 0.5, np.float32), np.full((8, 8), 0.5, np.float32)
    hot[0, 0] = 9.0
    first = overlay.layer(calm, 8, 8, 2.0)[4, 4]
    second = overlay.layer(hot, 8, 8, 2.0)[4, 4]
    assert np.array_equal(first, second)
    assert first[3] == round(0.25 / overlay.OPAQUE_FROM * 255)


def test_values_over_the_top_of_the_scale_look_like_the_top() -> None:
    layer = overlay.layer(np.array([[2.0, 50.0]], np.float32), 1, 2, 2.0)
    assert np.array_equal(layer[0, 0], layer[0, 1])
    assert layer[0, 0, 3] == 255


def test_the_colour_map_rises_in_lightness() -> None:
    lab = cv2.cvtColor(overlay.colours()[None], cv2.COLOR_BGR2LAB)[0, :, 0].astype(int)
    assert (np.diff(lab) >= 0).all()
    assert lab[-1] - lab[0] > 150


def test_a_blend_leaves_the_radiograph_where_there_is_no_evidence() -> None:
    grey = np.arange(64, dtype=np.uint8).reshape(8, 8)
    activation = np.zeros((8, 8), np.float32)
    activation[0, 0] = 1.0
    mixed = overlay.blend(grey, overlay.layer(activation, 8, 8, 1.0))
    assert np.array_equal(mixed[1:], np.repeat(grey[1:, :, None], 3, axis=2))
    top = overlay.colours()[255] * overlay.STRENGTH + grey[0, 0] * (1 - overlay.STRENGTH)
    np.testing.assert_allclose(mixed[0, 0], top, atol=1)


@pytest.mark.parametrize(
    ("size", "side", "expected"),
    [((2880, 2304), 512, (512, 410)), ((100, 50), 512, (100, 50)), ((1, 9000), 512, (1, 512))],
)
def test_pictures_are_shrunk_and_never_enlarged(
    size: tuple[int, int], side: int, expected: tuple[int, int]
) -> None:
    assert overlay.within(*size, side) == expected


def test_the_layer_is_a_png_with_opacity_and_the_blend_a_jpeg() -> None:
    layer = overlay.layer(np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8), 8, 8, 1.0)
    png = Image.open(io.BytesIO(overlay.png(layer)))
    assert (png.format, png.mode, png.size) == ("PNG", "RGBA", (8, 8))
    assert np.array_equal(np.asarray(png)[..., 3], layer[..., 3])
    assert np.array_equal(np.asarray(png)[..., :3], layer[..., 2::-1])
    jpeg = Image.open(io.BytesIO(overlay.jpeg(np.zeros((8, 9), np.uint8))))
    assert (jpeg.format, jpeg.size) == ("JPEG", (9, 8))
