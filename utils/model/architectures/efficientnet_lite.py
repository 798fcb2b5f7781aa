"""EfficientNet-Lite 0 to 2: EfficientNet without squeeze-and-excitation, with ReLU6.

The layers are named as those of Keras's EfficientNet.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras

STEM_CHANNELS = 32
# Channels of a stage are a multiple of it.
DIVISOR = 8
# Share of training images for which the last block is skipped; it grows from 0 block by block.
DROP_CONNECT = 0.2
EPSILON = 1e-3


@dataclass(frozen=True)
class Stage:
    """Blocks of one resolution, before scaling.

    Args:
        repeats: number of blocks.
        kernel: side of the depthwise kernel.
        strides: of the first block.
        expansion: factor on the channels inside a block.
        channels: of the output.
    """

    repeats: int
    kernel: int
    strides: int
    expansion: int
    channels: int


STAGES = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
    Stage(4, 5, 2, 6, 192),
    Stage(1, 3, 1, 6, 320),
)

# Factors on channels and on repeats by backbone.
VARIANTS = {
    "EfficientNetLite0": (1.0, 1.0),
    "EfficientNetLite1": (1.0, 1.1),
    "EfficientNetLite2": (1.1, 1.2),
}


@dataclass(frozen=True)
class Block:
    """One inverted residual block.

    Args:
        name: "block", stage from 1, block from "a".
        kernel: side of the depthwise kernel.
        strides: of the depthwise convolution.
        hidden: channels inside.
        channels: of the output.
        expands: whether a convolution leads to the hidden channels.
        skips: whether the input is added to the output.
        drop: share of training images for which the block is skipped.
    """

    name: str
    kernel: int
    strides: int
    hidden: int
    channels: int
    expands: bool
    skips: bool
    drop: float


def blocks(backbone: str) -> Iterator[Block]:
    """Yield the blocks of a backbone in VARIANTS, the first and last stage not deepened."""
    width, depth = VARIANTS[backbone]
    repeats = [math.ceil(stage.repeats * depth) for stage in STAGES]
    repeats[0], repeats[-1] = STAGES[0].repeats, STAGES[-1].repeats
    channels, number = STEM_CHANNELS, 0
    for index, (stage, count) in enumerate(zip(STAGES, repeats, strict=True)):
        scaled = _rounded(stage.channels * width)
        for step in range(count):
            strides = 1 if step else stage.strides
            yield Block(
                name=f"block{index + 1}{chr(ord('a') + step)}",
                kernel=stage.kernel,
                strides=strides,
                hidden=channels * stage.expansion,
                channels=scaled,
                expands=stage.expansion > 1,
                skips=strides == 1 and channels == scaled,
                drop=DROP_CONNECT * number / sum(repeats),
            )
            channels, number = scaled, number + 1


def efficientnet_lite(backbone: str, inputs: keras.KerasTensor) -> keras.KerasTensor:
    """Return the last feature map of a backbone, 320 or 352 channels at stride 32.

    ImageNet's convolution to 1,280 channels belongs to its classifier and is left out.

    Args:
        backbone: name in VARIANTS.
        inputs: float32 (n, height, width, 3), levels as (x - 127) / 128.

    Source:
        Tan and Le, arXiv:1905.11946, table 1 and section 3.3; TensorFlow's TPU models,
        official/efficientnet/lite: stem not widened, first and last stage not deepened.
    """
    from keras import layers

    features = layers.Conv2D(
        STEM_CHANNELS, 3, strides=2, padding="same", use_bias=False, name="stem_conv"
    )(inputs)
    features = _normalised(features, "stem")
    for block in blocks(backbone):
        features = _inverted_residual(features, block)
    return features


def _inverted_residual(inputs: keras.KerasTensor, block: Block) -> keras.KerasTensor:
    """Expand by a 1x1 convolution, convolve each channel, project by a 1x1 convolution."""
    from keras import layers

    features = inputs
    if block.expands:
        features = layers.Conv2D(block.hidden, 1, use_bias=False, name=f"{block.name}_expand_conv")(
            features
        )
        features = _normalised(features, f"{block.name}_expand")
    features = layers.DepthwiseConv2D(
        block.kernel,
        strides=block.strides,
        padding="same",
        use_bias=False,
        name=f"{block.name}_dwconv",
    )(features)
    features = _normalised(features, block.name)
    features = layers.Conv2D(block.channels, 1, use_bias=False, name=f"{block.name}_project_conv")(
        features
    )
    features = layers.BatchNormalization(epsilon=EPSILON, name=f"{block.name}_project_bn")(features)
    if not block.skips:
        return features
    features = layers.Dropout(block.drop, noise_shape=(None, 1, 1, 1), name=f"{block.name}_drop")(
        features
    )
    return layers.Add(name=f"{block.name}_add")([features, inputs])


def _normalised(features: keras.KerasTensor, name: str) -> keras.KerasTensor:
    """Normalise the batch and limit the result to 0 to 6."""
    from keras import layers

    features = layers.BatchNormalization(epsilon=EPSILON, name=f"{name}_bn")(features)
    return layers.ReLU(6.0, name=f"{name}_activation")(features)


def _rounded(channels: float) -> int:
    """Round to a multiple of DIVISOR, and up where more than a tenth would be lost."""
    nearest = max(DIVISOR, int(channels + DIVISOR / 2) // DIVISOR * DIVISOR)
    return nearest + DIVISOR if nearest < 0.9 * channels else nearest
