"""Draws what a network should doubt: radiographs unlike those at hand, and pictures that are none.

No photographs come with this project, so that strangers are made of the two that scikit-learn brings (by
hundreds of crops, turned, blurred, in other tones) and of drawn pages, shapes, patterns and noise.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import cv2
import numpy as np

from utils.imaging.geometry import Rectangle
from utils.preprocess import fit

_LETTERS = np.array(list("abcdefghijklmnopqrstuvwxyz     "))


def vary(fitted: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Make another exposure of a fitted radiograph: turned, cropped, collimated, in other tones.

    Args:
        fitted: uint8 (size, size).
        random: decides how.
    """
    size = fitted.shape[0]
    turn = random.choice([0, 0, 90, 180, 270]) + random.uniform(-15, 15)
    zoom = np.exp(random.uniform(np.log(0.8), np.log(2.0)))
    place = cv2.getRotationMatrix2D((size / 2, size / 2), turn, zoom)
    place[:, 2] += random.uniform(-0.12, 0.12, 2) * size
    moved = cv2.warpAffine(fitted.astype(np.float32) / 255.0, place, (size, size))
    if random.random() < 0.5:
        moved = moved[:, ::-1]
    shown = moved > 0
    toned = np.power(moved, np.exp(random.uniform(np.log(0.5), np.log(2.0))))
    toned = (toned - 0.5) * random.uniform(0.5, 1.5) + 0.5 + random.uniform(-0.2, 0.2)
    toned = toned + random.normal(0.0, random.uniform(0.0, 0.03), toned.shape)
    varied = np.where(shown, toned, 0.0)
    if random.random() < 0.25:
        _label(varied, random)
    if random.random() < 0.25:
        # A collimator's edges, with white, grey or black beyond them.
        beyond = np.full(varied.shape, random.choice([0.0, random.uniform(0.3, 1.0), 1.0]))
        first, last = np.sort(random.uniform(0, size, (2, 2)) * 0.3 + [[0, 0], [0.7 * size] * 2], 0)
        inside = (slice(int(first[0]), int(last[0])), slice(int(first[1]), int(last[1])))
        beyond[inside] = varied[inside]
        varied = beyond
    levels = _bytes(varied)
    if random.random() < 0.25:
        _, packed = cv2.imencode(
            ".jpg", levels, [cv2.IMWRITE_JPEG_QUALITY, int(random.integers(15, 60))]
        )
        levels = np.asarray(cv2.imdecode(packed, cv2.IMREAD_GRAYSCALE))
    return levels


