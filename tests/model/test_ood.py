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
    PHOTOGRAPHED,
    SEVERAL_RADIOGRAPHS,
    STRETCHED,
    TURNED,
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


def beside(count: int, channel: int, seed: int) -> np.ndarray:
    """Embeddings of radiographs that differ from usual ones in one channel."""
    moved = cloud(count, 0, seed)
    moved[:, channel] += 8 * np.array([1, 2, 0.1, 5, 1, 1])[channel]
    return moved


# Channel to the code of the radiographs that differ in it; two kinds share a code.
PRESENTED = {2: TURNED, 3: STRETCHED, 4: SEVERAL_RADIOGRAPHS, 5: PHOTOGRAPHED, 0: TURNED}


@pytest.fixture(scope="module")
def fitted() -> OODDetector:
    """Fitted to radiographs at 0, other pictures at 6, inverted at -6, others along single channels."""
    return fit_ood_detector(
        cloud(600, 0, 1),
        cloud(400, 0, 2),
        cloud(200, 6, 3),
        cloud(200, -6, 4),
        cloud(300, 0, 10),
        [(code, beside(200, channel, 20 + channel)) for channel, code in PRESENTED.items()],
    )


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


@pytest.mark.parametrize("channel", PRESENTED)
def test_each_presentation_gets_its_code(fitted: OODDetector, channel: int) -> None:
    # However far away, and on whatever side of the other borders.
    silent = dict.fromkeys([NOT_A_RADIOGRAPH, INVERTED, UNLIKE_TRAINING, UNSUPPORTED_REGION], 1e9)
    alone = replace(fitted, limits={**fitted.limits, **silent})
    found = [alone.codes(row) for row in beside(100, channel, 40 + channel)]
    assert np.mean([codes == (PRESENTED[channel],) for codes in found]) > 0.95


def test_an_unknown_kind_is_an_unsupported_region(fitted: OODDetector) -> None:
    # Away from all, along both borders: neither towards other pictures nor towards inverted ones.
    borders = fitted.borders[:, :2]
    along = np.linalg.qr(np.column_stack([borders, np.eye(CHANNELS)]))[0][:, 2]
    aside = fitted.mean + 12 * along @ np.linalg.inv(fitted.whitening)
    two = replace(fitted, limits={**fitted.limits, **dict.fromkeys(PRESENTED.values(), 1e9)})
    assert two.codes(aside.astype(np.float32)) == (UNSUPPORTED_REGION,)


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
        ((UNLIKE_TRAINING, UNSUPPORTED_REGION, STRETCHED), (STRETCHED,)),
        ((UNLIKE_TRAINING, UNSUPPORTED_REGION, TURNED), (UNSUPPORTED_REGION,)),
        ((UNLIKE_TRAINING, TURNED), (TURNED,)),
    ],
)
def test_the_most_severe_code_stands_alone(
    exceeded: tuple[str, ...], codes: tuple[str, ...]
) -> None:
    assert fixed_ood_detector(*exceeded, channels=4).codes(np.ones(4, np.float32)) == codes


def test_arrays_that_do_not_fit_are_refused() -> None:
    whole = fixed_ood_detector(channels=4)
    with pytest.raises(SetupError, match="do not fit together"):
        replace(whole, whitening=whole.whitening[:3])
    with pytest.raises(SetupError, match="do not fit together"):
        replace(whole, limits={UNLIKE_TRAINING: 1.0})
    with pytest.raises(SetupError, match="do not fit together"):
        replace(whole, classifiers=whole.classifiers[1:])
