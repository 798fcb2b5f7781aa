"""Boxes of an answer: their places in the picture, and the verdict that they go with."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support.bundles import box_section, tiny_bundle
from tests.support.engines import EngineOfBundle
from utils.gradcam import Outputs
from utils.imaging.geometry import Rectangle
from utils.inference.engines.engine import Engine
from utils.inference.fracture_boxes import FractureBox, boxes_of_answer, scored_boxes
from utils.inference.input_warnings import (
    CERTAINTIES,
    DEFINITE,
    DOUBTFUL,
    NOT_LOCALISED,
    WITHHELD,
)
from utils.inference.predictor import Predictor
from utils.model.bundle import Bundle, read_bundle
from utils.model_builder import FINE

CELLS = 16
WIDE = Rectangle(20, 10, 100, 200)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A bundle for squares of 64 pixels whose scores are the peaks' own."""
    folder = tmp_path_factory.mktemp("boxes")
    return read_bundle(tiny_bundle(folder, detail=FINE, boxes=box_section(threshold=0.3)))


def outputs(*peaks: tuple[int, int, float]) -> Outputs:
    """A forward pass with peaks at (row, column, logit), each with a box of two cells."""
    heatmap = np.full((1, CELLS, CELLS), -9.0, np.float32)
    for row, column, logit in peaks:
        heatmap[0, row, column] = logit
    box = np.zeros((1, CELLS, CELLS, 4), np.float32)
    box[..., 2:] = np.log(2.0)
    one = np.zeros((1, 1), np.float32)
    return Outputs(one[0], one[None], one, None, heatmap, box)


def test_a_box_is_in_pixels_of_the_picture(bundle: Bundle) -> None:
    """200 columns fill 64 pixels; the 100 rows lie between pixels 16 and 48."""
    box = scored_boxes(bundle, outputs((7, 3, 0.0)), 0, WIDE)[0]
    scale = 200 / 64
    centre = ((3.5 * 4) * scale + 10, (7.5 * 4 - 16) * scale + 20)
    assert (box.x + box.width / 2, box.y + box.height / 2) == pytest.approx(centre, abs=0.1)
    assert (box.width, box.height) == pytest.approx((8 * scale, 8 * scale), abs=0.1)
    assert box.score == pytest.approx(0.5)


def test_boxes_end_at_the_content_crop(bundle: Bundle) -> None:
    box = scored_boxes(bundle, outputs((7, 0, 0.0)), 0, WIDE)[0]
    assert box.x == 10.0
    assert box.width < 25.0


def test_a_peak_in_the_letterbox_is_no_box(bundle: Bundle) -> None:
    found = scored_boxes(bundle, outputs((1, 7, 3.0), (8, 8, 1.0)), 0, WIDE)
    assert found[0].score == pytest.approx(0.7311, abs=1e-4)


def test_the_largest_score_comes_first(bundle: Bundle) -> None:
    found = scored_boxes(bundle, outputs((5, 3, -1.0), (9, 9, 2.0), (7, 14, 0.0)), 0, WIDE)
    scores = [box.score for box in found]
    assert scores == sorted(scores, reverse=True)
    assert scores[:3] == pytest.approx([0.8808, 0.5, 0.2689], abs=1e-4)


class BoxEngine(EngineOfBundle):
    """An engine whose network also gives one peak of a logit, in the middle."""

    def __init__(self, engine: Engine, bundle: Bundle, logit: float) -> None:
        super().__init__(engine, bundle)
        self.found = outputs((8, 8, logit))

    def run(self, fitted: np.ndarray, *, alone: bool = False) -> Outputs:
        heads = {"heatmap": self.found.heatmap, "box": self.found.box}
        return replace(super().run(fitted, alone=alone), **heads)


def predictor_with(
    predictor: Predictor, *, threshold: float, doubt: tuple[float, float], logit: float
) -> Predictor:
    """The untrained network, whose probability is about one half, with a box and another decision."""
    sidecar = predictor.bundle.sidecar
    decision = sidecar.decision.model_copy(update={"threshold": threshold, "doubt": doubt})
    changes = {"decision": decision, "boxes": box_section(threshold=0.3)}
    bundle = replace(predictor.bundle, sidecar=sidecar.model_copy(update=changes))
    return Predictor(BoxEngine(predictor.engine, bundle, logit))


