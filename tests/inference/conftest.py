"""Fixtures of the inference tests: a small real bundle and its predictor."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.bundles import tiny_bundle
from tests.support.pictures import draw_radiograph, encode
from utils.inference.engines.engine import Engine, load_engine
from utils.inference.engines.openvino_engine import OpenVINOEngine
from utils.inference.predictor import Predictor, load_predictor


@pytest.fixture(scope="package")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle that no test alters."""
    return tiny_bundle(tmp_path_factory.mktemp("bundle"), image_size=64)


@pytest.fixture(scope="package")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of its graph."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="package")
def predictor(model: Path, cache: Path) -> Predictor:
    """A predictor of that bundle."""
    return load_predictor(model, cache=cache)


@pytest.fixture(scope="package")
def openvino(predictor: Predictor) -> Engine:
    """Its engine."""
    assert predictor.engine.kind == "openvino"
    return predictor.engine


@pytest.fixture(scope="package")
def tensorflow(model: Path) -> Engine:
    """The reference engine of the same bundle."""
    return load_engine(model, "tensorflow")


@pytest.fixture(scope="package")
def png() -> bytes:
    """A drawn radiograph that is large enough to get no warning."""
    return encode(draw_radiograph(300, 220))


@pytest.fixture(scope="package")
def shared(model: Path, cache: Path, openvino: Engine) -> OpenVINOEngine:
    """An engine of one thread, of two for a forward pass that is alone."""
    engine = load_engine(model, cache=cache, threads=1, lone_threads=2)
    assert isinstance(engine, OpenVINOEngine)
    return engine
