"""Self-test: a known input and its expected outputs."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.support.bundles import alter_sidecar
from utils.errors import BundleError
from utils.gradcam import Outputs
from utils.inference.engines.engine import load_engine
from utils.model.self_test import check_self_test, self_test_input, self_test_section
from utils.model.sidecar import sidecar_path


@pytest.fixture
def outputs() -> Outputs:
    random = np.random.default_rng(0)
    arrays = {"logit": (1,), "map": (1, 4, 4), "embedding": (1, 8), "region": (1, 2)}
    arrays |= {"heatmap": (1, 4, 4), "box": (1, 4, 4, 4)}
    return Outputs.of({name: random.normal(size=shape) for name, shape in arrays.items()})


def test_the_known_input_is_the_same_everywhere() -> None:
    """The first values by hand: ((0-1200)^2 + (0-900)^2) >> 13 ^ ((2900^2 + 3300^2) >> 14) & 255."""
    image = self_test_input(64)
    assert image.shape == (1, 64, 64)
    assert image[0, 0, 0] == ((2_250_000 >> 13) ^ (19_300_000 >> 14)) & 255
    assert len(np.unique(image)) > 100


@pytest.mark.parametrize("name", ["logit", "map", "embedding", "region", "heatmap", "box"])
def test_every_output_is_compared(outputs: Outputs, name: str) -> None:
    section = self_test_section(outputs)
    check_self_test(section, outputs)
    other = replace(outputs, **{name: getattr(outputs, name) + np.float32(0.5)})
    with pytest.raises(BundleError, match=f"self-test with {name}"):
        check_self_test(section, other)


def test_a_factor_widens_the_tolerance(outputs: Outputs) -> None:
    section = self_test_section(outputs)
    other = replace(outputs, logit=outputs.logit + np.float32(5 * section.tolerance["logit"]))
    with pytest.raises(BundleError):
        check_self_test(section, other)
    check_self_test(section, other, factor=10.0)


def test_a_missing_output_is_refused(outputs: Outputs) -> None:
    with pytest.raises(BundleError, match="self-test expects"):
        check_self_test(self_test_section(outputs), replace(outputs, region=None))


def test_an_engine_that_fails_it_is_refused(bundle_path: Path) -> None:
    expected = json.loads(sidecar_path(bundle_path).read_text())["golden"]["outputs"]
    expected["logit"] = [expected["logit"][0] + 0.1]
    alter_sidecar(bundle_path, {"outputs": expected}, "golden")
    with pytest.raises(BundleError, match="self-test"):
        load_engine(bundle_path, "tensorflow")
