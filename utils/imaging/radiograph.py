"""A decoded radiograph, and the limits that are checked before a pixel is decoded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from utils.errors import TooLarge
from utils.files import check_length

MEGAPIXEL = 1_000_000
# Longest side in pixels that is needed: the network's input and the pictures on a page are no larger. A
# format that can be decoded at a half, a quarter or an eighth of its size is decoded no smaller than this.
DETAIL = 1024


@dataclass(frozen=True)
class Limits:
    """What is accepted, checked against the header before any pixel is decoded.

    Args:
        max_bytes: longest file, and longest deflated DICOM once unpacked.
        max_pixels: largest height * width that a header may declare.
    """

    max_bytes: int = 64 * 1024 * 1024
    max_pixels: int = 50 * MEGAPIXEL

    def check_bytes(self, length: int) -> None:
        """Raise TooLarge where ``length`` bytes are over the limit."""
        check_length(length, self.max_bytes)

    def check_pixels(self, height: int, width: int) -> None:
        """Raise TooLarge where a (height, width) picture is over the limit."""
        if height * width > self.max_pixels:
            raise TooLarge(
                "formats.too_many_pixels",
                width=width,
                height=height,
                megapixels=height * width / MEGAPIXEL,
                limit=self.max_pixels / MEGAPIXEL,
            )


# Code of notices that a file's header contradicts its data, or leaves out what it should contain.
HEADER_CONTRADICTION = "header_contradiction"


@dataclass(frozen=True)
class Notice:
    """Warning of a decoder: a code of docs/api.md, and a catalogue sentence with its facts.

    Args:
        code: for scripts (HEADER_CONTRADICTION).
        key: sentence in the catalogue ("formats.window_ignored").
        facts: values that the sentence names.
    """

    code: str
    key: str
    facts: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Radiograph:
    """One plain radiograph, whatever file it came in.

    Args:
        pixels: float32 (height, width) in [0, 1], bone bright, upright as it is meant to be shown.
        format: name in the FORMATS table ("png", "jpeg", "dicom").
        truncated: the file ended early and the rest is filled in, where the caller asked for such files.
        size: (height, width) of the picture in the file where ``pixels`` are a fraction of it, or None.
        notices: what was amended or ignored while decoding.
    """

    pixels: np.ndarray
    format: str
    truncated: bool = False
    size: tuple[int, int] | None = None
    notices: tuple[Notice, ...] = ()

    @property
    def height(self) -> int:
        """Rows of the picture in the file."""
        return int(self.size[0] if self.size else self.pixels.shape[0])

    @property
    def width(self) -> int:
        """Columns of the picture in the file."""
        return int(self.size[1] if self.size else self.pixels.shape[1])
