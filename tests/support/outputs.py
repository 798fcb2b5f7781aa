"""Comparison of two engines' outputs, and their inputs."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.support.pictures import draw_radiograph
from utils.gradcam import Outputs
from utils.inference.engines.graph_cache import Graph
from utils.inference.engines.graph_export import GRAPH, WEIGHTS, export
from utils.inference.engines.openvino_engine import OpenVINOEngine
from utils.model.bundle import read_bundle
from utils.preprocess import fit

NAMES = ("logit", "map", "embedding", "region", "heatmap", "box")


def drawn_inputs(count: int, size: int = 64) -> np.ndarray:
    """Return network inputs of drawn radiographs, uint8 (count, size, size)."""
    return np.stack([fit(draw_radiograph(seed=seed), size) for seed in range(count)])


def assert_agree(
    found: Outputs, expected: Outputs, *, probability: float, correlation: float
) -> None:
    """Compare two engines by the largest difference in probability and the least correlation of maps."""

    def sigmoid(logit: np.ndarray) -> np.ndarray:
        return 1.0 / (1.0 + np.exp(-logit.astype(np.float64)))

    assert np.abs(sigmoid(found.logit) - sigmoid(expected.logit)).max() <= probability
    for one, other in zip(found.map, expected.map, strict=True):
        assert np.corrcoef(one.ravel(), other.ravel())[0, 1] >= correlation
    assert found.embedding.shape == expected.embedding.shape
    assert (found.region is None) == (expected.region is None)
    if found.region is not None and expected.region is not None:
        assert np.abs(found.region - expected.region).max() <= probability


def assert_equal(found: Outputs, expected: Outputs, *, atol: float = 0.0) -> None:
    """Compare every number of two engines' outputs."""
    for name in NAMES:
        values, others = getattr(found, name), getattr(expected, name)
        assert (values is None) == (others is None)
        if values is not None:
            np.testing.assert_allclose(values, others, rtol=0, atol=atol)


def exported(folder: Path) -> Graph:
    """Return the graph that ``export`` wrote into a folder."""
    return Graph((folder / GRAPH).read_bytes(), np.fromfile(folder / WEIGHTS, np.uint8), fresh=True)


def exported_engine(model: Path, folder: Path) -> OpenVINOEngine:
    """Return an engine of a bundle, exported in this process without a cache."""
    bundle = read_bundle(model)
    export(bundle, folder)
    return OpenVINOEngine(bundle, exported(folder))
