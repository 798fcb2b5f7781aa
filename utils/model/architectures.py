"""Table of the architectures: backbone, input scaling, paper, feature maps."""

from __future__ import annotations

from dataclasses import dataclass

from utils.registry import Registry


@dataclass(frozen=True)
class Architecture:
    """One network.

    Args:
        backbone: its class in ``keras.applications``, or "" for the one that is built here.
        scaling: how its published weights expect the input, a name in ``preprocess.SCALINGS``.
        paper: where it is described.
        finer: its layers whose feature maps have twice and four times as many cells a side as the
            last one: the fine map is made of all three.
        centre_offset: receptive-field centre offset of the last feature map, pixels right and down.
            Convolutions of stride 2 that pad one side alone, or by more than half their size, move the
            centre; this is the sum over the strides 2 to 32.
        fine_centre_offset: the same of the fine map, whose detail comes from the finest of the three.
    """

    backbone: str
    scaling: str
    paper: str
    finer: tuple[str, str]
    centre_offset: float = 0.0
    fine_centre_offset: float = 0.0


DEFAULT_ARCHITECTURE = "densenet121"

ARCHITECTURES: Registry[Architecture] = Registry(
    "architecture",
    {
        "custom": Architecture(
            "",
            "unit",
            "four convolution blocks, no pretrained weights",
            finer=("block3_pool", "block2_pool"),
        ),
        "vgg16": Architecture(
            "VGG16", "caffe", "arXiv:1409.1556", finer=("block4_pool", "block3_pool")
        ),
        "resnet50": Architecture(
            "ResNet50",
            "caffe",
            "arXiv:1512.03385",
            finer=("conv4_block6_out", "conv3_block4_out"),
            centre_offset=-15.5,
            fine_centre_offset=-5.5,
        ),
        "densenet121": Architecture(
            "DenseNet121",
            "torch",
            "arXiv:1608.06993",
            finer=("pool4_relu", "pool3_relu"),
            centre_offset=-1.5,
            fine_centre_offset=-1.5,
        ),
        "densenet169": Architecture(
            "DenseNet169",
            "torch",
            "arXiv:1608.06993",
            finer=("pool4_relu", "pool3_relu"),
            centre_offset=-1.5,
            fine_centre_offset=-1.5,
        ),
        "efficientnetb0": Architecture(
            "EfficientNetB0",
            "raw",
            "arXiv:1905.11946",
            finer=("block6a_expand_activation", "block4a_expand_activation"),
            centre_offset=15.5,
            fine_centre_offset=3.5,
        ),
        "mobilenetv2": Architecture(
            "MobileNetV2",
            "tf",
            "arXiv:1801.04381",
            finer=("block_13_expand_relu", "block_6_expand_relu"),
            centre_offset=15.5,
            fine_centre_offset=3.5,
        ),
    },
)
