"""Everyday ways from a radiograph to the file that is uploaded.

brightness     dim, flat, over-exposed, 12 bits in 16, a marker
channels       colour, palettes, transparency
orientation    turned, mirrored, tilted; EXIF
surroundings   borders, pages, screenshots
several        several radiographs in one picture
photographs    film on a light box, a monitor, a print
sharpness      size, proportions, focus, noise, compression
dicom_files    DICOM windows, tables, padding, transfer syntaxes
damage         files that their decoder or header contradicts
files          the encoders
way            the record of one way
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmarks.ways import (
    brightness,
    channels,
    damage,
    dicom_files,
    orientation,
    photographs,
    sharpness,
    surroundings,
)
from benchmarks.ways.several import several
from benchmarks.ways.way import Way


def all_ways(normals: Sequence[np.ndarray]) -> list[Way]:
    """Return every way.

    Args:
        normals: normal radiographs, uint8 (height, width), for the pictures of several.
    """
    return [
        *brightness.WAYS,
        *channels.WAYS,
        *orientation.WAYS,
        *surroundings.WAYS,
        *several(normals),
        *photographs.WAYS,
        *sharpness.WAYS,
        *dicom_files.WAYS,
        *damage.WAYS,
    ]
