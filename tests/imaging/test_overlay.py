"""Overlays: back on the original's pixels, on an absolute scale."""

from __future__ import annotations

import io

import cv2
import numpy as np
import pytest
from PIL import Image

from utils.imaging import geometry, overlay
from utils.imaging.geometry import Rectangle, placement


@pytest.mark.parametrize(("height", "width"), [(454, 373), (373, 454), (300, 300), (2880, 900)])
def test_a_hot_cell_comes_back_where_it_was_seen(height: int, width: int) -> None:
    cells = 12
    place = placement(height, width, 384)
    for row, column in [(3, 5), (6, 6), (8, 6)]:
        signed = np.full((cells, cells), -1.0, np.float32)
        signed[row, column] = 2.0
        activation = geometry.map_over_picture(signed, height, width)
        found = geometry.peak(activation, height, width)
        assert found is not None
        cell = 384 / cells
        expected_x = ((column + 0.5) * cell - place.left) * width / place.width
        expected_y = ((row + 0.5) * cell - place.top) * height / place.height
        # Bilinear interpolation leaves a plateau about the cell's middle: half a cell at most.
        assert abs(found[0] - expected_x) <= 0.25 * cell * width / place.width
        assert abs(found[1] - expected_y) <= 0.25 * cell * height / place.height


@pytest.mark.parametrize("shift", [15.5 / 384, -15.5 / 384])
def test_cells_that_look_aside_are_drawn_where_they_look(shift: float) -> None:
    signed = np.zeros((12, 12), np.float32)
    signed[6, 4] = 1.0
    straight = geometry.peak(geometry.map_over_picture(signed, 384, 384), 384, 384)
    moved = geometry.peak(geometry.map_over_picture(signed, 384, 384, shift), 384, 384)
    assert straight
    assert moved
    for before, after in zip(straight, moved, strict=True):
        assert after - before == pytest.approx(shift * 384, abs=1)


def test_a_map_lies_on_what_was_seen_and_nowhere_else() -> None:
    signed = np.zeros((12, 12), np.float32)
    signed[6, 6] = 1.0
    view = Rectangle(top=100, left=30, height=300, width=300)
    activation = geometry.map_over_picture(signed, 500, 900, crop=view)
    assert activation.shape == (284, 512)
    found = geometry.peak(activation, 500, 900)
    assert found is not None
    # The middle of cell 6 of 12, in a view of 300 pixels.
    assert found[0] == pytest.approx(30 + 6.5 * 25, abs=7)
    assert found[1] == pytest.approx(100 + 6.5 * 25, abs=7)
    everywhere = geometry.map_over_picture(np.ones((12, 12), np.float32), 500, 900, crop=view)
    rows, columns = np.nonzero(everywhere)
    scale = 512 / 900
    assert rows.min() == pytest.approx(100 * scale, abs=1)
    assert rows.max() + 1 == pytest.approx(400 * scale, abs=1)
    assert columns.min() == pytest.approx(30 * scale, abs=1)
    assert columns.max() + 1 == pytest.approx(330 * scale, abs=1)


def test_moving_a_map_repeats_its_edge() -> None:
    activation = geometry.map_over_picture(np.ones((12, 12), np.float32), 384, 384, 0.1)
    assert (activation == 1).all()


def test_the_map_keeps_the_originals_aspect() -> None:
    activation = geometry.map_over_picture(np.ones((10, 10), np.float32), 2880, 2304)
    assert activation.shape[0] / activation.shape[1] == pytest.approx(2880 / 2304, rel=0.01)


def test_no_evidence_is_transparent_and_has_no_peak() -> None:
    activation = geometry.map_over_picture(np.full((10, 10), -3.0, np.float32), 100, 80)
    assert not activation.any()
    assert geometry.peak(activation, 100, 80) is None
    layer = decoded(overlay.png(overlay.levels(activation, 50, 40, 1.0)))
    assert layer.shape == (50, 40, 4)
    assert not layer[..., 3].any()


def decoded(png: bytes) -> np.ndarray:
    """Decode a picture with its opacity, uint8 (height, width, 4), red green blue."""
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGBA"))


def test_a_colour_means_the_same_on_every_picture() -> None:
    """The same value among low and among high ones gets the same colour: nothing is stretched."""
    calm, hot = np.full((8, 8), 0.5, np.float32), np.full((8, 8), 0.5, np.float32)
    hot[0, 0] = 9.0
    first = overlay.levels(calm, 8, 8, 2.0)
    second = overlay.levels(hot, 8, 8, 2.0)
    assert first[4, 4] == second[4, 4] == round(0.25 * 255)


def test_values_over_the_top_of_the_scale_look_like_the_top() -> None:
    level = overlay.levels(np.array([[2.0, 50.0]], np.float32), 1, 2, 2.0)
    assert level.tolist() == [[255, 255]]


def test_the_layer_shows_every_level_in_its_colour_and_opacity() -> None:
    level = np.arange(256, dtype=np.uint8).reshape(16, 16)
    layer = decoded(overlay.png(level)).reshape(256, 4)
    assert np.array_equal(layer[:, :3], overlay.colours())
    assert np.array_equal(layer[:, 3], overlay.opacities())
    assert layer[0, 3] == 0
    assert layer[128, 3] == 255


def test_the_colour_map_rises_in_lightness() -> None:
    lab = cv2.cvtColor(overlay.colours()[None], cv2.COLOR_RGB2LAB)[0, :, 0].astype(int)
    assert (np.diff(lab) >= 0).all()
    assert lab[-1] - lab[0] > 150


def test_a_blend_leaves_the_radiograph_where_there_is_no_evidence() -> None:
    grey = np.arange(64, dtype=np.uint8).reshape(8, 8)
    level = np.zeros((8, 8), np.uint8)
    level[0, 0] = 255
    mixed = overlay.blend(grey, level)
    assert np.array_equal(mixed[1:], np.repeat(grey[1:, :, None], 3, axis=2))
    top = overlay.colours()[255, ::-1] * overlay.STRENGTH + grey[0, 0] * (1 - overlay.STRENGTH)
    np.testing.assert_allclose(mixed[0, 0], top, atol=1)


def test_a_blend_mixes_as_opacity_says() -> None:
    random = np.random.default_rng(0)
    grey, level = random.integers(0, 256, (2, 32, 32)).astype(np.uint8)
    opacity = (overlay.opacities()[level] / 255 * overlay.STRENGTH)[..., None]
    expected = grey[..., None] * (1 - opacity) + overlay.colours()[level][..., ::-1] * opacity
    np.testing.assert_allclose(overlay.blend(grey, level), expected, atol=2)


@pytest.mark.parametrize(
    ("size", "side", "expected"),
    [((2880, 2304), 512, (512, 410)), ((100, 50), 512, (100, 50)), ((1, 9000), 512, (1, 512))],
)
def test_pictures_are_shrunk_and_never_enlarged(
    size: tuple[int, int], side: int, expected: tuple[int, int]
) -> None:
    assert geometry.shrunk(*size, side) == expected


def test_the_layer_is_a_png_and_the_blend_a_jpeg() -> None:
    png = Image.open(io.BytesIO(overlay.png(np.zeros((8, 9), np.uint8))))
    assert (png.format, png.size) == ("PNG", (9, 8))
    jpeg = Image.open(io.BytesIO(overlay.jpeg(np.zeros((8, 9), np.uint8))))
    assert (jpeg.format, jpeg.size) == ("JPEG", (9, 8))
