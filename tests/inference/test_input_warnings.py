"""Input warnings: their codes and sentences, and the certainty rule."""

from __future__ import annotations

import numpy as np
import pytest

from utils.imaging.geometry import Rectangle
from utils.imaging.radiograph import Notice, Radiograph
from utils.inference.input_warnings import (
    HEADER_CONTRADICTION,
    LEAST_SIDE,
    LOW_RESOLUTION,
    WARNING_CODES,
    certainty_of,
    input_warnings,
)
from utils.model.ood import (
    CODES,
    INVERTED,
    NOT_A_RADIOGRAPH,
    UNLIKE_TRAINING,
    UNSUPPORTED_REGION,
)

ZONE = (0.2, 0.4)


@pytest.mark.parametrize(
    ("probability", "expected"),
    [(0.19, "definite"), (0.2, "doubtful"), (0.39, "doubtful"), (0.4, "definite")],
)
def test_the_doubtful_zone_is_half_open(probability, expected):
    assert certainty_of(probability, ZONE, ()) == expected


@pytest.mark.parametrize("probability", [0.01, 0.3, 0.99])
def test_some_warnings_override_the_probability(probability):
    for code in (UNSUPPORTED_REGION, INVERTED, LOW_RESOLUTION):
        assert certainty_of(probability, ZONE, [code]) == "doubtful"
    assert certainty_of(probability, ZONE, [NOT_A_RADIOGRAPH]) == "withheld"
    assert certainty_of(probability, ZONE, [UNSUPPORTED_REGION, NOT_A_RADIOGRAPH]) == "withheld"


def test_other_warnings_leave_the_certainty():
    assert certainty_of(0.9, ZONE, [UNLIKE_TRAINING, "truncated"]) == "definite"
    assert certainty_of(0.3, ZONE, [UNLIKE_TRAINING, "truncated"]) == "doubtful"


def warnings_of(radiograph: Radiograph, *codes: str, regions: tuple[str, ...] = ()):
    crop = Rectangle(0, 0, *radiograph.pixels.shape)
    return input_warnings(radiograph, crop, codes, regions)


def test_every_code_has_a_sentence():
    notice = Notice(HEADER_CONTRADICTION, "formats.damaged", {"format": "DICOM", "reason": "width"})
    pixels = np.zeros((90, 300), np.float32)
    found = warnings_of(Radiograph(pixels, "dicom", truncated=True, notices=(notice,)), *CODES)
    assert [warning.code for warning in found] == list(WARNING_CODES)
    assert len({warning.message for warning in found}) == len(WARNING_CODES)
    assert all("{" not in warning.message for warning in found)
    assert "only 90 pixels" in found[-3].message


def test_a_large_whole_picture_gets_no_warning():
    assert warnings_of(Radiograph(np.zeros((LEAST_SIDE, 300), np.float32), "png")) == ()


def test_an_unsupported_region_names_the_supported():
    large = Radiograph(np.zeros((300, 300), np.float32), "png")
    (with_regions,) = warnings_of(large, UNSUPPORTED_REGION, regions=("hand", "leg"))
    (without,) = warnings_of(large, UNSUPPORTED_REGION)
    assert "than those it knows (hand, leg), or" in with_regions.message
    assert "than those it knows, or" in without.message
