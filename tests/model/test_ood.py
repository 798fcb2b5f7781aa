"""Out-of-distribution detector: distance, classifiers, limits, codes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.distance import mahalanobis
from sklearn.covariance import LedoitWolf

from tests.support.bundles import fixed_ood_detector
from utils.errors import SetupError
from utils.model.ood import (
    CODES,
    FALSE_ALARMS,
    INVERTED,
    NOT_A_RADIOGRAPH,
    UNLIKE_TRAINING,
    UNSUPPORTED_REGION,
    OODDetector,
    fit_ood_detector,
)

CHANNELS = 6


def cloud(count: int, middle: float, seed: int) -> np.ndarray:
    """Embeddings around a place, of very different spread in each channel, two of them correlated."""
    random = np.random.default_rng(seed)
    drawn = random.normal(size=(count, CHANNELS))
    drawn[:, 1] += drawn[:, 0]
    return ((drawn + middle) * np.array([1, 2, 0.1, 5, 1, 1])).astype(np.float32)


@pytest.fixture(scope="module")
def fitted() -> OODDetector:
    """Fitted to radiographs at 0, other pictures at 6, inverted radiographs at -6."""
    return fit_ood_detector(cloud(600, 0, 1), cloud(400, 0, 2), cloud(200, 6, 3), cloud(200, -6, 4))


def test_the_distance_is_mahalanobis_shrunk(fitted: OODDetector) -> None:
    training, others = cloud(600, 0, 1).astype(np.float64), cloud(5, 2, 9)
    spread = training.std(axis=0)
    gaussian = LedoitWolf(assume_centered=True).fit((training - training.mean(axis=0)) / spread)
    inverse = np.linalg.inv(gaussian.covariance_ * np.outer(spread, spread))
    expected = [mahalanobis(row, training.mean(axis=0), inverse) / CHANNELS**0.5 for row in others]
    np.testing.assert_allclose(fitted.scores(others)[UNLIKE_TRAINING], expected, rtol=0.01)


@pytest.mark.parametrize("code", CODES)
def test_false_alarms_are_as_rare_as_stated(fitted: OODDetector, code: str) -> None:
    fresh = cloud(4000, 0, 5)
    raised = np.mean([code in fitted.codes(row) for row in fresh])
    assert raised <= 2 * FALSE_ALARMS[code] + 0.005


def test_known_kinds_get_their_codes(fitted: OODDetector) -> None:
    assert all(NOT_A_RADIOGRAPH in fitted.codes(row) for row in cloud(50, 6, 6))
    assert all(INVERTED in fitted.codes(row) for row in cloud(50, -6, 7))
    assert not any(NOT_A_RADIOGRAPH in fitted.codes(row) for row in cloud(50, -6, 7))


def test_an_unknown_kind_is_an_unsupported_region(fitted: OODDetector) -> None:
    # Away from all, along both borders: neither towards other pictures nor towards inverted ones.
    along = np.linalg.qr(np.column_stack([fitted.borders, np.eye(CHANNELS)]))[0][:, 2]
    aside = fitted.mean + 12 * along @ np.linalg.inv(fitted.whitening)
    assert fitted.codes(aside.astype(np.float32)) == (UNSUPPORTED_REGION,)


def test_beyond_the_border_distance_is_not_needed(fitted: OODDetector) -> None:
    near = replace(fitted, limits={**fitted.limits, UNLIKE_TRAINING: 1e9, UNSUPPORTED_REGION: 1e9})
    assert all(near.codes(row) == (NOT_A_RADIOGRAPH,) for row in cloud(50, 6, 6))
    assert not any(NOT_A_RADIOGRAPH in near.codes(row) for row in cloud(400, 0, 7))


@pytest.mark.parametrize(
    ("exceeded", "codes"),
    [
        ((), ()),
        ((UNLIKE_TRAINING,), (UNLIKE_TRAINING,)),
        ((UNLIKE_TRAINING, UNSUPPORTED_REGION), (UNSUPPORTED_REGION,)),
        ((NOT_A_RADIOGRAPH,), ()),
        ((UNLIKE_TRAINING, NOT_A_RADIOGRAPH), (NOT_A_RADIOGRAPH,)),
        ((UNLIKE_TRAINING, UNSUPPORTED_REGION, NOT_A_RADIOGRAPH), (NOT_A_RADIOGRAPH,)),
        ((UNLIKE_TRAINING, UNSUPPORTED_REGION, INVERTED), (INVERTED,)),
        ((UNLIKE_TRAINING, NOT_A_RADIOGRAPH, INVERTED), (NOT_A_RADIOGRAPH,)),
    ],
)
def test_the_most_severe_code_stands_alone(
    exceeded: tuple[str, ...], codes: tuple[str, ...]
) -> None:
    assert fixed_ood_detector(*exceeded, channels=4).codes(np.ones(4, np.float32)) == codes


def test_arrays_that_do_not_fit_are_refused() -> None:
    whole = fixed_ood_detector(channels=4)
    with pytest.raises(SetupError, match="do not fit together"):
        OODDetector(whole.mean, whole.whitening[:3], whole.borders, whole.offsets, whole.limits)
    with pytest.raises(SetupError, match="do not fit together"):
        OODDetector(
            whole.mean, whole.whitening, whole.borders, whole.offsets, {UNLIKE_TRAINING: 1.0}
        )
