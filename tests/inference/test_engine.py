"""The engines give the same answers, to many threads at once, and never another model's."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from joblib import cpu_count

from tests.conftest import missing
from tests.support.bundles import altered_sidecar, tiny_bundle
from tests.support.pictures import draw_radiograph
from utils.errors import BundleError, SetupError, UnknownName
from utils.formats import decode
from utils.gradcam import Outputs
from utils.inference.engine import ENGINES, Engine, _self_tested, load_engine
from utils.inference.graph_cache import Graph, _key, _store, load_graph
from utils.inference.graph_export import GRAPH, WEIGHTS, export
from utils.inference.openvino_engine import OpenVINOEngine
from utils.inference.tensorflow_engine import TensorFlowEngine
from utils.model.bundle import read_bundle
from utils.preprocess import fit

ROOT = Path(__file__).resolve().parents[2]
SIZE = 64


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return tiny_bundle(tmp_path_factory.mktemp("bundle"), image_size=SIZE)


@pytest.fixture(scope="module")
def cache(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def openvino(model, cache) -> Engine:
    engine = load_engine(model, cache=cache)
    assert engine.kind == "openvino"
    return engine


@pytest.fixture(scope="module")
def tensorflow(model) -> Engine:
    engine = load_engine(model, "tensorflow")
    assert engine.kind == "tensorflow"
    return engine


def drawn(count: int) -> np.ndarray:
    return np.stack([fit(draw_radiograph(seed=seed), SIZE) for seed in range(count)])


def agree(found: Outputs, expected: Outputs, *, probability: float, correlation: float) -> None:
    """Hold two engines' answers against each other in the terms of what is shown."""

    def sigmoid(logit: np.ndarray) -> np.ndarray:
        return 1.0 / (1.0 + np.exp(-logit.astype(np.float64)))

    assert np.abs(sigmoid(found.logit) - sigmoid(expected.logit)).max() <= probability
    for one, other in zip(found.map, expected.map, strict=True):
        assert np.corrcoef(one.ravel(), other.ravel())[0, 1] >= correlation
    assert found.embedding.shape == expected.embedding.shape
    assert (found.region is None) == (expected.region is None)
    if found.region is not None and expected.region is not None:
        assert np.abs(found.region - expected.region).max() <= probability


def equal(found: Outputs, expected: Outputs) -> None:
    for name in ("logit", "map", "embedding", "region"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))


def test_the_default_engine_is_openvino(openvino):
    assert next(iter(ENGINES)) == openvino.kind == "openvino"


def test_both_engines_compute_the_same_in_float32(openvino, tensorflow):
    fitted = drawn(5)
    found, expected = openvino.run(fitted), tensorflow.run(fitted)
    for name in ("logit", "map", "embedding", "region"):
        one, other = getattr(found, name), getattr(expected, name)
        assert one.dtype == np.float32
        # bfloat16, which OpenVINO takes by itself where it can, would miss this by far.
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=2e-5 * np.abs(other).max())


def test_a_network_without_regions_gives_none(tmp_path):
    engine = exported_engine(tiny_bundle(tmp_path, image_size=32, regions=()), tmp_path)
    assert engine.run(np.zeros((2, 32, 32), np.uint8)).region is None


def test_rows_of_a_batch_are_those_of_single_images_in_order(openvino):
    fitted = drawn(7)
    single = [openvino.run(image[None]).logit[0] for image in fitted]
    assert len(set(single)) == 7
    np.testing.assert_array_equal(openvino.run(fitted).logit, single)


def test_images_that_lie_apart_in_memory_are_answered_alike(openvino):
    fitted = drawn(4)
    strided = np.repeat(fitted, 2, axis=2)[:, :, ::2]
    assert not strided.flags.c_contiguous
    equal(openvino.run(strided), openvino.run(fitted))


@pytest.mark.parametrize("streams", [1, 2])
def test_many_threads_get_their_own_answers_at_once(model, cache, streams):
    engine = load_engine(model, cache=cache, threads=2, lone_threads=3, streams=streams)
    fitted = drawn(24)
    expected = engine.run(fitted).logit
    assert np.diff(np.sort(expected)).min() > 4e-6, "each radiograph has an answer of its own"

    def answer(row: int, count: int) -> np.ndarray:
        # Wrong about being alone, as a caller may be for a moment.
        return engine.run(fitted[row : row + count], alone=row % 2 == 1).logit

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda row: answer(row, 1)[0], range(24)))
        batches = list(pool.map(lambda row: answer(row, 3), range(21)))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)
    for row, batch in enumerate(batches):
        np.testing.assert_allclose(batch, expected[row : row + 3], rtol=0, atol=1e-6)


