"""The network as a flat Keras graph: backbone, evidence, pooling, linear heads.

The graph is flat (the backbone is no nested model) and the fracture's head is linear, so that the class
activation map is a 1x1 convolution of the layer ``evidence`` (see ``utils.gradcam``). The evidence is the
backbone's last feature map (``coarse``, 32 pixels a cell) or a feature pyramid's finest level (``fine``, 8
pixels a cell): half of the fractures marked in FracAtlas are less than 18 pixels wide where the longest
side of the radiograph has 384.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final, Literal

from utils.model.architectures import ARCHITECTURES
from utils.model.architectures.efficientnet_lite import VARIANTS, efficientnet_lite

if TYPE_CHECKING:
    import keras

EVIDENCE, LOGIT, REGION = "evidence", "logit", "region"
HEATMAP, BOX = "heatmap", "box"
COARSE: Final = "coarse"
FINE: Final = "fine"
PYRAMID = "pyramid"
# Channels of the pyramid, and the factor on its evidence: a fracture covers a few of thousands of cells, and
# its contribution to their mean must still move the logit.
PYRAMID_CHANNELS, PYRAMID_GAIN = 128, 8.0
# Channels of each branch of the detection head, and the share of cells that it begins by calling a fracture:
# nearly all cells are none, whose loss would drown that of the others.
DETECTION_CHANNELS, DETECTION_PRIOR = 64, 0.01

# With the default of 0.99 the running statistics need hundreds of steps to converge, so that a short run from
# random weights validates at chance.
BATCH_NORM_MOMENTUM = 0.9


def build_model(
    architecture: str,
    image_size: int,
    *,
    regions: Sequence[str] = (),
    detail: str = COARSE,
    boxes: bool = False,
    dropout: float = 0.2,
) -> keras.Model:
    """Build a network with random weights.

    Args:
        architecture: name in ARCHITECTURES.
        image_size: side of the square input, pixels.
        regions: body parts of the auxiliary head; none leaves the head out.
        detail: of the activation map, "coarse" or "fine".
        boxes: add the detection head, which needs the fine map.
        dropout: share of the pooled features that is dropped while training.

    Returns:
        A model from float32 (n, size, size, 3) to a dict: ``logit`` (n, 1) and, with regions,
        ``region`` (n, len(regions)), both linear; with boxes, ``heatmap`` (n, cells, cells, 1) in logits and
        ``box`` (n, cells, cells, 4), see ``detection.candidates``.

    Raises:
        UnknownName: no such architecture.

    Source:
        Global average pooling and class activation maps: Zhou et al., arXiv:1512.04150, section 2.
        Feature pyramids: Lin et al., arXiv:1612.03144, section 3. Detection head: Zhou et al.,
        arXiv:1904.07850, section 3; its prior: Lin et al., arXiv:1708.02002, section 3.3.
    """
    import keras

    chosen = ARCHITECTURES[architecture]
    inputs = keras.Input((image_size, image_size, 3), name="radiograph")
    features = _backbone(chosen.backbone, inputs)
    for layer in batch_norms(keras.Model(inputs, features)):
        layer.momentum = BATCH_NORM_MOMENTUM
    # float32 also under mixed precision: a logit in float16 saturates.
    pool = partial(keras.layers.GlobalAveragePooling2D, dtype="float32")
    head = partial(keras.layers.Dense, dtype="float32")
    detected: dict[str, keras.KerasTensor] = {}
    if detail == FINE:
        finer = keras.Model(inputs, features)
        fine = _pyramid(features, *(finer.get_layer(name).output for name in chosen.finer))
        # A lesion covers several cells: their mean is less noisy than any one of them.
        mean = keras.layers.AveragePooling2D(3, 1, "same", name=f"{PYRAMID}_mean")(fine)
        evidence = keras.layers.Rescaling(PYRAMID_GAIN, dtype="float32", name=EVIDENCE)(mean)
        if boxes:
            detected = _detection_head(fine)
    else:
        evidence = keras.layers.Activation("linear", dtype="float32", name=EVIDENCE)(features)
    pooled = pool(name=f"{EVIDENCE}_pool")(evidence)
    dropped = keras.layers.Dropout(dropout, name="dropout")(pooled)
    outputs = {LOGIT: head(1, name=LOGIT)(dropped), **detected}
    if regions:
        if detail == FINE:
            dropped = keras.layers.Dropout(dropout, name=f"{REGION}_dropout")(
                pool(name=f"{REGION}_pool")(features)
            )
        outputs[REGION] = head(len(regions), name=REGION)(dropped)
    return keras.Model(inputs, outputs, name=architecture)


def _backbone(name: str, inputs: keras.KerasTensor) -> keras.KerasTensor:
    """Return the last feature map of a backbone, see ``Architecture.backbone``."""
    import keras

    if not name:
        return _custom_blocks(inputs)
    if name in VARIANTS:
        return efficientnet_lite(name, inputs)
    published = getattr(keras.applications, name)
    return published(include_top=False, weights=None, input_tensor=inputs).output


def _pyramid(
    last: keras.KerasTensor, finer: keras.KerasTensor, finest: keras.KerasTensor
) -> keras.KerasTensor:
    """Merge three feature maps, each twice as fine as the one before, at the finest resolution."""
    from keras import layers

    merged = layers.Conv2D(PYRAMID_CHANNELS, 1, name=f"{PYRAMID}_last")(last)
    for name, features in (("finer", finer), ("finest", finest)):
        lateral = layers.Conv2D(PYRAMID_CHANNELS, 1, name=f"{PYRAMID}_{name}")(features)
        _, height, width, _ = lateral.shape
        upsample = layers.Resizing(height, width, "nearest", name=f"{PYRAMID}_{name}_up")
        merged = layers.Add(name=f"{PYRAMID}_{name}_sum")([upsample(merged), lateral])
    merged = layers.ReLU(name=f"{PYRAMID}_relu")(merged)
    for step in ("smooth", "refine"):
        merged = layers.SeparableConv2D(
            PYRAMID_CHANNELS, 3, padding="same", activation="relu", name=f"{PYRAMID}_{step}"
        )(merged)
    return merged


def _detection_head(features: keras.KerasTensor) -> dict[str, keras.KerasTensor]:
    """Return heatmap and boxes from the pyramid's finest features, a branch each."""
    from keras import initializers, layers

    prior = math.log(DETECTION_PRIOR / (1.0 - DETECTION_PRIOR))
    outputs = {}
    for name, channels, bias in ((HEATMAP, 1, prior), (BOX, 4, 0.0)):
        branch = layers.SeparableConv2D(
            DETECTION_CHANNELS, 3, padding="same", activation="relu", name=f"{name}_features"
        )(features)
        outputs[name] = layers.Conv2D(
            channels, 1, bias_initializer=initializers.Constant(bias), dtype="float32", name=name
        )(branch)
    return outputs


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
            features = layers.BatchNormalization(name=f"{name}_bn")(features)
            features = layers.ReLU(name=f"{name}_relu")(features)
        features = layers.MaxPooling2D(name=f"block{block}_pool")(features)
    return features


