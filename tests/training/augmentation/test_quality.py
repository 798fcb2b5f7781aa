"""utils.training.augmentation.quality: each loss of quality by itself."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.pictures import draw_radiograph
from utils.preprocess import fit
from utils.training.augmentation.quality import QualityRange, change_quality


@pytest.fixture
def picture() -> np.ndarray:
    """A fitted radiograph, uint8 (64, 64)."""
    return fit(draw_radiograph(64, 64), 64)


def changed(picture: np.ndarray, ranges: QualityRange) -> np.ndarray:
    """Change the quality forty times, as float."""
    random = np.random.default_rng(0)
    return np.stack([change_quality(picture, random, ranges) for _ in range(40)]).astype(float)


def roughness(pictures: np.ndarray) -> float:
    """Mean difference of neighbours."""
    return float(np.abs(np.diff(pictures, axis=-1)).mean())


def test_no_range_is_no_change(picture: np.ndarray) -> None:
    assert (changed(picture, QualityRange()) == picture).all()


@pytest.mark.parametrize("ranges", [QualityRange(blur=1.0), QualityRange(shrink=1.0)])
def test_blurred_and_shrunk_are_smoother(picture: np.ndarray, ranges: QualityRange) -> None:
    smoother = changed(picture, ranges)
    assert smoother.shape == (40, 64, 64)
    assert roughness(smoother) < 0.9 * roughness(picture.astype(float))


def test_sharpened_pictures_are_rougher(picture: np.ndarray) -> None:
    assert roughness(changed(picture, QualityRange(sharpen=1.0))) > 1.2 * roughness(picture / 1.0)


def test_noise_has_its_strength_and_no_bias() -> None:
    grey = np.full((64, 64), 128, np.uint8)
    noise = changed(grey, QualityRange(noise=1.0, noise_by=0.03)) - 128
    assert 5 < noise.std(axis=(1, 2)).max() < 0.03 * 255 + 0.5
    assert abs(noise.mean()) < 0.3


def test_jpeg_loses_a_little(picture: np.ndarray) -> None:
    losses = np.abs(changed(picture, QualityRange(jpeg=1.0)) - picture).mean(axis=(1, 2))
    assert 0 < losses.min() < losses.max() < 8
