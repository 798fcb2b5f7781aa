"""Record of one way in which a radiograph arrives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from benchmarks.ways.files import png

# From uint8 (height, width), bone bright, and a generator to the picture that is encoded.
Change = Callable[[np.ndarray, np.random.Generator], np.ndarray]
Encode = Callable[[np.ndarray], bytes]


@dataclass(frozen=True)
class Way:
    """One way from a radiograph to the file that is uploaded.

    Args:
        kind: group of ways.
        name: for the table.
        change: what happens to the picture.
        encode: the picture to the bytes of a file.
        destructive: detail is lost on the way, so that a doubtful or withheld answer is right as well.
        damaged: part of the picture is missing or replaced, so that the file should be refused.
    """

    kind: str
    name: str
    change: Change
    encode: Encode = png
    destructive: bool = False
    damaged: bool = False

    def send(self, grey: np.ndarray, random: np.random.Generator) -> bytes:
        """Return the file of a radiograph, uint8 (height, width)."""
        return self.encode(self.change(grey, random))


def unchanged(grey: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Return the radiograph as it is, for ways that differ in the file alone."""
    return grey
