"""Training end to end on drawn bones: it learns, stops, goes on, and leaves a bundle that answers."""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest

from tests.support.commands import run_command
from tests.support.processes import ROOT, running, until
from tests.support.trees import folder_tree, fracatlas_training_set, fracatlas_tree, mura_tree
from train import main, parser, training_config
from utils.datasets.training_set import TrainingSet, read_training_set
from utils.errors import DatasetError, SetupError
from utils.evaluation.evaluate import evaluate
from utils.inference.engine import load_engine
from utils.model.bundle import load_network, read_bundle, read_manifest, read_ood_detector
from utils.training.config import HEAD, TUNING, TrainingConfig
from utils.training.finalize import train
from utils.training.trainer import Trainer
from utils.training.validation import validation_scores

CONFIG = TrainingConfig(
    architecture="custom",
    image_size=48,
    weights="none",
    epochs=2,
    head_epochs=1,
    batch_size=8,
    learning_rate=2e-3,
    head_learning_rate=2e-3,
    schedule="cosine",
    patience=5,
    weight_decay=1e-4,
    averaging=0.0,
    dropout=0.1,
    label_smoothing=0.0,
    detail="fine",
    location_weight=0.3,
    negatives=0.0,
    region_weight=0.2,
    teacher=None,
    teacher_weight=1.0,
    class_weight="balanced",
    augment=False,
    batch_norm="auto",
    mixed_precision=False,
    sensitivity=0.9,
    seed=0,
    split_seed=0,
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> TrainingSet:
    """A drawn FracAtlas, read and split."""
    return fracatlas_training_set(tmp_path_factory.mktemp("data"), size=48)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, data: TrainingSet) -> Path:
    """A folder with a finished run and its bundle."""
    folder = tmp_path_factory.mktemp("run")
    outcome = train(
        replace(CONFIG, epochs=12, patience=50), data, folder / "run", folder / "best_model.h5"
    )
    (folder / "outcome.json").write_text(json.dumps(outcome))
    return folder


def test_a_small_network_learns_to_find_the_gap_in_a_drawn_bone(trained: Path) -> None:
    metrics = read_bundle(trained / "best_model.h5").metrics
    assert metrics["validation"]["roc_auc"]["value"] > 0.9
    assert metrics["test"]["roc_auc"]["value"] > 0.75


def test_the_bundle_doubts_no_more_validation_radiographs_than_it_says(
    trained: Path, data: TrainingSet
) -> None:
    bundle = read_bundle(trained / "best_model.h5")
    ood_detector = read_ood_detector(bundle)
    assert ood_detector is not None
    shown = data.prepared.images[data.rows["validation"]]
    scores = ood_detector.scores(load_engine(bundle.path, "tensorflow").run(shown).embedding)
    assert bundle.sidecar.ood_detector is not None
    for code, share in bundle.sidecar.ood_detector.false_alarms.items():
        assert (scores[code] > ood_detector.limits[code] + 1e-3).mean() <= share + 1 / len(shown)


def test_the_bundle_says_how_it_was_made(trained: Path, data: TrainingSet) -> None:
    bundle = read_bundle(trained / "best_model.h5")
    assert bundle.training["dataset"] == "fracatlas"
    assert bundle.training["args"]["epochs"] == 12
    assert bundle.training["args"]["region"] == []
    assert bundle.training["split"] == {"seed": 0, "fractions": [0.7, 0.15, 0.15]}
    assert bundle.labels.meaning == data.dataset.meaning
    assert bundle.regions == ("hand", "leg")
    used = len(data.rows["train"]) + len(data.rows["validation"])
    assert len(read_manifest(bundle).sha256) == used


