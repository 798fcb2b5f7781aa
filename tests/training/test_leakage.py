"""utils.training.leakage: test images in parent bundles, union of training manifests."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.support.bundles import tiny_bundle
from tests.support.commands import run_command
from tests.support.manifests import record_training_images
from tests.support.trainings import CONFIG, arguments, finish_untrained
from tests.support.trees import folder_tree
from train import main
from utils.datasets.training_set import TrainingSet
from utils.errors import SetupError
from utils.model.bundle import read_bundle, read_manifest
from utils.model.manifest import TrainingManifest
from utils.training.config import TrainingConfig
from utils.training.leakage import merge_manifests, parent_bundles
from utils.training.trainer import Trainer


def building_on(bundle: Path, way: str) -> TrainingConfig:
    """Settings of a run with a bundle as its initial weights or its teacher."""
    return replace(CONFIG, **{way: str(bundle)}, epochs=1, head_epochs=0)


@pytest.mark.parametrize("way", ["weights", "teacher"])
def test_a_parent_with_test_images_is_refused(tmp_path: Path, data: TrainingSet, way: str) -> None:
    bundle = tiny_bundle(tmp_path, image_size=48)
    record_training_images(bundle, data.prepared, data.rows["test"][:3])
    with pytest.raises(SetupError, match=r"has seen 3 of the .* --split_seed that"):
        Trainer(building_on(bundle, way), data, tmp_path / "run")


@pytest.mark.slow
@pytest.mark.parametrize("way", ["weights", "teacher"])
def test_the_manifest_includes_the_parents(tmp_path: Path, data: TrainingSet, way: str) -> None:
    """The parent was trained on a file that is in no part of this training set."""
    bundle = tiny_bundle(tmp_path, image_size=48, detail="fine")
    other = replace(data.prepared.files[0], sha256="f" * 64)
    elsewhere = replace(data.prepared, files=(other, *data.prepared.files[1:]))
    record_training_images(bundle, elsewhere, [0])
    made = tmp_path / "made" / "best_model.h5"
    finish_untrained(Trainer(building_on(bundle, way), data, tmp_path / "run"), made)
    manifest = read_manifest(read_bundle(made))
    used = [*data.rows["train"], *data.rows["validation"]]
    assert manifest.sha256 == {"f" * 16, *(data.prepared.files[row].sha256[:16] for row in used)}
    assert read_bundle(made).training["built_on"] == [read_bundle(bundle).sha256]


def test_plain_weights_are_no_parent_bundle(tmp_path: Path) -> None:
    (tmp_path / "weights.h5").write_bytes(b"")
    assert (
        parent_bundles(CONFIG)
        == parent_bundles(replace(CONFIG, weights=str(tmp_path / "weights.h5")))
        == ()
    )


def test_merging_includes_recalibrations() -> None:
    def manifest(name: str, local: TrainingManifest | None = None) -> TrainingManifest:
        return TrainingManifest(frozenset([name]), np.full((1, 32), ord(name), np.uint8), local)

    both = merge_manifests([manifest("a", manifest("b")), manifest("c")])
    assert both.sha256 == {"a", "b", "c"}
    assert sorted(both.fingerprints[:, 0]) == [ord("a"), ord("b"), ord("c")]
    assert both.local is None


@pytest.mark.parametrize("way", ["--weights", "--teacher"])
def test_a_parent_is_not_overwritten(
    tmp_path: Path, way: str, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = tiny_bundle(tmp_path, image_size=48)
    before = bundle.read_bytes()
    where = ("--data", folder_tree(tmp_path / "data"), "--run", tmp_path / "run")
    answer = run_command(capsys, main, arguments(*where, "--output", bundle, way, bundle))
    assert answer.code == 2
    assert "what the training builds on" in answer.errors
    assert bundle.read_bytes() == before
