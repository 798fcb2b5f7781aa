"""utils.report.write: the files of an evaluation, opened again."""

from __future__ import annotations

import csv
import json
from dataclasses import replace

import numpy as np
import pytest

from utils.errors import InputError
from utils.evaluation.report_schema import EvaluationReport
from utils.report import write
from utils.report.card import card_page
from utils.report.plots import PLOTS
from utils.report.samples import FAILURES, SAMPLES
from utils.report.write import make_folder, write_card, write_report

PATIENTS = {SAMPLES, FAILURES}
CURVES = set(PLOTS)
TEXTS = {"metrics.json", "predictions.csv", "report.html", "report.md"}


def names_in(folder) -> set[str]:
    return {file.name for file in folder.iterdir()}


@pytest.mark.slow
def test_every_file_is_written(output):
    assert names_in(output) == CURVES | TEXTS | PATIENTS


@pytest.mark.slow
def test_metrics_json_is_the_report(evaluation, output):
    text = (output / "metrics.json").read_text()
    assert EvaluationReport.model_validate(json.loads(text)) == evaluation.report


@pytest.mark.slow
def test_predictions_give_back_the_accuracy(evaluation, output):
    with (output / "predictions.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    right = [row["label"] == row["prediction"] for row in rows]
    assert np.mean(right) == pytest.approx(evaluation.report.images.figures.accuracy.value)
    assert rows[0]["path"].startswith("images/")


@pytest.mark.slow
def test_without_samples_no_radiograph_is_written(evaluation, output, tmp_path):
    for name in PATIENTS:
        (tmp_path / name).write_bytes((output / name).read_bytes())
    files = write_report(evaluation, tmp_path, samples=False)
    assert {file.name for file in files} == names_in(tmp_path) == CURVES | TEXTS
    assert (tmp_path / "report.html").read_text().count("<img") == len(CURVES)
    for name in CURVES:
        assert (tmp_path / name).read_bytes() == (output / name).read_bytes()


@pytest.mark.slow
def test_without_samples_no_radiograph_is_opened(evaluation, tmp_path):
    samples = tuple(
        replace(sample, path=tmp_path / "gone.png") for sample in evaluation.scored.samples
    )
    gone = replace(evaluation, scored=replace(evaluation.scored, samples=samples))
    write_report(gone, tmp_path / "out", samples=False)
    with pytest.raises(FileNotFoundError):
        write_report(gone, tmp_path / "out")


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be made"):
        make_folder(tmp_path / "file")


def test_a_file_that_cannot_be_replaced_is_refused(evaluation, tmp_path, monkeypatch):
    monkeypatch.setattr(write, "PLOTS", {})
    (tmp_path / "metrics.json").mkdir()
    with pytest.raises(InputError, match="cannot be written to"):
        write_report(evaluation, tmp_path, samples=False)


def test_the_card_is_written_into_a_new_folder(evaluation, tmp_path):
    path = write_card(evaluation, tmp_path / "new" / "card.md")
    assert path.read_text() == card_page(evaluation)


def test_a_card_that_cannot_be_written_is_refused(evaluation, tmp_path):
    (tmp_path / "card.md").mkdir()
    with pytest.raises(InputError, match=r"card\.md"):
        write_card(evaluation, tmp_path / "card.md")
