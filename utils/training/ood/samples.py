"""Synthetic OOD samples, and the variation of radiographs that are none.

OOD samples are crops of the two photographs that scikit-learn contains, and drawn pages, shapes, patterns
and noise: no photographs come with this project.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import cv2
import numpy as np

from utils.preprocess import fit
from utils.training.augmentation.marks import MarkRates
from utils.training.augmentation.pose import PoseRange
from utils.training.augmentation.quality import QualityRange
from utils.training.augmentation.tone import ToneRange
from utils.training.augmentation.variation import Variation

# Radiographs that vary so far are no OOD samples.
IN_DISTRIBUTION = Variation(
    PoseRange(mirror=0.5, turn=0.6, degrees=15.0, zoom=(0.8, 2.0), shift=0.12),
    ToneRange(gamma=2.0, contrast=0.5, brightness=0.2),
    QualityRange(noise=1.0, noise_by=0.03, jpeg=0.25, jpeg_quality=(15, 60)),
    MarkRates(words=0.25, collimator=0.25),
)

_LETTERS = np.array(list("abcdefghijklmnopqrstuvwxyz     "))


def draw_ood_sample(size: int, random: np.random.Generator) -> np.ndarray:
    """Return a picture that is no radiograph, letterboxed, uint8 (size, size)."""
    height = round(size * np.exp(random.uniform(np.log(0.3), 0.0)))
    shape = (height, size) if random.random() < 0.5 else (size, height)
    draw = _KINDS[random.choice(len(_KINDS), p=_CHANCES)]
    picture = np.ascontiguousarray(draw(shape, random), np.float32)
    if random.random() < 0.2:
        picture = picture * np.exp(random.uniform(np.log(0.05), 0.0))  # underexposed
    if random.random() < 0.2:
        picture = _add_border(picture, random)
    return fit(picture.astype(np.float32), size)


def _add_border(picture: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Add a border of one grey with noise, without which preprocessing would crop it off."""
    height, width = picture.shape
    margins = (random.uniform(0, 0.6, (2, 2)) * [[height], [width]]).astype(int)
    grey = random.choice([0.0, random.uniform(0.0, 1.0), 1.0])
    bordered = np.pad(picture, margins, constant_values=grey)
    outside = np.pad(np.zeros(picture.shape, bool), margins, constant_values=True)
    noise = random.normal(0.0, 0.02, bordered.shape)
    return np.where(outside, bordered + noise, bordered).clip(0, 1)


def _photograph(shape: tuple[int, int], random: np.random.Generator) -> np.ndarray:
    """Crop one of scikit-learn's two photographs and change its tones."""
    colour = _sample(str(random.choice(["china.jpg", "flower.jpg"])))
    # Random weights of the channels: many greys of one scene.
    weights = random.dirichlet(np.ones(3))
    grey = (colour @ weights).astype(np.float32) / 255.0
    share = np.exp(random.uniform(np.log(0.25), 0.0))
    rows, columns = (max(32, round(side * share)) for side in grey.shape)
    top = int(random.integers(0, grey.shape[0] - rows + 1))
    left = int(random.integers(0, grey.shape[1] - columns + 1))
    crop = np.rot90(grey[top : top + rows, left : left + columns], int(random.integers(0, 4)))
    if random.random() < 0.5:
        crop = crop[:, ::-1]
    crop = np.power(np.ascontiguousarray(crop), np.exp(random.uniform(-0.7, 0.7)))
    if random.random() < 0.3:
        crop = cv2.GaussianBlur(crop, (0, 0), random.uniform(0.5, 4.0))
    return np.asarray(crop)


@cache
def _sample(name: str) -> np.ndarray:
    """Load one of scikit-learn's photographs, uint8 (height, width, 3)."""
    from sklearn.datasets import load_sample_image

    return np.asarray(load_sample_image(name))


def _page(shape: tuple[int, int], random: np.random.Generator) -> np.ndarray:
    """Draw lines of letters, dark on light or the reverse."""
    page = np.full(shape, random.uniform(150, 255), np.uint8)
    scale = random.uniform(0.3, 1.4)
    step = round(30 * scale) + 4
    for row in range(step, shape[0], step):
        words = "".join(random.choice(_LETTERS, 90))
        font = int(random.choice([cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_COMPLEX]))
        cv2.putText(page, words, (6, row), font, scale, random.uniform(0, 100), 1, cv2.LINE_AA)
    return (page if random.random() < 0.7 else 255 - page) / 255.0


def _shapes(shape: tuple[int, int], random: np.random.Generator) -> np.ndarray:
    """Draw discs, boxes and lines over black, white, grey or a gradient."""
    down, right = np.meshgrid(*(np.linspace(0, 1, side) for side in shape), indexing="ij")
    slope = random.uniform(-0.5, 0.5, 2) if random.random() < 0.6 else np.zeros(2)
    level = random.choice([0.0, random.uniform(0.1, 0.9), 1.0])
    picture = _bytes(level + slope[0] * down + slope[1] * right)
    for _ in range(int(np.exp(random.uniform(0.0, np.log(60))))):
        where = tuple(int(random.integers(0, side)) for side in shape[::-1])
        grey, reach = random.uniform(0, 255), int(random.integers(4, max(shape) // 3))
        if random.random() < 0.4:
            cv2.circle(picture, where, reach, grey, -1, cv2.LINE_AA)
        elif random.random() < 0.6:
            cv2.rectangle(picture, where, (where[0] + reach, where[1] + reach // 2), grey, -1)
        else:
            cv2.line(picture, where, (where[0] + reach, where[1] - reach), grey, 2, cv2.LINE_AA)
    return picture / 255.0


def _pattern(shape: tuple[int, int], random: np.random.Generator) -> np.ndarray:
    """Draw a chessboard or waves."""
    rows, columns = np.indices(shape)
    period = random.uniform(6, max(shape) / 3)
    if random.random() < 0.5:
        return ((rows // period + columns // period) % 2).astype(np.float32)
    angle = random.uniform(0, np.pi)
    waves = np.sin((rows * np.sin(angle) + columns * np.cos(angle)) * 2 * np.pi / period)
    return (0.5 + 0.5 * waves).astype(np.float32)


def _texture(shape: tuple[int, int], random: np.random.Generator) -> np.ndarray:
    """Draw noise with a power-law spectrum: clouds, plaster, sand."""
    frequency = np.hypot(*np.meshgrid(*map(np.fft.fftfreq, shape), indexing="ij"))
    frequency[0, 0] = 1.0
    noise = np.fft.fft2(random.normal(size=shape)) / frequency ** random.uniform(0.0, 1.8)
    texture = np.real(np.fft.ifft2(noise))
    return (0.5 + texture / (6.0 * texture.std())).clip(0, 1).astype(np.float32)


_KINDS: tuple[Callable[[tuple[int, int], np.random.Generator], np.ndarray], ...] = (
    _photograph,
    _page,
    _shapes,
    _pattern,
    _texture,
)
_CHANCES = (0.6, 0.1, 0.1, 0.05, 0.15)


def _bytes(picture: np.ndarray) -> np.ndarray:
    return np.rint(picture.clip(0.0, 1.0) * 255.0).astype(np.uint8)
