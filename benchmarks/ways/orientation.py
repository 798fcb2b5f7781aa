"""Ways that turn or mirror the picture, with and without a tag that says so."""

from __future__ import annotations

from functools import partial

import cv2
import numpy as np

from benchmarks.ways.files import ORIENTATION, exif, jpeg, png, tiff, webp
from benchmarks.ways.way import Change, Way

KIND = "orientation"
# Quarter turns of the stored picture that each EXIF orientation takes back.
STORED = {3: 2, 6: 1, 8: 3}


def turned(quarters: int) -> Change:
    """Return the turn by so many times 90 degrees."""
    return lambda grey, _: np.rot90(grey, quarters)


def mirrored(quarters: int) -> Change:
    """Return the mirror image, turned by so many times 90 degrees."""
    return lambda grey, _: np.rot90(grey[:, ::-1], quarters)


def tilted(degrees: float) -> Change:
    """Return the turn about the middle, at 0.85 times the size, black around it."""

    def change(grey: np.ndarray, random: np.random.Generator) -> np.ndarray:
        height, width = grey.shape
        transform = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 0.85)
        return cv2.warpAffine(grey, transform, (width, height))

    return change


WAYS = (
    *(Way(KIND, f"turned by {90 * quarters} degrees", turned(quarters)) for quarters in (1, 2, 3)),
    Way(KIND, "mirrored", mirrored(0)),
    *(
        Way(KIND, f"mirrored, turned by {90 * quarters} degrees", mirrored(quarters))
        for quarters in (1, 2, 3)
    ),
    *(
        Way(KIND, f"tilted by {degrees} degrees", tilted(degrees))
        for degrees in (-20, -8, 8, 20, 45)
    ),
    *(
        Way(KIND, f"JPEG with EXIF orientation {tag}", turned(turns), partial(jpeg, exif=exif(tag)))
        for tag, turns in STORED.items()
    ),
    Way(KIND, "JPEG with EXIF orientation 2", mirrored(0), partial(jpeg, exif=exif(2))),
    Way(KIND, "PNG with EXIF orientation 6", turned(1), partial(png, exif=exif(6))),
    Way(KIND, "WebP with EXIF orientation 6", turned(1), partial(webp, exif=exif(6))),
    Way(KIND, "TIFF with orientation 6", turned(1), partial(tiff, tiffinfo={ORIENTATION: 6})),
    Way(KIND, "TIFF with orientation 3", turned(2), partial(tiff, tiffinfo={ORIENTATION: 3})),
)
