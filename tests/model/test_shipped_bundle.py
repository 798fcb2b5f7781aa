"""The shipped model on real out-of-distribution pictures, original and with borders."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from config import ROOT
from tests.support.pictures import encode
from utils.formats import decode
from utils.inference.prediction import Prediction
from utils.inference.predictor import Predictor, load_predictor
from utils.model.ood import INVERTED, NOT_A_RADIOGRAPH, UNSUPPORTED_REGION

Change = Callable[[np.ndarray], np.ndarray]


def as_it_is(pixels: np.ndarray) -> np.ndarray:
    """The picture itself."""
    return pixels


def on_a_phone(pixels: np.ndarray) -> np.ndarray:
    """Between the black bars of a tall screen, under a clock."""
    height, width = pixels.shape
    bar = max(height, width) // 2
    screen = np.pad(pixels, ((bar, bar), (0, 0)))
    screen[bar // 20 : bar // 12, width * 4 // 5 : width * 9 // 10 : 3] = 1.0
    return screen


def on_a_page(pixels: np.ndarray) -> np.ndarray:
    """With a white margin on every side."""
    margin = max(pixels.shape) // 4
    return np.pad(pixels, margin, constant_values=1.0)


pytestmark = pytest.mark.slow

WAYS = [as_it_is, on_a_phone, on_a_page]


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    """The shipped model."""
    return load_predictor(ROOT / "models" / "best_model.h5")


@cache
def pictures(folder: Path, every: int = 1) -> list[np.ndarray]:
    """Decode a folder's files."""
    found = sorted(path for path in folder.rglob("*") if path.is_file())[::every]
    assert found, folder
    return [decode(path.read_bytes(), allow_truncated=True).pixels for path in found]


def predictions(
    predictor: Predictor, shown: Sequence[np.ndarray], change: Change
) -> list[Prediction]:
    """Predictions for pictures that were changed and sent as PNG."""
    return [
        predictor.predict(encode(change(one), compress_level=1), pictures=False) for one in shown
    ]


@pytest.mark.parametrize("change", WAYS)
def test_chest_radiographs_are_unsupported(
    predictor: Predictor, shared_data: Path, change: Change
) -> None:
    answers = predictions(predictor, pictures(shared_data / "ood" / "chest"), change)
    warned = [UNSUPPORTED_REGION in {w.code for w in answer.warnings} for answer in answers]
    assert np.mean(warned) >= 0.95
    assert all(answer.certainty != "definite" for answer in answers)


@pytest.mark.parametrize("change", WAYS)
def test_photographs_are_withheld(predictor: Predictor, shared_data: Path, change: Change) -> None:
    for answer in predictions(predictor, pictures(shared_data / "ood" / "photos"), change):
        assert answer.certainty == "withheld"
        assert answer.warnings[0].code == NOT_A_RADIOGRAPH


def test_inverted_radiographs_are_doubtful(predictor: Predictor, shared_data: Path) -> None:
    bones = pictures(shared_data / "fracatlas" / "images" / "Non_fractured", every=60)
    answers = predictions(predictor, bones, lambda pixels: 1.0 - pixels)
    warned = [INVERTED in {w.code for w in answer.warnings} for answer in answers]
    assert np.mean(warned) >= 0.95
    assert np.mean([answer.certainty == "definite" for answer in answers]) <= 0.05


@pytest.mark.parametrize("change", [on_a_phone, on_a_page])
def test_a_border_changes_no_prediction(
    predictor: Predictor, shared_data: Path, change: Change
) -> None:
    bones = pictures(shared_data / "fracatlas" / "images" / "Fractured", every=30)
    plain, bordered = (predictions(predictor, bones, way) for way in (as_it_is, change))
    for one, other in zip(plain, bordered, strict=True):
        assert one.probability is not None
        # Some of these pictures have a dark edge of their own, too narrow to be cut off but with the bars.
        assert other.probability == pytest.approx(one.probability, abs=0.1)
        assert other.prediction == one.prediction
