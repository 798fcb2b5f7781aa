"""Random variation of a fitted radiograph and of its marked boxes."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from utils.imaging.geometry import Rectangle
from utils.registry import Registry
from utils.training.augmentation.film import photograph
from utils.training.augmentation.marks import MarkRates, add_marks
from utils.training.augmentation.pose import (
    PoseRange,
    draw_pose,
    draw_tilt,
    move_boxes,
    move_picture,
    move_place,
)
from utils.training.augmentation.quality import QualityRange, change_quality
from utils.training.augmentation.tone import ToneRange, change_tone

NONE = "none"
# Poses that are drawn until one keeps every box.
_POSES = 4


@dataclass(frozen=True)
class Variation:
    """Rates and ranges of a random variation; that of the defaults changes nothing.

    Args:
        pose, tone, quality, marks: of each kind.
        photograph: rate of photographs of the radiograph as a film, seen a little from the side.
    """

    pose: PoseRange = field(default_factory=PoseRange)
    tone: ToneRange = field(default_factory=ToneRange)
    quality: QualityRange = field(default_factory=QualityRange)
    marks: MarkRates = field(default_factory=MarkRates)
    photograph: float = 0.0


PLAIN = Variation(
    PoseRange(mirror=0.5, degrees=25.0, zoom=(0.8, 1.25), shift=0.06),
    ToneRange(contrast=0.25, brightness=0.12),
    QualityRange(noise=1.0, noise_by=0.02),
)
STRONG = Variation(
    PoseRange(
        mirror=0.5,
        turn=0.25,
        degrees=25.0,
        zoom=(0.7, 1.5),
        stretch=0.1,
        shift=0.08,
        crop=0.25,
        crop_zoom=(1.5, 3.0),
    ),
    ToneRange(gamma=1.6, contrast=0.3, brightness=0.12, equalise=0.2, dim=0.05),
    QualityRange(blur=0.15, sharpen=0.15, noise=0.3, noise_by=0.025, shrink=0.2, jpeg=0.25),
    MarkRates(words=0.15, collimator=0.15),
    photograph=0.05,
)


# By the name in the settings of a training; None shows the images as they are served.
VARIATIONS: Registry[Variation | None] = Registry(
    "augmentation", {NONE: None, "plain": PLAIN, "strong": STRONG}
)


@dataclass(frozen=True, eq=False)
class Varied:
    """A varied radiograph.

    Args:
        image: uint8 (size, size).
        boxes: float32 (n, 4), x, y, width, height in its pixels, of the marked boxes that it still shows.
        lost: it may show a part of a fracture outside ``boxes``, or no longer the fracture at all: it is no
            example of where fractures are.
    """

    image: np.ndarray
    boxes: np.ndarray
    lost: bool


def vary(
    fitted: np.ndarray,
    place: Rectangle,
    boxes: np.ndarray,
    random: np.random.Generator,
    settings: Variation,
) -> Varied:
    """Return a random variation of a fitted radiograph.

    What is letterbox stays black but in the photograph of a film, which shows what is around it.

    Args:
        fitted: uint8 (size, size).
        place: of the radiograph in it, see ``geometry.placement``.
        boxes: float32 (n, 4), x, y, width, height of the marked boxes, pixels of ``fitted``.
        random: source of every choice.
        settings: rates and ranges.
    """
    size = fitted.shape[0]
    photographed = random.random() < settings.photograph
    for _ in range(_POSES):
        matrix = draw_pose(fitted, place, boxes, random, settings.pose)
        if photographed:
            matrix = draw_tilt(size, random) @ matrix
        moved = move_boxes(boxes, size, matrix)
        if not moved.lost:
            break
    inside = move_place(place, size, matrix)
    image = change_tone(move_picture(fitted, matrix), random, settings.tone)
    image = add_marks(image, moved.boxes, random, settings.marks)
    image = change_quality(image, random, settings.quality)
    image = np.where(inside, image, np.uint8(0))
    if photographed:
        image = photograph(image, inside.astype(np.float32), random)
    return Varied(image, moved.boxes, moved.lost)
