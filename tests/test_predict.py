"""predict.py: a line a file, in order, with the app's prediction."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import predict
from tests.support.bundles import altered_sidecar, tiny_bundle
from tests.support.picture_folders import COUNT, picture_folder
from tests.support.pictures import draw_radiograph, encode
from tests.support.processes import ROOT, running
from utils.inference.predictor import Predictor, load_predictor


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return tiny_bundle(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def predictor(model) -> Predictor:
    return load_predictor(model)


@pytest.fixture
def pictures(tmp_path) -> Path:
    return picture_folder(tmp_path)


def score(monkeypatch, capsys, *arguments: object) -> tuple[int, str, str]:
    """Run predict.py in this process: exit code, stdout, stderr."""
    monkeypatch.setattr(sys, "argv", ["predict.py", *map(str, arguments)])
    code = predict.main()
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def call(*arguments: object, **options) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, ROOT / "predict.py", *map(str, arguments)],
        capture_output=True,
        timeout=300,
        check=False,
        **options,
    )


@pytest.mark.parametrize(
    ("boxes", "column"),
    [(None, ""), ([], "[]"), ([{"x": 1.5, "score": 0.25}], '[{"x": 1.5, "score": 0.25}]')],
)
def test_csv_has_the_boxes_as_json(boxes, column):
    stream = io.StringIO()
    predict._csv_writer(stream)({"path": "a.png", "boxes": boxes})
    (row,) = csv.DictReader(io.StringIO(stream.getvalue()))
    assert row["boxes"] == column


@pytest.mark.slow
def test_each_line_is_the_apps_answer(monkeypatch, capsys, model, predictor, pictures):
    code, out, _ = score(monkeypatch, capsys, "--model", model, "--batch_size", 3, pictures)
    assert code == 0
    lines = [json.loads(line) for line in out.splitlines()]
    assert len(lines) == COUNT
    for line in lines:
        answer = predictor.predict(Path(line["path"]).read_bytes()).as_json()
        assert next(iter(line)) == "path"
        assert line["probability"] == pytest.approx(answer["probability"], abs=1e-6)
        assert line["region"]["probability"] == pytest.approx(
            answer["region"]["probability"], abs=1e-6
        )
        for name in ("prediction", "certainty", "threshold", "peak", "image", "model", "warnings"):
            assert line[name] == answer[name], name
        assert line["label_meaning"]
        assert line["disclaimer"] == answer["disclaimer"]
        assert set(answer) - set(line) == {"heatmap", "overlay"}
        assert set(line["timing_ms"]) >= {"decode", "model"}


@pytest.mark.slow
def test_a_bad_file_is_a_line_of_its_own(monkeypatch, capsys, model, pictures):
    (pictures / "1.png").write_bytes((pictures / "1.png").read_bytes()[:60])
    (pictures / "2.png").write_text("<html>")
    (pictures / "3.png").write_bytes(b"")
    missing = pictures / "nowhere.png"
    code, out, err = score(monkeypatch, capsys, "--model", model, pictures, missing)
    lines = {Path(line["path"]).name: line for line in map(json.loads, out.splitlines())}
    assert code == 2
    assert list(lines) == [f"{n}.png" for n in range(COUNT)] + ["nowhere.png"]
    errors = {name: line["error"]["code"] for name, line in lines.items() if "error" in line}
    assert errors == {
        "1.png": "unreadable_image",
        "2.png": "unsupported_format",
        "3.png": "unreadable_image",
        "nowhere.png": "bad_input",
    }
    assert all(set(lines[name]) == {"path", "error"} for name in errors)
    assert "predict.py: 4 of 8 files could not be scored" in err


def test_csv_has_the_same_values(monkeypatch, capsys, model, pictures):
    (pictures / "3.png").write_text('no picture, "quoted",\nin lines')
    arguments = ["--model", model, pictures]
    _, as_json, _ = score(monkeypatch, capsys, *arguments)
    code, as_csv, _ = score(monkeypatch, capsys, "--format", "csv", *arguments)
    assert code == 2
    rows = list(csv.DictReader(io.StringIO(as_csv)))
    assert len(rows) == COUNT
    for row, line in zip(rows, map(json.loads, as_json.splitlines()), strict=True):
        assert row["path"] == line["path"]
        if "error" in line:
            assert row["error_code"] == line["error"]["code"]
            assert row["error_message"] == line["error"]["message"]
            assert row["probability"] == row["prediction"] == ""
            continue
        assert float(row["probability"]) == pytest.approx(line["probability"])
        assert row["prediction"] == line["prediction"]
        assert row["region"] == line["region"]["label"]
        assert int(row["height"]) == line["image"]["height"]
        assert row["sha256"] == line["model"]["sha256"]
        assert row["boxes"] == ""
        assert row["warnings"] == " ".join(w["code"] for w in line["warnings"])
        assert row["disclaimer"] == line["disclaimer"]
        assert row["label_meaning"] == line["label_meaning"]


@pytest.mark.slow
def test_a_prevalence_gives_predictive_values(monkeypatch, capsys, tmp_path):
    # Of fewer pixels no answer has a predictive value.
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for number in range(3):
        picture = draw_radiograph(280, 240, seed=number, fractured=number % 2 == 0)
        (pictures / f"{number}.png").write_bytes(encode(picture))
    model = tiny_bundle(tmp_path)
    with altered_sidecar(model) as sidecar:
        sidecar["metrics"]["test"] = {
            "sensitivity": {"value": 0.9, "low": 0.8, "high": 0.95},
            "specificity": {"value": 0.8, "low": 0.7, "high": 0.9},
        }
    monkeypatch.setenv("FRACTURE_PREVALENCE", "0.1")
    _, as_json, _ = score(monkeypatch, capsys, "--model", model, pictures)
    _, as_csv, _ = score(monkeypatch, capsys, "--format", "csv", "--model", model, pictures)
    rows = list(csv.DictReader(io.StringIO(as_csv)))
    for row, line in zip(rows, map(json.loads, as_json.splitlines()), strict=True):
        value = line["predictive_value"]
        # Of 1,000: 90 found of 100, 180 called by mistake, 720 rightly not, 10 missed.
        expected = 90 / 270 if line["prediction"] == "Fracture Detected" else 720 / 730
        assert value["value"] == pytest.approx(expected)
        assert float(row["predictive_value"]) == value["value"]
        assert float(row["predictive_value_low"]) == value["low"]
        assert float(row["predictive_value_high"]) == value["high"]
        assert float(row["prevalence"]) == value["prevalence"] == 0.1


def test_overlays_have_the_shape_of_the_file(
    monkeypatch, capsys, model, predictor, pictures, tmp_path
):
    target = tmp_path / "new" / "overlays"
    code, out, _ = score(monkeypatch, capsys, "--model", model, "--overlays", target, pictures)
    assert code == 0
    lines = [json.loads(line) for line in out.splitlines()]
    assert {Path(line["overlay_file"]) for line in lines} == set(target.iterdir())
    for line in lines:
        content = Path(line["overlay_file"]).read_bytes()
        picture = Image.open(io.BytesIO(content))
        assert picture.format == "JPEG"
        assert picture.size == (line["image"]["width"], line["image"]["height"])
        own = Image.open(io.BytesIO(predictor.predict(Path(line["path"]).read_bytes()).overlay))
        difference = np.asarray(picture, int) - np.asarray(own, int)
        assert np.abs(difference).max() <= 3


def test_files_of_one_name_keep_their_overlays(monkeypatch, capsys, model, tmp_path):
    paths = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        paths.append(tmp_path / name / "same.png")
        paths[-1].write_bytes(encode(draw_radiograph(seed=ord(name))))
    score(monkeypatch, capsys, "--model", model, "--overlays", tmp_path / "out", *paths)
    assert len(list((tmp_path / "out").iterdir())) == 2


@pytest.mark.slow
def test_a_closed_pipe_ends_it_quietly(model, pictures):
    arguments = [sys.executable, ROOT / "predict.py", "--model", model, *[pictures] * 400]
    with running(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert b'"prediction"' in process.stdout.readline()
        process.stdout.close()
        log = process.stderr.read()
        process.wait(timeout=120)
    assert process.returncode == 0
    assert b"Traceback" not in log
    assert b"BrokenPipe" not in log


@pytest.mark.slow
def test_ctrl_c_keeps_the_lines_and_exits_130(model, pictures, tmp_path):
    arguments = [sys.executable, ROOT / "predict.py", "--model", model, *[pictures] * 2000]
    with (
        (tmp_path / "stderr").open("wb") as stderr,
        running(arguments, stdout=subprocess.PIPE, stderr=stderr) as process,
    ):
        first = process.stdout.readline()
        process.send_signal(signal.SIGINT)
        lines = [first, *process.stdout.readlines()]
        process.wait(timeout=120)
    assert process.returncode == 130
    log = (tmp_path / "stderr").read_text()
    assert log.splitlines()[-1] == "predict.py: interrupted"
    assert "Traceback" not in log
    for line in lines:
        assert json.loads(line)["path"]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--model", "no/such/model.h5", "x.png"], 3, "there is no model at no/such/model.h5"),
        ([], 2, "required: PATH"),
        (["--format", "xml", "x.png"], 2, "'json', 'csv'"),
        (["--batch_size", "0", "x.png"], 2, "whole number of at least 1"),
        (["--model", "model", "--overlays", "taken", "x.png"], 2, "taken cannot be made"),
    ],
)
def test_a_wrong_command_line_is_one_line(model, tmp_path, arguments, code, message):
    (tmp_path / "taken").write_text("")
    arguments = [str(model) if argument == "model" else argument for argument in arguments]
    run = call(*arguments, cwd=tmp_path, text=True)
    assert run.returncode == code
    assert run.stdout == ""
    assert len(run.stderr.splitlines()) == 1
    assert message in run.stderr


@pytest.mark.slow
def test_a_file_name_need_not_be_text(model, tmp_path):
    name = os.fsencode(tmp_path) + b"/r\xf6ntgen.png"
    with open(name, "wb") as stream:  # noqa: PTH123
        stream.write(encode(draw_radiograph()))
    run = call("--model", model, "--format", "csv", os.fsdecode(name))
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines()[-1].split(b",")[0] == name


def test_a_real_radiograph_folder_is_scored(model, shared_data, monkeypatch, capsys):
    files = sorted((shared_data / "fracatlas/images/Fractured").glob("*.jpg"))[:4]
    dicoms = sorted(path for path in (shared_data / "dicom").rglob("*") if path.is_file())
    refused = [path for path in dicoms if "CT1" in path.name]
    code, out, _ = score(monkeypatch, capsys, "--model", model, *files, *refused)
    lines = [json.loads(line) for line in out.splitlines()]
    assert [line["path"] for line in lines] == [str(path) for path in (*files, *refused)]
    assert code == 2
    assert all("probability" in line for line in lines[:4])
    assert {line["error"]["code"] for line in lines[4:]} == {"not_a_radiograph"}
