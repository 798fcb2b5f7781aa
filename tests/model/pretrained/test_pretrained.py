"""Pretrained weights: they fill the whole backbone or are refused."""

from __future__ import annotations

from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

from tests.conftest import SHARED, missing
from utils.errors import SetupError
from utils.model.pretrained import load_pretrained
from utils.model_builder import EVIDENCE, backbone_layers, build_model


def test_a_trained_file_fills_another_backbone(tmp_path: Path) -> None:
    source = build_model("custom", 32)
    source.save(tmp_path / "source.h5", include_optimizer=False)
    target = build_model("custom", 64, regions=("hand", "leg"))
    assert load_pretrained(target, str(tmp_path / "source.h5")) == 16
    for name in ("block1a_conv", "block4b_bn"):
        for ours, theirs in zip(
            target.get_layer(name).get_weights(), source.get_layer(name).get_weights(), strict=True
        ):
            assert np.array_equal(ours, theirs)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["legacy.h5", "keras3.weights.h5"])
def test_a_published_file_fills_the_backbone(tmp_path: Path, name: str) -> None:
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


def test_an_archive_fills_by_layer_and_variable(tmp_path: Path) -> None:
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
def test_a_file_without_weights_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "text.h5").write_text("not HDF5")
    with pytest.raises(SetupError):
        load_pretrained(build_model("custom", 32), str(tmp_path / name))


def test_custom_has_no_published_weights() -> None:
    with pytest.raises(SetupError, match="custom network has no ImageNet weights"):
        load_pretrained(build_model("custom", 32), "imagenet")


def test_the_imagenet_archive_fills_every_layer() -> None:
    path = SHARED / "weights" / "mobilenet_v2_1.0_224_imagenet.npz"
    if not path.is_file():
        missing(f"the ImageNet weights are not at {path}")
    model = build_model("mobilenetv2", 96)
    before = np.asarray(model.get_layer("Conv1").kernel).copy()
    assert load_pretrained(model, str(path)) == 104
    assert not np.array_equal(before, np.asarray(model.get_layer("Conv1").kernel))
