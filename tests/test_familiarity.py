"""Familiarity: a Mahalanobis distance, two borders, and limits that radiographs seldom pass."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.distance import mahalanobis
from sklearn.covariance import LedoitWolf

from tests.bundles import opinion
from utils.errors import SetupError
from utils.familiarity import (
    CODES,
    FALSE_ALARMS,
    INVERTED,
    STRANGE,
    UNLIKE,
    UNSUPPORTED,
    Familiarity,
    fit_familiarity,
)

CHANNELS = 6


def cloud(count: int, middle: float, seed: int) -> np.ndarray:
    """Embeddings around a place, of very different spread in each channel, two of them correlated."""
    random = np.random.default_rng(seed)
    drawn = random.normal(size=(count, CHANNELS))
    drawn[:, 1] += drawn[:, 0]
    return ((drawn + middle) * np.array([1, 2, 0.1, 5, 1, 1])).astype(np.float32)


@pytest.fixture(scope="module")
def fitted() -> Familiarity:
    """Familiar with a cloud at 0; strangers are at 6, inverted radiographs at -6."""
    return fit_familiarity(cloud(600, 0, 1), cloud(400, 0, 2), cloud(200, 6, 3), cloud(200, -6, 4))


def test_the_distance_is_mahalanobis_of_a_shrunk_gaussian(fitted: Familiarity) -> None:
    familiar, asked = cloud(600, 0, 1).astype(np.float64), cloud(5, 2, 9)
    spread = familiar.std(axis=0)
    gaussian = LedoitWolf(assume_centered=True).fit((familiar - familiar.mean(axis=0)) / spread)
    inverse = np.linalg.inv(gaussian.covariance_ * np.outer(spread, spread))
    expected = [mahalanobis(row, familiar.mean(axis=0), inverse) / CHANNELS**0.5 for row in asked]
    np.testing.assert_allclose(fitted.scores(asked)[UNLIKE], expected, rtol=0.01)


@pytest.mark.parametrize("code", CODES)
def test_a_doubt_is_raised_without_cause_as_seldom_as_it_says(
    fitted: Familiarity, code: str
) -> None:
    fresh = cloud(4000, 0, 5)
    raised = np.mean([code in fitted.doubts(row) for row in fresh])
    assert raised <= 2 * FALSE_ALARMS[code] + 0.005


def test_what_is_learned_of_is_told_apart(fitted: Familiarity) -> None:
    assert all(STRANGE in fitted.doubts(row) for row in cloud(50, 6, 6))
    assert all(INVERTED in fitted.doubts(row) for row in cloud(50, -6, 7))
    assert not any(STRANGE in fitted.doubts(row) for row in cloud(50, -6, 7))


def test_something_never_seen_of_another_kind_is_unsupported(fitted: Familiarity) -> None:
    # Away from all, along both borders: neither towards strangers nor towards what is inverted.
    along = np.linalg.qr(np.column_stack([fitted.borders, np.eye(CHANNELS)]))[0][:, 2]
    aside = fitted.mean + 12 * along @ np.linalg.inv(fitted.whitening)
    assert fitted.doubts(aside.astype(np.float32)) == (UNSUPPORTED,)


def test_beyond_the_border_itself_a_stranger_need_not_be_far_away(fitted: Familiarity) -> None:
    near = replace(fitted, limits={**fitted.limits, UNLIKE: 1e9, UNSUPPORTED: 1e9})
    assert all(near.doubts(row) == (STRANGE,) for row in cloud(50, 6, 6))
    assert not any(STRANGE in near.doubts(row) for row in cloud(400, 0, 7))


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ((), ()),
        ((UNLIKE,), (UNLIKE,)),
        ((UNLIKE, UNSUPPORTED), (UNSUPPORTED,)),
        ((STRANGE,), ()),
        ((UNLIKE, STRANGE), (STRANGE,)),
        ((UNLIKE, UNSUPPORTED, STRANGE), (STRANGE,)),
        ((UNLIKE, UNSUPPORTED, INVERTED), (INVERTED,)),
        ((UNLIKE, STRANGE, INVERTED), (STRANGE,)),
    ],
)
def test_of_the_doubts_about_distance_the_gravest_is_told(
    said: tuple[str, ...], told: tuple[str, ...]
) -> None:
    assert opinion(*said, channels=4).doubts(np.ones(4, np.float32)) == told


def test_arrays_that_do_not_fit_together_are_refused() -> None:
    whole = opinion(channels=4)
    with pytest.raises(SetupError, match="does not fit together"):
        Familiarity(whole.mean, whole.whitening[:3], whole.borders, whole.offsets, whole.limits)
    with pytest.raises(SetupError, match="does not fit together"):
        Familiarity(whole.mean, whole.whitening, whole.borders, whole.offsets, {UNLIKE: 1.0})
