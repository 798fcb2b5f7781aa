"""Input warnings: their codes and sentences, and the certainty rule."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.bundles import alter_sidecar, fixed_ood_detector, tiny_bundle
from utils.gradcam import Outputs
from utils.imaging.brightness import Brightness
from utils.imaging.geometry import Rectangle
from utils.imaging.radiograph import Notice, Radiograph
from utils.inference.input_warnings import (
    ANSWER_CODES,
    CLIPPED,
    DOUBTED_FOR,
    HEADER_CONTRADICTION,
    LEAST_SIDE,
    LOW_CONTRAST,
    LOW_RESOLUTION,
    NOT_LOCALISED,
    TRUNCATED,
    UNTESTED_BODY_PART,
    WARNING_CODES,
    WITHHELD_FOR,
    certainty_of,
    input_warnings,
    not_localised,
    warning_codes,
)
from utils.model.bundle import Bundle, read_bundle
from utils.model.ood import STRETCHED, UNLIKE_TRAINING, UNSUPPORTED_REGION

ZONE = (0.2, 0.4)
LARGE = Rectangle(0, 0, 300, 300)
USUAL = Brightness(low=0.0, high=0.9, levels=200, black=0.1, white=0.0)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A bundle for hands and legs whose test part had too few legs."""
    path = tiny_bundle(tmp_path_factory.mktemp("bundle"))
    alter_sidecar(path, {"untested_regions": ["leg"]}, "decision")
    return read_bundle(path)


def answered(hand: float = 0.9) -> Outputs:
    """Outputs for one picture that shows a hand with this probability."""
    embedding, region = np.zeros((1, 192), np.float32), np.array([[hand, 1 - hand]], np.float32)
    return Outputs(np.zeros(1, np.float32), np.zeros((1, 2, 2), np.float32), embedding, region)


@pytest.mark.parametrize(
    ("probability", "expected"),
    [(0.19, "definite"), (0.2, "doubtful"), (0.39, "doubtful"), (0.4, "definite")],
)
def test_the_doubtful_zone_is_half_open(probability: float, expected: str) -> None:
    assert certainty_of(probability, ZONE, ()) == expected


@pytest.mark.parametrize("probability", [0.01, 0.3, 0.99])
def test_some_warnings_override_the_probability(probability: float) -> None:
    for code in DOUBTED_FOR:
        assert certainty_of(probability, ZONE, [code]) == "doubtful"
    for code in WITHHELD_FOR:
        assert certainty_of(probability, ZONE, [code]) == "withheld"
        assert certainty_of(probability, ZONE, [LOW_RESOLUTION, code]) == "withheld"


def test_warnings_of_the_file_leave_the_certainty() -> None:
    assert set(WARNING_CODES) - DOUBTED_FOR - WITHHELD_FOR == {
        TRUNCATED,
        HEADER_CONTRADICTION,
        NOT_LOCALISED,
    }
    assert certainty_of(0.9, ZONE, [TRUNCATED, HEADER_CONTRADICTION]) == "definite"
    assert certainty_of(0.3, ZONE, [TRUNCATED, HEADER_CONTRADICTION]) == "doubtful"


def test_every_code_has_a_sentence(bundle: Bundle) -> None:
    notice = Notice(HEADER_CONTRADICTION, "formats.damaged", {"format": "DICOM", "reason": "width"})
    pixels = np.zeros((90, 300), np.float32)
    file = Radiograph(pixels, "dicom", truncated=True, notices=(notice,))
    found = (*input_warnings(ANSWER_CODES, file, Rectangle(0, 0, 90, 300), bundle), not_localised())
    assert [warning.code for warning in found] == list(WARNING_CODES)
    assert len({warning.message for warning in found}) == len(WARNING_CODES)
    assert all("{" not in warning.message for warning in found)
    sentences = {warning.code: warning.message for warning in found}
    assert "only 90 pixels" in sentences[LOW_RESOLUTION]
    assert "(hand, leg)" in sentences[UNSUPPORTED_REGION]
    assert "as for: leg)" in sentences[UNTESTED_BODY_PART]


def test_a_usual_picture_has_no_codes(bundle: Bundle) -> None:
    assert warning_codes(bundle, None, answered(), 0, LARGE, USUAL) == ()
    detector = fixed_ood_detector()
    assert warning_codes(bundle, detector, answered(), 0, LARGE, USUAL) == ()


def test_the_detector_gives_its_code(bundle: Bundle) -> None:
    for code in (STRETCHED, UNLIKE_TRAINING):
        found = warning_codes(bundle, fixed_ood_detector(code), answered(), 0, LARGE, USUAL)
        assert found == (code,)


def test_a_body_part_without_tests_is_named(bundle: Bundle) -> None:
    found = warning_codes(bundle, None, answered(hand=0.2), 0, LARGE, USUAL)
    assert found == (UNTESTED_BODY_PART,)
    unknown = fixed_ood_detector(UNLIKE_TRAINING, UNSUPPORTED_REGION)
    found = warning_codes(bundle, unknown, answered(hand=0.2), 0, LARGE, USUAL)
    assert found == (UNSUPPORTED_REGION,)


@pytest.mark.parametrize(
    ("crop", "brightness", "code"),
    [
        (Rectangle(0, 0, LEAST_SIDE - 1, 900), USUAL, LOW_RESOLUTION),
        (LARGE, Brightness(0.0, 0.5, 31, 0.1, 0.0), LOW_CONTRAST),
        (LARGE, Brightness(0.0, 0.5, 200, 0.7, 0.0), CLIPPED),
        (LARGE, Brightness(0.0, 0.5, 200, 0.1, 0.2), CLIPPED),
    ],
)
def test_the_picture_itself_gives_codes(
    bundle: Bundle, crop: Rectangle, brightness: Brightness, code: str
) -> None:
    assert warning_codes(bundle, None, answered(), 0, crop, brightness) == (code,)
    least = Rectangle(0, 0, LEAST_SIDE, LEAST_SIDE)
    assert warning_codes(bundle, None, answered(), 0, least, USUAL) == ()
