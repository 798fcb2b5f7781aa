"""Losses of the activation map's location, of the detection head, and of distillation from a teacher."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import keras
import numpy as np
from keras import KerasTensor, ops

from utils.model.bundle import load_network, read_bundle
from utils.model_builder import BOX, HEATMAP, LOGIT, REGION, feature_maps
from utils.training.config import TrainingConfig

LOCATION, TEACHER = "location", "teacher"
# Logits by which "nowhere" leads over a map of zeros.
NOWHERE_MARGIN = 4.0


def pointing_hits(signed: np.ndarray, masks: np.ndarray, offset: float = 0.0) -> np.ndarray:
    """Return in which images the receptive field of the map's maximum is centred on a lesion.

    The validation measure of an epoch, on cells of the map; the report measures on the image, see
    ``evaluation.localisation``.

    Args:
        signed: maps (n, side, side).
        masks: uint8 (n, size, size), see ``geometry.lesion_mask``.
        offset: receptive-field centre offset, pixels.

    Returns:
        bool (n,); a map without anything positive is a miss.

    Source:
        The pointing game: Zhang et al., arXiv:1608.00507, section 4.1; without tolerance.
    """
    count, side, _ = signed.shape
    size = masks.shape[1]
    centres = (np.arange(side) + 0.5) * size / side + offset
    pixels = np.clip(centres.astype(int), 0, size - 1)
    rows, columns = np.unravel_index(signed.reshape(count, -1).argmax(axis=1), (side, side))
    inside = masks[np.arange(count), pixels[rows], pixels[columns]] > 0
    return inside & (signed.max(axis=(1, 2)) > 0)


def compile_model(
    model: keras.Model, config: TrainingConfig, *, region: bool, location: bool, boxes: bool
) -> None:
    """Compile a training model with the losses of its heads and a fresh AdamW.

    Args:
        model: from augmentation to the heads.
        config: the settings.
        region: it has the region head.
        location: it has the location loss.
        boxes: it has the detection head.
    """
    loss: dict[str, keras.losses.Loss | Callable[..., KerasTensor]] = {
        LOGIT: keras.losses.BinaryCrossentropy(
            from_logits=True, label_smoothing=config.label_smoothing
        )
    }
    if region:
        loss[REGION] = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    if location:
        # Computed in the graph, (n, 1).
        loss[LOCATION] = lambda _, computed: computed[:, 0]
    if boxes:
        loss |= {HEATMAP: heatmap_loss, BOX: box_loss}
    weights = {LOGIT: 1.0, REGION: config.region_weight, LOCATION: config.location_weight}
    weights |= dict.fromkeys((HEATMAP, BOX), config.boxes_weight)
    optimizer = keras.optimizers.AdamW(
        config.learning_rate,
        weight_decay=config.weight_decay,
        clipnorm=1.0,
        use_ema=config.averaging > 0,
        ema_momentum=config.averaging,
    )
    model.compile(optimizer, loss, loss_weights={name: weights[name] for name in loss})
    # Built now: the optimizer state of a checkpoint needs the variables.
    optimizer.build(model.trainable_variables)


class LocationLoss(keras.layers.Layer):
    """Cross-entropy of "in which cell, or nowhere" of the activation map.

    The cells of the map and "nowhere" share one softmax: with a marked lesion its cells should have all
    of it, without one "nowhere". The maximum moves into the lesion, and the map of a normal radiograph
    is kept low. The score of a cell is its share of the logit times the side of the map, so that a few
    cells win only by an amount that moves the logit as well.

    Args:
        offset: receptive-field centre offset, pixels.
    """

    def __init__(self, offset: float = 0.0) -> None:
        super().__init__(dtype="float32", name="location_loss")
        self.offset = round(offset)

    def call(self, inputs: tuple[KerasTensor, KerasTensor]) -> KerasTensor:
        """Return the loss of each image, float32 (n, 1).

        Args:
            inputs: the signed map (n, side, side) in logits; the masks uint8 (n, size, size, 1).
        """
        signed, masks = inputs
        side = signed.shape[1]
        cells = self._cells(ops.cast(masks, "float32"), side)
        covered = ops.reshape(cells, (-1, side * side))
        most = ops.max(covered, axis=1, keepdims=True)
        marked = most[:, 0] > 0
        # The best covered cell counts fully, however small the lesion.
        covered = covered / ops.maximum(most, 1e-6)
        scores = ops.reshape(signed, (-1, side * side)) * side
        nowhere = ops.full_like(scores[:, :1], math.log(side * side) + NOWHERE_MARGIN)
        everything = ops.logsumexp(ops.concatenate([scores, nowhere], axis=1), axis=1)
        lesion = ops.logsumexp(scores + ops.log(covered + 1e-9), axis=1)
        return (everything - ops.where(marked, lesion, nowhere[:, 0]))[:, None]

    def _cells(self, masks: KerasTensor, side: int) -> KerasTensor:
        """Return how much of each cell's receptive-field centre is covered, (n, side, side) in [0, 255]."""
        size = masks.shape[1]
        before, after = max(-self.offset, 0), max(self.offset, 0)
        moved = ops.pad(masks, [[0, 0], [before, after], [before, after], [0, 0]])
        moved = moved[:, after : after + size, after : after + size, :]
        stride = round(size / side)
        pooled = ops.average_pool(moved, stride, stride, padding="same")
        return pooled[:, :side, :side, 0]


