"""A synthetic dataset and a finished run of it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.trainings import CONFIG, train
from tests.support.trees import fracatlas_training_set
from utils.datasets.training_set import TrainingSet


@pytest.fixture(scope="package")
def data(tmp_path_factory: pytest.TempPathFactory) -> TrainingSet:
    """A synthetic FracAtlas, read and split."""
    return fracatlas_training_set(tmp_path_factory.mktemp("data"), size=48)


@pytest.fixture(scope="package")
def trained(tmp_path_factory: pytest.TempPathFactory, data: TrainingSet) -> Path:
    """A folder with a finished run and its bundle."""
    folder = tmp_path_factory.mktemp("run")
    outcome = train(
        replace(CONFIG, epochs=12, patience=50), data, folder / "run", folder / "best_model.h5"
    )
    (folder / "outcome.json").write_text(json.dumps(outcome))
    return folder
