"""Strangers: varied and inverted radiographs, and pictures that are none, drawn alike from one seed."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.pictures import draw_radiograph
from utils.imaging.geometry import placement
from utils.preprocess import fit
from utils.training.ood_samples import draw_ood_sample, invert, vary

SIZE = 64


def test_one_seed_draws_the_same_strangers_and_another_others() -> None:
    first, again, other = (
        np.stack([draw_ood_sample(SIZE, random) for _ in range(6)])
        for random in map(np.random.default_rng, (1, 1, 2))
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_every_stranger_shows_something_and_no_two_the_same() -> None:
    random = np.random.default_rng(0)
    drawn = [draw_ood_sample(SIZE, random) for _ in range(60)]
    assert {picture.shape for picture in drawn} == {(SIZE, SIZE)}
    assert min(int(np.ptp(picture)) for picture in drawn) > 10
    assert len({picture.tobytes() for picture in drawn}) == 60


def test_an_inverted_radiograph_is_dark_where_it_was_bright_and_keeps_its_margin() -> None:
    fitted = fit(draw_radiograph(96, 60), SIZE)
    place = placement(96, 60, SIZE)
    turned = invert(fitted, place)
    inside = slice(place.left, place.left + place.width)
    assert not turned[:, : place.left].any()
    assert np.array_equal(turned[:, inside], 255 - fitted[:, inside])


@pytest.mark.parametrize("seed", range(5))
def test_a_varied_radiograph_is_another_picture_of_bytes(seed: int) -> None:
    fitted = fit(draw_radiograph(96, 72), SIZE)
    varied = vary(fitted, np.random.default_rng(seed))
    assert varied.dtype == np.uint8
    assert varied.shape == fitted.shape
    assert np.ptp(varied) > 30
    assert np.abs(varied.astype(int) - fitted).mean() > 3
