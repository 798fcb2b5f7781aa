"""The detection head's outputs on both engines, and a bundle without it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.bundles import box_section, tiny_bundle
from tests.support.outputs import assert_equal, drawn_inputs, exported_engine
from utils.inference.engines.engine import load_engine
from utils.model_builder import FINE

pytestmark = pytest.mark.slow


def test_both_engines_give_the_same_boxes(tmp_path: Path) -> None:
    path = tiny_bundle(tmp_path, detail=FINE, boxes=box_section())
    fitted = drawn_inputs(3)
    outputs = exported_engine(path, tmp_path).run(fitted)
    assert outputs.heatmap is not None
    assert outputs.box is not None
    assert outputs.heatmap.shape == (3, 16, 16)
    assert outputs.box.shape == (3, 16, 16, 4)
    assert_equal(outputs, load_engine(path, "tensorflow").run(fitted), atol=1e-4)


def test_a_bundle_without_boxes_gives_none(tmp_path: Path) -> None:
    outputs = exported_engine(tiny_bundle(tmp_path, detail=FINE), tmp_path).run(drawn_inputs(1))
    assert outputs.heatmap is None
    assert outputs.box is None
