"""Photograph of a film: haze, contrast, interference, uneven light, reflection, blur and noise."""

from __future__ import annotations

import cv2
import numpy as np


def photograph(film: np.ndarray, share: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Return the photograph of a film on a light box or of a monitor in a dark room.

    Args:
        film: radiograph as it lies in the photograph, uint8 (height, width).
        share: of each pixel that it covers, float32 (height, width) in [0, 1].
        random: source of every choice.

    Returns:
        uint8 (height, width).
    """
    levels = np.linspace(0.0, 1.0, 256) ** np.exp(random.uniform(-0.4, 0.4))
    curve = random.uniform(5, 60) + random.uniform(0.5, 0.9) * 255.0 * levels
    scene = cv2.LUT(film, curve.astype(np.float32))
    if random.random() < 0.3:
        scene = scene * (1.0 + random.uniform(0.03, 0.15) * _moire(film.shape, random))
    around = random.choice([random.uniform(0, 60), random.uniform(180, 255)])
    scene = around * (1.0 - share) + share * scene
    return _expose(scene.astype(np.float32), random)


def _moire(shape: tuple[int, ...], random: np.random.Generator) -> np.ndarray:
    """Draw the interference of a monitor's pixels with a camera's, float32 in [-1, 1]."""
    waves = (2 * np.pi * random.uniform(0.05, 0.4) * np.arange(side) for side in shape)
    return np.multiply.outer(*(np.sin(wave).astype(np.float32) for wave in waves))


def _expose(scene: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Add what light and camera add to a scene, float32 (height, width), and round it."""
    scene = scene * (1.0 - random.uniform(0.2, 0.9) * _distance(scene, random.uniform(0.2, 0.8, 2)))
    if random.random() < 0.5:
        distance = _distance(scene, random.uniform(0, 1, 2))
        spot = np.exp(-distance / np.float32(random.uniform(0.05, 0.25) ** 2))
        scene = scene + random.uniform(30, 150) * spot
    scene = cv2.GaussianBlur(scene, (0, 0), random.uniform(0.3, 1.5))
    scene = scene + random.uniform(1, 8) * random.standard_normal(scene.shape, np.float32)
    return np.clip(np.rint(scene), 0, 255).astype(np.uint8)


def _distance(scene: np.ndarray, place: np.ndarray) -> np.ndarray:
    """Return the squared distance from a place, float32, where the sides of the picture are 1."""
    down, right = (np.linspace(0, 1, side, dtype=np.float32) for side in scene.shape)
    rows, columns = np.square(down - place[0]), np.square(right - place[1])
    return np.add.outer(rows, columns).astype(np.float32)
