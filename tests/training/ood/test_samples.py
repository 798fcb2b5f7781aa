"""OOD samples and varied radiographs: reproducible, distinct, of the right shape."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.pictures import draw_radiograph
from utils.imaging.geometry import placement
from utils.preprocess import fit
from utils.training.augmentation.variation import vary
from utils.training.ood.samples import IN_DISTRIBUTION, draw_ood_sample

SIZE = 64


def test_ood_samples_depend_on_the_seed_alone() -> None:
    first, again, other = (
        np.stack([draw_ood_sample(SIZE, random) for _ in range(6)])
        for random in map(np.random.default_rng, (1, 1, 2))
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_ood_samples_are_distinct_and_not_empty() -> None:
    random = np.random.default_rng(0)
    samples = [draw_ood_sample(SIZE, random) for _ in range(60)]
    assert {picture.shape for picture in samples} == {(SIZE, SIZE)}
    assert min(int(np.ptp(picture)) for picture in samples) > 10
    assert len({picture.tobytes() for picture in samples}) == 60


@pytest.mark.parametrize("seed", range(5))
def test_a_varied_radiograph_is_another_picture(seed: int) -> None:
    fitted = fit(draw_radiograph(96, 72), SIZE)
    place, unmarked = placement(96, 72, SIZE), np.zeros((0, 4), np.float32)
    varied = vary(fitted, place, unmarked, np.random.default_rng(seed), IN_DISTRIBUTION).image
    assert varied.dtype == np.uint8
    assert varied.shape == fitted.shape
    assert np.ptp(varied) > 30
    assert np.abs(varied.astype(int) - fitted).mean() > 3
