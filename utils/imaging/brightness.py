"""Brightness of a picture: its robust range of grey levels, and the stretch of dim or flat pictures.

Percentiles rather than extremes decide, so that a hot pixel, a burnt-in marker or a tag changes nothing.
"""

from __future__ import annotations

import numpy as np

# Percentiles of the robust range.
LOW, HIGH = 1.0, 99.5


def robust_range(pixels: np.ndarray) -> tuple[float, float]:
    """Return the lowest and highest grey level that matter in a picture (height, width), any real dtype."""
    low, high = np.percentile(pixels, (LOW, HIGH))
    return float(low), float(high)
