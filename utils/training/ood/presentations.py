"""Radiographs as they should not arrive: turned, stretched, several in one picture, photographed.

The OOD detector learns them from radiographs of the train part. Pictures are uint8 (height, width).
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from utils.imaging.geometry import resize
from utils.model.ood import PHOTOGRAPHED, SEVERAL_RADIOGRAPHS, STRETCHED, TURNED
from utils.training.augmentation.film import photograph
from utils.training.augmentation.pose import log_uniform

# Least and largest stretch.
_STRETCH = (1.4, 2.2)
# Draws a picture for a classifier from one or more radiographs.
Draw = Callable[[list[np.ndarray], np.random.Generator], np.ndarray]


def quarter_turn(pictures: list[np.ndarray], random: np.random.Generator) -> np.ndarray:
    """Turn a radiograph by 90 or 270 degrees, sometimes mirrored."""
    turned = np.rot90(pictures[0], random.choice([1, 3]))
    return np.ascontiguousarray(turned[::-1] if random.random() < 0.5 else turned)


def half_turn(pictures: list[np.ndarray], random: np.random.Generator) -> np.ndarray:
    """Turn a radiograph by 180 degrees, sometimes mirrored."""
    picture = pictures[0][::-1]
    return np.ascontiguousarray(picture[:, ::-1] if random.random() < 0.5 else picture)


def stretch_wide(pictures: list[np.ndarray], random: np.random.Generator) -> np.ndarray:
    """Make a radiograph 1.4 to 2.2 times as wide as it should be."""
    height, width = pictures[0].shape
    return resize(pictures[0], height, round(width * log_uniform(random, *_STRETCH)))


def stretch_tall(pictures: list[np.ndarray], random: np.random.Generator) -> np.ndarray:
    """Make a radiograph 1.4 to 2.2 times as tall as it should be."""
    height, width = pictures[0].shape
    return resize(pictures[0], round(height * log_uniform(random, *_STRETCH)), width)


def join(pictures: list[np.ndarray], random: np.random.Generator) -> np.ndarray:
    """Set two, three or four radiographs beside or above each other, with or without a gap."""
    count = int(random.choice([2, 2, 2, 3, 4]))
    gap = int(random.integers(2, 40)) if random.random() < 0.4 else 0
    grey = int(random.choice([0, 0, 255, int(random.integers(256))]))
    if count == 4:
        above, below = (_row(pictures[first : first + 2], gap, grey) for first in (0, 2))
        return np.rot90(_row([np.rot90(above), np.rot90(below)], gap, grey), -1)
    if random.random() < 0.5:
        return _row(pictures[:count], gap, grey)
    return np.rot90(_row([np.rot90(picture) for picture in pictures[:count]], gap, grey), -1)


def photograph_film(pictures: list[np.ndarray], random: np.random.Generator) -> np.ndarray:
    """Photograph a radiograph on a light box or a monitor, from a little aside, with what is around it."""
    film = pictures[0]
    height, width = film.shape
    reach = random.choice([1.02, random.uniform(1.05, 1.9)])
    frame = (round(height * reach), round(width * reach))
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    sway = random.uniform(-0.04, 0.04, (4, 2)) * [width, height]
    moved = corners + sway + np.array([frame[1] - width, frame[0] - height]) / 2
    matrix = cv2.getPerspectiveTransform(corners, moved.astype(np.float32))
    shown = cv2.warpPerspective(film, matrix, frame[::-1])
    share = cv2.warpPerspective(np.ones(film.shape, np.float32), matrix, frame[::-1])
    return photograph(shown, share, random)


# A classifier a line: the code that it gives, and how its pictures are drawn.
PRESENTATIONS: tuple[tuple[str, Draw], ...] = (
    (TURNED, quarter_turn),
    (TURNED, half_turn),
    (STRETCHED, stretch_wide),
    (STRETCHED, stretch_tall),
    (SEVERAL_RADIOGRAPHS, join),
    (PHOTOGRAPHED, photograph_film),
)
# Radiographs that one picture needs at most.
MOST_RADIOGRAPHS = 4


def _row(pictures: list[np.ndarray], gap: int, grey: int) -> np.ndarray:
    """Set pictures beside each other, as high as the first."""
    height = pictures[0].shape[0]
    row: list[np.ndarray] = []
    for picture in pictures:
        width = max(8, round(picture.shape[1] * height / picture.shape[0]))
        row += [
            np.full((height, gap), grey, np.uint8),
            resize(np.ascontiguousarray(picture), height, width),
        ]
    return np.hstack(row[1:])
