"""TensorFlow engine: the reference that OpenVINO agrees with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.conftest import missing
from tests.support.bundles import tiny_bundle
from tests.support.outputs import NAMES, assert_agree, drawn_inputs, exported_engine
from tests.support.processes import ROOT
from utils.errors import SetupError
from utils.formats import decode
from utils.inference.engines.engine import load_engine
from utils.inference.engines.graph_cache import load_graph
from utils.inference.engines.openvino_engine import OpenVINOEngine
from utils.inference.engines.tensorflow_engine import TensorFlowEngine
from utils.model.bundle import read_bundle
from utils.preprocess import fit


def test_both_engines_agree_in_float32(openvino, tensorflow):
    fitted = drawn_inputs(5)
    found, expected = openvino.run(fitted), tensorflow.run(fitted)
    for name in NAMES:
        one, other = getattr(found, name), getattr(expected, name)
        if name in ("heatmap", "box"):  # without a detection head
            assert one is other is None
            continue
        assert one.dtype == np.float32
        # bfloat16, OpenVINO's default where the processor has it, would fail this by far.
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=2e-5 * np.abs(other).max())


def test_the_reference_computes_in_float32_only(model):
    with pytest.raises(SetupError, match="bfloat16"):
        load_engine(model, "tensorflow", precision="bfloat16")


def real_radiographs(shared_data: Path, size: int, count: int = 30) -> np.ndarray:
    folder = shared_data / "fracatlas" / "images"
    files = [
        file
        for part in ("Fractured", "Non_fractured")
        for file in sorted((folder / part).glob("*.jpg"))[:: 40 if part == "Fractured" else 190]
    ]
    assert len(files) >= count
    pixels = [decode(file.read_bytes(), allow_truncated=True).pixels for file in files[:count]]
    return np.stack([fit(picture, size) for picture in pixels])


@pytest.mark.slow
@pytest.mark.real_data
@pytest.mark.parametrize(
    "architecture, size",
    [
        ("custom", 64),
        ("mobilenetv2", 64),
        ("densenet121", 64),
        ("efficientnetb0", 64),
        ("efficientnetlite0", 64),
    ],
)
def test_both_engines_agree_on_real_radiographs(shared_data, tmp_path, architecture, size):
    model = tiny_bundle(
        tmp_path, architecture=architecture, image_size=size, regions=("hand", "leg")
    )
    fitted = real_radiographs(shared_data, size)
    assert_agree(
        exported_engine(model, tmp_path).run(fitted),
        TensorFlowEngine(read_bundle(model)).run(fitted),
        probability=1e-3,
        correlation=0.999,
    )


@pytest.mark.slow
@pytest.mark.real_data
def test_both_engines_agree_with_the_shipped_model(shared_data, tmp_path):
    model = ROOT / "models" / "best_model.h5"
    if not model.is_file():
        missing(f"there is no model at {model}")
    bundle = read_bundle(model)
    fitted = real_radiographs(shared_data, bundle.preprocess.image_size)
    engine = OpenVINOEngine(bundle, load_graph(bundle, tmp_path), threads=1, lone_threads=2)
    found, alone = engine.run(fitted), engine.run(fitted, alone=True)
    expected = TensorFlowEngine(bundle).run(fitted)
    for outputs in (found, alone):
        assert_agree(outputs, expected, probability=1e-3, correlation=0.999)
    assert_agree(alone, found, probability=1e-5, correlation=0.999999)
