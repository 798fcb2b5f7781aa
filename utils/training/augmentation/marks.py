"""Marks that are no anatomy: burnt-in words and side markers, edges of a collimator.

They never hide a marked box.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

_LETTERS = np.array(list("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789     "))
# Largest share of a side that a collimator cuts off.
_CUT = 0.25
# Between a box and the edge of the collimator, as a share of the side.
_MARGIN = 0.03


@dataclass(frozen=True)
class MarkRates:
    """Rates of marks; those of the defaults draw none.

    Args:
        words: of pictures with words or side markers.
        collimator: of pictures whose border is plain or noisy black, white or grey.
    """

    words: float = 0.0
    collimator: float = 0.0


def add_marks(
    picture: np.ndarray, boxes: np.ndarray, random: np.random.Generator, rates: MarkRates
) -> np.ndarray:
    """Return a picture uint8 (size, size) with random marks beside the boxes float32 (n, 4)."""
    if random.random() < rates.collimator:
        picture = _collimate(picture, boxes, random)
    if random.random() < rates.words:
        picture = _burn_in_words(picture, boxes, random)
    return picture


def _burn_in_words(
    picture: np.ndarray, boxes: np.ndarray, random: np.random.Generator
) -> np.ndarray:
    """Burn in a few words, or a side marker; where one would lie on a box, it is left out."""
    size = picture.shape[0]
    hidden = np.zeros_like(picture)
    for _ in range(int(random.integers(1, 5))):
        letters = int(random.integers(1, 25))
        words = "".join(random.choice(_LETTERS, letters))
        x, y = (int(size * random.uniform(*reach)) for reach in ((0.0, 0.8), (0.05, 1.0)))
        scale = size * (random.uniform(0.001, 0.002) if letters > 1 else 0.004)
        font, thick = cv2.FONT_HERSHEY_SIMPLEX, 1 + size // 300
        (width, height), below = cv2.getTextSize(words, font, scale, thick)
        if _meets(boxes, (x, y - height, x + width, y + below)):
            continue
        cv2.putText(hidden, words, (x, y), font, scale, 255, thick, cv2.LINE_AA)
    grey = 255.0 * random.uniform(0.7, 1.0)
    share = hidden.astype(np.float32) / 255.0
    return np.rint(picture * (1.0 - share) + grey * share).astype(np.uint8)


def _meets(boxes: np.ndarray, area: tuple[float, float, float, float]) -> bool:
    left, top, right, bottom = area
    start, end = boxes[:, :2], boxes[:, :2] + boxes[:, 2:]
    return bool(((start < (right, bottom)) & (end > (left, top))).all(axis=1).any())


def _collimate(picture: np.ndarray, boxes: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Replace what lies outside a field with four straight edges, a little oblique."""
    size = picture.shape[0]
    cut = random.uniform(0.0, _CUT * size, (2, 2)) * (random.random((2, 2)) < 0.7)
    first, last = cut[0], size - cut[1]
    if len(boxes):
        margin = _MARGIN * size
        first = np.minimum(first, boxes[:, :2].min(axis=0) - margin)
        last = np.maximum(last, (boxes[:, :2] + boxes[:, 2:]).max(axis=0) + margin)
    corners = np.array([first, [last[0], first[1]], last, [first[0], last[1]]])
    # Outwards alone, so that the field still holds the boxes.
    outwards = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])
    corners = corners + outwards * random.uniform(0.0, 0.06 * size, (4, 2))
    field = np.zeros_like(picture)
    cv2.fillConvexPoly(field, np.rint(corners).astype(np.int32), 255)
    grey = random.choice([0.0, 0.0, random.uniform(0.0, 255.0), 255.0])
    beyond = np.full(picture.shape, grey, np.float32)
    if random.random() < 0.3:
        beyond += random.standard_normal(picture.shape, np.float32) * random.uniform(1.0, 12.0)
    return np.where(field > 0, picture, np.rint(beyond.clip(0.0, 255.0)).astype(np.uint8))
