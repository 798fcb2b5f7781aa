"""Engine: loading, self-test, fallback, and a cache with another network's graph."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.support.bundles import altered_sidecar, tiny_bundle
from tests.support.outputs import assert_agree, assert_equal, drawn_inputs, exported
from utils.errors import BundleError, UnknownName
from utils.formats import decode
from utils.gradcam import Outputs
from utils.inference.engines.engine import ENGINES, Engine, _self_tested, load_engine
from utils.inference.engines.graph_cache import _key, _store
from utils.inference.engines.graph_export import export
from utils.model.bundle import read_bundle
from utils.preprocess import fit

ROOT = Path(__file__).resolve().parents[3]
SIZE = 64


def test_the_default_engine_is_openvino(openvino):
    assert next(iter(ENGINES)) == openvino.kind == "openvino"


class WrongAlone:
    """An engine whose lone forward pass adds a constant to another one's logit."""

    lone_threads = 2

    def __init__(self, engine: Engine, by: float) -> None:
        self.engine, self.by = engine, by
        self.bundle, self.kind, self.precision = engine.bundle, engine.kind, engine.precision
        self.threads = engine.threads

    def run(self, fitted: np.ndarray, *, alone: bool = False) -> Outputs:
        found = self.engine.run(fitted)
        return replace(found, logit=found.logit + self.by) if alone else found


def test_both_pools_must_pass_the_self_test(shared):
    assert shared.threads != shared.lone_threads
    _self_tested(WrongAlone(shared, 0.0))
    with pytest.raises(BundleError, match="self-test"):
        _self_tested(WrongAlone(shared, 1.0))


def test_an_unknown_precision_names_the_choices(model):
    with pytest.raises(UnknownName, match="float32, bfloat16"):
        load_engine(model, precision="int4")


@pytest.fixture
def without_openvino(monkeypatch):
    """An installation that lacks the package, as far as Python's import can tell."""
    for name in [name for name in sys.modules if name.split(".")[0] == "openvino"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "openvino", None)


@pytest.mark.slow
def test_tensorflow_replaces_a_missing_openvino(model, cache, tensorflow, without_openvino, caplog):
    with caplog.at_level(logging.WARNING):
        engine = load_engine(model, cache=cache)
    assert engine.kind == "tensorflow"
    assert "openvino cannot be imported" in caplog.text
    fitted = drawn_inputs(2)
    assert_agree(engine.run(fitted), tensorflow.run(fitted), probability=1e-6, correlation=0.999999)


def with_altered_self_test(folder: Path, *, by: float) -> Path:
    model = tiny_bundle(folder, image_size=32)
    with altered_sidecar(model) as sidecar:
        sidecar["golden"]["outputs"]["logit"][0] += by
    return model


@pytest.mark.slow
@pytest.mark.parametrize("kind", ENGINES)
def test_a_failed_self_test_is_refused(tmp_path, caplog, kind):
    model = with_altered_self_test(tmp_path, by=1.0)
    with pytest.raises(BundleError, match="self-test"):
        load_engine(model, kind, cache=tmp_path / "cache")
    assert "TensorFlow runs the network instead" not in caplog.text


@pytest.mark.slow
def test_a_faulty_bundle_has_no_fallback(tmp_path, without_openvino):
    model = with_altered_self_test(tmp_path, by=1.0)
    with pytest.raises(BundleError, match="self-test"):
        load_engine(model, cache=tmp_path / "cache")


@pytest.mark.slow
def test_another_networks_graph_is_replaced(tmp_path, model, openvino, caplog):
    bundle = read_bundle(model)
    other = read_bundle(tiny_bundle(tmp_path, image_size=SIZE, seed=3))
    export(other, tmp_path)
    path = tmp_path / "cache" / f"{_key(bundle)}.graph"
    path.parent.mkdir(mode=0o700)
    _store(exported(tmp_path), path)
    with caplog.at_level(logging.WARNING):
        engine = load_engine(model, cache=path.parent)
    assert "fails its self-test" in caplog.text
    fitted = drawn_inputs(2)
    assert_equal(engine.run(fitted), openvino.run(fitted))
    caplog.clear()
    load_engine(model, cache=path.parent)
    assert caplog.text == ""


PROGRAM = """
import json, logging, sys
from pathlib import Path
from utils.inference.predictor import load_predictor

predictor = load_predictor(Path(sys.argv[1]), cache=Path(sys.argv[2]))
prediction = predictor.predict(Path(sys.argv[3]).read_bytes())
loaded = {name.split(".")[0] for name in sys.modules}
print(json.dumps([predictor.engine.kind, prediction.logit, sorted(loaded)]))
"""


@pytest.mark.slow
def test_a_cached_graph_needs_no_tensorflow(tmp_path, model, cache, openvino, radiograph_png):
    picture = tmp_path / "radiograph.png"
    picture.write_bytes(radiograph_png)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(model), str(cache), str(picture)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    kind, logit, loaded = json.loads(done.stdout.splitlines()[-1])
    fitted = fit(decode(radiograph_png).pixels, SIZE)
    assert kind == "openvino"
    assert logit == pytest.approx(float(openvino.run(fitted[None]).logit[0]), abs=1e-6)
    heavy = {"tensorflow", "keras", "h5py", "scipy", "sklearn", "matplotlib", "pydicom"}
    assert set(loaded) & {*heavy, "openvino_telemetry"} == set()
    assert "openvino" in loaded


def test_an_unknown_engine_names_the_choices(model):
    with pytest.raises(UnknownName, match="openvino, tensorflow"):
        load_engine(model, "onnx")
