"""predict.py and utils.inference.runners.local: every file answered, in order, as the app would."""

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
from tests.conftest import missing
from tests.support.bundles import altered_sidecar, tiny_bundle
from tests.support.pictures import draw_radiograph, encode
from tests.support.processes import ROOT, running
from utils.errors import InputError, TooLarge, UnreadableImage
from utils.files import read_file
from utils.imaging.radiograph import Limits
from utils.inference.predictor import Predictor, load_predictor
from utils.inference.runners.local import find_files, overlay_name, predict_files

COUNT = 7


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return tiny_bundle(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def predictor(model) -> Predictor:
    return load_predictor(model)


@pytest.fixture
def pictures(tmp_path) -> Path:
    """A folder of drawn radiographs of several sizes, with a folder inside it."""
    folder = tmp_path / "pictures"
    (folder / "inner").mkdir(parents=True)
    for number in range(COUNT):
        picture = draw_radiograph(80 + 7 * number, 60, seed=number, fractured=number % 2 == 0)
        place = folder / "inner" if number > 4 else folder
        (place / f"{number}.png").write_bytes(encode(picture))
    return folder


def score(monkeypatch, capsys, *arguments: object) -> tuple[int, str, str]:
    """Run predict.py in this process: exit code, stdout, stderr."""
    monkeypatch.setattr(sys, "argv", ["predict.py", *map(str, arguments)])
    code = predict.main()
    said = capsys.readouterr()
    return code, said.out, said.err


def call(*arguments: object, **options) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, ROOT / "predict.py", *map(str, arguments)],
        capture_output=True,
        timeout=300,
        check=False,
        **options,
    )


def test_each_line_is_the_apps_answer_to_that_file(monkeypatch, capsys, model, predictor, pictures):
    code, out, _ = score(monkeypatch, capsys, "--model", model, "--batch_size", 3, pictures)
    assert code == 0
    lines = [json.loads(line) for line in out.splitlines()]
    assert len(lines) == COUNT
    for line in lines:
        told = predictor.predict(Path(line["path"]).read_bytes()).as_json()
        assert next(iter(line)) == "path"
        assert line["probability"] == pytest.approx(told["probability"], abs=1e-6)
        assert line["region"]["probability"] == pytest.approx(
            told["region"]["probability"], abs=1e-6
        )
        for name in ("prediction", "certainty", "threshold", "peak", "image", "model", "warnings"):
            assert line[name] == told[name], name
        assert line["label_meaning"]
        assert line["disclaimer"] == told["disclaimer"]
        assert set(told) - set(line) == {"heatmap", "overlay"}
        assert set(line["timing_ms"]) >= {"decode", "model"}


def test_batches_of_any_size_give_the_same_answers_in_the_same_order(predictor, pictures):
    files = find_files([pictures])
    logits = [
        [result.prediction.logit for result in predict_files(predictor, files, batch_size=size)]
        for size in (1, 2, 16)
    ]
    np.testing.assert_allclose(logits[1], logits[0], atol=1e-5)
    np.testing.assert_allclose(logits[2], logits[0], atol=1e-5)
    assert len(set(np.round(logits[0], 6))) == COUNT


def test_a_bad_file_is_a_line_and_the_others_go_on(monkeypatch, capsys, model, pictures):
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


def test_csv_has_the_same_answers(monkeypatch, capsys, model, pictures):
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
        assert row["warnings"] == " ".join(w["code"] for w in line["warnings"])
        assert row["disclaimer"] == line["disclaimer"]
        assert row["label_meaning"] == line["label_meaning"]


def test_the_operators_prevalence_is_in_both_kinds_of_lines(monkeypatch, capsys, tmp_path):
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
        worth = line["predictive_value"]
        # Of 1,000: 90 found of 100, 180 called by mistake, 720 rightly not, 10 missed.
        expected = 90 / 270 if line["prediction"] == "Fracture Detected" else 720 / 730
        assert worth["value"] == pytest.approx(expected)
        assert float(row["predictive_value"]) == worth["value"]
        assert float(row["predictive_value_low"]) == worth["low"]
        assert float(row["predictive_value_high"]) == worth["high"]
        assert float(row["prevalence"]) == worth["prevalence"] == 0.1


