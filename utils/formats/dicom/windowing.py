"""Windows, look-up tables and plain stretching of DICOM values, in float64."""

from __future__ import annotations

import math

import numpy as np

from utils.errors import UnreadableImage

WINDOW_FUNCTIONS = ("LINEAR", "LINEAR_EXACT", "SIGMOID")


def apply_window(
    values: np.ndarray, center: float, width: float, function: str = "LINEAR"
) -> np.ndarray:
    """Map values to display brightness with a DICOM window.

    Args:
        values: any shape, in the units of the file's modality transformation.
        center, width: of the window, same units; width at least 1 for LINEAR, else above 0.
        function: name in WINDOW_FUNCTIONS.

    Returns:
        float64 of the same shape in [0, 1]; values outside the window are clipped.

    Raises:
        UnreadableImage: the width is one the standard forbids, a number is not finite, or the
            function is none of the three.

    Source:
        DICOM PS3.3, C.11.2.1.2.1 (LINEAR), C.11.2.1.3.1 (SIGMOID) and C.11.2.1.3.2 (LINEAR_EXACT).
    """
    if function not in WINDOW_FUNCTIONS:
        known = ", ".join(WINDOW_FUNCTIONS)
        raise UnreadableImage("formats.dicom_window_function", function=function, known=known)
    if not (math.isfinite(center) and math.isfinite(width)):
        raise UnreadableImage("formats.dicom_window_not_finite", center=center, width=width)
    if function == "LINEAR" and width < 1:
        raise UnreadableImage("formats.dicom_window_linear_width", width=width)
    if width <= 0:
        raise UnreadableImage("formats.dicom_window_width", width=width)
    values = np.asarray(values, np.float64)
    if function == "SIGMOID":
        # Beyond 700 the exponential leaves float64, and the result is 0 or 1 long before.
        exponent = np.clip(-4.0 * (values - center) / width, -700.0, 700.0)
        return 1.0 / (1.0 + np.exp(exponent))
    if function == "LINEAR_EXACT":
        return np.clip((values - center) / width + 0.5, 0.0, 1.0)
    if width == 1:
        return (values > center - 0.5).astype(np.float64)
    return np.clip((values - (center - 0.5)) / (width - 1.0) + 0.5, 0.0, 1.0)


def apply_table(values: np.ndarray, first: int, table: np.ndarray) -> np.ndarray:
    """Look integers up in a table whose first entry stands for ``first``.

    Values below the first take the first entry, values beyond the last take the last.

    Args:
        values: any shape; fractions are cut off.
        first: the value that the first entry stands for.
        table: (entries,), at least one.

    Returns:
        float64 of the same shape as ``values``.

    Source:
        DICOM PS3.3, C.11.1.1 (Modality LUT) and C.11.2.1.1 (VOI LUT).
    """
    positions = np.trunc(np.asarray(values, np.float64)) - first
    return table[np.clip(positions, 0, len(table) - 1).astype(np.intp)].astype(np.float64)


def stretch(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Map ``low`` to 0 and ``high`` to 1, clipped; all zero where the two are equal."""
    values = np.asarray(values, np.float64)
    if high <= low:
        return np.zeros(values.shape)
    return np.clip((values - low) / (high - low), 0.0, 1.0)
