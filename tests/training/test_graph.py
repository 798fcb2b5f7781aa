"""utils.training.graph: what is trained on without augmentation is what is served, to the bit."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from utils.formats import decode
from utils.imaging.geometry import Rectangle
from utils.preprocess import SCALINGS, PreprocessSpec, fit, preprocess
from utils.training.augmentation.variation import VARIATIONS
from utils.training.batches import FITTED, Batches
from utils.training.graph import Scale

NO_BOXES = np.zeros((0, 4), np.float32)


@pytest.mark.parametrize("scaling", SCALINGS)
def test_without_augmentation_input_is_as_served(radiograph_png: bytes, scaling: str) -> None:
    spec = PreprocessSpec(64, scaling)
    pixels = decode(radiograph_png).pixels
    batches = Batches(
        np.stack([fit(pixels, 64)] * 2),
        [0, 1],
        np.array([0, 1]),
        regions=None,
        boxes=lambda row: NO_BOXES,
        places=lambda row: Rectangle(0, 0, 64, 64),
        variation=VARIATIONS["none"],
        batch_size=2,
    )
    inputs, _, _ = batches[0]
    trained_on = Scale(scaling)(keras.ops.convert_to_tensor(inputs[FITTED]))
    for picture in np.asarray(trained_on):
        np.testing.assert_array_equal(picture, preprocess(pixels, spec))
