"""A second forward pass: over the inverse, and over the film in a photograph."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.support.bundles import fixed_ood_detector
from tests.support.engines import EngineOfBundle, with_detector
from tests.support.pictures import draw_radiograph, encode
from utils.inference.predictor import Predictor
from utils.model.ood import (
    INVERTED,
    PHOTOGRAPHED,
    UNLIKE_TRAINING,
    UNSUPPORTED_REGION,
    OODDetector,
)
from utils.preprocess import invert


def codes_of(predictor: Predictor, content: bytes) -> list[str]:
    return [warning.code for warning in predictor.predict(content, pictures=False).warnings]


def passes_of(predictor: Predictor) -> int:
    assert isinstance(predictor.engine, EngineOfBundle)
    return len(predictor.engine.alone)


@pytest.fixture
def sided(predictor: Predictor, png: bytes) -> OODDetector:
    """A detector that calls a picture inverted, and its inverse not."""
    detector = fixed_ood_detector()
    file = predictor.decode(png)
    inverse = invert(file.fitted.pixels, file.fitted.crop)
    near, far = predictor.engine.run(np.stack([file.fitted.pixels, inverse])).embedding
    away = (far - near) / np.linalg.norm(far - near)
    borders = detector.borders.copy()
    borders[:, detector.classifiers.index(INVERTED)] = -away
    return replace(
        detector,
        mean=((near + far) / 2).astype(np.float32),
        whitening=np.outer(away, away).astype(np.float32),
        borders=borders,
        limits={**detector.limits, INVERTED: 0, UNLIKE_TRAINING: 1e9, UNSUPPORTED_REGION: 1e9},
    )


def test_a_usual_picture_needs_one_pass(predictor: Predictor, tmp_path: Path, png: bytes) -> None:
    usual = with_detector(predictor, tmp_path, fixed_ood_detector())
    assert codes_of(usual, png) == []
    assert passes_of(usual) == 1


def test_an_inverted_picture_is_reported(
    predictor: Predictor, tmp_path: Path, png: bytes, sided: OODDetector
) -> None:
    warned = with_detector(predictor, tmp_path, sided)
    assert codes_of(warned, png) == [INVERTED]
    assert passes_of(warned) == 2


def test_what_is_strange_both_ways_is_not_inverted(
    predictor: Predictor, tmp_path: Path, png: bytes, sided: OODDetector
) -> None:
    """Its inverse is no radiograph that the model knows either: it is not advised."""
    strange = replace(sided, limits={**sided.limits, UNLIKE_TRAINING: -1, UNSUPPORTED_REGION: -1})
    assert codes_of(with_detector(predictor, tmp_path, strange), png) == [UNSUPPORTED_REGION]


def test_a_film_is_answered_in_its_photographs_place(predictor: Predictor, tmp_path: Path) -> None:
    radiograph = 0.08 + 0.7 * draw_radiograph(300, 220)
    radiograph[[0, -1]], radiograph[:, [0, -1]] = 0.08, 0.08
    corners = np.array([[0, 0], [220, 0], [220, 300], [0, 300]], np.float32)
    held = np.array([[92, 110], [305, 96], [318, 402], [84, 396]], np.float32)
    matrix = cv2.getPerspectiveTransform(corners, held)
    scene = np.full((500, 400), 0.95, np.float32)
    shown = cv2.warpPerspective(radiograph, matrix, (400, 500), flags=cv2.INTER_AREA)
    inside = cv2.warpPerspective(np.ones_like(radiograph), matrix, (400, 500)) > 0.5
    content = encode(np.where(inside, shown, scene))
    photographed = with_detector(predictor, tmp_path, fixed_ood_detector(PHOTOGRAPHED))
    answer = photographed.predict(content)
    assert [warning.code for warning in answer.warnings] == [PHOTOGRAPHED]
    assert (answer.height, answer.width) == pytest.approx((306, 234), abs=6)  # longest sides
    assert answer.certainty == "doubtful"
    assert passes_of(photographed) == 2


def test_a_photograph_without_a_film_stays(
    predictor: Predictor, tmp_path: Path, png: bytes
) -> None:
    photographed = with_detector(predictor, tmp_path, fixed_ood_detector(PHOTOGRAPHED))
    answer = photographed.predict(png)
    plain = predictor.predict(png)
    assert answer.logit == plain.logit
    assert (answer.height, answer.width) == (plain.height, plain.width)
