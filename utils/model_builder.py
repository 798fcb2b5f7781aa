"""Turns an architecture's name into a flat Keras graph: backbone, evidence, pooling, linear heads.

The graph is flat (the backbone is no nested model) and the fracture's head is linear, so that the class
activation map is a 1x1 convolution of the layer ``evidence`` (see ``utils.gradcam``). The evidence is the
backbone's last feature map (``coarse``, 32 pixels a cell) or a feature pyramid's finest level (``fine``, 8
pixels a cell): half of the fractures marked in FracAtlas are less than 18 pixels wide where the longest
side of the radiograph has 384.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from utils.errors import SetupError
from utils.model.architectures import ARCHITECTURES

if TYPE_CHECKING:
    import keras

EVIDENCE, LOGIT, REGION = "evidence", "logit", "region"
IMAGENET, RANDOM = "imagenet", "none"
COARSE: Final = "coarse"
FINE: Final = "fine"
PYRAMID = "pyramid"
# Channels of the pyramid, and what its evidence is multiplied by: a fracture covers a few of thousands of
# cells, and what it adds to their mean must still move the logit.
PYRAMID_CHANNELS, PYRAMID_GAIN = 128, 8.0

# The default of 0.99 needs hundreds of steps before the running statistics are worth anything, so that
# a short run from random weights validates at chance.
BATCH_NORM_MOMENTUM = 0.9


def build_model(
    architecture: str,
    image_size: int,
    *,
    regions: Sequence[str] = (),
    detail: str = COARSE,
    dropout: float = 0.2,
) -> keras.Model:
    """Build a network with random weights.

    Args:
        architecture: name in ARCHITECTURES.
        image_size: side of the square input, pixels.
        regions: body parts of the auxiliary head; none leaves the head out.
        detail: of the activation map, "coarse" or "fine".
        dropout: share of the pooled features that is dropped while training.

    Returns:
        A model from float32 (n, size, size, 3) to a dict: ``logit`` (n, 1) and, with regions,
        ``region`` (n, len(regions)), both linear.

    Raises:
        UnknownName: no such architecture.

    Source:
        Global average pooling and class activation maps: Zhou et al., arXiv:1512.04150, section 2.
        Feature pyramids: Lin et al., arXiv:1612.03144, section 3.
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
    # float32 also under mixed precision: a logit in float16 saturates.
    pool = partial(keras.layers.GlobalAveragePooling2D, dtype="float32")
    head = partial(keras.layers.Dense, dtype="float32")
    if detail == FINE:
        finer = keras.Model(inputs, features)
        fine = _pyramid(features, *(finer.get_layer(name).output for name in chosen.finer))
        evidence = keras.layers.Rescaling(PYRAMID_GAIN, dtype="float32", name=EVIDENCE)(fine)
    else:
        evidence = keras.layers.Activation("linear", dtype="float32", name=EVIDENCE)(features)
    pooled = pool(name=f"{EVIDENCE}_pool")(evidence)
    dropped = keras.layers.Dropout(dropout, name="dropout")(pooled)
    outputs = {LOGIT: head(1, name=LOGIT)(dropped)}
    if regions:
        if detail == FINE:
            dropped = keras.layers.Dropout(dropout, name=f"{REGION}_dropout")(
                pool(name=f"{REGION}_pool")(features)
            )
        outputs[REGION] = head(len(regions), name=REGION)(dropped)
    return keras.Model(inputs, outputs, name=architecture)


def _pyramid(
    last: keras.KerasTensor, finer: keras.KerasTensor, finest: keras.KerasTensor
) -> keras.KerasTensor:
    """Join three feature maps, each twice as fine as the one before, at the finest's resolution."""
    from keras import layers

    merged = layers.Conv2D(PYRAMID_CHANNELS, 1, name=f"{PYRAMID}_last")(last)
    for name, features in (("finer", finer), ("finest", finest)):
        lateral = layers.Conv2D(PYRAMID_CHANNELS, 1, name=f"{PYRAMID}_{name}")(features)
        _, height, width, _ = lateral.shape
        raise_ = layers.Resizing(height, width, "nearest", name=f"{PYRAMID}_{name}_up")
        merged = layers.Add(name=f"{PYRAMID}_{name}_sum")([raise_(merged), lateral])
    merged = layers.ReLU(name=f"{PYRAMID}_relu")(merged)
    for step in ("smooth", "refine"):
        merged = layers.SeparableConv2D(
            PYRAMID_CHANNELS, 3, padding="same", activation="relu", name=f"{PYRAMID}_{step}"
        )(merged)
    # A lesion covers several cells: their mean is steadier than any one of them.
    return layers.AveragePooling2D(3, strides=1, padding="same", name=f"{PYRAMID}_mean")(merged)


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


def detail_of(model: keras.Model) -> Literal["coarse", "fine"]:
    """Tell whether a model has the coarse map or the fine one."""
    return FINE if any(layer.name.startswith(PYRAMID) for layer in model.layers) else COARSE


def map_offset(architecture: str, detail: str) -> float:
    """Return how far right of and below the middle of its share of the input a map's cell looks, pixels."""
    chosen = ARCHITECTURES[architecture]
    return chosen.fine_shift if detail == FINE else chosen.shift


def batch_norms(model: keras.Model) -> Iterator[keras.layers.BatchNormalization]:
    """Yield the batch normalisation layers of a flat model."""
    import keras

    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            yield layer


def backbone_layers(model: keras.Model) -> list[keras.layers.Layer]:
    """Return the layers of the published network: what transfer learning freezes first."""
    ours = (PYRAMID, EVIDENCE, LOGIT, REGION, "dropout")
    return [layer for layer in model.layers if not layer.name.startswith(ours)]


def feature_maps(model: keras.Model) -> list[keras.KerasTensor]:
    """Return the backbone's feature maps of three resolutions, the finest last."""
    last = backbone_layers(model)[-1].output
    return [last, *(model.get_layer(name).output for name in ARCHITECTURES[model.name].finer)]


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

    backbone = keras.Model(model.inputs[0], feature_maps(model)[0])
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
