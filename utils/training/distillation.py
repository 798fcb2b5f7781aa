"""Lets a trained network teach another: its feature maps and its logit are targets beside the labels.

For a network whose published weights are not at hand: what one network has learned from millions of
photographs, and from these radiographs, reaches another of a wholly different build.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import keras
from keras import ops

from utils.model.bundle import load_network, read_bundle
from utils.model_builder import LOGIT, feature_maps

TEACHER = "teacher"


class Teacher:
    """A bundle's network, which learns nothing any more.

    Args:
        path: of the bundle.
        image_size: side of the student's square input, pixels; the teacher looks at the same.

    Raises:
        ModelMissing, BundleError: see ``bundle.read_bundle``.
    """

    def __init__(self, path: Path, image_size: int) -> None:
        bundle = read_bundle(path)
        network = load_network(bundle, image_size)
        network.trainable = False
        self.scaling = bundle.preprocess.scaling
        self.network = keras.Model(
            network.inputs[0],
            [network.output[LOGIT], *feature_maps(network)],
            name=TEACHER,
        )

    def teach(
        self,
        logit: keras.KerasTensor,
        maps: Sequence[keras.KerasTensor],
        pictures: keras.KerasTensor,
        weight: float,
    ) -> keras.KerasTensor:
        """Return a student's logit, whose graph adds to the loss what the student does not know yet.

        Args:
            logit: the student's, (n, 1).
            maps: the student's, see ``model_builder.feature_maps``.
            pictures: what the student looked at, in the teacher's scaling.
            weight: of the loss.
        """
        teacher_logit, *targets = self.network(pictures, training=False)
        pairs = []
        for level, (seen, target) in enumerate(zip(maps, targets, strict=True)):
            _, height, width, channels = target.shape
            project = keras.layers.Conv2D(
                channels, 1, dtype="float32", name=f"{TEACHER}_projection_{level}"
            )
            resize = keras.layers.Resizing(height, width, name=f"{TEACHER}_resize_{level}")
            pairs.append((project(resize(seen)), target))
        return DistillationLoss(weight)((logit, teacher_logit, pairs))


class DistillationLoss(keras.layers.Layer):
    """Passes a student's logit on, and adds to the loss how far the student is from its teacher.

    The loss is the cross-entropy with the teacher's probability, and for each feature map the share of
    its variance that the student's, through a 1x1 convolution, does not explain.

    Args:
        weight: of the loss.

    Source:
        Hinton et al., arXiv:1503.02531, section 2, at temperature 1; Romero et al., FitNets,
        arXiv:1412.6550, section 2.2.
    """

    def __init__(self, weight: float) -> None:
        super().__init__(dtype="float32", name="distillation_loss")
        self.weight = weight

    def call(
        self,
        inputs: tuple[
            keras.KerasTensor,
            keras.KerasTensor,
            Sequence[tuple[keras.KerasTensor, keras.KerasTensor]],
        ],
    ) -> keras.KerasTensor:
        """Return the logit (n, 1) as it is.

        Args:
            inputs: the student's logit and the teacher's (n, 1), and pairs of the student's and the
                teacher's feature maps of one shape.
        """
        logit, teacher_logit, pairs = inputs
        belief = ops.sigmoid(teacher_logit)
        loss = ops.mean(belief * ops.softplus(-logit) + (1 - belief) * ops.softplus(logit))
        for seen, target in pairs:
            spread = ops.mean(ops.square(target - ops.mean(target, axis=(0, 1, 2), keepdims=True)))
            loss += ops.mean(ops.square(seen - target)) / (spread + 1e-6)
        self.add_loss(self.weight * loss)
        return logit
