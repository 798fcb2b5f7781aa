"""Turns an architecture's name into a flat Keras graph: backbone, evidence, pooling, linear heads.

The graph is flat (the backbone is no nested model) and its heads are linear, so that the class
activation map is a 1x1 convolution of the layer ``evidence`` (see ``utils.gradcam``).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from utils.architectures import ARCHITECTURES
from utils.errors import SetupError

if TYPE_CHECKING:
    import keras

EVIDENCE, EMBEDDING, LOGIT, REGION = "evidence", "embedding", "logit", "region"
IMAGENET, RANDOM = "imagenet", "none"

# The default of 0.99 needs hundreds of steps before the running statistics are worth anything, so that
# a short run from random weights validates at chance.
BATCH_NORM_MOMENTUM = 0.9


def build_model(
    architecture: str, image_size: int, *, regions: Sequence[str] = (), dropout: float = 0.2
) -> keras.Model:
    """Build a network with random weights.

    Args:
        architecture: name in ARCHITECTURES.
        image_size: side of the square input, pixels.
        regions: body parts of the auxiliary head; none leaves the head out.
        dropout: share of the pooled features that is dropped while training.

    Returns:
        A model from float32 (n, size, size, 3) to a dict: ``logit`` (n, 1) and, with regions,
        ``region`` (n, len(regions)), both linear.

    Raises:
        UnknownName: no such architecture.

    Source:
        Global average pooling and class activation maps: Zhou et al., arXiv:1512.04150, section 2.
    """
    import keras

    chosen = ARCHITECTURES[architecture]
    inputs = keras.Input((image_size, image_size, 3), name="radiograph")
    if chosen.backbone:
        backbone = getattr(keras.applications, chosen.backbone)(
            include_top=False, weights=None, input_tensor=inputs
        )
        features = backbone.output
        for layer in batch_norms(backbone):
            layer.momentum = BATCH_NORM_MOMENTUM
    else:
        features = _custom_blocks(inputs)
    evidence = keras.layers.Activation("linear", dtype="float32", name=EVIDENCE)(features)
    embedding = keras.layers.GlobalAveragePooling2D(dtype="float32", name=EMBEDDING)(evidence)
    pooled = keras.layers.Dropout(dropout, name="dropout")(embedding)
    # float32 also under mixed precision: a logit in float16 saturates.
    outputs = {LOGIT: keras.layers.Dense(1, dtype="float32", name=LOGIT)(pooled)}
    if regions:
        outputs[REGION] = keras.layers.Dense(len(regions), dtype="float32", name=REGION)(pooled)
    return keras.Model(inputs, outputs, name=architecture)


def _custom_blocks(inputs: keras.KerasTensor) -> keras.KerasTensor:
    """Return the feature map of four convolution blocks of 32 to 256 channels, stride 16."""
    from keras import layers

    features = inputs
    for block, channels in enumerate((32, 64, 128, 256), start=1):
        for step in ("a", "b"):
            name = f"block{block}{step}"
            features = layers.Conv2D(
                channels, 3, padding="same", use_bias=False, name=f"{name}_conv"
            )(features)
            features = layers.BatchNormalization(momentum=BATCH_NORM_MOMENTUM, name=f"{name}_bn")(
                features
            )
            features = layers.ReLU(name=f"{name}_relu")(features)
        features = layers.MaxPooling2D(name=f"block{block}_pool")(features)
    return features


def batch_norms(model: keras.Model) -> Iterator[keras.layers.BatchNormalization]:
    """Yield the batch normalisation layers of a flat model."""
    import keras

    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            yield layer


def backbone_layers(model: keras.Model) -> list[keras.layers.Layer]:
    """Return the layers up to and without ``evidence``: what transfer learning freezes first."""
    names = [layer.name for layer in model.layers]
    return model.layers[: names.index(EVIDENCE)]


def load_pretrained(model: keras.Model, weights: str) -> int:
    """Fill a model's backbone from published or own weights.

    Args:
        model: what ``build_model`` made.
        weights: "none" (leave it random), "imagenet" (downloaded by Keras, needs the internet), or the
            path of a ``.npz`` keyed ``layer/variable`` or of a Keras weight file of this backbone
            or of a model trained here.

    Returns:
        How many layers were filled.

    Raises:
        SetupError: the file is missing or does not fit the architecture, or the download failed.
    """
    if weights == RANDOM:
        return 0
    if weights == IMAGENET:
        return _load_imagenet(model)
    path = Path(weights)
    if not path.is_file():
        raise SetupError(
            f"there are no weights at {path}; --weights takes imagenet, none, or the path of a .npz "
            "or .h5 file"
        )
    return _load_npz(model, path) if path.suffix == ".npz" else _load_keras(model, path)


def _load_imagenet(model: keras.Model) -> int:
    import keras

    backbone = ARCHITECTURES[model.name].backbone
    if not backbone:
        raise SetupError("the custom network has no ImageNet weights; use --weights none or a path")
    size = model.input_shape[1]
    try:
        source = getattr(keras.applications, backbone)(
            include_top=False, weights=IMAGENET, input_shape=(size, size, 3)
        )
    except Exception as error:  # Keras wraps whatever the download met in a bare Exception
        raise SetupError(
            f"ImageNet weights of {model.name} could not be downloaded ({error}); give their file "
            "with --weights PATH, or start with --weights none"
        ) from error
    return _copy(model, {layer.name: layer.get_weights() for layer in source.layers}, "ImageNet")


def _load_npz(model: keras.Model, path: Path) -> int:
    """Fill layers from ``layer/variable`` arrays; arrays of layers the model lacks are left out."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in archive.files}
    except (OSError, ValueError) as error:
        raise SetupError(f"{path} is no readable .npz file of weights ({error})") from error
    found: dict[str, list[np.ndarray]] = {}
    for layer in backbone_layers(model):
        keys = [f"{layer.name}/{variable.name}" for variable in layer.weights]
        if keys and all(key in arrays for key in keys):
            found[layer.name] = [arrays[key] for key in keys]
    return _copy(model, found, path.name)


