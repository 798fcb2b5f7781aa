"""What the network sees: fitting, scaling, placing."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.pictures import draw_radiograph
from utils.errors import BundleError, UnknownName
from utils.imaging.content_crop import find_content_crop
from utils.imaging.geometry import Rectangle
from utils.imaging.radiograph import Radiograph
from utils.preprocess import (
    SCALINGS,
    PreprocessSpec,
    fit,
    letterbox,
    network_input,
    placement,
    preprocess,
    resize,
    scale,
)


def test_a_tall_picture_is_centred_between_black_margins() -> None:
    fitted = fit(np.ones((96, 48), np.float32), 64)
    assert fitted.shape == (64, 64)
    assert fitted.dtype == np.uint8
    assert (fitted[:, 16:48] == 255).all()
    assert not fitted[:, :16].any()
    assert not fitted[:, 48:].any()


def test_a_picture_of_the_right_size_keeps_its_grey_levels() -> None:
    levels = np.arange(64 * 64).reshape(64, 64) % 256
    assert np.array_equal(fit((levels / 255).astype(np.float32), 64), levels)


def test_halving_averages_areas() -> None:
    picture = np.array([[0.0, 1.0], [1.0, 0.0]] * 1, np.float32).repeat(32, 0).repeat(32, 1)
    checker = np.indices((64, 64)).sum(0) % 2
    assert np.allclose(resize(checker.astype(np.float32), 32, 32), 0.5)
    assert resize(picture, 32, 32).shape == (32, 32)


def framed(
    picture: np.ndarray, above: int, below: int, before: int, behind: int, level: float
) -> np.ndarray:
    """A picture with margins of one brightness."""
    margins = ((above, below), (before, behind))
    return np.pad(picture, margins, constant_values=np.float32(level))


@given(*[st.just(0) | st.integers(10, 200)] * 4, st.floats(0, 1), st.integers(0, 2**31))
def test_margins_of_one_brightness_are_not_seen(
    above: int, below: int, before: int, behind: int, level: float, seed: int
) -> None:
    picture = draw_radiograph(90, 70)
    picture[[0, -1]], picture[:, [0, -1]] = 0.0, 0.0
    picture[[0, -1], ::2], picture[::2, [0, -1]] = 1.0, 1.0  # no margin of its own
    whole = framed(picture, above, below, before, behind, level)
    noise = np.random.default_rng(seed).uniform(-0.007, 0.007, whole.shape).astype(np.float32)
    noise[above : above + 90, before : before + 70] = 0.0
    whole = (whole + noise).clip(0.0, 1.0)
    assert find_content_crop(whole) == Rectangle(above, before, 90, 70)
    assert np.array_equal(fit(whole, 64), letterbox(picture, 64))


def test_a_margin_in_a_margin_is_not_seen_either() -> None:
    picture = np.random.default_rng(0).random((50, 40), dtype=np.float32)
    barred = framed(picture, 0, 0, 30, 30, 0.0)
    assert find_content_crop(framed(barred, 20, 9, 0, 0, 1.0)) == Rectangle(20, 30, 50, 40)


def test_faint_tissue_is_no_margin() -> None:
    picture = np.zeros((60, 60), np.float32)
    picture[20:40, 20:40] = np.linspace(0.2, 0.9, 20)
    picture[19, 30] = 0.05  # a tip of a finger, one pixel
    assert find_content_crop(picture) == Rectangle(19, 20, 21, 20)


def test_the_clock_and_the_caption_of_a_screenshot_are_not_seen() -> None:
    screen = np.zeros((800, 370), np.float32)
    screen[5:15, 300:360:3] = 1.0
    screen[200:600] = np.random.default_rng(0).random((400, 370))
    screen[760:775, 40:200:2] = 0.8
    assert find_content_crop(screen) == Rectangle(200, 0, 400, 370)


def test_two_hands_are_both_seen_with_what_lies_between_them() -> None:
    pair = np.zeros((200, 300), np.float32)
    pair[20:180, 10:90] = pair[40:160, 200:240] = 0.5
    pair[20:180:2, 10:90:2] = pair[40:160:2, 200:240:2] = 0.9
    assert find_content_crop(pair) == Rectangle(20, 10, 160, 230)


def test_a_slope_of_brightness_is_no_margin() -> None:
    slope = np.tile(np.linspace(0.0, 1.0, 400, dtype=np.float32)[:, None], (1, 300))
    assert find_content_crop(slope) == Rectangle(0, 0, 400, 300)


def test_a_picture_of_one_brightness_is_seen_whole() -> None:
    assert find_content_crop(np.full((30, 20), 0.3, np.float32)) == Rectangle(0, 0, 30, 20)


def test_the_view_of_a_radiograph_is_in_pixels_of_its_file() -> None:
    picture = framed(np.random.default_rng(0).random((50, 40), dtype=np.float32), 0, 0, 30, 30, 0.0)
    assert network_input(Radiograph(picture, "png"), 32).crop == Rectangle(0, 30, 50, 40)
    halved = Radiograph(picture, "jpeg", size=(101, 199))
    assert network_input(halved, 32).crop == Rectangle(0, 60, 101, 80)


@given(st.integers(1, 5000), st.integers(1, 5000), st.integers(32, 512))
def test_every_picture_lies_inside_its_square_and_touches_two_sides(
    height: int, width: int, size: int
) -> None:
    place = placement(height, width, size)
    assert max(place.height, place.width) == size
    assert place.top >= 0
    assert place.top + place.height <= size
    assert place.left >= 0
    assert place.left + place.width <= size
    assert abs(place.height - height * size / max(height, width)) <= 1
    assert abs(place.width - width * size / max(height, width)) <= 1


@pytest.mark.parametrize(
    ("scaling", "application"),
    [("torch", "densenet"), ("tf", "mobilenet_v2"), ("caffe", "resnet50"), ("caffe", "vgg16")],
)
def test_scalings_are_those_that_keras_documents(scaling: str, application: str) -> None:
    levels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16)
    expected = getattr(keras.applications, application).preprocess_input(
        np.repeat(levels[..., None], 3, axis=-1).astype(np.float64)
    )
    np.testing.assert_allclose(scale(levels, scaling), expected, atol=1e-4)


def test_raw_and_unit_scalings_keep_the_levels() -> None:
    levels = np.array([[0, 128, 255]], np.uint8)
    assert np.array_equal(scale(levels, "raw")[0, :, 0], [0, 128, 255])
    np.testing.assert_allclose(scale(levels, "unit")[0, :, 2], [0, 128 / 255, 1])


def test_preprocessing_leaves_its_input_alone() -> None:
    picture = draw_radiograph()
    before = picture.copy()
    prepared = preprocess(picture, PreprocessSpec(64, "torch"))
    assert np.array_equal(picture, before)
    assert prepared.shape == (64, 64, 3)
    assert prepared.dtype == np.float32


def test_a_specification_survives_the_sidecar() -> None:
    spec = PreprocessSpec(320, "torch")
    assert PreprocessSpec(**spec.as_json()) == spec


@pytest.mark.parametrize(
    "wrong",
    [
        {"image_size": 8, "scaling": "torch"},
        {"image_size": 4096, "scaling": "torch"},
        {"image_size": 64, "scaling": "torch", "version": 1},
        {"image_size": 64, "scaling": "torch", "fit": "crop"},
    ],
)
def test_a_specification_that_this_code_cannot_follow_is_refused(wrong: dict) -> None:
    with pytest.raises(BundleError):
        PreprocessSpec(**wrong)


def test_an_unknown_scaling_is_refused_with_the_choices() -> None:
    with pytest.raises(UnknownName, match=", ".join(SCALINGS)):
        PreprocessSpec(64, "imagenet")
