"""Fixtures of the inference tests: a small real bundle and its predictor."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.bundles import tiny_bundle
from tests.support.pictures import draw_radiograph, encode
from utils.inference.predictor import Predictor, load_predictor


@pytest.fixture(scope="package")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle that no test alters."""
    return tiny_bundle(tmp_path_factory.mktemp("bundle"), image_size=64)


@pytest.fixture(scope="package")
def predictor(model: Path) -> Predictor:
    """A predictor of that bundle."""
    return load_predictor(model)


@pytest.fixture(scope="package")
def png() -> bytes:
    """A drawn radiograph that is large enough to get no warning."""
    return encode(draw_radiograph(300, 220))
