"""The networks that can be trained, as data: which backbone, which input scaling, which paper."""

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
        shift: how far right of and below the middle of its share of the input a cell of the last
            feature map looks, pixels. Convolutions of stride 2 that pad one side alone, or by more than
            half their size, move what they see; the sum over the strides 2 to 32 is what stands here.
    """

    backbone: str
    scaling: str
    paper: str
    shift: float = 0.0


DEFAULT_ARCHITECTURE = "densenet121"

ARCHITECTURES: Registry[Architecture] = Registry(
    "architecture",
    {
        "custom": Architecture("", "unit", "four convolution blocks, no pretrained weights"),
        "vgg16": Architecture("VGG16", "caffe", "arXiv:1409.1556"),
        "resnet50": Architecture("ResNet50", "caffe", "arXiv:1512.03385", shift=-15.5),
        "densenet121": Architecture("DenseNet121", "torch", "arXiv:1608.06993", shift=-1.5),
        "densenet169": Architecture("DenseNet169", "torch", "arXiv:1608.06993", shift=-1.5),
        "efficientnetb0": Architecture("EfficientNetB0", "raw", "arXiv:1905.11946", shift=15.5),
        "mobilenetv2": Architecture("MobileNetV2", "tf", "arXiv:1801.04381", shift=15.5),
    },
)