def _label(picture: np.ndarray, random: np.random.Generator) -> None:
    """Write a few words and a side marker into a picture, float (size, size), as if burned in."""
    size = picture.shape[0]
    grey = float(random.uniform(0.7, 1.0))
    for _ in range(int(random.integers(1, 5))):
        letters = int(random.integers(1, 25))
        words = "".join(random.choice(_LETTERS, letters)).upper()
        where = (int(random.uniform(0.0, 0.8) * size), int(random.uniform(0.05, 1.0) * size))
        scale = size * (random.uniform(0.001, 0.002) if letters > 1 else 0.004)
        font = cv2.FONT_HERSHEY_SIMPLEX
        # On bytes: smooth edges are drawn on nothing else.
        written = np.zeros(picture.shape, np.uint8)
        cv2.putText(written, words, where, font, scale, 255, 1 + size // 300, cv2.LINE_AA)
        share = written / 255.0
        picture[:] = picture * (1.0 - share) + grey * share


def invert(fitted: np.ndarray, place: Rectangle) -> np.ndarray:
    """Turn the greys of a fitted radiograph round, and leave the margin that fitting added black.

    Args:
        fitted: uint8 (size, size).
        place: where the radiograph lies in it.
    """
    turned = np.zeros_like(fitted)
    turned[place.inside] = 255 - fitted[place.inside]
    return turned


def draw_ood_sample(size: int, random: np.random.Generator) -> np.ndarray:
    """Draw a picture that is no radiograph, uint8 (size, size), letterboxed as any picture is."""
    height = round(size * np.exp(random.uniform(np.log(0.3), 0.0)))
    shape = (height, size) if random.random() < 0.5 else (size, height)
    draw = _KINDS[random.choice(len(_KINDS), p=_CHANCES)]
    drawn = np.ascontiguousarray(draw(shape, random), np.float32)
    if random.random() < 0.2:
        drawn = drawn * np.exp(random.uniform(np.log(0.05), 0.0))  # badly lit
    if random.random() < 0.2:
        drawn = _set_into(drawn, random)
    return fit(drawn.astype(np.float32), size)


def _set_into(drawn: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Set a picture into a frame whose brightness is not quite even, so that it is seen."""
    height, width = drawn.shape
    margins = (random.uniform(0, 0.6, (2, 2)) * [[height], [width]]).astype(int)
    grey = random.choice([0.0, random.uniform(0.0, 1.0), 1.0])
    framed = np.pad(drawn, margins, constant_values=grey)
    outside = np.pad(np.zeros(drawn.shape, bool), margins, constant_values=True)
    return np.where(outside, framed + random.normal(0.0, 0.02, framed.shape), framed).clip(0, 1)


def _photograph(shape: tuple[int, int], random: np.random.Generator) -> np.ndarray:
    """Crop one of scikit-learn's two photographs and change its tones."""
    colour = _sample(str(random.choice(["china.jpg", "flower.jpg"])))
    # One channel or their mean: three greys of every scene.
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
    """Write lines of letters, dark on light or the reverse."""
    # Bytes: letters and smooth edges are drawn on nothing else.
    page = np.full(shape, random.uniform(150, 255), np.uint8)
    scale = random.uniform(0.3, 1.4)
    step = round(30 * scale) + 4
    for row in range(step, shape[0], step):
        words = "".join(random.choice(_LETTERS, 90))
        font = int(random.choice([cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_COMPLEX]))
        cv2.putText(page, words, (6, row), font, scale, random.uniform(0, 100), 1, cv2.LINE_AA)
    return (page if random.random() < 0.7 else 255 - page) / 255.0


def _shapes(shape: tuple[int, int], random: np.random.Generator) -> np.ndarray:
    """Scatter discs, boxes and lines, few or many, over black, white, grey or a gradient."""
    down, right = np.meshgrid(*(np.linspace(0, 1, side) for side in shape), indexing="ij")
    slope = random.uniform(-0.5, 0.5, 2) if random.random() < 0.6 else np.zeros(2)
    level = random.choice([0.0, random.uniform(0.1, 0.9), 1.0])
    drawn = _bytes(level + slope[0] * down + slope[1] * right)
    for _ in range(int(np.exp(random.uniform(0.0, np.log(60))))):
        where = tuple(int(random.integers(0, side)) for side in shape[::-1])
        grey, reach = random.uniform(0, 255), int(random.integers(4, max(shape) // 3))
        if random.random() < 0.4:
            cv2.circle(drawn, where, reach, grey, -1, cv2.LINE_AA)
        elif random.random() < 0.6:
            cv2.rectangle(drawn, where, (where[0] + reach, where[1] + reach // 2), grey, -1)
        else:
            cv2.line(drawn, where, (where[0] + reach, where[1] - reach), grey, 2, cv2.LINE_AA)
    return drawn / 255.0


def _pattern(shape: tuple[int, int], random: np.random.Generator) -> np.ndarray:
    """Tile the plane with squares or waves."""
    rows, columns = np.indices(shape)
    period = random.uniform(6, max(shape) / 3)
    if random.random() < 0.5:
        return ((rows // period + columns // period) % 2).astype(np.float32)
    angle = random.uniform(0, np.pi)
    waves = np.sin((rows * np.sin(angle) + columns * np.cos(angle)) * 2 * np.pi / period)
    return (0.5 + 0.5 * waves).astype(np.float32)


def _texture(shape: tuple[int, int], random: np.random.Generator) -> np.ndarray:
    """Filter noise to a power law of frequency: clouds, plaster, sand."""
    frequency = np.hypot(*np.meshgrid(*map(np.fft.fftfreq, shape), indexing="ij"))
    frequency[0, 0] = 1.0
    noise = np.fft.fft2(random.normal(size=shape)) / frequency ** random.uniform(0.0, 1.8)
    drawn = np.real(np.fft.ifft2(noise))
    return (0.5 + drawn / (6.0 * drawn.std())).clip(0, 1).astype(np.float32)


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
