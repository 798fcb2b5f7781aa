"""Training manifest: written and read back."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np

from utils.model.bundle import read_bundle, read_manifest
from utils.model.manifest import TrainingManifest, manifest_path, write_manifest


def test_a_manifest_survives_its_file(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    prints = random.integers(0, 256, (3, 32), np.uint8)
    local = TrainingManifest(frozenset({"b" * 16}), prints[:1])
    manifest = TrainingManifest(frozenset({"a" * 16}), prints, local)
    section = write_manifest(tmp_path / "m.part", manifest, tmp_path / "m.h5")
    content = (tmp_path / "m.part").read_bytes()
    checksum = hashlib.sha256(content).hexdigest()
    assert section == {"file": "m.seen.json", "images": 1, "sha256": checksum}
    found = TrainingManifest.from_json(json.loads(content))
    assert found.sha256 == {"a" * 16}
    assert {row.tobytes() for row in found.fingerprints} == {row.tobytes() for row in prints}
    assert found.local is not None
    assert found.local.sha256 == {"b" * 16}
    assert np.array_equal(found.local.fingerprints, prints[:1])
    assert found.local.local is None


def test_an_empty_manifest_comes_back(saved: Path) -> None:
    found = read_manifest(read_bundle(saved))
    assert found.sha256 == frozenset()
    assert found.fingerprints.shape == (0, 32)


def test_the_file_stands_beside_the_weights() -> None:
    assert manifest_path(Path("models/best_model.h5")) == Path("models/best_model.seen.json")
