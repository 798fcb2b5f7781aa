"""utils.training.decision.decide: the decision that a training fits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.support.logits import overlapping_logits
from tests.support.trainings import CONFIG
from utils.datasets.training_set import TrainingSet
from utils.model.calibration import fit_calibration
from utils.training.decision.decide import DecisionScores, decide, untested_regions


@pytest.fixture(scope="module")
def scores() -> DecisionScores:
    logits, labels = overlapping_logits(400)
    regions = tuple(("hand", "leg")[number % 2] for number in range(len(logits)))
    return DecisionScores(3.0 * logits - 1.0, np.asarray(labels), regions, "drawn images")


def test_the_calibration_is_fitted_on_the_scores(scores: DecisionScores) -> None:
    decision = decide(scores, CONFIG)
    assert decision.calibration == fit_calibration(scores.logits, scores.labels)
    assert "on drawn images" in decision.chosen_by


def test_each_setting_moves_its_own_point(scores: DecisionScores) -> None:
    usual = decide(scores, CONFIG)
    lower = decide(scores, replace(CONFIG, sensitivity=0.93))
    assert lower.threshold < usual.threshold
    assert lower.doubt == usual.doubt
    wider = decide(scores, replace(CONFIG, rule_out_sensitivity=0.99))
    assert wider.doubt[0] < usual.doubt[0]
    assert (wider.threshold, wider.doubt[1]) == (usual.threshold, usual.doubt[1])
    higher = decide(scores, replace(CONFIG, rule_in_specificity=0.99))
    assert higher.doubt[1] > usual.doubt[1]
    assert (higher.threshold, higher.doubt[0]) == (usual.threshold, usual.doubt[0])


def test_body_parts_with_few_fractures_are_untested(data: TrainingSet) -> None:
    fractured = data.rows["test"][data.labels[data.rows["test"]] == 1]
    assert len(fractured) < 20
    few = [data.prepared.samples[row].region for row in fractured].count("hand") < 10
    assert ("hand" in untested_regions(data, ("hand", "hip"))) == few
    assert "hip" in untested_regions(data, ("hand", "hip"))


def test_a_calibration_by_part_is_right_for_each(scores: DecisionScores) -> None:
    legs = np.array(scores.regions) == "leg"
    mixed = replace(scores, logits=np.where(legs, 2.0 * scores.logits, scores.logits))
    decision = decide(mixed, replace(CONFIG, calibrate_by="region"))
    probabilities = decision.probabilities(mixed.logits, mixed.regions)
    for own in (legs, ~legs):
        assert probabilities[own].mean() == pytest.approx(mixed.labels[own].mean(), abs=1e-3)
    assert (probabilities[mixed.labels == 1] >= decision.threshold).mean() >= 0.9


def test_one_calibration_is_the_default(scores: DecisionScores) -> None:
    assert decide(scores, CONFIG).region_calibrations == {}