def test_overlays_are_pictures_of_the_originals_shape_and_named_in_the_lines(
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


def test_overlays_of_files_of_one_name_do_not_overwrite_each_other(
    monkeypatch, capsys, model, tmp_path
):
    paths = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        paths.append(tmp_path / name / "same.png")
        paths[-1].write_bytes(encode(draw_radiograph(seed=ord(name))))
    score(monkeypatch, capsys, "--model", model, "--overlays", tmp_path / "out", *paths)
    assert len(list((tmp_path / "out").iterdir())) == 2


@pytest.mark.parametrize(
    "path",
    [
        "../../etc/passwd",
        "/etc/passwd",
        "..",
        ".hidden",
        "a\\b",
        "ü" * 300,
        "-rf",
        "a b\n.png",
        "/",
    ],
)
def test_the_name_of_an_overlay_never_leaves_its_folder(tmp_path, path):
    name = overlay_name(Path(path))
    assert (tmp_path / name).parent == tmp_path
    assert name.isascii()
    assert "/" not in name
    assert not name.startswith(".")
    assert len(name) < 120
    (tmp_path / name).write_bytes(b"")
    assert (tmp_path / name).is_file()


def test_a_folder_gives_what_may_be_images_sorted_and_nothing_hidden(tmp_path):
    png = encode(draw_radiograph())
    dicom = bytes(128) + b"DICM" + bytes(8)
    for name, content in {
        "b/10.png": png,
        "b/2.JPG": b"",
        "a": png,
        "c.txt": b"text",
        "README": b"text",
        "series/1.2.840.1": dicom,
        "photo.bin": png,
        ".hidden.png": png,
        ".git/x.png": png,
        "z.dcm": b"damaged",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    os.mkfifo(tmp_path / "pipe")
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "loop").symlink_to("loop")
    found = [path.relative_to(tmp_path).as_posix() for path in find_files([tmp_path])]
    assert found == ["a", "b/10.png", "b/2.JPG", "photo.bin", "series/1.2.840.1", "z.dcm"]


def test_a_file_that_is_named_is_tried_whatever_it_is(tmp_path):
    (tmp_path / "notes.txt").write_text("text")
    assert find_files([tmp_path / "notes.txt"]) == [tmp_path / "notes.txt"]


def test_a_folder_without_images_says_so(predictor, tmp_path):
    (tmp_path / "notes.txt").write_text("text")
    (result,) = predict_files(predictor, find_files([tmp_path]))
    assert result.path == tmp_path
    assert "no image in the folder" in str(result.error)


def test_a_file_over_the_limit_is_refused_before_it_is_read(model, tmp_path):
    small = load_predictor(model, limits=Limits(max_bytes=100_000))
    big = tmp_path / "big.png"
    with big.open("wb") as stream:
        stream.truncate(5 * 2**40)
    (result,) = predict_files(small, [big])
    assert result.prediction is None
    assert result.error.code == "too_large"


def test_a_file_that_may_not_be_read_is_an_error_of_its_own(predictor, tmp_path, monkeypatch):
    if os.geteuid() == 0:
        # Root may read everything but a loop of links.
        (tmp_path / "closed.png").symlink_to(tmp_path / "closed.png")
    else:
        (tmp_path / "closed.png").write_bytes(encode(draw_radiograph()))
        (tmp_path / "closed.png").chmod(0)
    (result,) = predict_files(predictor, [tmp_path / "closed.png"])
    assert isinstance(result.error, InputError)


@pytest.mark.parametrize("name", ["pipe.png", "/dev/zero"])
def test_a_pipe_or_device_that_is_named_is_an_error_and_never_read(predictor, tmp_path, name):
    path = tmp_path / name
    if not path.exists():
        os.mkfifo(path)
    (result,) = predict_files(predictor, [path])
    assert isinstance(result.error, UnreadableImage)


def test_a_file_is_read_no_further_than_the_limit_whatever_its_length_says():
    """The kernel's files claim no length and give as much as is read."""
    maps = Path("/proc/self/maps")
    if not maps.is_file():
        missing("this system has no /proc")
    with pytest.raises(TooLarge):
        read_file(maps, 100)


def test_answers_come_while_later_files_are_still_to_be_read(predictor, pictures):
    asked = []

    def files():
        for path in find_files([pictures]) * 10:
            asked.append(path)
            yield path

    first = next(predict_files(predictor, files(), batch_size=2))
    assert first.prediction is not None
    assert len(asked) < 20


def test_a_reader_of_the_output_that_goes_away_ends_it_quietly(model, pictures):
    arguments = [sys.executable, ROOT / "predict.py", "--model", model, *[pictures] * 400]
    with running(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert b'"prediction"' in process.stdout.readline()
        process.stdout.close()
        said = process.stderr.read()
        process.wait(timeout=120)
    assert process.returncode == 0
    assert b"Traceback" not in said
    assert b"BrokenPipe" not in said


def test_an_interrupted_run_returns_130_and_keeps_the_lines_written(model, pictures, tmp_path):
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
    said = (tmp_path / "stderr").read_text()
    assert said.splitlines()[-1] == "predict.py: interrupted"
    assert "Traceback" not in said
    for line in lines:
        assert json.loads(line)["path"]


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["--model", "no/such/model.h5", "x.png"], 3, "there is no model at no/such/model.h5"),
        ([], 2, "required: PATH"),
        (["--format", "xml", "x.png"], 2, "'json', 'csv'"),
        (["--batch_size", "0", "x.png"], 2, "whole number of at least 1"),
        (["--model", "model", "--overlays", "taken", "x.png"], 2, "taken cannot be made"),
    ],
)
def test_a_fault_of_the_command_line_is_one_line(model, tmp_path, arguments, code, says):
    (tmp_path / "taken").write_text("")
    arguments = [str(model) if argument == "model" else argument for argument in arguments]
    run = call(*arguments, cwd=tmp_path, text=True)
    assert run.returncode == code
    assert run.stdout == ""
    assert len(run.stderr.splitlines()) == 1
    assert says in run.stderr


def test_a_file_name_that_is_no_text_is_answered_all_the_same(model, tmp_path):
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
