"""utils.evaluation.training_figures: the figures of a part in the sidecar."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.support.trees import fracatlas_training_set
from utils.evaluation.localisation import localise
from utils.evaluation.metrics import summarise
from utils.evaluation.training_figures import part_figures
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
