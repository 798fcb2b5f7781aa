"""Drawn radiographs: no patient's image is in this project."""

from __future__ import annotations

import io

import cv2
import numpy as np
from PIL import Image


def draw_radiograph(
    height: int = 96, width: int = 72, *, seed: int = 0, fractured: bool = False
) -> np.ndarray:
    """Draw a long bone on soft tissue, float32 (height, width) in [0, 1], bone bright.

    A fracture is a dark oblique gap across the shaft. Every seed gives another pose and texture.
    """
    rng = np.random.default_rng(seed)
    canvas = np.full((height, width), 0.06, np.float32)
    middle = width * rng.uniform(0.4, 0.6)
    lean = width * rng.uniform(-0.12, 0.12)
    top, bottom = (middle - lean, 0.04 * height), (middle + lean, 0.96 * height)
    ends = tuple(tuple(int(round(v)) for v in point) for point in (top, bottom))
    cv2.line(canvas, *ends, 0.3, max(3, int(width * 0.5)), cv2.LINE_AA)
    cv2.line(canvas, *ends, 0.85, max(2, int(width * 0.24)), cv2.LINE_AA)
    cv2.line(canvas, *ends, 0.55, max(1, int(width * 0.08)), cv2.LINE_AA)
    if fractured:
        level = height * rng.uniform(0.35, 0.65)
        tilt = height * 0.06
        cv2.line(
            canvas,
            (int(middle - width * 0.2), int(level - tilt)),
            (int(middle + width * 0.2), int(level + tilt)),
            0.12,
            max(2, height // 20),
            cv2.LINE_AA,
        )
    canvas = cv2.GaussianBlur(canvas, (0, 0), max(0.5, width / 150))
    canvas += rng.normal(0, 0.015, canvas.shape).astype(np.float32)
    return np.clip(canvas, 0, 1).astype(np.float32)


def encode(picture: np.ndarray, format: str = "PNG", **options: object) -> bytes:
    """Encode a float32 (height, width) picture in [0, 1] as an 8-bit file of a Pillow format."""
    stream = io.BytesIO()
    Image.fromarray(np.rint(picture * 255).astype(np.uint8)).save(stream, format, **options)
    return stream.getvalue()
