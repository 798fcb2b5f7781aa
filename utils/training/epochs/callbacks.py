"""Keras callbacks of one epoch, and its random numbers: learning rate, progress, time limit, last weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import keras


class TimeLimitReached(Exception):
    """The time limit was reached within an epoch."""


class StepLoop(keras.callbacks.Callback):
    """Sets the learning rate before each step; updates the bar and checks the time after it.

    Args:
        rate: learning rate by step.
        time_left: seconds in which steps may still run.
        bar: see ``progress_bar``.
    """

    def __init__(
        self, rate: Callable[[int], float], time_left: Callable[[], float], bar: Any
    ) -> None:
        super().__init__()
        self.rate, self.time_left, self.bar = rate, time_left, bar

    def on_train_batch_begin(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Set the learning rate of the step."""
        self.model.optimizer.learning_rate = self.rate(batch)

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Update the bar, and raise TimeLimitReached without time left."""
        self.bar.update()
        if logs:
            self.bar.set_postfix(loss=f"{logs['loss']:.4f}")
        if self.time_left() < 0:
            raise TimeLimitReached


class LastStep(keras.callbacks.Callback):
    """Keeps the weights of an epoch's last step, before Keras replaces them by their running mean."""

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Copy the weights."""
        self.weights = self.model.get_weights()


def progress_bar(title: str, steps: int, enabled: bool) -> Any:
    """Return a progress bar on stderr."""
    from tqdm import tqdm

    return tqdm(total=steps, desc=title, unit="step", disable=not enabled, leave=False)


def reseed(model: keras.Model, seed: int, epoch: int) -> None:
    """Make an epoch's dropout depend on the seed and the epoch alone.

    Weight files lack the state of random layers: without this a resumed run would differ from an
    uninterrupted one.
    """
    for number, layer in enumerate(_all_layers(model)):
        generator = getattr(layer, "seed_generator", None)
        if generator is not None:
            generator.state.assign([seed * 1009 + number, epoch << 20])


def _all_layers(model: keras.Model) -> Iterator[keras.layers.Layer]:
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _all_layers(layer)
        else:
            yield layer
