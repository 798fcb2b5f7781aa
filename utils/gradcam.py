"""Grad-CAM as a part of the network: logit, region, map, boxes and embedding in one forward pass.

With a linear head after global average pooling, Grad-CAM needs no gradient at run time: the derivative
of the logit by channel k of the feature map A is the head's weight w_k / (h * w) at every cell, so the
map sum_k w_k / (h * w) * A_k is a 1x1 convolution. Its unit is logit: the cells of the signed map add
up to the logit less the head's bias. Its positive part is displayed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from utils.errors import SetupError
from utils.model_builder import BOX, EVIDENCE, HEATMAP, LOGIT, REGION, feature_maps

if TYPE_CHECKING:
    import keras

MAP, EMBEDDING = "map", "embedding"


def signed_map(network: keras.Model) -> keras.KerasTensor:
    """Return the activation map as a tensor of a network's graph that follows its weights in training.

    Returns:
        float32 (n, h, w) in logits; with the head's bias its sum is the logit, without dropout.
    """
    import keras

    evidence = network.get_layer(EVIDENCE).output
    kernel = network.get_layer(LOGIT).kernel
    _, height, width, _ = evidence.shape
    return keras.ops.squeeze(keras.ops.matmul(evidence, kernel), axis=-1) / (height * width)


def explain(network: keras.Model) -> keras.Model:
    """Return a model that shares the network's layers and adds map and embedding to its outputs.

    Args:
        network: as ``model_builder.build_model`` returns it, with its final weights: the map's kernel is
            a copy of the head's at this moment.

    Returns:
        A model from float32 (n, size, size, 3) to a dict of float32: ``logit`` (n,), ``map``
        (n, h, w) signed, ``embedding`` (n, channels): two feature maps from the middle of the
        network, pooled, which separate out-of-distribution pictures best (see ``utils.model.ood``), and
        ``region`` (n, regions) probabilities, ``heatmap`` (n, cells, cells) logits and ``box``
        (n, cells, cells, 4) where the network has those heads.

    Source:
        Selvaraju et al., Grad-CAM, arXiv:1610.02391, equations 1 and 2 and appendix A (CAM as its
        special case).
    """
    import keras

    evidence = network.get_layer(EVIDENCE).output
    pool = keras.layers.GlobalAveragePooling2D(dtype="float32", name="middle_pool")
    _, *middle = feature_maps(network)
    embedding = keras.ops.concatenate([pool(features) for features in middle], axis=-1)
    _, height, width, channels = evidence.shape
    project = keras.layers.Conv2D(1, 1, use_bias=False, dtype="float32", name="map_projection")
    signed = project(evidence)
    kernel = keras.ops.convert_to_numpy(network.get_layer(LOGIT).kernel)
    project.set_weights([(kernel / (height * width)).reshape(1, 1, channels, 1)])
    outputs = {
        LOGIT: keras.ops.squeeze(network.output[LOGIT], axis=-1),
        MAP: keras.ops.squeeze(signed, axis=-1),
        EMBEDDING: embedding,
    }
    if REGION in network.output:
        outputs[REGION] = keras.ops.softmax(network.output[REGION])
    if HEATMAP in network.output:
        outputs[HEATMAP] = keras.ops.squeeze(network.output[HEATMAP], axis=-1)
        outputs[BOX] = network.output[BOX]
    return keras.Model(network.inputs[0], outputs, name=f"{network.name}_explained")


@dataclass(frozen=True, eq=False)
class Outputs:
    """Outputs of one forward pass for n radiographs.

    Args:
        logit: float32 (n,), of the positive class, before calibration.
        map: float32 (n, h, w), signed, in logits; its sum plus the head's bias is the logit.
        embedding: float32 (n, channels), two feature maps from the middle of the network, pooled.
        region: float32 (n, regions) probabilities, or None without that head.
        heatmap: float32 (n, cells, cells) logits of the detection head, or None without it.
        box: float32 (n, cells, cells, 4), its offsets and sizes, likewise; see ``detection.candidates``.

    Raises:
        SetupError: a value is not finite; NaN compared with a threshold would give "Normal".
    """

    logit: np.ndarray
    map: np.ndarray
    embedding: np.ndarray
    region: np.ndarray | None
    heatmap: np.ndarray | None = None
    box: np.ndarray | None = None

    def __post_init__(self) -> None:
        for values in vars(self).values():
            if values is not None and not np.isfinite(values).all():
                raise SetupError("model.not_finite")

    def predicted_regions(self, names: Sequence[str]) -> tuple[str, ...]:
        """Return the likeliest body part of each radiograph, "" without that head."""
        if self.region is None:
            return ("",) * len(self.logit)
        return tuple(names[best] for best in self.region.argmax(axis=1))

    @classmethod
    def of(cls, arrays: Mapping[str, object]) -> Outputs:
        """Return the record of the explained model's outputs, tensors or arrays."""
        named = {name: np.asarray(values, np.float32) for name, values in arrays.items()}
        return cls(
            named[LOGIT],
            named[MAP],
            named[EMBEDDING],
            named.get(REGION),
            named.get(HEATMAP),
            named.get(BOX),
        )