@pytest.fixture(scope="module")
def shared(model, cache) -> OpenVINOEngine:
    """An engine of one thread, of two for what is alone."""
    engine = load_engine(model, cache=cache, threads=1, lone_threads=2)
    assert isinstance(engine, OpenVINOEngine)
    return engine


def alike(found: Outputs, expected: Outputs) -> None:
    for name in ("logit", "map", "embedding", "region"):
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), rtol=0, atol=1e-5)


def test_a_pass_that_is_alone_gives_the_same_answer(shared):
    fitted = drawn(6)
    alike(shared.run(fitted, alone=True), shared.run(fitted))


def test_a_pass_that_is_alone_is_computed_by_other_threads_than_the_rest(shared):
    """Whoever takes all requests of one form lets nobody wait who wants the other."""
    fitted = drawn(1)
    assert (shared.threads, shared.lone_threads) == (1, 2)
    for pool, other in ((shared._shared, True), (shared._lone, False)):
        taken = [pool._idle.get() for _ in range(2)]
        assert pool._idle.empty()
        with ThreadPoolExecutor(1) as threads:
            shared.run(fitted, alone=other)
            waits = threads.submit(shared.run, fitted, alone=not other)
            with pytest.raises(TimeoutError):
                waits.result(0.3)
            for request in taken:
                pool._idle.put(request)
            waits.result(30)


@pytest.mark.parametrize(("threads", "lone"), [(None, None), (2, None), (2, 1), (2, 2)])
def test_the_network_is_compiled_once_where_one_form_does(model, cache, threads, lone):
    engine = load_engine(model, cache=cache, threads=threads, lone_threads=lone)
    assert isinstance(engine, OpenVINOEngine)
    assert engine._lone is engine._shared
    assert engine.threads == engine.lone_threads == (threads or cpu_count())


class WrongAlone:
    """An engine that answers as another does, but not what is alone."""

    lone_threads = 2

    def __init__(self, engine: Engine, by: float) -> None:
        self.engine, self.by = engine, by
        self.bundle, self.kind, self.precision = engine.bundle, engine.kind, engine.precision
        self.threads = engine.threads

    def run(self, fitted: np.ndarray, *, alone: bool = False) -> Outputs:
        found = self.engine.run(fitted)
        return replace(found, logit=found.logit + self.by) if alone else found


def test_both_forms_must_reproduce_the_golden_example(shared):
    assert shared.threads != shared.lone_threads
    _self_tested(WrongAlone(shared, 0.0))
    with pytest.raises(BundleError, match="self-test"):
        _self_tested(WrongAlone(shared, 1.0))


def test_an_answer_is_kept_when_others_follow(openvino):
    fitted = drawn(3)
    first = openvino.run(fitted[:1])
    copy = first.map.copy()
    for _ in range(4):
        openvino.run(fitted[1:])
    np.testing.assert_array_equal(first.map, copy)


@pytest.mark.parametrize("alone", [False, True])
def test_a_wrong_shape_is_refused_and_harms_no_later_run(shared, alone):
    fitted = drawn(1)
    expected = shared.run(fitted, alone=alone)
    for _ in range(5):
        with pytest.raises(RuntimeError):
            shared.run(np.zeros((3, 32, 32), np.uint8), alone=alone)
    equal(shared.run(fitted, alone=alone), expected)


def test_bfloat16_answers_nearly_the_same(model, cache, openvino):
    engine = load_engine(model, cache=cache, precision="bfloat16")
    assert (engine.kind, engine.precision) == ("openvino", "bfloat16")
    fitted = drawn(5)
    agree(engine.run(fitted), openvino.run(fitted), probability=2e-2, correlation=0.98)


def test_the_reference_computes_in_float32_only(model):
    with pytest.raises(SetupError, match="bfloat16"):
        load_engine(model, "tensorflow", precision="bfloat16")


def test_an_unknown_precision_names_the_choices(model):
    with pytest.raises(UnknownName, match="float32, bfloat16"):
        load_engine(model, precision="int4")


