"""utils.training.checkpoints: the folder of a run."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.support.trainings import CONFIG, history_rows, make_older, run_epochs
from utils.datasets.training_set import TrainingSet
from utils.errors import SetupError
from utils.training.checkpoints import Epoch, Origin, RunFolder, validation_scores
from utils.training.trainer import Trainer


@pytest.mark.slow
def test_a_run_writes_csv_curves_and_events(trained: Path) -> None:
    run = trained / "run"
    rows = history_rows(run)
    assert [int(row["epoch"]) for row in rows] == list(range(1, 13))
    assert (run / "curves.png").read_bytes().startswith(b"\x89PNG")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(run / "tensorboard"))
    events.Reload()
    logged = [event.value for event in events.Scalars("epoch/val_auc")]
    np.testing.assert_allclose(logged, [float(row["val_auc"]) for row in rows], atol=1e-6)


@pytest.mark.slow
def test_an_older_run_has_one_seed(tmp_path: Path, data: TrainingSet) -> None:
    run_epochs(replace(CONFIG, seed=3, split_seed=3), data, tmp_path, 1)
    make_older(tmp_path)
    with pytest.raises(SetupError, match="had split_seed 3, now it is 0"):
        Trainer(replace(CONFIG, seed=3), data, tmp_path).resume()
    resumed = Trainer(replace(CONFIG, seed=3, split_seed=3), data, tmp_path)
    resumed.resume()
    assert len(resumed.history) == 1


def test_resuming_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="no run to resume"):
        RunFolder(tmp_path / "none").read({})


def test_a_new_run_removes_the_older_checkpoint(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.begin("none")
    files = ["state.json", "last.weights.h5", "best.weights.h5"]
    for name in files:
        (folder.path / name).write_text("{}")
    folder.begin("none")
    assert list(folder.path.iterdir()) == []


def test_other_settings_are_named(tmp_path: Path) -> None:
    state = {"identity": {"seed": 1, "epochs": 2}, "origin": Origin().__dict__, "history": []}
    (tmp_path / "state.json").write_text(json.dumps(state))
    with pytest.raises(SetupError, match="had epochs 2, now it is 3"):
        RunFolder(tmp_path).read({"seed": 1, "epochs": 3})
    assert RunFolder(tmp_path).read({"seed": 1, "split_seed": 1}) == []


def test_a_setting_older_runs_lacked_was_default(tmp_path: Path) -> None:
    state = {"identity": {"seed": 1}, "origin": Origin().__dict__, "history": []}
    (tmp_path / "state.json").write_text(json.dumps(state))
    assert RunFolder(tmp_path).read({"seed": 1, "keep": "best"}) == []
    with pytest.raises(SetupError, match="had keep 'best', now it is 'last'"):
        RunFolder(tmp_path).read({"seed": 1, "keep": "last"})


def test_a_run_that_varied_otherwise_is_refused(tmp_path: Path) -> None:
    """Older runs augmented in the training graph; their epochs cannot be continued exactly."""
    state = {"identity": {"augment": True}, "origin": Origin().__dict__, "history": []}
    (tmp_path / "state.json").write_text(json.dumps(state))
    with pytest.raises(SetupError, match="augmentation"):
        RunFolder(tmp_path).read({"augmentation": "plain"})


def test_a_commit_is_recorded_once_in_a_row() -> None:
    origin = Origin()
    for commit in ("a", "a", "", "b", "a"):
        origin = origin.trained_by(commit)
    assert origin.commits == ("a", "b", "a")


def test_validation_loss_is_the_cross_entropy() -> None:
    labels, logits = np.array([1, 0, 0]), np.array([2.0, -1.0, 3.0])
    probabilities = 1 / (1 + np.exp(-logits))
    expected = -np.mean(np.log(np.where(labels == 1, probabilities, 1 - probabilities)))
    scores = validation_scores(labels, logits)
    assert scores["val_loss"] == pytest.approx(expected)
    assert scores["val_auc"] == 0.5


def test_an_epoch_is_logged_in_one_line() -> None:
    row = Epoch(1, "head", 2.4, 1e-3, 0.5, 0.6, 0.7, 0.8)
    assert str(row) == (
        "loss 0.5000, validation loss 0.6000, AUC 0.7000, average precision 0.8000, pointing - (2 s)"
    )
