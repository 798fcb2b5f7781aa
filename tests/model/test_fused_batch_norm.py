"""utils.model.fused_batch_norm: equality with Keras's layer, exchangeable weight files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np
import pytest

from utils.model import fused_batch_norm as fused_norm
from utils.model.fused_batch_norm import with_fused_batch_norm
from utils.model_builder import batch_norms, build_model

PICTURES = np.random.default_rng(0).random((8, 32, 32, 3), dtype=np.float32)


@pytest.fixture
def pair() -> tuple[keras.Model, keras.Model]:
    """Keras's own network and its fused twin."""
    keras.utils.set_random_seed(0)
    own = build_model("custom", 32, regions=("hand", "leg"), dropout=0.0)
    return own, with_fused_batch_norm(own)


@pytest.fixture
def bfloat16() -> Iterator[None]:
    """Layers are built under mixed precision."""
    keras.config.set_dtype_policy("mixed_bfloat16")
    yield
    keras.config.set_dtype_policy("float32")


def test_every_layer_is_replaced_with_its_weights(
    pair: tuple[keras.Model, keras.Model],
) -> None:
    own, twin = pair
    kinds = {type(layer) for layer in batch_norms(twin)}
    assert kinds == {fused_norm.BatchNormalization}
    assert [layer.name for layer in own.layers] == [layer.name for layer in twin.layers]
    for mine, its in zip(own.get_weights(), twin.get_weights(), strict=True):
        assert np.array_equal(mine, its)


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ["mobilenetv2", "efficientnetlite0"])
def test_a_backbones_twin_computes_the_same(bfloat16: None, architecture: str) -> None:
    keras.utils.set_random_seed(0)
    own = build_model(architecture, 32)
    expected, given = (
        network(PICTURES, training=False)["logit"].numpy()
        for network in (own, with_fused_batch_norm(own))
    )
    # Without statistics of its own a deep network's logit is tiny, but none is nought.
    assert np.abs(expected).min() > 0
    np.testing.assert_allclose(given, expected, rtol=0.05)


@pytest.mark.slow
def test_statistics_and_gradients_equal_keras() -> None:
    inputs = keras.Input((32, 32, 3))
    features = keras.layers.Conv2D(5, 3, name="before")(inputs)
    features = keras.layers.BatchNormalization(momentum=0.5, name="norm")(features)
    features = keras.layers.Conv2D(2, 3, activation="tanh", name="after")(features)
    own = keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(features))
    twin = with_fused_batch_norm(own)
    initial = own.get_weights()
    for model in (own, twin):
        model.compile(keras.optimizers.SGD(0.1), "mse")
        model.train_on_batch(PICTURES, np.ones((8, 2), np.float32))
    for mine, its, before in zip(own.weights, twin.weights, initial, strict=True):
        np.testing.assert_allclose(its.numpy(), mine.numpy(), rtol=1e-4, atol=1e-6)
        # A bias in front of the normalisation has no gradient.
        assert mine.path == "before/bias" or np.abs(its.numpy() - before).max() > 1e-4, mine.path


def test_held_statistics_are_used_and_stay(
    bfloat16: None, pair: tuple[keras.Model, keras.Model]
) -> None:
    _, twin = pair
    for model in pair:
        for layer in batch_norms(model):
            layer.trainable = False
            layer.moving_mean.assign(np.full(layer.moving_mean.shape, -0.1))
    before = [layer.moving_mean.numpy() for layer in batch_norms(twin)]
    expected, given = (model(PICTURES, training=True)["logit"].numpy() for model in pair)
    assert np.abs(expected).max() > 1e-3
    np.testing.assert_allclose(given, expected, rtol=0.05, atol=2e-3)
    for held, layer in zip(before, batch_norms(twin), strict=True):
        assert np.array_equal(held, layer.moving_mean.numpy())


def test_weight_files_fit_both(tmp_path: Path, pair: tuple[keras.Model, keras.Model]) -> None:
    own, twin = pair
    twin.set_weights([array + 1 for array in twin.get_weights()])
    twin.save_weights(tmp_path / "twin.weights.h5")
    own.load_weights(tmp_path / "twin.weights.h5")
    for mine, its in zip(own.get_weights(), twin.get_weights(), strict=True):
        assert np.array_equal(mine, its)


def test_another_backend_keeps_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    own = build_model("custom", 32)
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    assert with_fused_batch_norm(own) is own
