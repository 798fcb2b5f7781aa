"""The content crop: margins, screenshots, and what is no margin."""

from __future__ import annotations

import cv2
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from utils.imaging.content_crop import find_content_crop
from utils.imaging.geometry import Rectangle
from utils.imaging.radiograph import Radiograph
from utils.preprocess import fit, letterbox, network_input


def framed(
    picture: np.ndarray, above: int, below: int, before: int, behind: int, level: float
) -> np.ndarray:
    """A picture with margins of one brightness."""
    margins = ((above, below), (before, behind))
    return np.pad(picture, margins, constant_values=np.float32(level))


@given(*[st.just(0) | st.integers(10, 200)] * 4, st.floats(0, 1), st.integers(0, 2**31))
def test_margins_of_one_brightness_are_cropped(
    above: int, below: int, before: int, behind: int, level: float, seed: int
) -> None:
    picture = np.random.default_rng(0).random((90, 70), dtype=np.float32)
    whole = framed(picture, above, below, before, behind, level)
    noise = np.random.default_rng(seed).uniform(-0.007, 0.007, whole.shape).astype(np.float32)
    noise[above : above + 90, before : before + 70] = 0.0
    whole = (whole + noise).clip(0.0, 1.0)
    assert find_content_crop(whole) == Rectangle(above, before, 90, 70)
    assert np.array_equal(fit(whole, 64), letterbox(picture, 64))


def test_a_margin_in_a_margin_is_cropped() -> None:
    picture = np.random.default_rng(0).random((50, 40), dtype=np.float32)
    barred = framed(picture, 0, 0, 30, 30, 0.0)
    assert find_content_crop(framed(barred, 20, 9, 0, 0, 1.0)) == Rectangle(20, 30, 50, 40)


def test_faint_tissue_is_no_margin() -> None:
    picture = np.zeros((60, 60), np.float32)
    picture[20:40, 20:40] = np.linspace(0.2, 0.9, 20)
    picture[19, 30] = 0.05  # a tip of a finger, one pixel
    assert find_content_crop(picture) == Rectangle(19, 20, 21, 20)


def test_clock_and_caption_are_cropped() -> None:
    screen = np.zeros((800, 370), np.float32)
    screen[5:15, 300:360:3] = 1.0
    screen[200:600] = np.random.default_rng(0).random((400, 370))
    screen[760:775, 40:200:2] = 0.8
    assert find_content_crop(screen) == Rectangle(200, 0, 400, 370)


def test_two_hands_are_kept_with_their_gap() -> None:
    pair = np.zeros((200, 300), np.float32)
    cv2.ellipse(pair, (50, 100), (40, 80), 0, 0, 360, 0.5, -1)
    cv2.ellipse(pair, (220, 100), (20, 60), 0, 0, 360, 0.8, -1)
    assert find_content_crop(pair) == Rectangle(20, 10, 161, 231)


def test_a_slope_of_brightness_is_no_margin() -> None:
    slope = np.tile(np.linspace(0.0, 1.0, 400, dtype=np.float32)[:, None], (1, 300))
    assert find_content_crop(slope) == Rectangle(0, 0, 400, 300)


def test_a_picture_of_one_brightness_stays_whole() -> None:
    assert find_content_crop(np.full((30, 20), 0.3, np.float32)) == Rectangle(0, 0, 30, 20)


def test_a_crop_is_in_pixels_of_the_file() -> None:
    picture = framed(np.random.default_rng(0).random((50, 40), dtype=np.float32), 0, 0, 30, 30, 0.0)
    assert network_input(Radiograph(picture, "png"), 32).crop == Rectangle(0, 30, 50, 40)
    halved = Radiograph(picture, "jpeg", size=(101, 199))
    assert network_input(halved, 32).crop == Rectangle(0, 60, 101, 80)