def detail_of(model: keras.Model) -> Literal["coarse", "fine"]:
    """Return which activation map a model has, "coarse" or "fine"."""
    return FINE if any(layer.name.startswith(PYRAMID) for layer in model.layers) else COARSE


def map_offset(architecture: str, detail: str) -> float:
    """Return the receptive-field centre offset of a map's cells, pixels right and down."""
    chosen = ARCHITECTURES[architecture]
    return chosen.fine_centre_offset if detail == FINE else chosen.centre_offset


def batch_norms(model: keras.Model) -> Iterator[keras.layers.BatchNormalization]:
    """Yield the batch normalisation layers of a flat model."""
    import keras

    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            yield layer


def backbone_layers(model: keras.Model) -> list[keras.layers.Layer]:
    """Return the layers of the published network, which transfer learning freezes first."""
    added = (PYRAMID, EVIDENCE, LOGIT, REGION, HEATMAP, BOX, "dropout")
    return [layer for layer in model.layers if not layer.name.startswith(added)]


def feature_maps(model: keras.Model) -> list[keras.KerasTensor]:
    """Return the backbone's feature maps of three resolutions, the finest last."""
    last = backbone_layers(model)[-1].output
    return [last, *(model.get_layer(name).output for name in ARCHITECTURES[model.name].finer)]
