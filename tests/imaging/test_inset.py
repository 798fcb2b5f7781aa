"""Radiographs set into larger pictures."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from tests.support.pictures import draw_radiograph
from utils.imaging.content_crop import find_content_crop
from utils.imaging.geometry import Rectangle
from utils.imaging.inset import find_insets

PLACE = Rectangle(110, 90, 300, 240)
SIZE = (560, 480)


def radiograph(seed: int = 0) -> np.ndarray:
    """A drawn radiograph of PLACE's size."""
    return draw_radiograph(PLACE.height, PLACE.width, seed=seed)


def noise(level: float, deviation: float, size: tuple[int, int] = SIZE) -> np.ndarray:
    """Gaussian noise, levels of 255."""
    return np.random.default_rng(1).normal(level, deviation, size)


def gradient() -> np.ndarray:
    """A slope of brightness down and to the right."""
    return np.add.outer(np.linspace(60, 170, SIZE[0]), np.linspace(0, 80, SIZE[1]))


def vignette() -> np.ndarray:
    """Light that falls off towards the corners."""
    rows, columns = np.mgrid[-1 : 1 : 1j * SIZE[0], -1 : 1 : 1j * SIZE[1]]
    return 220 * (1 - 0.35 * (rows**2 + columns**2))


def viewer() -> np.ndarray:
    """A window with a title bar and a panel of text."""
    window = np.full(SIZE, 90, np.uint8)
    window[:25] = window[:, :45] = 140
    for row in range(60, 520, 40):
        cv2.putText(window, "W 12", (4, row), cv2.FONT_HERSHEY_SIMPLEX, 0.4, 230, 1)
    return window.astype(float)


def page() -> np.ndarray:
    """White paper with a paragraph above the picture and one below it."""
    paper = np.full(SIZE, 255, np.uint8)
    for row in (*range(20, 100, 20), *range(440, 560, 20)):
        text = "Findings of the radiograph"[row % 7 :]
        cv2.putText(paper, text, (40, row), cv2.FONT_HERSHEY_SIMPLEX, 0.6, 20, 1)
    return paper.astype(float)


def desktop() -> np.ndarray:
    """A wallpaper of soft colours."""
    spots = np.random.default_rng(3).uniform(60, 220, (4, 5))
    return np.asarray(cv2.resize(spots, SIZE[::-1], interpolation=cv2.INTER_CUBIC))


def compose(ground: np.ndarray, place: Rectangle = PLACE) -> np.ndarray:
    """Set the radiograph into a picture, float32 in [0, 1], in 255 levels."""
    picture = ground / 255
    picture[place.inside] = radiograph()
    return (np.rint(255 * picture.clip(0, 1)) / 255).astype(np.float32)


def find_inset(picture: np.ndarray) -> Rectangle | None:
    """The only inset of a picture, if it has one."""
    (inset,) = find_insets(picture) or [None]
    return inset


def overlap(found: Rectangle | None, place: Rectangle = PLACE) -> float:
    """Intersection over union."""
    if found is None:
        return 0.0
    first, second = np.zeros((2, 2000, 2000), bool)
    first[found.inside] = second[place.inside] = True
    return float((first & second).sum() / (first | second).sum())


@pytest.mark.parametrize("level", [4, 60, 128, 245])
@pytest.mark.parametrize("deviation", [2, 10, 25])
def test_noise_around_it_is_cropped(level: float, deviation: float) -> None:
    assert overlap(find_inset(compose(noise(level, deviation)))) >= 0.97


@pytest.mark.parametrize("ground", [gradient, vignette, viewer, page, desktop])
def test_surroundings_are_cropped(ground: Callable[[], np.ndarray]) -> None:
    assert overlap(find_content_crop(compose(ground()))) >= 0.97


def test_compression_changes_little() -> None:
    picture = np.rint(255 * compose(gradient())).astype(np.uint8)
    _, file = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 75])
    decoded = cv2.imdecode(file, cv2.IMREAD_GRAYSCALE).astype(np.float32) / 255
    assert overlap(find_inset(decoded)) >= 0.95


def test_a_large_picture_is_cropped_exactly() -> None:
    ground = noise(128, 6, (1500, 1300))
    place = Rectangle(333, 277, 911, 707)
    picture = ground.astype(np.float32) / 255
    picture[place.inside] = draw_radiograph(place.height, place.width)
    assert overlap(find_inset(picture), place) >= 0.995


def test_noise_on_two_sides_is_cropped() -> None:
    place = Rectangle(0, 240, PLACE.height, PLACE.width)
    ground = noise(120, 5, (400, 480))
    assert overlap(find_inset(compose(ground, place)), place) >= 0.97


def test_a_dim_picture_is_cropped() -> None:
    picture = np.rint(compose(noise(200, 10)) * 24) / 255
    assert overlap(find_inset(picture.astype(np.float32))) >= 0.95


@pytest.mark.parametrize("seed", range(6))
def test_a_radiograph_has_no_inset(seed: int) -> None:
    assert find_inset(draw_radiograph(454, 373, seed=seed)) is None


@pytest.mark.parametrize("gap", [0, 4, 30])
def test_two_side_by_side_are_kept(gap: int) -> None:
    space = np.full((PLACE.height, gap), 0.5, np.float32)
    assert find_inset(np.hstack([radiograph(1), space, radiograph(2)])) is None


def test_two_on_a_page_are_both_found() -> None:
    paper = np.full((500, 700), 0.95, np.float32)
    first, second = Rectangle(60, 60, 300, 240), Rectangle(120, 380, 300, 240)
    paper[first.inside], paper[second.inside] = radiograph(1), radiograph(2)
    left, right = sorted(find_insets(paper), key=lambda inset: inset.left)
    assert min(overlap(left, first), overlap(right, second)) >= 0.97
    assert overlap(find_content_crop(paper), Rectangle(60, 60, 360, 560)) >= 0.97


def test_a_small_picture_has_no_inset() -> None:
    picture = np.full((90, 120), 0.9, np.float32)
    picture[20:70, 30:90] = draw_radiograph(50, 60)
    assert find_inset(picture) is None


def test_a_picture_of_one_level_has_no_inset() -> None:
    assert find_inset(np.full((300, 300), 0.4, np.float32)) is None
