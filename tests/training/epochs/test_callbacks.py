"""utils.training.epochs.callbacks: learning rate, progress and time limit of an epoch."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from utils.training.epochs.callbacks import LastStep, StepLoop, TimeLimitReached, progress_bar


@pytest.fixture
def model() -> keras.Model:
    """One weight, trained by gradient descent."""
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
    model.compile(keras.optimizers.SGD(0.1), "mse")
    return model


def fit(model: keras.Model, *callbacks: keras.callbacks.Callback) -> None:
    """Train four steps."""
    inputs = np.ones((4, 1), np.float32)
    model.fit(inputs, 0 * inputs, batch_size=1, verbose=0, callbacks=list(callbacks))


def test_each_step_has_its_learning_rate(model: keras.Model) -> None:
    steps: list[int] = []

    def rate(step: int) -> float:
        steps.append(step)
        return 0.5**step

    with progress_bar("epoch", 4, enabled=False) as bar:
        fit(model, StepLoop(rate, lambda: 1.0, bar))
    assert steps == [0, 1, 2, 3]
    assert float(model.optimizer.learning_rate) == 0.125


def test_training_stops_within_an_epoch(model: keras.Model) -> None:
    left = iter([2.0, 1.0, -1.0])
    with (
        progress_bar("epoch", 4, enabled=False) as bar,
        pytest.raises(TimeLimitReached),
    ):
        fit(model, StepLoop(lambda _: 0.1, lambda: next(left), bar))
    assert int(model.optimizer.iterations) == 3


def test_the_weights_of_the_last_step_are_kept(model: keras.Model) -> None:
    model.compile(keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.9), "mse")
    last = LastStep()
    before = model.get_weights()[0]
    fit(model, last)
    # Four steps of gradient descent on the square: a factor of 1 - 2 * 0.1 each.
    np.testing.assert_allclose(last.weights[0], before * 0.8**4, rtol=1e-5)
    assert not np.allclose(model.get_weights()[0], last.weights[0])
