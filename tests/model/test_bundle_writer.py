"""Writing of a bundle: three complete files or none."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from tests.support.bundles import tiny_bundle
from utils.errors import BundleError
from utils.model.bundle import read_bundle, read_manifest
from utils.model.bundle_writer import save_variant
from utils.model.manifest import TrainingManifest
from utils.model.sidecar import Decision

FILES = ["best_model.h5", "best_model.json", "best_model.seen.json"]


def decision(threshold: float) -> Decision:
    return Decision.model_validate(
        {
            "calibration": {"slope": 2.0, "intercept": 0.5},
            "threshold": threshold,
            "chosen_by": "fixed by the test",
            "doubt": (threshold, threshold),
        }
    )


def manifest(*sha256: str) -> TrainingManifest:
    return TrainingManifest(frozenset(sha256), np.zeros((0, 32), np.uint8))


def test_a_bundle_is_three_files(saved: Path) -> None:
    assert sorted(path.name for path in saved.parent.iterdir()) == FILES


def test_a_failed_write_keeps_the_old_bundle(
    bundle_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {path.name: path.read_bytes() for path in bundle_path.parent.iterdir()}

    def fail(*_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr("utils.model.bundle_writer.write_sidecar", fail)
    with pytest.raises(OSError, match="no space left"):
        tiny_bundle(bundle_path.parent, seed=1)
    assert {path.name: path.read_bytes() for path in bundle_path.parent.iterdir()} == before


def test_weights_are_float32_without_optimizer(saved: Path) -> None:
    kinds: set[np.dtype] = set()
    with h5py.File(saved) as file:
        assert "optimizer_weights" not in file
        file.visititems(
            lambda name, item: kinds.add(item.dtype) if isinstance(item, h5py.Dataset) else None
        )
    assert kinds == {np.dtype("float32")}


def test_a_variant_has_the_same_weights(saved: Path, tmp_path: Path) -> None:
    original = read_bundle(saved)
    variant = save_variant(
        original,
        tmp_path / "new" / "variant.h5",
        decision=decision(0.25),
        training=original.training,
        metrics={},
        manifest=manifest("a" * 16),
    )
    assert variant.sha256 == original.sha256
    assert variant.path.read_bytes() == saved.read_bytes()
    assert (variant.threshold, variant.calibration.slope) == (0.25, 2.0)
    assert variant.training["seen"]["file"] == "variant.seen.json"
    assert read_manifest(variant).sha256 == {"a" * 16}


def test_altered_weights_give_no_variant(bundle_path: Path, tmp_path: Path) -> None:
    original = read_bundle(bundle_path)
    bundle_path.write_bytes(bundle_path.read_bytes() + b"!")
    new = tmp_path / "new" / "variant.h5"
    with pytest.raises(BundleError, match="was altered since it was read"):
        save_variant(
            original, new, decision=decision(0.25), training={}, metrics={}, manifest=manifest()
        )
    assert list(new.parent.iterdir()) == []
