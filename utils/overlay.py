"""Turns a signed activation map into what a person sees: a coloured layer, a blend, a peak.

The colour scale is absolute, from 0 to the bundle's ``scale_top`` logits, so that a colour means the
same on every picture. Inferno rises steadily in lightness, so it also reads in grey and for the
colour-blind; its black beginning is left out, since it would not be seen on a radiograph's black.
"""

from __future__ import annotations

import io
from functools import cache

import cv2
import numpy as np
from PIL import Image

from utils.preprocess import placement, resize
from utils.view import View

LAYER_SIDE = 512
BLEND_SIDE = 1024
# Share of the colour in the blend where the layer is opaque.
STRENGTH = 0.65
# The layer is opaque from this share of the scale's top on, and fades to nothing below it.
OPAQUE_FROM = 0.4
# Where on inferno's 256 steps the colours begin.
FIRST_STEP = 72
JPEG_QUALITY = 88


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


def within(height: int, width: int, side: int) -> tuple[int, int]:
    """Return (height, width) shrunk, never enlarged, so that the longest side is at most ``side``."""
    ratio = min(1.0, side / max(height, width))
    return max(1, round(height * ratio)), max(1, round(width * ratio))


def undo_letterbox(
    signed: np.ndarray, height: int, width: int, shift: float = 0.0, view: View | None = None
) -> np.ndarray:
    """Cut a map out of its letterbox and lay it over the picture.

    Args:
        signed: float32 (cells, cells) over the square the network saw.
        height, width: of the original picture, pixels.
        shift: how far right and down the cells look, as a share of the square (``Bundle.map_shift``).
        view: the part of the picture that lay in the square; None for all of it.

    Returns:
        float32 map over the original picture alone, of the original's aspect and at most 512 long: the
        positive part, logits a cell; 0 where the picture was not seen.
    """
    # Bilinear between the cells' middles. The square is drawn as large as the layer that is shown, so
    # that moving and cutting it at whole pixels moves no edge by more than half a pixel of that layer.
    square = resize(np.maximum(signed, 0.0), LAYER_SIDE, LAYER_SIDE)
    square = _move(square, round(shift * LAYER_SIDE))
    if view is None or (view.height, view.width) == (height, width):
        return square[placement(height, width, LAYER_SIDE).inside]
    seen = square[placement(view.height, view.width, LAYER_SIDE).inside]
    whole = placement(height, width, LAYER_SIDE)
    rows = _share(view.top, view.height, height, whole.height)
    columns = _share(view.left, view.width, width, whole.width)
    layer = np.zeros((whole.height, whole.width), np.float32)
    layer[rows, columns] = resize(seen, rows.stop - rows.start, columns.stop - columns.start)
    return layer


def _share(start: int, length: int, whole: int, side: int) -> slice:
    """Return the pixels of a side that a part of the picture's whole length covers, one at least."""
    first = min(round(start * side / whole), side - 1)
    return slice(first, max(first + 1, round((start + length) * side / whole)))


def _move(square: np.ndarray, pixels: int) -> np.ndarray:
    """Move a picture right and down (left and up if negative), repeating its first row and column."""
    if not pixels:
        return square
    forth, back = max(pixels, 0), max(-pixels, 0)
    side = square.shape[0]
    wider = cv2.copyMakeBorder(square, forth, back, forth, back, cv2.BORDER_REPLICATE)
    return wider[back : back + side, back : back + side]


def peak(activation: np.ndarray, height: int, width: int) -> tuple[int, int] | None:
    """Return (x, y) of the highest place of a map in pixels of a (height, width) original.

    Where several places are equally high, as on a plateau, the first in reading order; None where the
    map is nowhere positive.
    """
    row, column = np.unravel_index(int(np.argmax(activation)), activation.shape)
    if activation[row, column] <= 0:
        return None
    x = int((column + 0.5) * width / activation.shape[1])
    y = int((row + 0.5) * height / activation.shape[0])
    return min(x, width - 1), min(y, height - 1)


def levels(activation: np.ndarray, height: int, width: int, scale_top: float) -> np.ndarray:
    """Put a map on the absolute scale.

    Args:
        activation: float32, not negative, logits a cell.
        height, width: of the outcome, pixels.
        scale_top: the value that gets the last level; higher ones look the same.

    Returns:
        uint8 (height, width): 0 where there is no evidence, 255 at the scale's top and above.
    """
    # Scales, rounds and saturates in one pass.
    return cv2.convertScaleAbs(resize(activation, height, width), alpha=255.0 / scale_top)


def blend(grey: np.ndarray, level: np.ndarray) -> np.ndarray:
    """Lay a coloured map over a radiograph.

    Args:
        grey: uint8 (height, width).
        level: uint8 (height, width) as ``levels`` gives it.

    Returns:
        uint8 (height, width, 3), blue green red.
    """
    kept, added = _blending()
    dimmed = cv2.multiply(grey, cv2.LUT(level, kept), scale=1.0 / 255.0)
    return cv2.add(cv2.merge([dimmed] * 3), cv2.LUT(cv2.merge([level] * 3), added))


@cache
def _blending() -> tuple[np.ndarray, np.ndarray]:
    """Return for each level the share of the radiograph that stays (of 255) and the colour that comes."""
    opacity = opacities()[:, None] * (STRENGTH / 255.0)
    kept = np.rint(255.0 * (1.0 - opacity[:, 0])).astype(np.uint8)
    added = np.rint(colours()[:, ::-1] * opacity).astype(np.uint8)
    return kept, added[None]


def grey_levels(pixels: np.ndarray, side: int) -> np.ndarray:
    """Return a radiograph of float32 [0, 1] as uint8, its longest side at most ``side``."""
    height, width = pixels.shape
    small = resize(pixels, *within(height, width, side))
    return cv2.convertScaleAbs(small, alpha=255.0)


def png(level: np.ndarray) -> bytes:
    """Encode a map alone as a PNG that is transparent where there is no evidence.

    A palette of 256 colours with their opacities: a quarter of the bytes of four channels, and exact.

    Args:
        level: uint8 (height, width) as ``levels`` gives it.
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
