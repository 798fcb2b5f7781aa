"""evaluate.py as a user runs it: whole runs on drawn datasets, messages and exit codes of faults."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from sklearn.metrics import roc_auc_score

import evaluate
import predict
from tests.support.bundles import altered_sidecar, tiny_bundle
from tests.support.pictures import draw_radiograph, encode
from tests.support.processes import ROOT, running, until
from tests.support.trees import folder_tree, mura_tree
from utils.cli import run

pytestmark = pytest.mark.slow

HEAVY = {"keras", "tensorflow", "sklearn", "scipy", "matplotlib", "pydicom"}


def call(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, ROOT / "evaluate.py", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def run_here(monkeypatch, capsys, *arguments: object) -> tuple[int, str, str]:
    """Run evaluate.py in this process, where Keras is loaded: exit code, stdout, stderr."""
    monkeypatch.setattr(sys, "argv", ["evaluate.py", *map(str, arguments)])
    code = evaluate.main()
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def exit_here(monkeypatch, capsys, *arguments: object) -> tuple[int, str, str]:
    """Run evaluate.py in this process as its own script: exit code, stdout, stderr."""
    monkeypatch.setattr(sys, "argv", ["evaluate.py", *map(str, arguments)])
    monkeypatch.setattr("utils.cli._quiet_libraries", lambda: None)
    with pytest.raises(SystemExit) as leaving:
        run(evaluate.main)
    captured = capsys.readouterr()
    return leaving.value.code, captured.out, captured.err


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return tiny_bundle(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return folder_tree(tmp_path_factory.mktemp("data"), per_class=8)


@pytest.fixture(scope="module")
def done(model, data, tmp_path_factory):
    output = tmp_path_factory.mktemp("work") / "reports"
    run = call(
        *("--model", model, "--data", data, "--output", output, "--cache", output.parent / "cache"),
        *("--resamples", 50),
    )
    return run, output


def damaged(model: Path, folder: Path, how: str) -> Path:
    """A copy of a model that must not answer."""
    folder.mkdir(exist_ok=True)
    for suffix in (".h5", ".json", ".seen.json"):
        shutil.copy(model.with_suffix(suffix), folder / f"best_model{suffix}")
    weights = folder / "best_model.h5"
    content = bytearray(weights.read_bytes())
    if how == "missing":
        weights.unlink()
    elif how == "truncated":
        weights.write_bytes(content[: len(content) // 2])
    elif how == "altered":
        content[len(content) // 2] ^= 1
        weights.write_bytes(content)
    elif how == "without sidecar":
        weights.with_suffix(".json").unlink()
    elif how == "another's sidecar":
        with altered_sidecar(weights) as sidecar:
            sidecar["weights_sha256"] = "0" * 64
    return weights


def test_stdout_is_one_line_of_json(done):
    run, output = done
    assert run.returncode == 0, run.stderr
    outcome = json.loads(run.stdout)
    assert outcome["output"] == str(output)
    assert outcome["part"] == "test"
    assert set(outcome["files"]) == {file.name for file in output.iterdir()}
    assert {"samples.png", "report.html", "report.md", "metrics.json"} <= set(outcome["files"])


def test_stdout_has_the_figures_of_the_files(done):
    run, output = done
    outcome = json.loads(run.stdout)
    report = json.loads((output / "metrics.json").read_text())
    assert outcome["figures"] == report["images"]["figures"]
    assert outcome["counts"] == {"n": 8, "positive": 4, "negative": 4, "groups": 8}
    with (output / "predictions.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert {row["part"] for row in rows} == {"test"}
    area = roc_auc_score(
        [int(row["label"]) for row in rows], [float(row["probability"]) for row in rows]
    )
    assert outcome["figures"]["roc_auc"]["value"] == pytest.approx(area)


def test_progress_is_on_stderr_unless_quiet(done, model, data, tmp_path, monkeypatch, capsys):
    run, output = done
    assert "evaluating" in run.stderr
    code, out, err = run_here(
        *(monkeypatch, capsys),
        *("--model", model, "--data", data, "--output", tmp_path / "out", "--resamples", 0),
        *("--cache", output.parent / "cache", "--quiet", "--no_samples"),
    )
    assert code == 0
    assert "evaluating" not in err
    assert not (tmp_path / "out" / "samples.png").exists()
    assert "samples.png" not in json.loads(out)["files"]


def test_mura_is_evaluated_whole(model, tmp_path, monkeypatch, capsys):
    root = mura_tree(tmp_path / "data", patients=8)
    code, _, _ = run_here(
        *(monkeypatch, capsys),
        *("--model", model, "--data", root, "--part", "all", "--region", "wrist"),
        *("--output", tmp_path / "out", "--cache", tmp_path / "cache", "--resamples", 20),
        "--no_samples",
    )
    assert code == 0
    with (tmp_path / "out" / "predictions.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert {row["region"] for row in rows} == {"wrist"}
    assert {row["part"] for row in rows} == {"train", "test"}
    report = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert report["studies"]["counts"]["n"] == len({row["study"] for row in rows}) == len(rows) // 2


@pytest.mark.parametrize(
    "how", ["missing", "truncated", "altered", "without sidecar", "another's sidecar"]
)
def test_a_damaged_model_exits_with_3(model, data, tmp_path, how, monkeypatch, capsys):
    file = damaged(model, tmp_path / "m", how)
    code, out, err = exit_here(monkeypatch, capsys, "--model", file, "--data", data)
    assert (code, out) == (3, "")
    assert len(err.splitlines()) == 1
    assert "best_model" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--part", "validation"], "'test', 'all'"),
        (["--dataset", "imagenet"], "mura, fracatlas, folder"),
        (["--data", "no/such/folder"], "no folder no/such/folder"),
        (["--data", str(ROOT / "docs")], "looked for"),
        (["--region", "elbow"], "elbow"),
        (["--resamples", "many"], "whole number of at least 0"),
        (["--batch_size", "0"], "whole number of at least 1"),
        (["--resample_count", "3"], "unrecognized arguments"),
        (["--prevalence", "0.1", "1"], "'1' is not a number above 0 and below 1"),
        (["--local_threshold", "90"], "'90' is not a number above 0 and below 1"),
        (["--save", "ours.h5"], "--save writes what --recalibrate or --local_threshold fits"),
        (["--recalibrate", "--save", "ours.bin"], "ends in .h5"),
        (["--ood", "no/such/folder"], "no folder no/such/folder"),
        (["--strangers", "no/such/folder"], "no folder no/such/folder"),
        (["--ood", str(ROOT / "docs" / "evaluating.md")], "evaluating.md is a file"),
        (["--only", "no/such.csv"], "no/such.csv cannot be read"),
        (
            ["--only", str(ROOT / "docs" / "evaluation" / "predictions.csv")],
            "526 of the 526 images",
        ),
    ],
)
def test_a_wrong_flag_exits_with_2_and_the_choices(
    model, data, arguments, message, monkeypatch, capsys
):
    code, out, err = exit_here(monkeypatch, capsys, "--model", model, "--data", data, *arguments)
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert message in err


def test_an_unwritable_output_is_refused_early(model, data, tmp_path):
    (tmp_path / "taken").write_text("")
    run = call("--model", model, "--data", data, "--output", tmp_path / "taken")
    assert run.returncode == 2
    assert len(run.stderr.splitlines()) == 1
    assert "taken cannot be made" in run.stderr


def test_an_unwritable_cache_exits_with_3(model, data, tmp_path):
    (tmp_path / "taken").write_text("")
    run = call(
        *("--model", model, "--data", data, "--output", tmp_path / "out"),
        *("--cache", tmp_path / "taken" / "cache"),
    )
    assert run.returncode == 3
    assert len(run.stderr.splitlines()) == 1
    assert "taken" in run.stderr


def test_an_interrupted_run_exits_with_130(model, data, tmp_path):
    command = [sys.executable, ROOT / "evaluate.py", "--model", model, "--data", data]
    command += ["--cache", tmp_path / "cache", "--output", tmp_path / "out"]
    with running(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        until((tmp_path / "cache").exists, 120)
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=120)
    assert process.returncode == 130
    assert stdout == b""
    assert b"Traceback" not in stderr
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("script", ["evaluate", "predict"])
def test_help_loads_nothing_heavy(script):
    code = (
        f"import sys, {script}\n"
        f"sys.argv = ['{script}.py', '--help']\n"
        f"try: {script}.main()\n"
        f"except SystemExit as leaving: assert leaving.code == 0\n"
        f"print(sorted({HEAVY!r} & set(sys.modules)))"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert "--model" in shown
    assert shown.splitlines()[-1] == "[]"


def test_it_runs_from_any_folder(model, tmp_path):
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    run = subprocess.run(
        [sys.executable, ROOT / "evaluate.py", "--model", model, "--data", "nowhere"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 2
    assert "no folder nowhere" in run.stderr


def test_ood_samples_are_in_every_file(model, data, tmp_path, monkeypatch, capsys):
    (tmp_path / "walls").mkdir()
    for number in range(3):
        picture = encode(draw_radiograph(300, 220, seed=number))
        (tmp_path / "walls" / f"{number}.png").write_bytes(picture[: 5000 if number == 2 else None])
    code, out, _ = run_here(
        *(monkeypatch, capsys),
        *("--model", model, "--data", data, "--output", tmp_path / "out", "--resamples", 0),
        *("--cache", tmp_path / "cache", "--quiet", "--no_samples"),
        *("--card", tmp_path / "card.md", "--ood", tmp_path / "walls"),
    )
    assert code == 0
    (record,) = json.loads(out)["strangers"]
    assert (record["folder"], record["pictures"], record["refused"]) == ("walls", 2, 1)
    assert json.loads((tmp_path / "out" / "metrics.json").read_text())["strangers"] == [record]
    for file in ("out/report.md", "out/report.html", "card.md"):
        text = (tmp_path / file).read_text()
        assert "Out-of-distribution images" in text
        assert str(tmp_path) not in text


def test_named_images_are_evaluated_alone(done, model, data, tmp_path, monkeypatch, capsys):
    _, output = done
    lines = (output / "predictions.csv").read_text().splitlines()
    (tmp_path / "some.csv").write_text("\n".join([lines[0], *lines[2:6]]) + "\n")
    code, out, _ = run_here(
        *(monkeypatch, capsys),
        *("--model", model, "--data", data, "--output", tmp_path / "out", "--resamples", 0),
        *("--cache", tmp_path / "cache", "--quiet", "--no_samples"),
        *("--only", tmp_path / "some.csv"),
    )
    assert code == 0
    assert json.loads(out)["counts"]["n"] == 4
    assert (tmp_path / "out" / "predictions.csv").read_text().splitlines()[1:] == lines[2:6]
    assert "not named by --only" in (tmp_path / "out" / "report.md").read_text()


def test_a_labels_csv_reaches_the_report(model, tmp_path, monkeypatch, capsys):
    root = folder_tree(tmp_path / "data", per_class=8)
    lines = ["file,patient,region,view,hardware,x,y,width,height"]
    for number in (1, 2, 3, 4):
        view, hardware = ("frontal", 0) if number < 4 else ("lateral", 1)
        columns = f"p{number},hand,{view},{hardware}"
        # The left half of 96 x 72 pixels in two boxes.
        lines += [f"test/fractured/{number}.png,{columns},0,{top},36,48" for top in (0, 48)]
        lines.append(f"test/not fractured/{number}.png,{columns},,,,")
    (root / "labels.csv").write_text("\n".join([*lines[:-1], ""]))
    code, out, _ = run_here(
        *(monkeypatch, capsys),
        *("--model", model, "--data", root, "--output", tmp_path / "out", "--resamples", 20),
        *("--cache", tmp_path / "cache", "--quiet", "--no_samples"),
    )
    assert code == 0
    assert json.loads(out)["counts"] == {"n": 8, "positive": 4, "negative": 4, "groups": 5}
    report = json.loads((tmp_path / "out" / "metrics.json").read_text())
    counts = {
        way: {value: table["counts"]["n"] for value, table in report["by"][way].items()}
        for way in ("region", "view", "hardware")
    }
    assert counts == {
        "region": {"hand": 7, "not stated": 1},
        "view": {"frontal": 6, "lateral": 1, "not stated": 1},
        "hardware": {"with hardware": 1, "without hardware": 6, "not stated": 1},
    }
    assert report["localisation"]["marked"]["n"] == 4
    assert report["localisation"]["chance"]["value"] == pytest.approx(0.5)
    text = (tmp_path / "out" / "report.md").read_text()
    assert "Where the map points" in text
    assert "| images with marked lesions | 4 |" in text


def test_a_recalibration_is_reported_and_saved(model, tmp_path, monkeypatch, capsys):
    root = folder_tree(tmp_path / "data", per_class=24)
    before = {path.name: path.read_bytes() for path in model.parent.iterdir()}
    ours = tmp_path / "ours" / "best_model.h5"
    code, out, err = run_here(
        *(monkeypatch, capsys),
        *("--model", model, "--data", root, "--part", "all", "--output", tmp_path / "out"),
        *("--cache", tmp_path / "cache", "--resamples", 20, "--quiet", "--no_samples"),
        *("--recalibrate", "--local_threshold", "0.85", "--save", ours),
        *("--prevalence", "0.07", "--card", tmp_path / "cards" / "card.md"),
    )
    assert code == 0
    assert {path.name: path.read_bytes() for path in model.parent.iterdir()} == before
    outcome = json.loads(out)
    record = outcome["local_decision"]
    assert outcome["saved"] == str(ours)
    assert record["fitting"]["n"] + record["rest"]["n"] == 96
    assert outcome["counts"] == record["rest"]
    report = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert report["local_decision"] == record
    assert [row["prevalence"] for row in report["predictive_values"]] == [0.07]
    text = (tmp_path / "out" / "report.md").read_text()
    assert "## The decision fitted here, and the model's own" in text
    assert f"Fitted on {record['fitting']['n']} images" in text
    # Random weights rank these bones the wrong way round, so that no calibration can mend them.
    assert "brier" in record["worse"]
    (worse,) = [line for line in err.splitlines() if line.startswith("evaluate.py: ")]
    assert worse.removeprefix("evaluate.py: ") in text
    assert "does worse on the rest than the model's own" in worse
    assert "| 7 % |" in (tmp_path / "cards" / "card.md").read_text()
    monkeypatch.setattr(sys, "argv", ["predict.py", "--model", str(ours), str(root / "test")])
    assert predict.main() == 0
    answers = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {answer["threshold"] for answer in answers} == {record["after"]["threshold"]}
