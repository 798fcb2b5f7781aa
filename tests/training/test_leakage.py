"""What a training builds on: none of it may have seen the test images, and what it has seen is seen."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.support.bundles import tiny_bundle
from tests.support.commands import run_command
from tests.support.manifests import record_training_images
from tests.support.trainings import CONFIG, arguments, train
from tests.support.trees import folder_tree, fracatlas_training_set
from train import main
from utils.datasets.training_set import TrainingSet
from utils.errors import SetupError
from utils.model.bundle import read_bundle, read_manifest
from utils.model.manifest import TrainingManifest
from utils.training.config import TrainingConfig
from utils.training.leakage import merge_manifests, parent_bundles
from utils.training.trainer import Trainer


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> TrainingSet:
    """A drawn FracAtlas, read and split."""
    return fracatlas_training_set(tmp_path_factory.mktemp("data"), size=48)


def building_on(bundle: Path, way: str) -> TrainingConfig:
    """Plan of a run that begins with a bundle's weights, or is taught by it."""
    return replace(CONFIG, **{way: str(bundle)}, epochs=1, head_epochs=0)


@pytest.mark.parametrize("way", ["weights", "teacher"])
def test_what_has_seen_the_test_images_is_refused(
    tmp_path: Path, data: TrainingSet, way: str
) -> None:
    bundle = tiny_bundle(tmp_path, image_size=48)
    record_training_images(bundle, data.prepared, data.rows["test"][:3])
    with pytest.raises(SetupError, match=r"has seen 3 of the .* --split_seed that"):
        Trainer(building_on(bundle, way), data, tmp_path / "run")


@pytest.mark.parametrize("way", ["weights", "teacher"])
def test_what_was_seen_before_is_seen(tmp_path: Path, data: TrainingSet, way: str) -> None:
    """Files that are in neither part here: another split, or other data, trained the first network."""
    bundle = tiny_bundle(tmp_path, image_size=48, detail="fine")
    other = replace(data.prepared.files[0], sha256="f" * 64)
    elsewhere = replace(data.prepared, files=(other, *data.prepared.files[1:]))
    record_training_images(bundle, elsewhere, [0])
    made = tmp_path / "made" / "best_model.h5"
    train(building_on(bundle, way), data, tmp_path / "run", made)
    seen = read_manifest(read_bundle(made))
    used = [*data.rows["train"], *data.rows["validation"]]
    assert seen.sha256 == {"f" * 16, *(data.prepared.files[row].sha256[:16] for row in used)}
    assert read_bundle(made).training["built_on"] == [read_bundle(bundle).sha256]


def test_weights_that_are_no_bundle_have_no_ancestors(tmp_path: Path) -> None:
    (tmp_path / "weights.h5").write_bytes(b"")
    assert (
        parent_bundles(CONFIG)
        == parent_bundles(replace(CONFIG, weights=str(tmp_path / "weights.h5")))
        == ()
    )


def test_lists_are_joined_with_what_a_decision_was_fitted_on() -> None:
    def seen(name: str, local: TrainingManifest | None = None) -> TrainingManifest:
        return TrainingManifest(frozenset([name]), np.full((1, 32), ord(name), np.uint8), local)

    both = merge_manifests([seen("a", seen("b")), seen("c")])
    assert both.sha256 == {"a", "b", "c"}
    assert sorted(both.fingerprints[:, 0]) == [ord("a"), ord("b"), ord("c")]
    assert both.local is None


@pytest.mark.parametrize("way", ["--weights", "--teacher"])
def test_a_training_does_not_overwrite_what_it_builds_on(
    tmp_path: Path, way: str, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = tiny_bundle(tmp_path, image_size=48)
    before = bundle.read_bytes()
    where = ("--data", folder_tree(tmp_path / "data"), "--run", tmp_path / "run")
    answer = run_command(capsys, main, arguments(*where, "--output", bundle, way, bundle))
    assert answer.code == 2
    assert "what the training builds on" in answer.errors
    assert bundle.read_bytes() == before
