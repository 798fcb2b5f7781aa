"""utils.training.finalize: from a trained network to its bundle."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest

from tests.support.trainings import CONFIG, history_rows, make_older, run_epochs, train
from utils.datasets.training_set import TrainingSet
from utils.errors import SetupError
from utils.evaluation.evaluate import evaluate
from utils.inference.engine import load_engine
from utils.model.bundle import load_network, read_bundle, read_manifest, read_ood_detector
from utils.training.checkpoints import validation_scores

pytestmark = pytest.mark.slow


def test_a_small_network_learns_drawn_fractures(trained: Path) -> None:
    metrics = read_bundle(trained / "best_model.h5").metrics
    assert metrics["validation"]["roc_auc"]["value"] > 0.9
    assert metrics["test"]["roc_auc"]["value"] > 0.75


def test_false_alarms_of_the_ood_detector_hold(trained: Path, data: TrainingSet) -> None:
    bundle = read_bundle(trained / "best_model.h5")
    ood_detector = read_ood_detector(bundle)
    assert ood_detector is not None
    images = data.prepared.images[data.rows["validation"]]
    scores = ood_detector.scores(load_engine(bundle.path, "tensorflow").run(images).embedding)
    assert bundle.sidecar.ood_detector is not None
    for code, share in bundle.sidecar.ood_detector.false_alarms.items():
        assert (scores[code] > ood_detector.limits[code] + 1e-3).mean() <= share + 1 / len(images)


def test_the_sidecar_describes_the_training(trained: Path, data: TrainingSet) -> None:
    bundle = read_bundle(trained / "best_model.h5")
    assert bundle.training["dataset"] == "fracatlas"
    assert bundle.training["args"]["epochs"] == 12
    assert bundle.training["args"]["region"] == []
    assert bundle.training["split"] == {"seed": 0, "fractions": [0.7, 0.15, 0.15]}
    assert bundle.labels.meaning == data.dataset.meaning
    assert bundle.regions == ("hand", "leg")
    used = len(data.rows["train"]) + len(data.rows["validation"])
    assert len(read_manifest(bundle).sha256) == used


def test_the_sidecar_has_the_localisation(trained: Path, data: TrainingSet) -> None:
    """An evaluation with the serving engine measures the same."""
    model = trained / "best_model.h5"
    recorded = read_bundle(model).metrics["test"]["localisation"]
    found = evaluate(load_engine(model), data.dataset, data.prepared, resamples=0)
    measured = found.report.localisation.marked.model_dump()
    assert recorded["n"] == measured["n"] == int(data.labels[data.rows["test"]].sum())
    for name in ("pointing_game", "evidence_inside", "overlap"):
        assert recorded[name]["value"] == pytest.approx(measured[name]["value"], abs=1e-4)
        assert recorded[name]["low"] <= recorded[name]["value"] <= recorded[name]["high"]


def test_the_bundle_reproduces_its_test_figures(trained: Path, data: TrainingSet) -> None:
    engine = load_engine(trained / "best_model.h5")
    rows = data.rows["validation"]
    logits = engine.run(data.prepared.images[rows]).logit
    best = max(history_rows(trained / "run"), key=lambda row: float(row["val_auc"]))
    scores = validation_scores(data.labels[rows], logits)
    assert scores["val_auc"] == pytest.approx(float(best["val_auc"]), abs=1e-6)
    assert scores["val_loss"] == pytest.approx(float(best["val_loss"]), abs=1e-4)


def test_training_is_repeatable_by_its_seed(tmp_path: Path, data: TrainingSet) -> None:
    config = replace(CONFIG, augment=True, negatives=0.5)
    first, again, other = (
        train(replace(config, seed=seed), data, tmp_path / name, tmp_path / name / "m.h5")
        for name, seed in (("first", 3), ("again", 3), ("other", 4))
    )
    assert first["metrics"] == again["metrics"] != other["metrics"]
    ours, theirs, others = (
        load_network(read_bundle(tmp_path / name / "m.h5")).get_weights()
        for name in ("first", "again", "other")
    )
    assert all(np.array_equal(one, two) for one, two in zip(ours, theirs, strict=True))
    assert not np.array_equal(ours[0], others[0])


def test_a_finished_run_takes_a_new_sensitivity(
    tmp_path: Path, trained: Path, data: TrainingSet
) -> None:
    config = replace(CONFIG, epochs=12, patience=50, sensitivity=0.5)
    train(config, data, trained / "run", tmp_path / "m.h5", resume=True)
    first, again = read_bundle(trained / "best_model.h5"), read_bundle(tmp_path / "m.h5")
    assert again.threshold > first.threshold
    assert "at least 0.50" in again.chosen_by
    for ours, theirs in zip(
        load_network(first).get_weights(), load_network(again).get_weights(), strict=True
    ):
        assert np.array_equal(ours, theirs)


def test_the_commits_of_a_run_are_recorded(tmp_path: Path, data: TrainingSet) -> None:
    run_epochs(CONFIG, data, tmp_path, 1, commit="first")
    for commit in ("second", "third"):
        train(CONFIG, data, tmp_path, tmp_path / "m.h5", resume=True, commit=commit)
        training = read_bundle(tmp_path / "m.h5").training
        assert training["commit"] == "first, second"
        assert training["finished_commit"] == commit


def test_the_initial_weights_are_recorded(tmp_path: Path, trained: Path, data: TrainingSet) -> None:
    weights = shutil.copy(trained / "best_model.h5", tmp_path / "weights.h5")
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    config = replace(CONFIG, weights=str(weights), epochs=1, head_epochs=0)
    for resume in (False, True):
        train(config, data, tmp_path / "run", tmp_path / "m.h5", resume=resume)
        assert read_bundle(tmp_path / "m.h5").training["weights_sha256"] == digest
        weights.unlink(missing_ok=True)


def test_an_older_run_becomes_a_bundle(tmp_path: Path, trained: Path, data: TrainingSet) -> None:
    weights = shutil.copy(trained / "best_model.h5", tmp_path / "weights.h5")
    config = replace(CONFIG, weights=str(weights), epochs=1, head_epochs=0)
    run_epochs(config, data, tmp_path / "run", 1, commit="first")
    make_older(tmp_path / "run")
    for known in (hashlib.sha256(weights.read_bytes()).hexdigest(), None):
        train(config, data, tmp_path / "run", tmp_path / "m.h5", resume=True, commit="second")
        training = read_bundle(tmp_path / "m.h5").training
        assert (training["commit"], training["finished_commit"]) == ("second", "second")
        assert training["weights_sha256"] == known
        weights.unlink(missing_ok=True)


def test_a_note_belongs_to_the_bundle(tmp_path: Path, data: TrainingSet) -> None:
    config = replace(CONFIG, epochs=1)
    for note in ("chosen by hand", ""):
        resume = not note
        train(config, data, tmp_path, tmp_path / "m.h5", resume=resume, note=note)
        assert read_bundle(tmp_path / "m.h5").training["note"] == note


def test_a_diverging_run_is_an_error(tmp_path: Path, data: TrainingSet) -> None:
    config = replace(CONFIG, learning_rate=1e30, schedule="constant", epochs=3)
    with pytest.raises(SetupError, match="learning_rate"):
        train(config, data, tmp_path / "run", tmp_path / "best_model.h5")
    assert not (tmp_path / "best_model.h5").exists()


def test_mixed_precision_saves_float32(tmp_path: Path, data: TrainingSet) -> None:
    train(replace(CONFIG, epochs=1, mixed_precision=True), data, tmp_path, tmp_path / "m.h5")
    assert keras.config.dtype_policy().name == "float32"
    assert load_engine(tmp_path / "m.h5").run(data.prepared.images[:2]).logit.dtype == np.float32