def heatmap_loss(target: KerasTensor, logits: KerasTensor) -> KerasTensor:
    """Return the penalty-reduced focal loss of each image, a marked box, float32 (n,).

    Args:
        target: (n, cells, cells, 1): 1 at the centre of a box, falling about it, see ``encode_boxes``.
        logits: of the head, likewise.

    Source:
        Zhou et al., Objects as Points, arXiv:1904.07850, equation 1, with its alpha of 2 and beta of 4.
    """
    probability = ops.sigmoid(logits)
    centre = ops.cast(target >= 1.0, logits.dtype)
    found = centre * ops.square(1.0 - probability) * ops.softplus(-logits)
    alarm = (1.0 - centre) * (1.0 - target) ** 4 * ops.square(probability) * ops.softplus(logits)
    return ops.sum(found + alarm, axis=(1, 2, 3)) / ops.maximum(
        ops.sum(centre, axis=(1, 2, 3)), 1.0
    )


def box_loss(target: KerasTensor, box: KerasTensor) -> KerasTensor:
    """Return the absolute error of offsets and sizes of each image, a marked box, float32 (n,).

    Args:
        target: (n, cells, cells, BOX_TARGETS), see ``encode_boxes``.
        box: (n, cells, cells, 4), of the head.
    """
    centre = target[..., 4:]
    error = ops.sum(centre * ops.abs(target[..., :4] - box), axis=(1, 2, 3))
    return error / ops.maximum(ops.sum(centre, axis=(1, 2, 3)), 1.0)


class Teacher:
    """The frozen network of a bundle, whose features and logit are targets.

    Args:
        path: of the bundle.
        image_size: side of the student's square input, pixels; the teacher gets the same.

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
        logit: KerasTensor,
        maps: Sequence[KerasTensor],
        images: KerasTensor,
        weight: float,
    ) -> KerasTensor:
        """Return a student's logit whose graph adds the distillation loss.

        Args:
            logit: the student's, (n, 1).
            maps: the student's, see ``model_builder.feature_maps``.
            images: the student's input in the teacher's scaling.
            weight: of the loss.
        """
        teacher_logit, *targets = self.network(images, training=False)
        pairs = []
        for level, (features, target) in enumerate(zip(maps, targets, strict=True)):
            _, height, width, channels = target.shape
            project = keras.layers.Conv2D(
                channels, 1, dtype="float32", name=f"{TEACHER}_projection_{level}"
            )
            resize = keras.layers.Resizing(height, width, name=f"{TEACHER}_resize_{level}")
            pairs.append((project(resize(features)), target))
        return DistillationLoss(weight)((logit, teacher_logit, pairs))


class DistillationLoss(keras.layers.Layer):
    """Identity on the student's logit that adds the distance from the teacher to the loss.

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
        inputs: tuple[KerasTensor, KerasTensor, Sequence[tuple[KerasTensor, KerasTensor]]],
    ) -> KerasTensor:
        """Return the logit (n, 1) as it is.

        Args:
            inputs: the student's logit and the teacher's (n, 1), and pairs of the student's and the
                teacher's feature maps of one shape.
        """
        logit, teacher_logit, pairs = inputs
        expected = ops.sigmoid(teacher_logit)
        loss = ops.mean(expected * ops.softplus(-logit) + (1 - expected) * ops.softplus(logit))
        for features, target in pairs:
            variance = ops.mean(
                ops.square(target - ops.mean(target, axis=(0, 1, 2), keepdims=True))
            )
            loss += ops.mean(ops.square(features - target)) / (variance + 1e-6)
        self.add_loss(self.weight * loss)
        return logit