def _load_keras(model: keras.Model, path: Path) -> int:
    """Fill layers from a Keras weight file; only arrays are read, so no code in it can run.

    By layer name where the file has them all; else as Keras does it, by position: published files
    carry the names of older releases.
    """
    import h5py

    wanted = [layer.name for layer in backbone_layers(model) if layer.weights]
    found: dict[str, list[np.ndarray]] = {}
    try:
        with h5py.File(path, "r") as file:
            layers = file.get("model_weights", file)
            for name in set(wanted) & set(layers):
                order = layers[name].attrs.get("weight_names", ())
                found[name] = [np.asarray(layers[name][key]) for key in order]
    except (OSError, KeyError, TypeError) as error:
        raise SetupError(f"{path} is no readable Keras weight file ({error})") from error
    if len(found) == len(wanted):
        return _copy(model, found, path.name)
    return _load_by_position(model, path)


def _load_by_position(model: keras.Model, path: Path) -> int:
    """Let Keras fill the backbone alone; it insists on the number of layers and their shapes."""
    import keras

    backbone = keras.Model(model.inputs[0], model.get_layer(EVIDENCE).input)
    try:
        backbone.load_weights(path)
    except Exception as error:  # Keras and h5py raise half a dozen kinds
        raise SetupError(f"the weights of {path.name} do not fit {model.name} ({error})") from error
    return sum(bool(layer.weights) for layer in backbone.layers)


def _copy(model: keras.Model, found: dict[str, list[np.ndarray]], source: str) -> int:
    """Set the weights of the backbone's layers and insist that none of them stays random."""
    wanted = [layer for layer in backbone_layers(model) if layer.weights]
    without = [layer.name for layer in wanted if not found.get(layer.name)]
    if without:
        raise SetupError(
            f"the weights of {source} do not fit {model.name}: {len(without)} of {len(wanted)} layers "
            f"are not in it ({', '.join(without[:3])}, ...)"
        )
    for layer in wanted:
        try:
            layer.set_weights(found[layer.name])
        except ValueError as error:
            raise SetupError(
                f"the weights of {source} do not fit {model.name}: layer {layer.name} ({error})"
            ) from error
    return len(wanted)
