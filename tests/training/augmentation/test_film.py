"""utils.training.augmentation.film: photographs of films."""

from __future__ import annotations

import numpy as np

from utils.training.augmentation.film import photograph

FILM = np.tile(np.linspace(0, 255, 80).astype(np.uint8), (60, 1))


def photographs(share: np.ndarray) -> np.ndarray:
    """Forty photographs of a grey ramp."""
    random = np.random.default_rng(0)
    return np.stack([photograph(FILM, share, random) for _ in range(40)])


def test_a_film_is_hazy_and_flat() -> None:
    shown = photographs(np.ones(FILM.shape, np.float32)).astype(float)
    assert shown.min(axis=(1, 2)).mean() > 8
    assert shown.std(axis=(1, 2)).mean() < 0.95 * FILM.std()
    # The picture is still the ramp.
    rows = shown.mean(axis=1)
    assert np.median([np.corrcoef(row, FILM[0])[0, 1] for row in rows]) > 0.9


def test_what_is_around_a_film_is_plain() -> None:
    share = np.zeros(FILM.shape, np.float32)
    share[:, 40:] = 1
    levels = photographs(share)[:, 25:35, 5:30].mean(axis=(1, 2))
    assert levels.min() < 70
    assert levels.max() > 120
