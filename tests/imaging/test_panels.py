"""Several radiographs in one picture."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.pictures import draw_radiograph
from utils.imaging.content_crop import find_content_crop
from utils.imaging.geometry import Rectangle
from utils.imaging.panels import find_panels


def draw(seed: int, ground: float = 0.0) -> np.ndarray:
    """A drawn radiograph on a brighter or darker ground."""
    return np.clip(draw_radiograph(300, 240, seed=seed) * (1 - ground) + ground, 0, 1)


def panels(picture: np.ndarray) -> list[Rectangle]:
    """Panels of a picture, float32, as it is cropped."""
    picture = picture.astype(np.float32)
    return find_panels(picture, find_content_crop(picture))


@pytest.mark.parametrize("gap", [0, 3, 25])
def test_two_beside_each_other_are_found(gap: int) -> None:
    space = np.full((300, gap), 0.6)
    left, right = panels(np.hstack([draw(1), space, draw(2, 0.2)]))
    assert abs(left.width - 240) <= 2
    assert abs(right.left - 240 - gap) <= 2
    assert left.height == right.height == 300


def test_two_above_each_other_are_found() -> None:
    upper, lower = panels(np.vstack([draw(1), np.full((20, 240), 0.9), draw(2)]))
    assert (upper.top, upper.width, lower.width) == (0, 240, 240)
    assert abs(upper.height - 300) <= 2
    assert abs(lower.top - 320) <= 2


def test_four_on_a_sheet_are_found() -> None:
    bar, column = np.full((15, 495), 1.0), np.full((300, 15), 1.0)
    rows = [np.hstack([draw(seed), column, draw(seed + 1)]) for seed in (1, 3)]
    found = panels(np.vstack([rows[0], bar, rows[1]]))
    assert [(one.top > 200, one.left > 200) for one in found] == [
        (False, False),
        (False, True),
        (True, False),
        (True, True),
    ]


def test_two_apart_on_a_page_are_found() -> None:
    paper = np.full((560, 700), 0.95)
    places = [Rectangle(40, 50, 300, 240), Rectangle(200, 400, 300, 240)]
    for seed, place in enumerate(places):
        paper[place.inside] = draw(seed + 1)
    assert panels(paper) == places


@pytest.mark.parametrize("seed", range(5))
def test_one_radiograph_has_no_panels(seed: int) -> None:
    assert panels(draw_radiograph(454, 373, seed=seed)) == []


def test_a_panel_of_text_is_no_radiograph() -> None:
    text = np.full((300, 100), 0.2)
    text[30:280:40, 10:70:3] = 0.9
    assert panels(np.hstack([text, draw(2, 0.4)])) == []