def test_the_bundle_says_how_its_maps_lie_on_the_marked_fractures(
    trained: Path, data: TrainingSet
) -> None:
    """What the training measured is what the evaluation measures through the engine that serves."""
    model = trained / "best_model.h5"
    told = read_bundle(model).metrics["test"]["localisation"]
    found = evaluate(load_engine(model), data.dataset, data.prepared, resamples=0)
    measured = found.report.localisation.marked.model_dump()
    assert told["n"] == measured["n"] == int(data.labels[data.rows["test"]].sum())
    for name in ("pointing_game", "evidence_inside", "overlap"):
        assert told[name]["value"] == pytest.approx(measured[name]["value"], abs=1e-4)
        assert told[name]["low"] <= told[name]["value"] <= told[name]["high"]


def test_the_bundle_answers_what_the_run_measured(trained: Path, data: TrainingSet) -> None:
    engine = load_engine(trained / "best_model.h5")
    rows = data.rows["validation"]
    logits = engine.run(data.prepared.images[rows]).logit
    best = max(history(trained / "run"), key=lambda row: float(row["val_auc"]))
    scores = validation_scores(data.labels[rows], logits)
    assert scores["val_auc"] == pytest.approx(float(best["val_auc"]), abs=1e-6)
    assert scores["val_loss"] == pytest.approx(float(best["val_loss"]), abs=1e-4)


def history(run: Path) -> list[dict[str, str]]:
    """Read a run's CSV."""
    with (run / "history.csv").open() as file:
        return list(csv.DictReader(file))


def test_a_run_leaves_logs_curves_and_events(trained: Path) -> None:
    run = trained / "run"
    rows = history(run)
    assert [int(row["epoch"]) for row in rows] == list(range(1, 13))
    assert (run / "curves.png").read_bytes().startswith(b"\x89PNG")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(run / "tensorboard"))
    events.Reload()
    logged = [event.value for event in events.Scalars("epoch/val_auc")]
    np.testing.assert_allclose(logged, [float(row["val_auc"]) for row in rows], atol=1e-6)


@pytest.mark.parametrize("averaging", [0.0, 0.9])
def test_a_stopped_run_goes_on_where_it_stopped(
    tmp_path: Path, data: TrainingSet, averaging: float
) -> None:
    """Two epochs, a stop and two more give the weights that four epochs give."""
    config = replace(CONFIG, epochs=4, augment=True, averaging=averaging, batch_norm="hold")
    whole = run_epochs(config, data, tmp_path / "whole", 4)
    run_epochs(config, data, tmp_path / "parts", 2)
    resumed = Trainer(config, data, tmp_path / "parts")
    resumed.resume()
    assert len(resumed.history) == 2
    resumed.fit()
    assert [row.loss for row in resumed.history] == [row.loss for row in whole.history]
    for ours, theirs in zip(
        resumed.network.get_weights(), whole.network.get_weights(), strict=True
    ):
        assert np.array_equal(ours, theirs)


def test_training_twice_with_one_seed_gives_one_split_and_one_network(
    tmp_path: Path, data: TrainingSet
) -> None:
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


def test_the_split_depends_on_the_seed_alone(tmp_path: Path, data: TrainingSet) -> None:
    def parts(seed: int) -> dict[str, list[int]]:
        options = {"regions": (), "size": 32, "seed": seed, "cache": tmp_path}
        read = read_training_set(data.dataset.root, dataset="auto", **options)
        return {part: rows.tolist() for part, rows in read.rows.items()}

    assert parts(3) == parts(3) != parts(4)


def test_the_mean_of_the_weights_is_kept_and_training_goes_on_from_the_last(
    tmp_path: Path, data: TrainingSet
) -> None:
    trainer = run_epochs(replace(CONFIG, averaging=0.9, batch_norm="hold"), data, tmp_path, 1)
    variables = trainer.model.optimizer.variables
    means = [np.asarray(variable) for variable in variables if "average" in variable.path]
    last = trainer.network.trainable_weights
    kept = {weight.path: weight for weight in trainer.best_network().weights}
    assert len(means) == len(last) > 10
    for mean, now in zip(means, last, strict=True):
        np.testing.assert_array_equal(mean, kept[now.path])
        assert not np.array_equal(now, kept[now.path])


