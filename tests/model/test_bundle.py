"""Bundle: read whole or refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from tests.support.bundles import alter_sidecar, fixed_ood_detector, tiny_bundle
from utils.errors import BundleError, ModelMissing
from utils.inference.engines.engine import load_engine
from utils.model.bundle import load_network, read_bundle, read_manifest, read_ood_detector
from utils.model.manifest import manifest_path
from utils.model.ood import UNLIKE_TRAINING
from utils.model.self_test import self_test_input
from utils.model.sidecar import sidecar_path


def test_a_bundle_holds_all_that_serving_needs(saved: Path) -> None:
    bundle = read_bundle(saved)
    assert bundle.architecture == "custom"
    assert bundle.preprocess.image_size == 64
    assert bundle.preprocess.scaling == "unit"
    assert bundle.regions == ("hand", "leg")
    assert bundle.threshold == 0.5
    assert bundle.doubt == (0.4, 0.6)
    assert bundle.labels.negative == "Normal"
    assert bundle.sidecar.environment["backend"].startswith("tensorflow")


def test_a_loaded_network_gives_the_saved_outputs(saved: Path) -> None:
    engine = load_engine(saved, "tensorflow")
    expected = read_bundle(saved).sidecar.self_test.outputs["logit"][0]
    found = engine.run(self_test_input(64)).logit[0]
    assert found == pytest.approx(expected, abs=1e-6)


def test_a_missing_model_is_no_damaged_one(tmp_path: Path) -> None:
    with pytest.raises(ModelMissing, match="train one with train.py"):
        read_bundle(tmp_path / "best_model.h5")


@pytest.mark.parametrize("place", [0, 1000, -1])
def test_one_flipped_bit_of_the_weights_is_refused(bundle_path: Path, place: int) -> None:
    content = bytearray(bundle_path.read_bytes())
    content[place] ^= 1
    bundle_path.write_bytes(content)
    with pytest.raises(BundleError, match="checksum"):
        load_engine(bundle_path)


def test_a_file_cut_short_is_refused(bundle_path: Path) -> None:
    bundle_path.write_bytes(bundle_path.read_bytes()[:-100])
    with pytest.raises(BundleError, match="checksum"):
        load_engine(bundle_path)


@pytest.mark.slow
def test_weights_of_another_architecture_are_refused(bundle_path: Path) -> None:
    alter_sidecar(bundle_path, {"architecture": "mobilenetv2"}, "model")
    with pytest.raises(BundleError, match="do not fit mobilenetv2"):
        load_network(read_bundle(bundle_path))


@pytest.mark.parametrize(
    ("stored", "pixels"), [(None, 0.0), (0.0, 0.0), (6.5, 6.5)], ids=["none", "zero", "some"]
)
def test_the_sidecar_holds_the_centre_offset(
    bundle_path: Path, stored: float | None, pixels: float
) -> None:
    """Without one the architecture's counts; the custom network's is 0."""
    alter_sidecar(bundle_path, {"shift": stored}, "map")
    assert read_bundle(bundle_path).map_offset == pixels / 64


def test_an_altered_manifest_is_refused(bundle_path: Path) -> None:
    manifest_path(bundle_path).write_text('{"sha256": [], "fingerprints": []}')
    with pytest.raises(BundleError, match="not the list that belongs"):
        read_manifest(read_bundle(bundle_path))


def test_a_missing_manifest_is_refused(bundle_path: Path) -> None:
    manifest_path(bundle_path).unlink()
    with pytest.raises(BundleError, match="missing"):
        read_manifest(read_bundle(bundle_path))


@pytest.mark.slow
def test_the_checksum_covers_the_ood_detector(tmp_path: Path) -> None:
    known = fixed_ood_detector(UNLIKE_TRAINING)
    random = np.random.default_rng(0)
    known = replace(known, whitening=random.normal(size=(192, 192)).astype(np.float16))
    path = tiny_bundle(tmp_path, ood_detector=known)
    found = read_ood_detector(read_bundle(path))
    assert found is not None
    assert np.array_equal(found.whitening, known.whitening)
    assert found.limits == known.limits
    load_engine(path, "tensorflow")
    with h5py.File(path, "r+") as file:
        file["familiarity/mean"][0] = 5.0
    with pytest.raises(BundleError, match="checksum"):
        read_bundle(path)


def test_a_missing_ood_detector_is_refused(bundle_path: Path) -> None:
    section = {"classifiers": [], "limits": {UNLIKE_TRAINING: 1.0}, "false_alarms": {}}
    alter_sidecar(bundle_path, {"familiarity": section})
    with pytest.raises(BundleError, match="out-of-distribution detector"):
        read_ood_detector(read_bundle(bundle_path))


def test_an_older_bundle_has_no_ood_detector(saved: Path) -> None:
    assert read_ood_detector(read_bundle(saved)) is None


def test_a_file_without_sidecar_is_refused(bundle_path: Path) -> None:
    sidecar_path(bundle_path).unlink()
    with pytest.raises(BundleError, match=r"no sidecar best_model.json.*train.py"):
        read_bundle(bundle_path)
