"""utils.training.finalize: from a trained network to its bundle."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from tests.support.trainings import (
    CONFIG,
    finish_untrained,
    history_rows,
    make_older,
    run_epochs,
    train,
)
from utils.datasets.training_set import TrainingSet
from utils.errors import SetupError
from utils.evaluation.evaluate import evaluate
from utils.inference.engines.engine import load_engine
from utils.inference.fracture_boxes import scored_boxes
from utils.model.bundle import load_network, read_bundle, read_manifest, read_ood_detector
from utils.model.detection.scores import FALSE_BOXES
from utils.training.checkpoints import validation_scores
from utils.training.config import TrainingConfig
from utils.training.trainer import Trainer

pytestmark = pytest.mark.slow


def test_a_small_network_learns_synthetic_fractures(trained: Path) -> None:
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


def test_the_bundle_has_the_scores_of_its_boxes(trained: Path, data: TrainingSet) -> None:
    """Recomputed from the serving engine: false boxes on the normal radiographs of validation."""
    bundle = read_bundle(trained / "best_model.h5")
    assert bundle.boxes is not None
    rows = [row for row in data.rows["validation"] if data.labels[row] == 0]
    outputs = load_engine(bundle.path).run(data.prepared.images[rows])
    shown = [
        box.score >= bundle.boxes.threshold
        for number, row in enumerate(rows)
        for box in scored_boxes(bundle, outputs, number, data.prepared.files[row].crop)
    ]
    assert sum(shown) / len(rows) <= FALSE_BOXES
    assert "false boxes a normal radiograph" in bundle.boxes.chosen_by


def test_without_boxes_there_is_no_detection_head(tmp_path: Path, data: TrainingSet) -> None:
    for number, config in enumerate(
        (replace(CONFIG, boxes_weight=0.0), replace(CONFIG, detail="coarse"))
    ):
        trainer = Trainer(config, data, tmp_path / str(number))
        finish_untrained(trainer, tmp_path / f"{number}.h5")
        assert read_bundle(tmp_path / f"{number}.h5").boxes is None


def test_the_bundle_reproduces_its_test_figures(trained: Path, data: TrainingSet) -> None:
    engine = load_engine(trained / "best_model.h5")
    rows = data.rows["validation"]
    logits = engine.run(data.prepared.images[rows]).logit
    best = max(history_rows(trained / "run"), key=lambda row: float(row["val_auc"]))
    scores = validation_scores(data.labels[rows], logits)
    assert scores["val_auc"] == pytest.approx(float(best["val_auc"]), abs=1e-6)
    assert scores["val_loss"] == pytest.approx(float(best["val_loss"]), abs=1e-4)


def test_training_is_repeatable_by_its_seed(tmp_path: Path, data: TrainingSet) -> None:
    config = replace(CONFIG, augmentation="strong", negatives=0.5, seed=3)
    first, again = (
        train(config, data, tmp_path / name, tmp_path / name / "m.h5")
        for name in ("first", "again")
    )
    assert first["metrics"] == again["metrics"]
    ours, theirs = (
        load_network(read_bundle(tmp_path / name / "m.h5")).get_weights()
        for name in ("first", "again")
    )
    assert all(np.array_equal(one, two) for one, two in zip(ours, theirs, strict=True))
    other = train(replace(config, seed=4, epochs=1), data, tmp_path / "other", tmp_path / "m.h5")
    assert other["metrics"] != first["metrics"]
    others = load_network(read_bundle(tmp_path / "m.h5")).get_weights()
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


@pytest.fixture(scope="module")
def resumed(tmp_path_factory: pytest.TempPathFactory, data: TrainingSet) -> list[dict[str, Any]]:
    """Sidecar sections of a run that a second version of the code ends, and a third exports anew."""
    folder = tmp_path_factory.mktemp("resumed")
    run_epochs(CONFIG, data, folder, 1, commit="first")
    sections = []
    for commit, note in (("second", "chosen by hand"), ("third", "")):
        train(CONFIG, data, folder, folder / "m.h5", resume=True, commit=commit, note=note)
        sections.append(read_bundle(folder / "m.h5").training)
    return sections


def test_the_commits_of_a_run_are_recorded(resumed: list[dict[str, Any]]) -> None:
    assert [training["commit"] for training in resumed] == ["first, second"] * 2
    assert [training["finished_commit"] for training in resumed] == ["second", "third"]


def test_a_note_belongs_to_the_bundle(resumed: list[dict[str, Any]]) -> None:
    assert [training["note"] for training in resumed] == ["chosen by hand", ""]


@pytest.fixture(scope="module")
def filled(
    tmp_path_factory: pytest.TempPathFactory, trained: Path, data: TrainingSet
) -> tuple[TrainingConfig, Path]:
    """Settings and folder of a finished run whose initial weights come from a file beside it."""
    folder = tmp_path_factory.mktemp("filled")
    weights = shutil.copy(trained / "best_model.h5", folder / "weights.h5")
    config = replace(CONFIG, weights=str(weights), epochs=1, head_epochs=0)
    train(config, data, folder / "run", folder / "best_model.h5", commit="first")
    return config, folder


@contextmanager
def moved(file: Path) -> Iterator[None]:
    """Move a file away for a while."""
    elsewhere = file.rename(file.with_name("moved"))
    yield
    elsewhere.rename(file)


def test_the_initial_weights_are_recorded(
    tmp_path: Path, filled: tuple[TrainingConfig, Path], data: TrainingSet
) -> None:
    """A resumed run needs their file no more."""
    config, folder = filled
    with moved(Path(config.weights)):
        train(config, data, folder / "run", tmp_path / "m.h5", resume=True)
    digest = hashlib.sha256(Path(config.weights).read_bytes()).hexdigest()
    for bundle in (folder / "best_model.h5", tmp_path / "m.h5"):
        assert read_bundle(bundle).training["weights_sha256"] == digest


def test_an_older_run_becomes_a_bundle(
    tmp_path: Path, filled: tuple[TrainingConfig, Path], data: TrainingSet
) -> None:
    """Its state has no origin: the code that trained it is unknown, and its weight file is hashed now."""
    config, folder = filled
    run = shutil.copytree(folder / "run", tmp_path / "run")
    make_older(run)

    def finished() -> dict[str, Any]:
        train(config, data, run, tmp_path / "m.h5", resume=True, commit="second")
        return read_bundle(tmp_path / "m.h5").training

    digest = hashlib.sha256(Path(config.weights).read_bytes()).hexdigest()
    training = finished()
    assert (training["commit"], training["finished_commit"]) == ("second", "second")
    assert training["weights_sha256"] == digest
    with moved(Path(config.weights)):
        training = finished()
    assert (training["commit"], training["finished_commit"]) == ("second", "second")
    assert training["weights_sha256"] is None


def test_a_diverging_run_is_an_error(tmp_path: Path, data: TrainingSet) -> None:
    config = replace(CONFIG, learning_rate=1e30, schedule="constant", epochs=3)
    with pytest.raises(SetupError, match="learning_rate"):
        train(config, data, tmp_path / "run", tmp_path / "best_model.h5")
    assert not (tmp_path / "best_model.h5").exists()


def test_mixed_precision_saves_float32(tmp_path: Path, data: TrainingSet) -> None:
    train(replace(CONFIG, epochs=1, mixed_precision=True), data, tmp_path, tmp_path / "m.h5")
    assert keras.config.dtype_policy().name == "float32"
    assert load_engine(tmp_path / "m.h5").run(data.prepared.images[:2]).logit.dtype == np.float32