@pytest.fixture
def without_openvino(monkeypatch):
    """An installation that lacks the package, as far as Python's import can tell."""
    for name in [name for name in sys.modules if name.split(".")[0] == "openvino"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "openvino", None)


def test_without_openvino_tensorflow_answers_and_a_warning_says_why(
    model, cache, tensorflow, without_openvino, caplog
):
    with caplog.at_level(logging.WARNING):
        engine = load_engine(model, cache=cache)
    assert engine.kind == "tensorflow"
    assert "openvino cannot be imported" in caplog.text
    fitted = drawn(2)
    agree(engine.run(fitted), tensorflow.run(fitted), probability=1e-6, correlation=0.999999)


def altered_golden(folder: Path, *, by: float) -> Path:
    model = tiny_bundle(folder, image_size=32)
    with altered_sidecar(model) as sidecar:
        sidecar["golden"]["outputs"]["logit"][0] += by
    return model


def test_a_network_that_fails_its_golden_example_is_refused_by_either_engine(
    tmp_path, caplog, monkeypatch
):
    model = altered_golden(tmp_path, by=1.0)
    for kind in ENGINES:
        with pytest.raises(BundleError, match="self-test"):
            load_engine(model, kind, cache=tmp_path / "cache")
    assert "TensorFlow runs the network instead" not in caplog.text


def test_no_fallback_mends_a_damaged_bundle(tmp_path, without_openvino):
    model = altered_golden(tmp_path, by=1.0)
    with pytest.raises(BundleError, match="self-test"):
        load_engine(model, cache=tmp_path / "cache")


def test_another_networks_graph_in_the_cache_is_replaced(tmp_path, model, openvino, caplog):
    bundle = read_bundle(model)
    other = read_bundle(tiny_bundle(tmp_path, image_size=SIZE, seed=3))
    export(other, tmp_path)
    path = tmp_path / "cache" / f"{_key(bundle)}.graph"
    path.parent.mkdir(mode=0o700)
    _store(exported(tmp_path), path)
    with caplog.at_level(logging.WARNING):
        engine = load_engine(model, cache=path.parent)
    assert "fails its self-test" in caplog.text
    fitted = drawn(2)
    equal(engine.run(fitted), openvino.run(fitted))
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


def test_with_the_cache_in_place_a_process_answers_without_tensorflow(
    tmp_path, model, cache, openvino, radiograph_png
):
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


def exported(folder: Path) -> Graph:
    return Graph((folder / GRAPH).read_bytes(), np.fromfile(folder / WEIGHTS, np.uint8), fresh=True)


def exported_engine(model: Path, folder: Path) -> OpenVINOEngine:
    bundle = read_bundle(model)
    export(bundle, folder)
    return OpenVINOEngine(bundle, exported(folder))


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


@pytest.mark.real_data
@pytest.mark.parametrize(
    "architecture, size",
    [("custom", 64), ("mobilenetv2", 96), ("densenet121", 96), ("efficientnetb0", 64)],
)
def test_both_engines_agree_on_real_radiographs(shared_data, tmp_path, architecture, size):
    model = tiny_bundle(
        tmp_path, architecture=architecture, image_size=size, regions=("hand", "leg")
    )
    fitted = real_radiographs(shared_data, size)
    agree(
        exported_engine(model, tmp_path).run(fitted),
        TensorFlowEngine(read_bundle(model)).run(fitted),
        probability=1e-3,
        correlation=0.999,
    )


@pytest.mark.real_data
def test_both_engines_agree_with_the_shipped_model_on_real_radiographs(shared_data, tmp_path):
    model = ROOT / "models" / "best_model.h5"
    if not model.is_file():
        missing(f"there is no model at {model}")
    bundle = read_bundle(model)
    fitted = real_radiographs(shared_data, bundle.preprocess.image_size)
    engine = OpenVINOEngine(bundle, load_graph(bundle, tmp_path), threads=1, lone_threads=2)
    found, alone = engine.run(fitted), engine.run(fitted, alone=True)
    expected = TensorFlowEngine(bundle).run(fitted)
    for ours in (found, alone):
        agree(ours, expected, probability=1e-3, correlation=0.999)
    agree(alone, found, probability=1e-5, correlation=0.999999)
