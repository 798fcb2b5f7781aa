"""Architectures: their receptive-field centre offsets, by differentiation."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from utils.model.architectures import ARCHITECTURES
from utils.model_builder import COARSE, EVIDENCE, FINE, PYRAMID, build_model, map_offset

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("architecture", "detail"),
    [
        *((name, COARSE) for name in ARCHITECTURES),
        *(
            (name, FINE)
            for name in ("custom", "resnet50", "densenet121", "mobilenetv2", "efficientnetlite0")
        ),
    ],
)
def test_the_centre_offset_is_that_of_the_graph(architecture: str, detail: str) -> None:
    """Centre of mass of a cell's squared derivative by the input, against the centre of the cell.

    Of the fine map only the finest of its three feature maps counts: the weights determine the others' part.
    """
    size, offsets = 320, []
    for seed in (0, 1):
        keras.utils.set_random_seed(seed)
        network = build_model(architecture, size, detail=detail)
        for name in ("last", "finer") if detail == FINE else ():
            layer = network.get_layer(f"{PYRAMID}_{name}")
            layer.set_weights([np.zeros_like(array) for array in layer.get_weights()])
        tapped = keras.Model(network.inputs[0], network.get_layer(EVIDENCE).output)
        cells, channels = tapped.output.shape[1], tapped.output.shape[3]
        random = np.random.default_rng(seed)
        inputs = tf.constant(random.normal(size=(1, size, size, 3)).astype(np.float32))
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            cell = tapped(inputs, training=False)[0, cells // 2, cells // 2]
            mixed = tf.reduce_sum(cell * random.normal(size=channels).astype(np.float32))
        weight = np.square(tape.gradient(mixed, inputs).numpy()[0]).sum(axis=-1)
        places = np.arange(size) + 0.5
        centre = (cells // 2 + 0.5) * size / cells
        offsets += [(weight.sum(axis=axis) @ places) / weight.sum() - centre for axis in (0, 1)]
    assert np.mean(offsets) == pytest.approx(map_offset(architecture, detail), abs=3)
