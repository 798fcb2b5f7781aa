"""The record of a radiograph, and the limits before it is decoded."""

from __future__ import annotations

import numpy as np
import pytest

from utils.errors import TooLarge
from utils.imaging.radiograph import Limits, Radiograph


def test_size_is_that_of_the_pixels() -> None:
    radiograph = Radiograph(np.zeros((20, 30), np.float32), "png")
    assert (radiograph.height, radiograph.width) == (20, 30)


def test_a_reduced_radiograph_keeps_its_files_size() -> None:
    radiograph = Radiograph(np.zeros((20, 30), np.float32), "jpeg", size=(160, 240))
    assert (radiograph.height, radiograph.width) == (160, 240)


def test_limits_are_inclusive() -> None:
    limits = Limits(max_bytes=100, max_pixels=600)
    limits.check_bytes(100)
    limits.check_pixels(20, 30)
    with pytest.raises(TooLarge):
        limits.check_bytes(101)
    with pytest.raises(TooLarge, match="31 x 20 pixels"):
        limits.check_pixels(20, 31)
