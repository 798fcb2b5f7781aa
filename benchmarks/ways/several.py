"""Ways that set several radiographs into one picture."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from benchmarks.ways.files import jpeg
from benchmarks.ways.way import Change, Way

KIND = "several radiographs"


def several(normals: Sequence[np.ndarray]) -> list[Way]:
    """Return the ways of this kind; ``normals``, uint8 (height, width), are set beside."""
    return [
        Way(KIND, "beside a normal radiograph", beside(normals)),
        Way(KIND, "beside a normal radiograph, black gap", beside(normals, gap=0.08)),
        Way(KIND, "beside a normal radiograph, white gap", beside(normals, gap=0.08, level=255)),
        Way(KIND, "beside a smaller normal radiograph", beside(normals, height=0.6), jpeg),
        Way(KIND, "above a normal radiograph", above(normals)),
        Way(KIND, "one of three in a row", in_a_row(normals), jpeg),
        Way(KIND, "one of four on a sheet", on_a_sheet(normals), jpeg),
    ]


def beside(
    normals: Sequence[np.ndarray], *, gap: float = 0.0, level: int = 0, height: float = 1.0
) -> Change:
    """Return the change that sets a normal radiograph to the left or right.

    Args:
        normals: one of them is taken.
        gap: between both, as a share of the width.
        level: of the gap.
        height: of the normal one, as a share of the other's.
    """

    def change(grey: np.ndarray, random: np.random.Generator) -> np.ndarray:
        other = _of_height(_one_of(normals, random), round(height * len(grey)))
        other = np.pad(other, ((0, len(grey) - len(other)), (0, 0)), constant_values=level)
        between = np.full((len(grey), round(gap * grey.shape[1])), level, np.uint8)
        parts = [grey, between, other]
        return np.hstack(parts if random.random() < 0.5 else parts[::-1])

    return change


def above(normals: Sequence[np.ndarray]) -> Change:
    """Return the change that sets a normal radiograph of the same size below."""
    return lambda grey, random: np.vstack(
        [grey, cv2.resize(_one_of(normals, random), grey.shape[::-1])]
    )


def in_a_row(normals: Sequence[np.ndarray]) -> Change:
    """Return the change that sets two normal radiographs of the same height beside."""

    def change(grey: np.ndarray, random: np.random.Generator) -> np.ndarray:
        others = [_of_height(_one_of(normals, random), len(grey)) for _ in range(2)]
        tiles = [grey, *others]
        return np.hstack([tiles[place] for place in random.permutation(3)])

    return change


def on_a_sheet(normals: Sequence[np.ndarray]) -> Change:
    """Return the change that sets the radiograph and three normal ones into two rows."""

    def change(grey: np.ndarray, random: np.random.Generator) -> np.ndarray:
        others = [cv2.resize(_one_of(normals, random), grey.shape[::-1]) for _ in range(3)]
        tiles = [grey, *others]
        first, second, third, fourth = (tiles[place] for place in random.permutation(4))
        return np.vstack([np.hstack([first, second]), np.hstack([third, fourth])])

    return change


def _one_of(normals: Sequence[np.ndarray], random: np.random.Generator) -> np.ndarray:
    """Return one of several pictures."""
    return normals[int(random.integers(len(normals)))]


def _of_height(picture: np.ndarray, height: int) -> np.ndarray:
    """Resize to a height, proportions kept."""
    return cv2.resize(picture, (max(8, picture.shape[1] * height // len(picture)), height))
