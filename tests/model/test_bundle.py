"""Bundles: written whole, read only whole, and never believed when altered."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from tests.support.bundles import altered_sidecar, fixed_ood_detector, tiny_bundle
from utils.errors import BundleError, ModelMissing, SetupError, UnknownName
from utils.inference.engine import load_engine
from utils.model.bundle import load_network, read_bundle, read_manifest, read_ood_detector
from utils.model.manifest import TrainingManifest, manifest_path
from utils.model.ood import UNLIKE_TRAINING
from utils.model.self_test import self_test_input
from utils.model.sidecar import read_sidecar, sidecar_path


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle that no test alters."""
    return tiny_bundle(tmp_path_factory.mktemp("bundle"))


@pytest.fixture
def bundle_path(saved: Path, tmp_path: Path) -> Path:
    """A copy of it that a test may alter."""
    for path in (saved, sidecar_path(saved), manifest_path(saved)):
        shutil.copy(path, tmp_path / path.name)
    return tmp_path / saved.name


def alter_sidecar(model: Path, change: dict, section: str | None = None) -> None:
    """Change fields of a sidecar, as a tool that knows of its checksum would."""
    with altered_sidecar(model) as content:
        (content[section] if section else content).update(change)


def test_a_saved_bundle_leaves_three_files_and_nothing_half_written(saved: Path) -> None:
    assert sorted(path.name for path in saved.parent.iterdir()) == [
        "best_model.h5",
        "best_model.json",
        "best_model.seen.json",
    ]


def test_a_bundle_says_all_that_serving_needs(saved: Path) -> None:
    bundle = read_bundle(saved)
    assert bundle.architecture == "custom"
    assert bundle.preprocess.image_size == 64
    assert bundle.preprocess.scaling == "unit"
    assert bundle.regions == ("hand", "leg")
    assert bundle.threshold == 0.5
    assert bundle.doubt == (0.4, 0.6)
    assert bundle.labels.negative == "Normal"
    assert bundle.sidecar.environment["backend"].startswith("tensorflow")


def test_the_file_holds_no_optimizer_and_float32_alone(saved: Path) -> None:
    kinds: set[np.dtype] = set()
    with h5py.File(saved) as file:
        assert "optimizer_weights" not in file
        file.visititems(
            lambda name, item: kinds.add(item.dtype) if isinstance(item, h5py.Dataset) else None
        )
    assert kinds == {np.dtype("float32")}


def test_the_loaded_network_answers_as_the_saved_one(saved: Path) -> None:
    engine = load_engine(saved)
    expected = read_bundle(saved).sidecar.self_test.outputs["logit"][0]
    found = engine.run(self_test_input(64)).logit[0]
    assert found == pytest.approx(expected, abs=1e-6)


def test_the_known_input_is_the_same_everywhere() -> None:
    """The first values by hand: ((0-1200)^2 + (0-900)^2) >> 13 ^ ((2900^2 + 3300^2) >> 14) & 255."""
    image = self_test_input(64)
    assert image.shape == (1, 64, 64)
    assert image[0, 0, 0] == ((2_250_000 >> 13) ^ (19_300_000 >> 14)) & 255
    assert len(np.unique(image)) > 100


def test_a_missing_model_is_told_from_a_damaged_one(tmp_path: Path) -> None:
    with pytest.raises(ModelMissing, match="train one with train.py"):
        read_bundle(tmp_path / "best_model.h5")


def test_a_foreign_file_without_sidecar_is_refused_with_what_to_do(bundle_path: Path) -> None:
    sidecar_path(bundle_path).unlink()
    with pytest.raises(BundleError, match=r"no sidecar best_model.json.*train.py"):
        read_bundle(bundle_path)


@pytest.mark.parametrize("place", [0, 1000, -1])
def test_one_flipped_bit_is_refused(bundle_path: Path, place: int) -> None:
    content = bytearray(bundle_path.read_bytes())
    content[place] ^= 1
    bundle_path.write_bytes(content)
    with pytest.raises(BundleError, match="checksum"):
        load_engine(bundle_path)


def test_a_file_cut_short_is_refused(bundle_path: Path) -> None:
    bundle_path.write_bytes(bundle_path.read_bytes()[:-100])
    with pytest.raises(BundleError, match="checksum"):
        load_engine(bundle_path)


