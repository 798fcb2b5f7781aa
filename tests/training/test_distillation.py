"""utils.training.losses: distillation from a teacher."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import keras
import numpy as np
import pytest

from tests.support.bundles import tiny_bundle
from tests.support.trainings import CONFIG, run_epochs
from tests.support.trees import fracatlas_training_set
from utils.datasets.training_set import TrainingSet
from utils.evaluation.training_figures import part_figures
from utils.model.bundle import Bundle, load_network, read_bundle
from utils.model_builder import feature_maps
from utils.preprocess import scale
from utils.training.config import TrainingConfig
from utils.training.finalize import finish
from utils.training.losses import DistillationLoss, Teacher
from utils.training.trainer import Trainer


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> TrainingSet:
    """A synthetic FracAtlas, read and split."""
    return fracatlas_training_set(tmp_path_factory.mktemp("data"), size=64)


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> TrainingConfig:
    """Settings of a student whose teacher has another architecture, scaling and map resolution."""
    folder = tmp_path_factory.mktemp("teacher")
    teacher = tiny_bundle(folder, architecture="mobilenetv2", image_size=96)
    return replace(CONFIG, image_size=64, epochs=6, teacher=str(teacher), teacher_weight=0.5)


def added(
    logit: list[float], teacher_logit: list[float], *pairs: tuple[np.ndarray, np.ndarray]
) -> float:
    """Return what the layer adds to the loss."""
    layer = DistillationLoss(2.0)
    tensors = [
        keras.ops.convert_to_tensor(np.array(x, np.float32)[:, None])
        for x in (logit, teacher_logit)
    ]
    maps = [tuple(keras.ops.convert_to_tensor(one) for one in pair) for pair in pairs]
    assert np.array_equal(np.asarray(layer((*tensors, maps)))[:, 0], np.float32(logit))
    return float(layer.losses[0])


def test_an_agreeing_student_has_little_loss() -> None:
    assert added([20.0, -20.0], [20.0, -20.0]) == pytest.approx(0.0, abs=1e-5)
    assert added([20.0], [-20.0]) == pytest.approx(2 * 20.0, rel=1e-5)
    assert added([1.0], [0.0]) == pytest.approx(np.log(1 + np.e) + np.log(1 + 1 / np.e), rel=1e-5)


def test_map_loss_is_the_unexplained_variance() -> None:
    target = np.random.default_rng(0).normal(3, 5, (2, 4, 4, 6)).astype(np.float32)
    mean = np.broadcast_to(target.mean(axis=(0, 1, 2)), target.shape)
    nothing = added([20.0], [20.0])
    assert added([20.0], [20.0], (target, target)) - nothing == pytest.approx(0.0, abs=1e-5)
    assert added([20.0], [20.0], (mean, target)) - nothing == pytest.approx(2.0, rel=1e-4)


@dataclass(frozen=True, eq=False)
class Student:
    """A student of no other task, trained for one epoch, resumed, and trained to its end.

    Args:
        run: the resumed trainer at its end.
        after_one, resumed: all weights of the training model before and after resuming.
        bundle: what it ends in.
    """

    run: Trainer
    after_one: list[np.ndarray]
    resumed: list[np.ndarray]
    bundle: Bundle


@pytest.fixture(scope="module")
def student(
    tmp_path_factory: pytest.TempPathFactory, data: TrainingSet, taught: TrainingConfig
) -> Student:
    """A trained student."""
    folder = tmp_path_factory.mktemp("student")
    config = replace(taught, epochs=6, location_weight=0.0, region_weight=0.0, teacher_weight=100.0)
    first = run_epochs(config, data, folder / "run", 1)
    again = Trainer(config, data, folder / "run")
    again.resume()
    resumed = again.model.get_weights()
    assert again.fit() == "completed"
    bundle = finish(
        again,
        folder / "best_model.h5",
        score_part=part_figures,
        outcome="completed",
        commit="",
        note="",
    )
    return Student(again, first.model.get_weights(), resumed, bundle)


@pytest.mark.slow
def test_a_student_approaches_its_teacher(student: Student) -> None:
    losses = [row.loss for row in student.run.history]
    assert losses[-1] < 0.8 * losses[0]


@pytest.mark.slow
def test_a_students_bundle_has_no_teacher(student: Student, taught: TrainingConfig) -> None:
    assert taught.teacher is not None
    assert load_network(student.bundle).name == "custom"
    assert student.bundle.training["args"]["teacher"] == "best_model.h5"
    assert student.bundle.training["built_on"] == [read_bundle(Path(taught.teacher)).sha256]


@pytest.mark.slow
def test_a_resumed_student_has_a_frozen_teacher(
    student: Student, data: TrainingSet, taught: TrainingConfig
) -> None:
    for ours, theirs in zip(student.resumed, student.after_one, strict=True):
        assert np.array_equal(ours, theirs)
    assert taught.teacher is not None
    assert student.run.teacher is not None
    network = student.run.teacher.network
    fresh = Teacher(Path(taught.teacher), 64)
    for before, after in zip(fresh.network.get_weights(), network.get_weights(), strict=True):
        assert np.array_equal(before, after)
    # Nor has it dropout while the student is trained.
    images = scale(data.prepared.images[:2], fresh.scaling)
    training, serving = (network(images, training=mode)[0] for mode in (True, False))
    assert np.array_equal(training, serving)


@pytest.mark.slow
def test_feature_maps_come_in_three_resolutions(taught: TrainingConfig) -> None:
    assert taught.teacher is not None
    maps = feature_maps(load_network(read_bundle(Path(taught.teacher))))
    assert [one.shape[1] for one in maps] == [3, 6, 12]
