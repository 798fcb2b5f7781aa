"""Turned, stretched, joined and photographed radiographs: shapes, content, randomness."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.pictures import draw_radiograph
from utils.model.ood import CODES
from utils.training.ood import presentations
from utils.training.ood.presentations import MOST_RADIOGRAPHS, PRESENTATIONS, Draw


@pytest.fixture
def pictures() -> list[np.ndarray]:
    """Radiographs of different shapes, uint8."""
    shapes = [(96, 72), (80, 100), (64, 64), (120, 50)]
    drawn = (draw_radiograph(*shape, seed=seed) for seed, shape in enumerate(shapes))
    return [np.rint(255 * picture).astype(np.uint8) for picture in drawn]


@pytest.mark.parametrize(("code", "draw"), PRESENTATIONS)
def test_every_presentation_is_drawn_anew(
    code: str, draw: Draw, pictures: list[np.ndarray]
) -> None:
    before = [picture.copy() for picture in pictures]
    first, again, *others = (
        draw(pictures, np.random.default_rng(seed)) for seed in (3, 3, 4, 5, 6, 7, 8)
    )
    assert code in CODES
    assert first.dtype == np.uint8
    assert first.ndim == 2
    assert np.array_equal(first, again)
    assert len({picture.tobytes() for picture in (first, *others)}) > 1
    assert all(np.array_equal(*pair) for pair in zip(before, pictures, strict=True))


def test_turns_swap_rows_and_columns(pictures: list[np.ndarray]) -> None:
    quarters, halves = (
        {draw(pictures, np.random.default_rng(seed)).tobytes() for seed in range(40)}
        for draw in (presentations.quarter_turn, presentations.half_turn)
    )
    picture = pictures[0]
    assert quarters == {
        np.ascontiguousarray(turned).tobytes()
        for once in (np.rot90(picture), np.rot90(picture, 3))
        for turned in (once, once[::-1])
    }
    assert halves == {
        np.ascontiguousarray(turned).tobytes() for turned in (picture[::-1], np.rot90(picture, 2))
    }


def test_stretching_keeps_the_other_side(pictures: list[np.ndarray]) -> None:
    random = np.random.default_rng(0)
    wide = presentations.stretch_wide(pictures, random)
    tall = presentations.stretch_tall(pictures, random)
    assert wide.shape[0] == 96
    assert 1.39 * 72 < wide.shape[1] < 2.21 * 72
    assert tall.shape[1] == 72
    assert 1.39 * 96 < tall.shape[0] < 2.21 * 96


def test_joined_pictures_are_all_there(pictures: list[np.ndarray]) -> None:
    greys = [np.full_like(picture, 60 * (1 + n)) for n, picture in enumerate(pictures)]
    for seed in range(30):
        joined = presentations.join(greys, np.random.default_rng(seed))
        found = {60 * (1 + n) for n in range(MOST_RADIOGRAPHS)} & set(np.unique(joined))
        assert {60, 120} <= found


def test_a_photograph_is_hazy(pictures: list[np.ndarray]) -> None:
    for seed in range(10):
        shown = presentations.photograph_film(pictures, np.random.default_rng(seed))
        assert shown.shape[0] >= pictures[0].shape[0]
        assert np.std(shown) > 5
