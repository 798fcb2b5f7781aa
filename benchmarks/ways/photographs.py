"""Ways through a camera or a scanner: film on a light box, a monitor, a print."""

from __future__ import annotations

from functools import partial

import cv2
import numpy as np

from benchmarks.ways.files import jpeg, to_bytes
from benchmarks.ways.way import Way

KIND = "photograph"


def tilted_by_hand(
    picture: np.ndarray, size: tuple[int, int], sway: float, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Project a picture into the middle of a frame as a camera held by hand does.

    Args:
        picture: float32 (height, width, 3).
        size: rows and columns of the frame.
        sway: largest displacement of a corner, as a share of the picture's side.
        random: of the displacements.

    Returns:
        float32 (rows, columns, 3), and the share of the picture at each place (rows, columns, 1).
    """
    height, width = picture.shape[:2]
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    middle = np.array([(size[1] - width) / 2, (size[0] - height) / 2])
    moved = corners + middle + random.uniform(-sway, sway, (4, 2)) * [width, height]
    transform = cv2.getPerspectiveTransform(corners, moved.astype(np.float32))
    covered = np.ones((height, width), np.float32)
    frame = (size[1], size[0])
    return (
        cv2.warpPerspective(picture, transform, frame),
        cv2.warpPerspective(covered, transform, frame)[..., None],
    )


def lit(scene: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Add what light and camera add: uneven brightness, a glare half of the time, blur, noise."""
    rows, columns = scene.shape[:2]
    down = np.arange(rows, dtype=np.float32)[:, None] / rows
    right = np.arange(columns, dtype=np.float32) / columns
    middle = random.uniform(0.3, 0.7, 2)
    scene = scene * (1 - 0.7 * ((down - middle[0]) ** 2 + (right - middle[1]) ** 2))[..., None]
    if random.random() < 0.5:
        glare = random.uniform(0, 1, 2)
        spot = (down - glare[0]) ** 2 + (right - glare[1]) ** 2
        scene += 90 * np.exp(-spot / 0.12**2)[..., None]
    noise = 5 * random.standard_normal(scene.shape, np.float32)
    return to_bytes(cv2.GaussianBlur(scene, (0, 0), 0.8) + noise)


def film(grey: np.ndarray) -> np.ndarray:
    """Return a film's colours, float32 (height, width, 3): bluish, neither black nor white."""
    tint, haze = np.float32([0.70, 0.74, 0.80]), np.float32([18, 20, 26])
    return grey[..., None] * tint + haze


def on_light_box(grey: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Photograph a film on a light box, the box and the wall around it in view."""
    rows, columns = (int(1.9 * side) for side in grey.shape)
    scene = np.full((rows, columns, 3), (70, 75, 80), np.float32)
    scene[rows // 12 : -rows // 12, columns // 12 : -columns // 12] = (245, 250, 240)
    shown, share = tilted_by_hand(film(grey), (rows, columns), 0.05, random)
    return lit(scene * (1 - share) + shown, random)


def filling_the_frame(grey: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Photograph a film so that it fills the frame."""
    rows, columns = (int(1.06 * side) for side in grey.shape)
    shown, share = tilted_by_hand(film(grey), (rows, columns), 0.015, random)
    return lit(235 * (1 - share) + shown, random)


def against_window(grey: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Photograph a film held against a bright sky, dark fingers at its lower edge."""
    rows, columns = (int(1.4 * side) for side in grey.shape)
    sky = np.linspace(200, 255, rows, dtype=np.float32)[:, None, None]
    shown, share = tilted_by_hand(film(grey), (rows, columns), 0.06, random)
    scene = sky * (1 - share) + shown
    for across in (0.35, 0.6):
        place = (int(across * columns), int(0.88 * rows))
        cv2.circle(scene, place, columns // 14, (60, 70, 95), -1, cv2.LINE_AA)
    return lit(scene, random)


def from_monitor(grey: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Photograph a monitor: moire, haze, slightly tilted."""
    screen = cv2.resize(grey, None, fx=1.6, fy=1.6).astype(np.float32)
    down = np.arange(len(screen), dtype=np.float32)[:, None]
    right = np.arange(screen.shape[1], dtype=np.float32)
    moire = np.sin(2 * np.pi * (0.231 * right + 0.017 * down)) * np.sin(2 * np.pi * 0.223 * down)
    colours = (screen * (1 + 0.1 * moire) * 0.85 + 14)[..., None] * np.array([1.02, 1.0, 0.97])
    shown, share = tilted_by_hand(colours.astype(np.float32), screen.shape, 0.02, random)
    noise = 4 * random.standard_normal(shown.shape, np.float32)
    return to_bytes(shown + 20 * (1 - share) + noise)


def scanned_print(grey: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Print on paper and scan: fewer contrasts, white margins, slightly turned, dust."""
    ink = 35 + grey * np.float32(190 / 255)
    margin = [(side // 8, side // 8) for side in grey.shape]
    sheet = np.pad(ink, margin, constant_values=238)
    middle = (sheet.shape[1] / 2, sheet.shape[0] / 2)
    turn = cv2.getRotationMatrix2D(middle, random.uniform(-2, 2), 1)
    sheet = cv2.warpAffine(sheet, turn, sheet.shape[::-1], borderValue=(238,))
    noise = 3 * random.standard_normal(sheet.shape, np.float32)
    return to_bytes(cv2.GaussianBlur(sheet, (0, 0), 0.7) + noise)


CAMERA = partial(jpeg, quality=85)
WAYS = (
    Way(KIND, "film on a light box, the box in view", on_light_box, CAMERA),
    Way(KIND, "film that fills the frame", filling_the_frame, CAMERA),
    Way(KIND, "film against a window", against_window, CAMERA),
    Way(KIND, "monitor, with moire", from_monitor, CAMERA),
    Way(KIND, "printed and scanned", scanned_print, CAMERA),
)
