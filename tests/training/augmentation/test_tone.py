"""utils.training.augmentation.tone: curves, equalisation, dimness."""

from __future__ import annotations

import numpy as np

from utils.training.augmentation.tone import ToneRange, change_tone

RAMP = np.arange(256, dtype=np.uint8).reshape(16, 16)


def tones(ranges: ToneRange, picture: np.ndarray = RAMP, count: int = 200) -> np.ndarray:
    """Change the tone many times."""
    random = np.random.default_rng(0)
    return np.stack([change_tone(picture, random, ranges) for _ in range(count)])


def test_no_range_is_no_change() -> None:
    assert (tones(ToneRange()) == RAMP).all()


def test_brightness_shifts_every_level() -> None:
    moved = tones(ToneRange(brightness=0.1)).reshape(-1, 256).astype(int) - np.arange(256)
    shifts = moved[:, 128]
    assert (moved[:, 40:200] == shifts[:, None]).all()
    assert -26 <= shifts.min() < -22
    assert 22 < shifts.max() <= 26


def test_contrast_turns_about_the_mean() -> None:
    levels = tones(ToneRange(contrast=0.3)).reshape(-1, 256).astype(int)
    assert np.abs(levels[:, 127] - 127).max() <= 1
    gains = (levels[:, 157] - levels[:, 97]) / 60
    assert 0.68 < gains.min() < 0.75
    assert 1.25 < gains.max() < 1.32


def test_gamma_keeps_black_and_white() -> None:
    levels = tones(ToneRange(gamma=2.0)).reshape(-1, 256)
    assert (levels[:, 0] == 0).all()
    assert (levels[:, 255] == 255).all()
    assert levels[:, 64].min() < 20
    assert levels[:, 64].max() > 120
    assert (np.diff(levels.astype(int)) >= 0).all()


def test_equalising_raises_local_contrast() -> None:
    faint = np.random.default_rng(0).integers(100, 116, (64, 64)).astype(np.uint8)
    equalised = tones(ToneRange(equalise=1.0), faint, 20)
    assert equalised.std(axis=(1, 2)).mean() > 1.2 * faint.std()


def test_dimming_loses_levels_but_no_range() -> None:
    wide = np.tile(RAMP, (4, 4))
    dimmed = tones(ToneRange(dim=1.0, dim_by=10), wide, 40)
    levels = [len(np.unique(picture)) for picture in dimmed]
    assert 24 <= min(levels) < 40
    assert max(levels) <= 128
    stretched = [
        np.ptp(picture) for picture, count in zip(dimmed, levels, strict=True) if count < 80
    ]
    assert min(stretched) > 200


def test_a_dim_picture_keeps_half_its_mean() -> None:
    dim = np.random.default_rng(0).integers(10, 50, (32, 32)).astype(np.uint8)
    assert tones(ToneRange(brightness=0.2), dim).mean(axis=(1, 2)).min() > 0.45 * dim.mean()
