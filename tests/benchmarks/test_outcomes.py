"""Outcomes of answers, their totals, and the tables of the battery."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace

import pytest

from benchmarks import robustness
from benchmarks.bars import failed
from benchmarks.outcomes import Outcome, WayResult, outcome, outcome_of, share, totals
from benchmarks.performance import filled
from benchmarks.robustness import Battery
from tests.support.bundles import tiny_bundle
from utils.inference.input_warnings import InputWarning
from utils.inference.predictor import load_predictor

F, N, NW = Outcome.FRACTURE, Outcome.NORMAL, Outcome.NORMAL_WARNED
D, W, R = Outcome.DOUBTFUL, Outcome.WITHHELD, Outcome.REFUSED


def result(
    name: str,
    fractures: Counter[Outcome],
    normals: Counter[Outcome] | None = None,
    *,
    destructive: bool = False,
    damaged: bool = False,
) -> WayResult:
    counts = normals or Counter({N: 10})
    return WayResult("kind", name, destructive, damaged, fractures, counts)


UPRIGHT = result("upright", Counter({F: 10}), Counter({N: 8, F: 2}))
GOOD = result("good", Counter({F: 6, D: 4}), Counter({N: 8, F: 2}))
POOR = result("poor", Counter({F: 4, N: 2, NW: 1, W: 2, R: 1}), Counter({F: 3, N: 7}))


def missed(*results: WayResult) -> list[str]:
    return [name.partition(",")[0] for name in failed(totals(UPRIGHT, results))]


def test_totals_are_over_all_answers():
    row = {row.figure: row.value for row in totals(UPRIGHT, [GOOD, POOR])}
    assert row["silent Normals, all everyday ways"] == pytest.approx(2 / 20)
    assert row["fractures still found for certain, everyday ways"] == pytest.approx(10 / 20)
    assert row["normals turned into definite fractures, everyday ways"] == pytest.approx(5 / 20)
    assert row["definite Normals with a warning, everyday ways"] == pytest.approx(1 / 20)
    assert row["answers withheld or refused, everyday ways"] == pytest.approx(3 / 20)


def test_a_missed_target_is_named():
    assert missed(GOOD) == []
    assert len(missed(GOOD, POOR)) == 4


def test_destructive_ways_have_no_target():
    lost = result("quality 5", Counter({N: 10}), destructive=True)
    assert missed(GOOD, lost) == []
    row = {row.figure: row.value for row in totals(UPRIGHT, [GOOD, lost])}
    assert row["silent Normals, destructive ways"] == 1.0


def test_a_damaged_file_may_not_be_normal():
    cut = result("cut", Counter({R: 8, NW: 2}), damaged=True)
    assert cut.silent == pytest.approx(0.2)
    assert missed(GOOD, cut) == ["silent Normals"]


def test_shares_are_of_all_outcomes():
    assert share([Counter({F: 1, D: 3})], F, D) == 1.0
    assert share([Counter({F: 1}), Counter({D: 3})], F) == 0.25


def test_the_document_holds_every_way(tmp_path, monkeypatch):
    document = tmp_path / "robustness.md"
    document.write_text("before\n<!-- arrivals: generated -->\n<!-- arrivals: end -->\nafter\n")
    monkeypatch.setattr(robustness, "DOCUMENT", document)
    monkeypatch.setattr(robustness, "RESULTS", tmp_path)
    robustness.save(Battery("facts", UPRIGHT, [GOOD, POOR]))
    text = document.read_text()
    assert text.split("\n")[0] == "before"
    assert "| good | 0 % | 0 % | 40 % | 60 % | 20 % | 80 % |" in text
    assert "| poor | 20 % | 10 % | 30 % | 40 % | 30 % | 70 % |" in text
    saved = json.loads((tmp_path / "arrivals.json").read_text())
    assert saved["ways"][1]["fractures"]["normal"] == 2
    assert len(saved["totals"]) == 6


def test_the_document_has_its_section():
    text = robustness.DOCUMENT.read_text(encoding="utf-8")
    assert "\nshort\n" in filled(text, "arrivals", "short")


def test_without_everyday_ways_there_are_no_totals():
    battery = Battery("facts", UPRIGHT, [result("cut", Counter({R: 10}), damaged=True)])
    assert battery.rows == []
    assert "cut" in battery.as_text()


@pytest.mark.slow
def test_answers_become_outcomes(tmp_path, radiograph_png):
    predictor = load_predictor(tiny_bundle(tmp_path))
    assert outcome(predictor, b"no picture") is R
    answer = predictor.predict(radiograph_png, pictures=False)
    assert outcome(predictor, radiograph_png) is outcome_of(answer, "Fracture Detected")
    warned = (InputWarning("unlike_training", "rare"),)
    for prediction, certainty, warnings, expected in (
        ("Fracture Detected", "definite", (), F),
        ("Fracture Detected", "definite", warned, Outcome.FRACTURE_WARNED),
        ("Normal", "definite", (), N),
        ("Normal", "definite", warned, NW),
        ("Normal", "doubtful", warned, D),
        (None, "withheld", warned, W),
    ):
        made = replace(answer, prediction=prediction, certainty=certainty, warnings=warnings)
        assert outcome_of(made, "Fracture Detected") is expected
