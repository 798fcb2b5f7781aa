"""Sidecar: its schema and its checksum."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.support.bundles import alter_sidecar
from utils.errors import BundleError
from utils.model.bundle import read_bundle
from utils.model.sidecar import read_sidecar, sidecar_path

BOXES = {"calibration": {"slope": 1, "intercept": 0}, "threshold": 0.1, "chosen_by": "the test"}


@pytest.mark.parametrize(
    ("section", "change", "complaint"),
    [
        (None, {"schema_version": 2}, "schema_version"),
        (None, {"surprise": 1}, "surprise"),
        ("model", {"architecture": "alexnet"}, "alexnet"),
        ("preprocess", {"version": 9}, "version 9"),
        ("preprocess", {"scaling": "odd"}, "odd"),
        ("preprocess", {"crop": 1}, "crop"),
        (None, {"preprocess": {"image_size": 64, "scaling": "unit"}}, "fit and version"),
        ("decision", {"calibration": {"slope": 1.0}}, "intercept"),
        ("decision", {"threshold": 1.5}, "threshold"),
        ("decision", {"doubt": [0.6, 0.9]}, "doubtful zone"),
        ("decision", {"calibration": {"slope": -1, "intercept": 0}}, "slope"),
        ("decision", {"region_calibrations": {"hand": BOXES["calibration"]}}, "for all others"),
        ("map", {"scale_top": 0}, "scale_top"),
        ("golden", {"tolerance": {}}, "tolerance"),
        (None, {"boxes": {"threshold": 0.1}}, "boxes"),
        (None, {"boxes": BOXES}, "boxes need the fine map"),
        ("training", {"seen": {}}, "seen.sha256"),
        ("preprocess", {"image_size": "large"}, "image_size"),
    ],
)
def test_an_invalid_field_is_named(
    bundle_path: Path, section: str | None, change: dict, complaint: str
) -> None:
    alter_sidecar(bundle_path, change, section)
    with pytest.raises(BundleError, match=complaint):
        read_bundle(bundle_path)


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"schema_version": 1}'])
def test_a_file_that_is_no_sidecar_is_refused(bundle_path: Path, content: str) -> None:
    sidecar_path(bundle_path).write_text(content)
    with pytest.raises(BundleError, match="no sidecar of this release"):
        read_bundle(bundle_path)


@pytest.mark.slow
def test_one_flipped_bit_anywhere_is_refused(bundle_path: Path) -> None:
    """A bit of the intercept or of a label decides between a fracture and a sure Normal."""
    whole = sidecar_path(bundle_path).read_bytes()
    content = json.loads(whole)
    random = np.random.default_rng(0)
    accepted = []
    for place in range(len(whole)):
        flipped = bytearray(whole)
        flipped[place] ^= 1 << int(random.integers(8))
        sidecar_path(bundle_path).write_bytes(flipped)
        try:
            read_sidecar(bundle_path)
        except BundleError:
            continue
        accepted.append(json.loads(flipped) == content)
    assert all(accepted)
    assert len(accepted) < len(whole) / 4  # white space alone


def test_labels_swapped_by_hand_are_refused(bundle_path: Path) -> None:
    content = json.loads(sidecar_path(bundle_path).read_text())
    labels = content["labels"]
    labels["negative"], labels["positive"] = labels["positive"], labels["negative"]
    sidecar_path(bundle_path).write_text(json.dumps(content))
    with pytest.raises(BundleError, match="checksum is wrong"):
        read_bundle(bundle_path)


def test_another_layout_of_the_file_is_read(bundle_path: Path) -> None:
    content = json.loads(sidecar_path(bundle_path).read_text())
    sidecar_path(bundle_path).write_text(json.dumps(content, sort_keys=True))
    assert read_bundle(bundle_path).architecture == "custom"


def test_names_in_the_file_stay_those_of_version_1(saved: Path) -> None:
    content = json.loads(sidecar_path(saved).read_text())
    assert {"familiarity", "golden", "sidecar_sha256"} <= set(content)
    assert set(content["map"]) == {"scale_top", "shift"}
