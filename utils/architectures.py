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
    """

    backbone: str
    scaling: str
    paper: str


DEFAULT_ARCHITECTURE = "densenet121"

ARCHITECTURES: Registry[Architecture] = Registry(
    "architecture",
    {
        "custom": Architecture("", "unit", "four convolution blocks, no pretrained weights"),
        "vgg16": Architecture("VGG16", "caffe", "arXiv:1409.1556"),
        "resnet50": Architecture("ResNet50", "caffe", "arXiv:1512.03385"),
        "densenet121": Architecture("DenseNet121", "torch", "arXiv:1608.06993"),
        "densenet169": Architecture("DenseNet169", "torch", "arXiv:1608.06993"),
        "efficientnetb0": Architecture("EfficientNetB0", "raw", "arXiv:1905.11946"),
        "mobilenetv2": Architecture("MobileNetV2", "tf", "arXiv:1801.04381"),
    },
)
