"""Overlay of an activation map: a coloured layer, its blend with the radiograph, outlines of boxes.

The scale is absolute, from 0 to the bundle's ``scale_top`` logits. Inferno rises steadily in lightness, so
it also reads in grey and for the colour-blind; its black beginning would be invisible on a radiograph.
"""

from __future__ import annotations

import io
from functools import cache

import cv2
import numpy as np
from PIL import Image

from utils.imaging.geometry import Rectangle, resize, shrunk

BLEND_SIDE = 1024
# Share of the colour in the blend where the layer is opaque.
STRENGTH = 0.65
# The layer is opaque from this share of the scale's top on, and fades to nothing below it.
OPAQUE_FROM = 0.4
# Where on inferno's 256 steps the colours begin.
FIRST_STEP = 72
JPEG_QUALITY = 88
# Grey of the rings of an outline, from the box outwards: white between black is seen on any radiograph.
OUTLINE = (0, 255, 255, 0)
# Pixels of a dash, and of the gap after it.
DASH, GAP = 8, 6


@cache
def colours() -> np.ndarray:
    """Return the colour of each of 256 levels, uint8 (256, 3), red green blue."""
    steps = np.linspace(FIRST_STEP, 255, 256).round().astype(np.uint8)[:, None]
    return cv2.applyColorMap(steps, cv2.COLORMAP_INFERNO)[:, 0, ::-1]


@cache
def opacities() -> np.ndarray:
    """Return the opacity of each of 256 levels, uint8 (256,): none at 0, full from OPAQUE_FROM on."""
    share = np.linspace(0.0, 1.0, 256) / OPAQUE_FROM
    return np.rint(np.minimum(share, 1.0) * 255).astype(np.uint8)


def levels(activation: np.ndarray, height: int, width: int, scale_top: float) -> np.ndarray:
    """Put a map on the absolute scale.

    Args:
        activation: float32, not negative, logits a cell.
        height, width: of the result, pixels.
        scale_top: logits of the last level.

    Returns:
        uint8 (height, width): 0 where there is no evidence, 255 at the scale's top and above.
    """
    # Scales, rounds and saturates in one pass.
    return cv2.convertScaleAbs(resize(activation, height, width), alpha=255.0 / scale_top)


def blend(grey: np.ndarray, level: np.ndarray) -> np.ndarray:
    """Lay the colours of ``levels`` over a radiograph of the same size.

    Args:
        grey, level: uint8 (height, width).

    Returns:
        uint8 (height, width, 3), blue green red.
    """
    kept, added = _blending()
    dimmed = cv2.multiply(grey, cv2.LUT(level, kept), scale=1.0 / 255.0)
    return cv2.add(cv2.merge([dimmed] * 3), cv2.LUT(cv2.merge([level] * 3), added))


def outline(picture: np.ndarray, box: Rectangle, *, dashed: bool) -> None:
    """Draw the outline of a box into a picture, just outside the box so that it hides nothing of it.

    Args:
        picture: uint8 (height, width, 3), changed in place; what lies outside it is not drawn.
        box: pixels of the picture.
        dashed: as for a doubtful box.
    """
    for away, grey in enumerate(OUTLINE, start=1):
        left, right = box.left - away, box.left + box.width - 1 + away
        top, bottom = box.top - away, box.top + box.height - 1 + away
        for row in (top, bottom):
            for start, stop in _dashes(left, right, dashed=dashed):
                cv2.line(picture, (start, row), (stop, row), (grey, grey, grey))
        for column in (left, right):
            for start, stop in _dashes(top, bottom, dashed=dashed):
                cv2.line(picture, (column, start), (column, stop), (grey, grey, grey))


def _dashes(first: int, last: int, *, dashed: bool) -> list[tuple[int, int]]:
    """Return the first and last pixel of each dash of a line; one for a line that is not dashed."""
    if not dashed:
        return [(first, last)]
    return [(start, min(start + DASH - 1, last)) for start in range(first, last + 1, DASH + GAP)]


@cache
def _blending() -> tuple[np.ndarray, np.ndarray]:
    """Return for each level the share of the radiograph that stays (of 255) and the colour added."""
    opacity = opacities()[:, None] * (STRENGTH / 255.0)
    kept = np.rint(255.0 * (1.0 - opacity[:, 0])).astype(np.uint8)
    added = np.rint(colours()[:, ::-1] * opacity).astype(np.uint8)
    return kept, added[None]


def grey_levels(pixels: np.ndarray, side: int) -> np.ndarray:
    """Return a radiograph of float32 [0, 1] as uint8, its longest side at most ``side``."""
    height, width = pixels.shape
    return cv2.convertScaleAbs(resize(pixels, *shrunk(height, width, side)), alpha=255.0)


def png(level: np.ndarray) -> bytes:
    """Encode the levels of a map as a PNG that is transparent where there is no evidence.

    A palette of 256 colours with their opacities: a quarter of the bytes of four channels, and exact.
    """
    picture = Image.fromarray(level)
    picture.putpalette(np.column_stack([colours(), opacities()]).tobytes(), "RGBA")
    stream = io.BytesIO()
    picture.save(stream, "PNG", compress_level=1)
    return stream.getvalue()


def jpeg(picture: np.ndarray) -> bytes:
    """Encode uint8 (height, width) or (height, width, 3) as JPEG."""
    done, stream = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    assert done
    return stream.tobytes()
