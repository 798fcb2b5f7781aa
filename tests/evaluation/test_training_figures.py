"""utils.evaluation.training_figures: figures of a part in the sidecar, and out of fold."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from tests.support.tables import draw_table
from tests.support.trainings import CONFIG
from tests.support.trees import fracatlas_training_set
from utils.evaluation.localisation import localise
from utils.evaluation.metrics import summarise
from utils.evaluation.training_figures import locate_peaks, out_of_fold_figures, part_figures
from utils.training.decision.decide import decide
from utils.training.decision.out_of_fold import OutOfFold
from utils.training.finalize import PartAnswers

OFFSET = 0.01


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> PartAnswers:
    """Random answers to the test part of a drawn FracAtlas."""
    data = fracatlas_training_set(tmp_path_factory.mktemp("data"), size=48)
    random = np.random.default_rng(0)
    n = len(data.rows["test"])
    maps = random.normal(size=(n, 6, 6)).astype(np.float32)
    return PartAnswers(data, "test", random.random(n), 0.5, maps, OFFSET)


def test_figures_are_those_of_an_evaluation(answers: PartAnswers) -> None:
    rows = answers.data.rows["test"]
    groups = [answers.data.groups[row] for row in rows]
    expected = summarise(answers.data.labels[rows], answers.probabilities, groups, 0.5)
    assert part_figures(replace(answers, maps=None)) == expected.model_dump()


def test_only_marked_radiographs_are_localised(answers: PartAnswers) -> None:
    data, prepared = answers.data, answers.data.prepared
    expected = [
        localise(signed, prepared.samples[row], prepared.files[row], OFFSET)
        for signed, row in zip(answers.maps, data.rows["test"], strict=True)
        if prepared.samples[row].boxes
    ]
    found = part_figures(answers)["localisation"]
    assert found["n"] == len(expected) == data.labels[data.rows["test"]].sum()
    assert found["pointing_game"]["value"] == pytest.approx(np.mean([m.hit for m in expected]))
    assert found["overlap"]["value"] == pytest.approx(np.mean([m.overlap for m in expected]))


def test_no_marked_lesion_gives_no_localisation(answers: PartAnswers) -> None:
    prepared = answers.data.prepared
    unmarked = tuple(replace(sample, boxes=()) for sample in prepared.samples)
    data = replace(answers.data, prepared=replace(prepared, samples=unmarked))
    assert part_figures(replace(answers, data=data))["localisation"] is None


def test_peaks_are_those_of_an_evaluation(answers: PartAnswers) -> None:
    data, rows = answers.data, answers.data.rows["test"]
    peaks = locate_peaks(data, rows, answers.maps, OFFSET)
    hits = [peak.hit for peak in peaks if peak.hit is not None]
    figures = part_figures(answers)["localisation"]
    assert len(hits) == figures["n"]
    assert np.mean(hits) == pytest.approx(figures["pointing_game"]["value"])
    for row, peak in zip(rows, peaks, strict=True):
        file = data.prepared.files[row]
        assert 0 <= peak.x < file.width
        assert 0 <= peak.y < file.height


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> OutOfFold:
    return draw_table(tmp_path_factory.mktemp("table"), count=600)


@pytest.fixture(scope="module")
def figures(table: OutOfFold) -> dict[str, Any]:
    return out_of_fold_figures(table, decide(table.scores, CONFIG), resamples=200)


def test_out_of_fold_figures_are_scikit_learns(table: OutOfFold, figures: dict[str, Any]) -> None:
    for region in ("hand", "leg"):
        images = [image for image in table.images if image.region == region]
        labels, logits = [i.label for i in images], [i.logit for i in images]
        found = figures["regions"][region]
        assert (found["n"], found["positive"], found["groups"]) == (300, 150, 150)
        assert found["roc_auc"]["value"] == pytest.approx(roc_auc_score(labels, logits))
        precision = average_precision_score(labels, logits)
        assert found["average_precision"]["value"] == pytest.approx(precision)
        assert found["roc_auc"]["low"] < found["roc_auc"]["value"] < found["roc_auc"]["high"]


def test_the_fit_is_calibrated_in_all(figures: dict[str, Any]) -> None:
    assert figures["all"]["calibration_slope"]["value"] == pytest.approx(1.0, abs=1e-3)
    assert figures["all"]["calibration_intercept"]["value"] == pytest.approx(0.0, abs=1e-3)
    low, high = (figures["all"]["calibration_slope"][edge] for edge in ("low", "high"))
    assert 0.5 < low < 1 < high < 2


def test_calibration_differs_by_body_part(figures: dict[str, Any]) -> None:
    """Logits of hands were drawn with a true slope of 1, those of legs with one of 3."""
    slopes = {part: own["calibration_slope"] for part, own in figures["regions"].items()}
    assert slopes["hand"]["high"] < 1 < slopes["leg"]["low"]
    assert slopes["leg"]["value"] / slopes["hand"]["value"] == pytest.approx(3.0, rel=0.4)


def test_pointing_is_of_marked_images(table: OutOfFold, figures: dict[str, Any]) -> None:
    hits = [image.hit for image in table.images if image.hit is not None]
    assert figures["all"]["pointing_game"]["value"] == pytest.approx(np.mean(hits))


def test_definite_answers_are_counted(table: OutOfFold, figures: dict[str, Any]) -> None:
    decision = decide(table.scores, CONFIG)
    probabilities = decision.calibration.probability(table.scores.logits)
    low, high = decision.doubt
    fractures, normals = probabilities >= high, probabilities < low
    labels, found = table.scores.labels, figures["all"]
    assert found["definite"]["value"] == pytest.approx((fractures | normals).mean())
    assert found["definite_fractures_right"]["value"] == pytest.approx(labels[fractures].mean())
    assert found["definite_normals_right"]["value"] == pytest.approx(1 - labels[normals].mean())


def test_a_calibration_by_part_is_reported(table: OutOfFold) -> None:
    decision = decide(table.scores, replace(CONFIG, calibrate_by="region"))
    found = out_of_fold_figures(table, decision, resamples=0)
    for own in found["regions"].values():
        assert own["calibration_slope"]["value"] == pytest.approx(1.0, abs=1e-3)
        assert own["calibration_intercept"]["value"] == pytest.approx(0.0, abs=1e-3)