def test_a_fracture_has_its_box_in_the_answer(predictor: Predictor, png: bytes) -> None:
    made = predictor_with(predictor, threshold=0.3, doubt=(0.2, 0.4), logit=1.0)
    answer = made.predict(png).as_json()
    assert answer["certainty"] == DEFINITE
    (box,) = answer["boxes"]
    assert list(box) == ["x", "y", "width", "height", "score"]
    assert box["score"] == pytest.approx(0.7311, abs=1e-4)
    assert 110 < box["x"] + box["width"] / 2 < 130
    assert answer["warnings"] == []


def test_a_fracture_without_a_box_says_so(predictor: Predictor, png: bytes) -> None:
    made = predictor_with(predictor, threshold=0.3, doubt=(0.2, 0.4), logit=-3.0)
    answer = made.predict(png).as_json()
    assert (answer["certainty"], answer["boxes"]) == (DEFINITE, [])
    assert [warning["code"] for warning in answer["warnings"]] == [NOT_LOCALISED]


@pytest.mark.parametrize(("threshold", "doubt"), [(0.3, (0.2, 0.7)), (0.7, (0.6, 0.8))])
def test_other_answers_need_no_box(
    predictor: Predictor, png: bytes, threshold: float, doubt: tuple[float, float]
) -> None:
    made = predictor_with(predictor, threshold=threshold, doubt=doubt, logit=-3.0)
    answer = made.predict(png).as_json()
    assert answer["boxes"] == answer["warnings"] == []


def test_a_sure_normal_hides_a_high_peak(predictor: Predictor, png: bytes) -> None:
    made = predictor_with(predictor, threshold=0.7, doubt=(0.6, 0.8), logit=5.0)
    answer = made.predict(png).as_json()
    assert (answer["prediction"], answer["certainty"]) == ("Normal", DEFINITE)
    assert answer["boxes"] == []


def test_a_box_is_drawn_into_the_overlay(predictor: Predictor, png: bytes) -> None:
    def drawn(doubt: tuple[float, float], logit: float) -> np.ndarray:
        made = predictor_with(predictor, threshold=0.3, doubt=doubt, logit=logit)
        overlay = made.predict(png).overlay
        assert overlay is not None
        return np.asarray(Image.open(io.BytesIO(overlay)).convert("L")).astype(int)

    bare = drawn((0.2, 0.4), -3.0)
    solid, dashed = (np.abs(drawn(doubt, 1.0) - bare) > 60 for doubt in ((0.2, 0.4), (0.2, 0.7)))
    assert 0 < dashed.sum() < 0.8 * solid.sum()


def test_a_model_without_boxes_answers_null(predictor: Predictor, png: bytes) -> None:
    assert predictor.predict(png).as_json()["boxes"] is None


def answered(
    bundle: Bundle, found: Outputs, certainty: str, *, positive: bool
) -> tuple[FractureBox, ...] | None:
    return boxes_of_answer(bundle, found, 0, WIDE, positive=positive, certainty=certainty)


@pytest.mark.parametrize(
    ("certainty", "positive", "count"),
    [(DEFINITE, True, 2), (DOUBTFUL, True, 2), (DOUBTFUL, False, 2), (DEFINITE, False, 0)],
)
def test_boxes_agree_with_the_verdict(
    bundle: Bundle, certainty: str, positive: bool, count: int
) -> None:
    found = outputs((5, 3, -1.0), (9, 9, 2.0), (7, 14, 0.0))
    boxes = answered(bundle, found, certainty, positive=positive)
    assert boxes is not None
    assert len(boxes) == count
    assert all(box.score >= 0.3 for box in boxes)


def test_a_withheld_answer_has_no_boxes(bundle: Bundle) -> None:
    assert answered(bundle, outputs((9, 9, 2.0)), WITHHELD, positive=True) is None


def test_without_the_head_there_are_no_boxes(tmp_path: Path) -> None:
    older = read_bundle(tiny_bundle(tmp_path))
    bare = replace(outputs(), heatmap=None, box=None)
    for certainty in CERTAINTIES:
        assert answered(older, bare, certainty, positive=True) is None