def run_epochs(
    config: TrainingConfig, data: TrainingSet, run: Path, epochs: int, *, commit: str = ""
) -> Trainer:
    """Train and let go after so many epochs, as a kill between two epochs would."""
    keras.utils.set_random_seed(config.seed)
    trainer = Trainer(config, data, run, commit=commit)
    trainer.start()
    ((name, planned, highest),) = config.phases
    trainer._compile(name)
    for _ in range(epochs):
        trainer._run_epoch(name, planned, highest, list(trainer.history))
    return trainer


def test_resuming_with_other_arguments_is_refused_naming_the_argument(
    trained: Path, data: TrainingSet
) -> None:
    trainer = Trainer(
        replace(CONFIG, epochs=12, patience=50, learning_rate=1e-5), data, trained / "run"
    )
    with pytest.raises(SetupError, match="learning_rate"):
        trainer.resume()


def test_a_run_is_decided_anew_for_another_sensitivity(
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


def test_the_code_that_trained_is_told_beside_the_code_that_made_the_bundle(
    tmp_path: Path, data: TrainingSet
) -> None:
    run_epochs(CONFIG, data, tmp_path, 1, commit="first")
    for commit in ("second", "third"):
        train(CONFIG, data, tmp_path, tmp_path / "m.h5", resume=True, commit=commit)
        told = read_bundle(tmp_path / "m.h5").training
        assert told["commit"] == "first, second"
        assert told["finished_commit"] == commit


def test_the_weight_file_a_run_began_with_is_told_when_it_is_gone(
    tmp_path: Path, trained: Path, data: TrainingSet
) -> None:
    weights = shutil.copy(trained / "best_model.h5", tmp_path / "weights.h5")
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    config = replace(CONFIG, weights=str(weights), epochs=1, head_epochs=0)
    for resume in (False, True):
        train(config, data, tmp_path / "run", tmp_path / "m.h5", resume=resume)
        assert read_bundle(tmp_path / "m.h5").training["weights_sha256"] == digest
        weights.unlink(missing_ok=True)


def test_only_a_run_that_goes_on_does_without_its_weight_file() -> None:
    flags = ["--weights", "gone.npz"]
    assert training_config(parser().parse_args([*flags, "--resume"])).weights == "gone.npz"
    with pytest.raises(SetupError, match=r"gone\.npz"):
        training_config(parser().parse_args(flags))


def make_older(run: Path, **identity: object) -> None:
    """Make a run's state what it was before it kept its origin and the seed of its split."""
    state = json.loads((run / "state.json").read_text())
    del state["origin"], state["identity"]["split_seed"]
    state["identity"].update(identity)
    (run / "state.json").write_text(json.dumps(state))


def test_an_older_run_is_made_a_bundle_by_what_can_still_be_known(
    tmp_path: Path, trained: Path, data: TrainingSet
) -> None:
    weights = shutil.copy(trained / "best_model.h5", tmp_path / "weights.h5")
    config = replace(CONFIG, weights=str(weights), epochs=1, head_epochs=0)
    run_epochs(config, data, tmp_path / "run", 1, commit="first")
    make_older(tmp_path / "run")
    for known in (hashlib.sha256(weights.read_bytes()).hexdigest(), None):
        train(config, data, tmp_path / "run", tmp_path / "m.h5", resume=True, commit="second")
        told = read_bundle(tmp_path / "m.h5").training
        assert (told["commit"], told["finished_commit"]) == ("second", "second")
        assert told["weights_sha256"] == known
        weights.unlink(missing_ok=True)


def test_an_older_run_goes_on_with_its_seed_as_the_seed_of_the_split(
    tmp_path: Path, data: TrainingSet
) -> None:
    run_epochs(replace(CONFIG, seed=3, split_seed=3), data, tmp_path, 1)
    make_older(tmp_path)
    with pytest.raises(SetupError, match="had split_seed 3, now it is 0"):
        Trainer(replace(CONFIG, seed=3), data, tmp_path).resume()
    resumed = Trainer(replace(CONFIG, seed=3, split_seed=3), data, tmp_path)
    resumed.resume()
    assert len(resumed.history) == 1


def test_a_note_goes_with_the_bundle_and_not_with_the_run(
    tmp_path: Path, data: TrainingSet
) -> None:
    config = replace(CONFIG, epochs=1)
    for note in ("chosen by hand", ""):
        resume = not note
        train(config, data, tmp_path, tmp_path / "m.h5", resume=resume, note=note)
        assert read_bundle(tmp_path / "m.h5").training["note"] == note


def test_resuming_nothing_is_refused(tmp_path: Path, data: TrainingSet) -> None:
    with pytest.raises(SetupError, match="no run to resume"):
        Trainer(CONFIG, data, tmp_path / "none").resume()


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
    config = replace(CONFIG, epochs=30, patience=1, learning_rate=1e-12, schedule="constant")
    trainer = Trainer(config, data, tmp_path)
    trainer.start()
    assert trainer.fit() == "out of patience"
    assert len(trainer.history) < 30


def test_time_that_is_up_before_one_epoch_is_a_fault(tmp_path: Path, data: TrainingSet) -> None:
    trainer = Trainer(CONFIG, data, tmp_path)
    trainer.start()
    with pytest.raises(SetupError, match="not one epoch"):
        trainer.fit(deadline=0.0)


def test_time_is_kept_for_what_follows_the_last_epoch(tmp_path: Path, data: TrainingSet) -> None:
    trainer = Trainer(CONFIG, data, tmp_path)
    trainer.start()
    assert trainer.fit(deadline=time.monotonic() + 600, afterwards=10**9) == "out of time"
    assert len(trainer.history) == 1


def test_going_on_without_time_for_an_epoch_is_a_fault(trained: Path, data: TrainingSet) -> None:
    """Else a run that is resumed in legs that are too short would never end."""
    trainer = Trainer(replace(CONFIG, epochs=12, patience=50), data, trained / "run")
    trainer.resume()
    trainer.history.pop()
    with pytest.raises(SetupError, match="not one epoch"):
        trainer.fit(deadline=0.0)


def test_a_diverging_run_is_a_fault_and_no_model(tmp_path: Path, data: TrainingSet) -> None:
    config = replace(CONFIG, learning_rate=1e30, schedule="constant", epochs=3)
    with pytest.raises(SetupError, match="learning_rate"):
        train(config, data, tmp_path / "run", tmp_path / "best_model.h5")
    assert not (tmp_path / "best_model.h5").exists()


def test_mixed_precision_trains_and_saves_float32(tmp_path: Path, data: TrainingSet) -> None:
    train(replace(CONFIG, epochs=1, mixed_precision=True), data, tmp_path, tmp_path / "m.h5")
    assert keras.config.dtype_policy().name == "float32"
    assert load_engine(tmp_path / "m.h5").run(data.prepared.images[:2]).logit.dtype == np.float32


def test_truncated_images_train_nothing(tmp_path: Path) -> None:
    root = fracatlas_tree(tmp_path / "atlas", per_class=40)
    for path in sorted((root / "images" / "Non_fractured").glob("*.jpg"))[:5]:
        path.write_bytes(path.read_bytes()[:-400])
    data = read_training_set(
        root, dataset="fracatlas", regions=(), size=32, seed=0, cache=tmp_path / "cache"
    )
    truncated = {i for i, facts in enumerate(data.prepared.files) if facts.truncated}
    assert len(truncated) == 5
    assert not truncated & set(np.concatenate(list(data.rows.values())))
    assert data.report.truncated_left_out == 5


def test_a_part_without_one_class_is_refused_with_counts(tmp_path: Path) -> None:
    root = fracatlas_tree(tmp_path / "atlas", per_class=2)
    with pytest.raises(DatasetError):
        read_training_set(
            root, dataset="auto", regions=(), size=32, seed=0, cache=tmp_path / "cache"
        )


def arguments(*more: object) -> list[str]:
    """The flags of a short training of the custom network."""
    flags = ("--model", "custom", "--image_size", "32", "--batch_size", "8", "--quiet")
    return [*flags, *map(str, more)]


@pytest.mark.parametrize("tree", [folder_tree, mura_tree])
def test_the_command_trains_on_every_layout(
    tmp_path: Path, tree: Callable[[Path], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    model = tmp_path / "best_model.h5"
    where = ("--data", tree(tmp_path / "data"), "--run", tmp_path / "run", "--output", model)
    answer = run_command(capsys, main, arguments(*where, "--epochs", 1))
    assert answer.code == 0, answer.errors
    outcome = json.loads(answer.output.splitlines()[-1])
    assert outcome["outcome"] == "completed"
    assert outcome["sha256"] == read_bundle(model).sha256
    assert "test" in outcome["metrics"]


def test_the_split_has_its_own_seed(
    tmp_path: Path, trained: Path, data: TrainingSet, capsys: pytest.CaptureFixture[str]
) -> None:
    """A run with another seed is tested with the same images; with another split seed, it is not."""

    def used(seed: int, split_seed: int) -> tuple[dict[str, object], frozenset[str]]:
        model = tmp_path / f"{seed}-{split_seed}.h5"
        where = ("--data", data.dataset.root, "--run", tmp_path / "run", "--output", model)
        seeds = ("--seed", seed, "--split_seed", split_seed, "--note", "by hand")
        answer = run_command(capsys, main, arguments(*where, "--epochs", 1, *seeds))
        assert answer.code == 0, answer.errors
        bundle = read_bundle(model)
        return bundle.training, read_manifest(bundle).sha256

    told, seen = used(1, 0)
    assert seen == read_manifest(read_bundle(trained / "best_model.h5")).sha256
    assert told["split"]["seed"] == told["counts"]["seed"] == told["args"]["split_seed"] == 0
    assert told["seed"] == told["args"]["seed"] == 1
    assert told["note"] == "by hand"
    told, others = used(0, 1)
    assert others != seen
    assert told["split"]["seed"] == 1


def test_ctrl_c_keeps_the_best_so_far(tmp_path: Path) -> None:
    run, model = tmp_path / "run", tmp_path / "best_model.h5"
    where = ("--data", folder_tree(tmp_path / "data"), "--run", run, "--output", model)
    command = [sys.executable, ROOT / "train.py"]
    command += arguments(*where, "--epochs", 9999, "--patience", 9999)
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with running(command, **pipes) as process:
        until(lambda: (run / "state.json").is_file() or process.poll() is not None, 90)
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert json.loads(output.splitlines()[-1])["outcome"] == "interrupted"
    assert read_bundle(model).training["outcome"] == "interrupted"


@pytest.mark.parametrize(
    ("flags", "code", "words"),
    [
        (("--model", "alexnet"), 2, "choose one of: custom, vgg16"),
        (("--epochs", "0"), 2, "whole number of at least 1"),
        (("--epoch_s", "3"), 2, "--epoch_s"),
        (("--dataset", "coco"), 2, "choose one of: mura, fracatlas, folder"),
        (("--image_size", "9"), 2, "32 to 1024"),
        (("--data", "nowhere", "--weights", "none"), 2, "nowhere"),
        (("--schedule", "step"), 2, "cosine"),
        (("--weights", "gone.npz"), 3, "gone.npz"),
        (("--weights", "none", "--teacher", "gone.h5"), 3, "gone.h5"),
        (("--weights", "none", "--averaging", "0.9"), 2, "--batch_norm hold"),
    ],
)
def test_a_wrong_flag_is_one_line_naming_the_choices(
    tmp_path: Path,
    flags: tuple[str, ...],
    code: int,
    words: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    answer = run_command(capsys, main, [*flags, "--run", str(tmp_path / "run")])
    assert answer.code == code
    assert answer.output == ""
    assert words in answer.errors
    assert len(answer.errors.splitlines()) == 1
