"""Training graph: the network between batches of bytes and the losses of its heads."""

from __future__ import annotations

import keras
from keras import KerasTensor, ops

from utils.gradcam import MAP
from utils.model_builder import LOGIT, feature_maps, map_offset
from utils.preprocess import SCALINGS
from utils.training.batches import FITTED, LESIONS
from utils.training.config import TrainingConfig
from utils.training.losses import LOCATION, LocationLoss, Teacher

FEATURES = "features"


class Scale(keras.layers.Layer):
    """Lookup of grey levels in the table of a scaling, as ``preprocess.scale`` does."""

    def __init__(self, scaling: str) -> None:
        super().__init__(dtype="float32")
        self.table = SCALINGS[scaling]

    def call(self, images: KerasTensor) -> KerasTensor:
        """Return float32 (n, size, size, 3) from uint8 (n, size, size, 1)."""
        levels = ops.cast(images[..., 0], "int32")
        return ops.take(ops.convert_to_tensor(self.table), levels, axis=0)


def training_graph(
    network: keras.Model,
    with_map: keras.Model,
    config: TrainingConfig,
    *,
    teacher: Teacher | None,
    location: bool,
) -> keras.Model:
    """Return the model that is trained: scaling, network, and losses that are computed in the graph.

    Args:
        network: that is trained; it shares its layers.
        with_map: the network with its signed map as a further output.
        config: the settings.
        teacher: of distillation.
        location: add the location loss; the masks of the lesions are then a further input.
    """
    shape = (config.image_size, config.image_size, 1)
    inputs = {FITTED: keras.Input(shape, dtype="uint8", name=FITTED)}
    outputs = {**with_map.output, FEATURES: feature_maps(network)}
    trained = keras.Model(network.inputs[0], outputs)(Scale(config.spec.scaling)(inputs[FITTED]))
    signed, maps = trained.pop(MAP), trained.pop(FEATURES)
    if teacher:
        images = Scale(teacher.scaling)(inputs[FITTED])
        trained[LOGIT] = teacher.teach(trained[LOGIT], maps, images, config.teacher_weight)
    if location:
        inputs[LESIONS] = keras.Input(shape, dtype="uint8", name=LESIONS)
        offset = map_offset(config.architecture, config.detail)
        trained[LOCATION] = LocationLoss(offset)((signed, inputs[LESIONS]))
    return keras.Model(inputs, trained, name="training")
