"""Leakage check: no test image may have trained a bundle that a training builds on."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from utils.datasets.training_set import TrainingSet
from utils.errors import InputError, SetupError
from utils.model.architectures import ARCHITECTURES
from utils.model.bundle import Bundle, read_bundle, read_manifest
from utils.model.manifest import TrainingManifest
from utils.model.pretrained import IMAGENET, RANDOM
from utils.model.pretrained.efficientnet_lite import checkpoint_path
from utils.model.sidecar import sidecar_path
from utils.training.config import TrainingConfig


def parent_bundles(config: TrainingConfig) -> tuple[Bundle, ...]:
    """Read the bundles that a run takes its initial weights from, or that teach it.

    Raises:
        ModelMissing, BundleError: see ``bundle.read_bundle``.
    """
    weights = Path(config.weights)
    paths = [weights] if sidecar_path(weights).is_file() else []
    if config.teacher:
        paths.append(Path(config.teacher))
    return tuple(read_bundle(path) for path in paths)


def check_leakage(bundles: Iterable[Bundle], data: TrainingSet) -> None:
    """Check that no parent bundle was trained on images of the test part.

    Raises:
        SetupError: one was.
        BundleError: a training manifest is missing or altered.
    """
    tests = {data.prepared.files[row].key for row in data.rows["test"]}
    for bundle in bundles:
        known = len(tests & merge_manifests([read_manifest(bundle)]).sha256)
        if known:
            raise SetupError("training.leakage", path=bundle.path, known=known, tests=len(tests))


def check_paths(config: TrainingConfig, output: Path, *, resume: bool) -> None:
    """Check the files that a training starts from, before minutes of preparing images.

    Raises:
        InputError: the bundle to write is one that the training builds on.
        SetupError: there is no weight file or teacher at the path given, or the package with the ImageNet
            weights is not installed.
    """
    if not resume:
        _check_weights(config)
    for bundle in parent_bundles(config):
        if output.exists() and bundle.path.samefile(output):
            raise InputError("training.output_is_parent", path=output)


def _check_weights(config: TrainingConfig) -> None:
    """Check that initial weights which Keras does not download are there."""
    if config.weights == IMAGENET:
        if ARCHITECTURES[config.architecture].package:
            checkpoint_path(config.architecture)
    elif config.weights != RANDOM and not Path(config.weights).is_file():
        raise SetupError(
            "training.no_weights", path=config.weights, imagenet=IMAGENET, random=RANDOM
        )


def merge_manifests(manifests: Iterable[TrainingManifest]) -> TrainingManifest:
    """Return the union of manifests, those of recalibrations included."""
    every = [part for manifest in manifests for part in (manifest, manifest.local) if part]
    return TrainingManifest(
        frozenset().union(*(part.sha256 for part in every)),
        np.concatenate([part.fingerprints for part in every]),
    )
