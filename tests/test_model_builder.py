"""The network: every architecture as a flat graph."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from utils.errors import UnknownName
from utils.model.architectures import ARCHITECTURES
from utils.model_builder import (
    BOX,
    COARSE,
    DETECTION_PRIOR,
    EVIDENCE,
    FINE,
    HEATMAP,
    LOGIT,
    REGION,
    backbone_layers,
    batch_norms,
    build_model,
    detail_of,
)


@pytest.mark.slow
@pytest.mark.parametrize("detail", [COARSE, FINE])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_architecture_is_a_flat_graph(architecture: str, detail: str) -> None:
    model = build_model(architecture, 64, regions=("hand", "leg", "hip"), detail=detail)
    assert model.output[LOGIT].shape == (None, 1)
    assert model.output[REGION].shape == (None, 3)
    assert not any(isinstance(layer, keras.Model) for layer in model.layers)
    last = 4 if architecture == "custom" else 2
    side = 4 * last if detail == FINE else last
    assert model.get_layer(EVIDENCE).output.shape[1:3] == (side, side)
    assert detail_of(model) == detail


@pytest.mark.parametrize(
    "architecture",
    [
        "custom",
        "vgg16",
        pytest.param("densenet121", marks=pytest.mark.slow),
        "mobilenetv2",
        "efficientnetlite0",
    ],
)
def test_the_fine_map_takes_any_image_size(architecture: str) -> None:
    model = build_model(architecture, 90, detail=FINE)
    assert np.isfinite(np.asarray(model(np.ones((1, 90, 90, 3), np.float32))[LOGIT])).all()


def test_the_detection_head_has_the_finest_cells() -> None:
    outputs = build_model("mobilenetv2", 96, detail=FINE, boxes=True).output
    assert outputs[HEATMAP].shape == (None, 12, 12, 1)
    assert outputs[BOX].shape == (None, 12, 12, 4)


def test_the_detection_head_begins_at_its_prior() -> None:
    model = build_model("custom", 64, detail=FINE, boxes=True)
    outputs = model(np.zeros((1, 64, 64, 3), np.float32))
    assert 1 / (1 + np.exp(-np.asarray(outputs[HEATMAP]))) == pytest.approx(DETECTION_PRIOR)


def test_the_detection_head_leaves_the_rest_alone() -> None:
    with_head, without = (build_model("custom", 64, detail=FINE, boxes=b) for b in (True, False))
    shared = {weight.path: weight for weight in with_head.weights}
    for weight in without.weights:
        weight.assign(shared[weight.path])
    inputs = np.random.default_rng(0).random((2, 64, 64, 3)).astype(np.float32)
    found, expected = (np.asarray(model(inputs)[LOGIT]) for model in (with_head, without))
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_the_pyramid_is_no_part_of_the_backbone() -> None:
    coarse, fine = (
        backbone_layers(build_model("mobilenetv2", 64, detail=d, boxes=d == FINE))
        for d in (COARSE, FINE)
    )
    assert [layer.name for layer in fine] == [layer.name for layer in coarse]


def test_without_regions_there_is_no_region_head() -> None:
    assert set(build_model("custom", 32).output) == {LOGIT}


def test_an_unknown_architecture_names_the_others() -> None:
    with pytest.raises(UnknownName, match="custom, vgg16, resnet50, densenet121"):
        build_model("alexnet", 64)


def test_batch_statistics_follow_a_short_run() -> None:
    assert {layer.momentum for layer in batch_norms(build_model("mobilenetv2", 64))} == {0.9}


def test_the_backbone_ends_before_the_evidence() -> None:
    names = [layer.name for layer in backbone_layers(build_model("custom", 32))]
    assert names[-1] == "block4_pool"
    assert not {EVIDENCE, LOGIT} & set(names)
