"""utils.evaluation.report_schema: metrics.json to the byte, and its names."""

from __future__ import annotations

import json

import pytest
from pydantic import ValidationError

from tests.support.processes import ROOT
from utils.evaluation.report_schema import FIGURES, MEASURES, EvaluationReport, Figure

COMMITTED = ROOT / "docs" / "evaluation" / "metrics.json"


@pytest.fixture(scope="module")
def report() -> EvaluationReport:
    return EvaluationReport.model_validate_json(COMMITTED.read_text())


def test_the_committed_file_is_reproduced(report):
    assert report.to_json() == COMMITTED.read_text()


def test_the_schema_has_a_version(report):
    assert report.schema_version == 1
    content = json.loads(COMMITTED.read_text()) | {"schema_version": 2}
    with pytest.raises(ValidationError, match="schema_version"):
        EvaluationReport.model_validate(content)


def test_a_field_outside_the_schema_is_refused():
    content = json.loads(COMMITTED.read_text()) | {"verdict": "good"}
    with pytest.raises(ValidationError, match="verdict"):
        EvaluationReport.model_validate(content)


def test_a_report_cannot_be_changed(report):
    with pytest.raises(ValidationError, match="frozen"):
        report.schema_version = 1


def test_missing_tables_are_left_out(report):
    changes = {"studies": None, "recalibration": None, "ood_folders": None, "localisation": None}
    written = json.loads(report.model_copy(update=changes).to_json())
    assert not {"studies", "local_decision", "strangers"} & written.keys()
    # These two are null instead.
    assert written["localisation"] is None
    assert report.model_copy(update={"input_warnings": None}).model_dump()["doubts"] is None


def test_a_figure_has_a_reason_where_undefined():
    assert Figure(value=0.5, low=0.4, high=0.6).model_dump() == {
        "value": 0.5,
        "low": 0.4,
        "high": 0.6,
    }
    undefined = Figure(value=None, low=None, high=None, reason="there are no images")
    assert undefined.model_dump()["reason"] == "there are no images"


def test_no_figure_is_nan():
    with pytest.raises(ValidationError, match="finite"):
        Figure(value=float("nan"), low=None, high=None)


def test_every_figure_and_measure_has_a_title():
    assert len(FIGURES) == 12
    assert list(MEASURES) == ["pointing_game", "evidence_inside", "overlap"]
    assert all(isinstance(title, str) for title in (*FIGURES.values(), *MEASURES.values()))
