"""What happens around the steps of a training run: its learning rate, its bar, its end, its last weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras


class TimeUp(Exception):
    """The run's time is over in the middle of an epoch."""


class Steps(keras.callbacks.Callback):
    """Set the learning rate before each step, move the bar after it, stop when time is up."""

    def __init__(self, rate: Any, time_left: Callable[[], float], bar: Any) -> None:
        super().__init__()
        self.rate, self.time_left, self.bar = rate, time_left, bar

    def on_train_batch_begin(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Set the rate of the step that comes."""
        self.model.optimizer.learning_rate = self.rate(batch)

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Move the bar, and stop where the time is up."""
        self.bar.update()
        if logs:
            self.bar.set_postfix(loss=f"{logs['loss']:.4f}")
        if self.time_left() < 0:
            raise TimeUp


class LastStep(keras.callbacks.Callback):
    """Keeps the weights of an epoch's last step, before Keras puts their running mean in their place."""

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Copy them."""
        self.weights = self.model.get_weights()


def progress_bar(title: str, steps: int, shown: bool) -> Any:
    """Return a progress bar on stderr."""
    from tqdm import tqdm

    return tqdm(total=steps, desc=title, unit="step", disable=not shown, leave=False)
