"""Overlays on an absolute colour scale."""

from __future__ import annotations

import io

import cv2
import numpy as np
import pytest
from PIL import Image

from utils.imaging import geometry, overlay


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


def test_values_over_the_top_look_like_the_top() -> None:
    level = overlay.levels(np.array([[2.0, 50.0]], np.float32), 1, 2, 2.0)
    assert level.tolist() == [[255, 255]]


def test_the_layer_has_every_colour_and_opacity() -> None:
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


def test_without_evidence_the_radiograph_stays() -> None:
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


def test_the_layer_is_a_png_and_the_blend_a_jpeg() -> None:
    png = Image.open(io.BytesIO(overlay.png(np.zeros((8, 9), np.uint8))))
    assert (png.format, png.size) == ("PNG", (9, 8))
    jpeg = Image.open(io.BytesIO(overlay.jpeg(np.zeros((8, 9), np.uint8))))
    assert (jpeg.format, jpeg.size) == ("JPEG", (9, 8))


BOX = geometry.Rectangle(20, 30, 15, 20)


@pytest.mark.parametrize("level", [0, 128, 255])
def test_an_outline_is_seen_on_any_grey(level: int) -> None:
    picture = np.full((64, 80, 3), level, np.uint8)
    overlay.outline(picture, BOX, dashed=False)
    row = picture[27, :, 0].astype(int)
    assert row[25:30].tolist() == [level, 0, 255, 255, 0]
    assert row[50:55].tolist() == [0, 255, 255, 0, level]


def test_an_outline_hides_nothing_of_the_box() -> None:
    picture = np.full((64, 80, 3), 128, np.uint8)
    overlay.outline(picture, BOX, dashed=False)
    assert (picture[BOX.inside] == 128).all()
    assert (picture[19:36, 29:51] != 128).sum() == 3 * 2 * (17 + 20)


def test_a_doubtful_outline_has_gaps() -> None:
    solid, dashed = (np.full((64, 80, 3), 128, np.uint8) for _ in range(2))
    overlay.outline(solid, BOX, dashed=False)
    overlay.outline(dashed, BOX, dashed=True)
    assert 0.4 < (dashed != 128).sum() / (solid != 128).sum() < 0.8


def test_a_box_at_the_border_is_still_outlined() -> None:
    picture = np.full((64, 80, 3), 128, np.uint8)
    overlay.outline(picture, geometry.Rectangle(0, 0, 64, 40), dashed=False)
    assert (picture[:, :40] == 128).all()
    assert (picture[:, 41:43] == 255).all()
