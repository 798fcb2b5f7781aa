"""utils.training.trainer: epochs, phases, deadline and exact resume."""

from __future__ import annotations

import shutil
import time
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest

from tests.support.trainings import CONFIG, run_epochs
from utils.datasets.training_set import TrainingSet
from utils.errors import SetupError
from utils.training.config import HEAD, TUNING
from utils.training.trainer import Trainer

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("averaging", [0.0, 0.9])
def test_a_resumed_run_equals_a_whole_one(
    tmp_path: Path, data: TrainingSet, averaging: float
) -> None:
    """A run that is resumed from its folder after two epochs goes on as the one that went on at once."""
    config = replace(
        CONFIG, epochs=3, augmentation="strong", averaging=averaging, batch_norm="hold"
    )
    whole = run_epochs(config, data, tmp_path / "whole", 2)
    shutil.copytree(tmp_path / "whole", tmp_path / "stopped")
    whole.fit()
    resumed = Trainer(config, data, tmp_path / "stopped")
    resumed.resume()
    assert len(resumed.history) == 2
    resumed.fit()
    assert len(resumed.history) == 3
    assert [row.loss for row in resumed.history] == [row.loss for row in whole.history]
    for ours, theirs in zip(
        resumed.network.get_weights(), whole.network.get_weights(), strict=True
    ):
        assert np.array_equal(ours, theirs)


def test_averaging_keeps_the_mean_of_the_weights(tmp_path: Path, data: TrainingSet) -> None:
    trainer = run_epochs(replace(CONFIG, averaging=0.9, batch_norm="hold"), data, tmp_path, 1)
    variables = trainer.model.optimizer.variables
    means = [np.asarray(variable) for variable in variables if "average" in variable.path]
    last = trainer.network.trainable_weights
    kept = {weight.path: weight for weight in trainer.best_network().weights}
    assert len(means) == len(last) > 10
    for mean, now in zip(means, last, strict=True):
        np.testing.assert_array_equal(mean, kept[now.path])
        assert not np.array_equal(now, kept[now.path])


def test_resuming_with_other_settings_is_refused(trained: Path, data: TrainingSet) -> None:
    trainer = Trainer(
        replace(CONFIG, epochs=12, patience=50, learning_rate=1e-5), data, trained / "run"
    )
    with pytest.raises(SetupError, match="learning_rate"):
        trainer.resume()


def test_the_head_is_trained_first_and_alone(
    tmp_path: Path, trained: Path, data: TrainingSet
) -> None:
    config = replace(CONFIG, weights=str(trained / "best_model.h5"), epochs=1, head_epochs=1)
    assert [name for name, _, _ in config.phases] == [HEAD, TUNING]
    trainer = Trainer(config, data, tmp_path / "run")
    trainer.start()
    kernel = trainer.network.get_layer("block1a_conv").get_weights()[0]
    norms = trainer.network.get_layer("block1a_bn").get_weights()
    trainer._compile(HEAD)
    trainer._run_epoch(HEAD, 1, 1e-3, [])
    assert np.array_equal(kernel, trainer.network.get_layer("block1a_conv").get_weights()[0])
    trainer._compile(TUNING)
    trainer._run_epoch(TUNING, 1, 1e-3, [])
    assert not np.array_equal(kernel, trainer.network.get_layer("block1a_conv").get_weights()[0])
    for before, after in zip(
        norms, trainer.network.get_layer("block1a_bn").get_weights(), strict=True
    ):
        assert np.array_equal(before, after)  # pretrained statistics are held


def test_a_run_out_of_patience_stops_early(tmp_path: Path, data: TrainingSet) -> None:
    keras.utils.set_random_seed(0)
    config = replace(CONFIG, epochs=30, patience=1, batch_size=64, learning_rate=1e-12)
    trainer = Trainer(config, data, tmp_path)
    trainer.start()
    assert trainer.fit() == "out of patience"
    assert len(trainer.history) < 30


def test_the_last_epoch_can_be_kept(tmp_path: Path, data: TrainingSet) -> None:
    """Neither the patience nor the kept epoch then depends on the validation part."""
    keras.utils.set_random_seed(0)
    config = replace(
        CONFIG, epochs=4, patience=1, batch_size=64, learning_rate=1e-12, keep="last", averaging=0.0
    )
    trainer = Trainer(config, data, tmp_path)
    trainer.start()
    assert trainer.fit() == "completed"
    assert len(trainer.history) == 4
    last = trainer.network.get_weights()
    for ours, kept in zip(last, trainer.best_network().get_weights(), strict=True):
        assert np.array_equal(ours, kept)


def test_no_epoch_in_time_is_an_error(tmp_path: Path, data: TrainingSet) -> None:
    trainer = Trainer(CONFIG, data, tmp_path)
    trainer.start()
    with pytest.raises(SetupError, match="not one epoch"):
        trainer.fit(deadline=0.0)


def test_time_is_reserved_for_finishing(tmp_path: Path, data: TrainingSet) -> None:
    trainer = Trainer(CONFIG, data, tmp_path)
    trainer.start()
    assert trainer.fit(deadline=time.monotonic() + 600, images_afterwards=10**9) == "out of time"
    assert len(trainer.history) == 1


def test_resuming_without_time_is_an_error(trained: Path, data: TrainingSet) -> None:
    """Else a run that is resumed in legs that are too short would never end."""
    trainer = Trainer(replace(CONFIG, epochs=12, patience=50), data, trained / "run")
    trainer.resume()
    trainer.history.pop()
    with pytest.raises(SetupError, match="not one epoch"):
        trainer.fit(deadline=0.0)
