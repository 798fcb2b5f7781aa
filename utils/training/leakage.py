"""The bundles that a training builds on: what they have seen is seen, and may not be tested with."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from utils.datasets.training_set import TrainingSet
from utils.errors import SetupError
from utils.model.bundle import Bundle, read_bundle, read_manifest
from utils.model.manifest import TrainingManifest
from utils.model.sidecar import sidecar_path
from utils.training.config import TrainingConfig


def parent_bundles(config: TrainingConfig) -> tuple[Bundle, ...]:
    """Read the bundles whose weights a run begins with or whose network teaches it.

    Raises:
        ModelMissing, BundleError: see ``bundle.read_bundle``.
    """
    weights = Path(config.weights)
    paths = [weights] if sidecar_path(weights).is_file() else []
    if config.teacher:
        paths.append(Path(config.teacher))
    return tuple(read_bundle(path) for path in paths)


def check_leakage(bundles: Iterable[Bundle], data: TrainingSet) -> None:
    """Insist that none of the test images was seen by a bundle that a run builds on.

    Raises:
        SetupError: some were.
        BundleError: a list of what was seen is missing or altered.
    """
    tests = {data.prepared.files[row].key for row in data.rows["test"]}
    for bundle in bundles:
        known = len(tests & merge_manifests([read_manifest(bundle)]).sha256)
        if known:
            raise SetupError(
                f"{bundle.path} has seen {known} of the {len(tests)} test images, so that nothing built on "
                "it can be tested with them; train with the --split_seed that its sidecar tells as "
                "training.split.seed"
            )


def merge_manifests(lists: Iterable[TrainingManifest]) -> TrainingManifest:
    """Return all that is in one of the lists, those of decisions fitted elsewhere included."""
    every = [part for seen in lists for part in (seen, seen.local) if part is not None]
    return TrainingManifest(
        frozenset().union(*(part.sha256 for part in every)),
        np.concatenate([part.fingerprints for part in every]),
    )
