"""EfficientNet-Lite: channels, repeats and numbers of weights as published."""

from __future__ import annotations

import math

import keras
import pytest

from utils.model.architectures.efficientnet_lite import blocks, efficientnet_lite


@pytest.mark.parametrize(
    ("backbone", "channels", "repeats"),
    [
        ("EfficientNetLite0", [16, 24, 40, 80, 112, 192, 320], [1, 2, 2, 3, 3, 4, 1]),
        ("EfficientNetLite1", [16, 24, 40, 80, 112, 192, 320], [1, 3, 3, 4, 4, 5, 1]),
        ("EfficientNetLite2", [16, 24, 48, 88, 120, 208, 352], [1, 3, 3, 4, 4, 5, 1]),
    ],
)
def test_stages_are_scaled_as_published(
    backbone: str, channels: list[int], repeats: list[int]
) -> None:
    stages: dict[str, list[int]] = {}
    for block in blocks(backbone):
        stages.setdefault(block.name[:-1], []).append(block.channels)
    assert list(stages) == [f"block{number}" for number in range(1, 8)]
    assert [len(stage) for stage in stages.values()] == repeats
    assert [{*stage} for stage in stages.values()] == [{n} for n in channels]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("backbone", "millions"),
    [("EfficientNetLite0", 4.652), ("EfficientNetLite1", 5.417), ("EfficientNetLite2", 6.092)],
)
def test_the_number_of_weights_is_the_published(backbone: str, millions: float) -> None:
    """The published count includes the classifier: 1,280 channels, normalised, and 1,000 classes."""
    inputs = keras.Input((64, 64, 3))
    features = efficientnet_lite(backbone, inputs)
    network = keras.Model(inputs, features)
    classifier = features.shape[-1] * 1280 + 2 * 1280 + 1281 * 1000
    trained = sum(math.prod(variable.shape) for variable in network.trainable_variables)
    assert trained + classifier == pytest.approx(millions * 1e6, abs=500)


def test_blocks_are_dropped_in_training_alone() -> None:
    drops = [block.drop for block in blocks("EfficientNetLite0")]
    assert drops[0] == 0
    assert drops == sorted(drops)
    assert drops[-1] < 0.2