@pytest.mark.parametrize(
    ("section", "change", "complaint"),
    [
        (None, {"schema_version": 2}, "schema_version"),
        (None, {"surprise": 1}, "surprise"),
        ("model", {"architecture": "alexnet"}, "alexnet"),
        ("preprocess", {"version": 9}, "version 9"),
        ("preprocess", {"scaling": "odd"}, "odd"),
        ("preprocess", {"crop": 1}, "crop"),
        ("decision", {"threshold": 1.5}, "threshold"),
        ("decision", {"doubt": [0.6, 0.9]}, "doubtful zone"),
        ("decision", {"calibration": {"slope": -1, "intercept": 0}}, "slope"),
        ("map", {"scale_top": 0}, "scale_top"),
        ("golden", {"tolerance": {}}, "tolerance"),
        ("training", {"seen": {}}, "seen.sha256"),
        ("preprocess", {"image_size": "large"}, "image_size"),
    ],
)
def test_a_sidecar_that_makes_no_sense_is_refused_naming_the_field(
    bundle_path: Path, section: str | None, change: dict, complaint: str
) -> None:
    alter_sidecar(bundle_path, change, section)
    with pytest.raises(BundleError, match=complaint):
        read_bundle(bundle_path)


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"schema_version": 1}'])
def test_a_sidecar_that_is_no_sidecar_is_refused(bundle_path: Path, content: str) -> None:
    sidecar_path(bundle_path).write_text(content)
    with pytest.raises(BundleError, match="no sidecar of this release"):
        read_bundle(bundle_path)


def test_one_flipped_bit_in_the_sidecar_is_refused_wherever_it_says_something(
    bundle_path: Path,
) -> None:
    """A bit of the intercept or of a label decides between a fracture and a sure Normal."""
    whole = sidecar_path(bundle_path).read_bytes()
    said = json.loads(whole)
    random = np.random.default_rng(0)
    passed = []
    for place in range(len(whole)):
        flipped = bytearray(whole)
        flipped[place] ^= 1 << int(random.integers(8))
        sidecar_path(bundle_path).write_bytes(flipped)
        try:
            read_sidecar(bundle_path)
        except BundleError:
            continue
        passed.append(json.loads(flipped) == said)
    assert all(passed)
    assert len(passed) < len(whole) / 4  # white space alone


def test_labels_that_were_swapped_by_hand_are_refused(bundle_path: Path) -> None:
    content = json.loads(sidecar_path(bundle_path).read_text())
    labels = content["labels"]
    labels["negative"], labels["positive"] = labels["positive"], labels["negative"]
    sidecar_path(bundle_path).write_text(json.dumps(content))
    with pytest.raises(BundleError, match="checksum is wrong"):
        read_bundle(bundle_path)


def test_a_sidecar_may_be_laid_out_anew(bundle_path: Path) -> None:
    content = json.loads(sidecar_path(bundle_path).read_text())
    sidecar_path(bundle_path).write_text(json.dumps(content, sort_keys=True))
    assert read_bundle(bundle_path).architecture == "custom"


def test_weights_of_another_architecture_are_refused(bundle_path: Path) -> None:
    alter_sidecar(bundle_path, {"architecture": "mobilenetv2"}, "model")
    with pytest.raises(BundleError, match="do not fit mobilenetv2"):
        load_network(read_bundle(bundle_path))


def test_a_network_that_answers_the_golden_example_otherwise_is_refused(bundle_path: Path) -> None:
    self_test = json.loads(sidecar_path(bundle_path).read_text())["golden"]["outputs"]
    self_test["logit"] = [self_test["logit"][0] + 0.1]
    alter_sidecar(bundle_path, {"outputs": self_test}, "golden")
    with pytest.raises(BundleError, match="self-test"):
        load_engine(bundle_path)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_an_answer_that_is_no_number_is_no_answer(saved: Path, value: float) -> None:
    outputs = load_engine(saved).run(self_test_input(64))
    for name in ("logit", "map", "embedding", "region"):
        broken = getattr(outputs, name).copy()
        broken.flat[0] = value
        with pytest.raises(SetupError, match="no finite number"):
            replace(outputs, **{name: broken})


def test_an_unknown_engine_is_answered_with_the_choices(saved: Path) -> None:
    with pytest.raises(UnknownName, match="tensorflow"):
        load_engine(saved, "onnx")


def test_what_was_seen_comes_back(saved: Path) -> None:
    seen = read_manifest(read_bundle(saved))
    assert isinstance(seen, TrainingManifest)
    assert seen.sha256 == frozenset()
    assert seen.fingerprints.shape == (0, 32)


def test_an_altered_list_of_seen_images_is_refused(bundle_path: Path) -> None:
    manifest_path(bundle_path).write_text('{"sha256": [], "fingerprints": []}')
    with pytest.raises(SetupError, match="not the list that belongs"):
        read_manifest(read_bundle(bundle_path))


def test_a_missing_list_of_seen_images_is_refused(bundle_path: Path) -> None:
    manifest_path(bundle_path).unlink()
    with pytest.raises(SetupError, match="missing"):
        read_manifest(read_bundle(bundle_path))


def test_what_is_familiar_comes_back_and_belongs_to_the_checksum(tmp_path: Path) -> None:
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


def test_a_familiarity_that_the_file_does_not_hold_is_refused(bundle_path: Path) -> None:
    alter_sidecar(
        bundle_path, {"familiarity": {"limits": {UNLIKE_TRAINING: 1.0}, "false_alarms": {}}}
    )
    with pytest.raises(BundleError, match="out-of-distribution detector"):
        read_ood_detector(read_bundle(bundle_path))


def test_a_bundle_of_before_has_no_familiarity(saved: Path) -> None:
    assert read_ood_detector(read_bundle(saved)) is None
