"""A small training and its settings, as train.py starts them."""

from __future__ import annotations

import csv
import json
from functools import partial
from pathlib import Path

import keras

from utils.datasets.training_set import TrainingSet
from utils.evaluation.training_figures import part_figures
from utils.training import finalize
from utils.training.config import TrainingConfig
from utils.training.trainer import Trainer

train = partial(finalize.train, score_part=part_figures)

CONFIG = TrainingConfig(
    architecture="custom",
    image_size=48,
    epochs=2,
    batch_size=8,
    learning_rate=2e-3,
    head_learning_rate=2e-3,
    patience=5,
    dropout=0.1,
    augmentation="none",
)


def run_epochs(
    config: TrainingConfig, data: TrainingSet, run: Path, epochs: int, *, commit: str = ""
) -> Trainer:
    """Train so many epochs and stop, as a kill between two epochs does."""
    keras.utils.set_random_seed(config.seed)
    trainer = Trainer(config, data, run, commit=commit)
    trainer.start()
    ((name, planned, highest),) = config.phases
    trainer._compile(name)
    for _ in range(epochs):
        trainer._run_epoch(name, planned, highest, list(trainer.history))
    return trainer


def finish_untrained(trainer: Trainer, output: Path) -> None:
    """Make a bundle of a run's initial weights."""
    trainer.start()
    trainer.network.save_weights(trainer.folder.best)
    finalize.finish(
        trainer, output, score_part=part_figures, outcome="completed", commit="", note=""
    )


def make_older(run: Path, **identity: object) -> None:
    """Remove the origin and the split seed from a run's state, as older versions wrote it."""
    state = json.loads((run / "state.json").read_text())
    del state["origin"], state["identity"]["split_seed"]
    state["identity"].update(identity)
    (run / "state.json").write_text(json.dumps(state))


def arguments(*more: object) -> list[str]:
    """The flags of a short training of the custom network."""
    flags = ("--model", "custom", "--image_size", "32", "--batch_size", "8", "--quiet")
    return [*flags, *map(str, more)]


def history_rows(run: Path) -> list[dict[str, str]]:
    """Read a run's CSV."""
    with (run / "history.csv").open() as file:
        return list(csv.DictReader(file))
