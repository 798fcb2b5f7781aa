"""Film in photographs: its corners, and the picture turned upright."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from tests.support.pictures import draw_radiograph
from utils.imaging.perspective import find_film, rectify, upright_transform

FILM = (300, 240)
FRAME = (480, 400)
SQUARE = np.array([[80, 90], [320, 90], [320, 390], [80, 390]], np.float32)
TILTED = np.array([[95, 80], [330, 110], [300, 400], [70, 370]], np.float32)


def photograph(
    corners: np.ndarray, ground: float = 0.95, fade: float = 0.2, film: np.ndarray | None = None
) -> np.ndarray:
    """Film on a light box, or a screen in a dark room: float32, uneven light, blur and noise."""
    film = 0.1 + 0.7 * (draw_radiograph(*FILM) if film is None else film)
    flat = np.array([[0, 0], [FILM[1], 0], [FILM[1], FILM[0]], [0, FILM[0]]], np.float32)
    transform = cv2.getPerspectiveTransform(flat, corners.astype(np.float32))
    shown, share = (
        cv2.warpPerspective(layer, transform, FRAME[::-1])
        for layer in (film.astype(np.float32), np.ones(FILM, np.float32))
    )
    rows, columns = np.mgrid[-1 : 1 : 1j * FRAME[0], -1 : 1 : 1j * FRAME[1]]
    scene = (ground * (1 - share) + shown) * (1 - fade * (rows**2 + columns**2))
    scene = cv2.GaussianBlur(scene, (0, 0), 0.8)
    return np.clip(scene + np.random.default_rng(0).normal(0, 0.015, FRAME), 0, 1).astype(
        np.float32
    )


@pytest.mark.parametrize("corners", [SQUARE, TILTED])
@pytest.mark.parametrize("ground", [0.95, 0.02])
def test_a_film_and_a_screen_are_found(corners: np.ndarray, ground: float) -> None:
    found = find_film(photograph(corners, ground))
    assert found is not None
    assert np.abs(found - corners).max() <= 6


def test_a_corner_may_lie_outside() -> None:
    corners = np.array([[-8, 30], [355, 12], [380, 455], [30, 470]], np.float32)
    found = find_film(photograph(corners))
    assert found is not None
    assert np.abs(found - corners).max() <= 8


@pytest.mark.parametrize("seed", range(4))
def test_a_radiograph_shows_no_film(seed: int) -> None:
    assert find_film(draw_radiograph(454, 373, seed=seed)) is None


def test_an_even_picture_shows_no_film() -> None:
    assert find_film(np.full((200, 300), 0.5, np.float32)) is None


def test_the_film_is_turned_upright() -> None:
    film = np.zeros(FILM, np.float32)
    film[40:90, 30:100], film[200:280, 150:220] = 0.9, 0.5
    upright = rectify(photograph(TILTED, fade=0.0, film=film), TILTED)
    same = cv2.resize(upright, FILM[::-1], interpolation=cv2.INTER_AREA)
    assert np.abs(same - (0.1 + 0.7 * film)).mean() < 0.03


def test_corners_become_the_corners_of_the_film() -> None:
    transform, (height, width) = upright_transform(TILTED)
    moved = cv2.perspectiveTransform(TILTED[None], transform)[0]
    assert np.allclose(moved, [[0, 0], [width, 0], [width, height], [0, height]], atol=1e-2)
    assert height == round(float(np.hypot(*(TILTED[2] - TILTED[1]))))
