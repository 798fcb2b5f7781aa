"""Networks: seven architectures, flat graphs, and weights that fill all of a backbone or none."""

from __future__ import annotations

from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

from tests.conftest import SHARED, missing
from utils.errors import SetupError, UnknownName
from utils.model.architectures import ARCHITECTURES
from utils.model.pretrained import load_pretrained
from utils.model_builder import (
    COARSE,
    EVIDENCE,
    FINE,
    LOGIT,
    REGION,
    backbone_layers,
    batch_norms,
    build_model,
    detail_of,
)


@pytest.mark.parametrize("detail", [COARSE, FINE])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_architecture_gives_a_logit_and_a_region_from_a_flat_graph(
    architecture: str, detail: str
) -> None:
    model = build_model(architecture, 64, regions=("hand", "leg", "hip"), detail=detail)
    outputs = model(np.zeros((2, 64, 64, 3), np.float32))
    assert outputs[LOGIT].shape == (2, 1)
    assert outputs[REGION].shape == (2, 3)
    assert not any(isinstance(layer, keras.Model) for layer in model.layers)
    last = 4 if architecture == "custom" else 2
    side = 4 * last if detail == FINE else last
    assert model.get_layer(EVIDENCE).output.shape[1:3] == (side, side)
    assert detail_of(model) == detail


@pytest.mark.parametrize("architecture", ["custom", "vgg16", "densenet121", "mobilenetv2"])
def test_the_fine_map_does_without_a_round_image_size(architecture: str) -> None:
    model = build_model(architecture, 90, detail=FINE)
    assert np.isfinite(np.asarray(model(np.ones((1, 90, 90, 3), np.float32))[LOGIT])).all()


def test_the_pyramid_is_no_part_of_the_backbone() -> None:
    coarse, fine = (
        backbone_layers(build_model("mobilenetv2", 64, detail=d)) for d in (COARSE, FINE)
    )
    assert [layer.name for layer in fine] == [layer.name for layer in coarse]


def test_without_regions_there_is_no_region_head() -> None:
    assert set(build_model("custom", 32).output) == {LOGIT}


def test_an_unknown_architecture_is_answered_with_the_seven() -> None:
    with pytest.raises(UnknownName, match="custom, vgg16, resnet50, densenet121"):
        build_model("alexnet", 64)


def test_batch_statistics_follow_within_a_short_run() -> None:
    assert {layer.momentum for layer in batch_norms(build_model("mobilenetv2", 64))} == {0.9}


def test_the_backbone_ends_before_the_evidence() -> None:
    names = [layer.name for layer in backbone_layers(build_model("custom", 32))]
    assert names[-1] == "block4_pool"
    assert not {EVIDENCE, LOGIT} & set(names)


def test_a_trained_file_fills_the_backbone_of_another_model(tmp_path: Path) -> None:
    source = build_model("custom", 32)
    source.save(tmp_path / "source.h5", include_optimizer=False)
    target = build_model("custom", 64, regions=("hand", "leg"))
    assert load_pretrained(target, str(tmp_path / "source.h5")) == 16
    for name in ("block1a_conv", "block4b_bn"):
        for ours, theirs in zip(
            target.get_layer(name).get_weights(), source.get_layer(name).get_weights(), strict=True
        ):
            assert np.array_equal(ours, theirs)


@pytest.mark.parametrize("name", ["legacy.h5", "keras3.weights.h5"])
def test_a_published_file_of_the_bare_backbone_fills_it(tmp_path: Path, name: str) -> None:
    """Published files hold the backbone alone, under the layer names of older releases."""
    source = keras.applications.MobileNetV2(
        include_top=False, weights=None, input_shape=(64, 64, 3), name="published"
    )
    if name == "legacy.h5":
        source.save(tmp_path / name, include_optimizer=False)
        rename_layers(tmp_path / name)
    else:
        source.save_weights(tmp_path / name)
    model = build_model("mobilenetv2", 64, regions=("hand", "leg"))
    assert load_pretrained(model, str(tmp_path / name)) == 104
    picture = np.random.default_rng(0).random((1, 64, 64, 3)).astype(np.float32)
    ours = keras.Model(model.inputs[0], model.get_layer(EVIDENCE).output)(picture)
    np.testing.assert_allclose(np.asarray(ours), np.asarray(source(picture)), atol=1e-5)


def rename_layers(path: Path) -> None:
    """Rename the layers of a file as releases have renamed them: Conv1 to Conv1_old."""
    with h5py.File(path, "r+") as file:
        weights = file["model_weights"]
        names = [str(name) for name in weights.attrs["layer_names"]]
        for name in names:
            weights.move(name, f"{name}_old")
        weights.attrs["layer_names"] = [f"{name}_old" for name in names]


def test_weights_of_another_architecture_are_refused(tmp_path: Path) -> None:
    build_model("custom", 32).save(tmp_path / "custom.h5", include_optimizer=False)
    with pytest.raises(SetupError, match="do not fit mobilenetv2"):
        load_pretrained(build_model("mobilenetv2", 64), str(tmp_path / "custom.h5"))


def test_an_archive_fills_a_backbone_by_layer_and_variable(tmp_path: Path) -> None:
    source = build_model("custom", 32)
    arrays = {
        f"{layer.name}/{variable.name}": np.asarray(variable)
        for layer in backbone_layers(source)
        for variable in layer.weights
    }
    np.savez(tmp_path / "w.npz", **arrays, **{"classifier/kernel": np.zeros(3)})
    target = build_model("custom", 32)
    load_pretrained(target, str(tmp_path / "w.npz"))
    picture = np.random.default_rng(0).random((1, 32, 32, 3)).astype(np.float32)
    evidence = [
        keras.Model(model.inputs[0], model.get_layer(EVIDENCE).output)(picture)
        for model in (source, target)
    ]
    assert np.array_equal(*map(np.asarray, evidence))


def test_an_archive_that_lacks_a_layer_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "w.npz", **{"block1a_conv/kernel": np.zeros((3, 3, 3, 32))})
    with pytest.raises(SetupError, match="15 of 16 layers are not in it"):
        load_pretrained(build_model("custom", 32), str(tmp_path / "w.npz"))


def test_a_pickle_in_an_archive_is_not_run(tmp_path: Path) -> None:
    np.save(tmp_path / "w.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    (tmp_path / "w.npy").rename(tmp_path / "w.npz")
    with pytest.raises(SetupError, match="no readable .npz"):
        load_pretrained(build_model("custom", 32), str(tmp_path / "w.npz"))


@pytest.mark.parametrize("name", ["missing.h5", "text.h5"])
def test_weights_that_are_no_weight_file_are_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "text.h5").write_text("not HDF5")
    with pytest.raises(SetupError):
        load_pretrained(build_model("custom", 32), str(tmp_path / name))


def test_the_custom_network_has_no_published_weights() -> None:
    with pytest.raises(SetupError, match="custom network has no ImageNet weights"):
        load_pretrained(build_model("custom", 32), "imagenet")


def test_the_published_mobilenet_archive_fills_every_layer() -> None:
    path = SHARED / "weights" / "mobilenet_v2_1.0_224_imagenet.npz"
    if not path.is_file():
        missing(f"the ImageNet weights are not at {path}")
    model = build_model("mobilenetv2", 96)
    before = np.asarray(model.get_layer("Conv1").kernel).copy()
    assert load_pretrained(model, str(path)) == 104
    assert not np.array_equal(before, np.asarray(model.get_layer("Conv1").kernel))
