"""Turns a trained network into a bundle on disk, and a bundle back into a network that can be trusted.

A bundle is ``NAME.h5`` (weights), ``NAME.json`` (the sidecar: everything needed to use them) and
``NAME.seen.json`` (which images trained and calibrated it). The model configuration inside the HDF5 file
is never read: the network is built anew from the architecture's name and the weights are loaded into it.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from utils.errors import BundleError, FractureError, ModelMissing, SetupError
from utils.gradcam import Outputs
from utils.model.architectures import ARCHITECTURES
from utils.model.calibration import Calibration
from utils.model.manifest import TrainingManifest, manifest_from_text, manifest_path, manifest_text
from utils.model.ood import FALSE_ALARMS, OODDetector, load_ood_detector, save_ood_detector
from utils.model.self_test import self_test_section
from utils.model.sidecar import (
    Decision,
    Labels,
    MapSection,
    ModelSection,
    OODSection,
    PreprocessSection,
    Sidecar,
    read_sidecar,
    sidecar_path,
    write_sidecar,
)
from utils.model_builder import LOGIT, REGION, build_model, detail_of, map_offset
from utils.preprocess import PreprocessSpec

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True, eq=False)
class Bundle:
    """A bundle whose files were found whole and agree with each other.

    Args:
        path: the ``.h5`` file.
        sidecar: the checked content of the ``.json`` file.
    """

    path: Path
    sidecar: Sidecar

    @property
    def sha256(self) -> str:
        """Checksum of the weights: the model's identity."""
        return self.sidecar.weights_sha256

    @property
    def architecture(self) -> str:
        """Name in ARCHITECTURES."""
        return self.sidecar.model.architecture

    @property
    def preprocess(self) -> PreprocessSpec:
        """How a radiograph becomes the network's input."""
        return PreprocessSpec(**self.sidecar.preprocess.model_dump())

    @property
    def regions(self) -> tuple[str, ...]:
        """Labels of the region head, empty without it."""
        return self.sidecar.model.heads.get(REGION, ())

    @property
    def labels(self) -> Labels:
        """The two answers and what a positive label meant."""
        return self.sidecar.labels

    @property
    def calibration(self) -> Calibration:
        """From logit to probability."""
        return Calibration(**self.sidecar.decision.calibration.model_dump())

    @property
    def threshold(self) -> float:
        """The probability from which on the answer is positive."""
        return self.sidecar.decision.threshold

    @property
    def doubt(self) -> tuple[float, float]:
        """The probabilities between which an answer is doubtful."""
        return self.sidecar.decision.doubt

    @property
    def chosen_by(self) -> str:
        """The rule that chose the threshold."""
        return self.sidecar.decision.chosen_by

    @property
    def scale_top(self) -> float:
        """Top of the map's colour scale, logits."""
        return self.sidecar.map.scale_top

    @property
    def map_offset(self) -> float:
        """How far right and down the map's cells look, as a share of the input's side."""
        told = self.sidecar.map.shift
        shift = map_offset(self.architecture, self.sidecar.model.detail) if told is None else told
        return shift / self.preprocess.image_size

    @property
    def training(self) -> dict[str, Any]:
        """What it was trained on and how."""
        return self.sidecar.training

    @property
    def metrics(self) -> dict[str, Any]:
        """Figures by part."""
        return self.sidecar.metrics


def read_bundle(path: Path) -> Bundle:
    """Check a bundle's files and read its sidecar; Keras is not needed for it.

    Raises:
        ModelMissing: there is no file at ``path``.
        BundleError: the sidecar is missing, is no such sidecar, or belongs to other weights.
    """
    if not path.is_file():
        raise ModelMissing(f"there is no model at {path}; train one with train.py, or name another")
    sidecar = read_sidecar(path)
    found = sha256_of(path)
    if found != sidecar.weights_sha256:
        raise BundleError(
            f"{path.name} is not the file its sidecar describes: its checksum is {found[:12]}..., the "
            f"sidecar's {sidecar.weights_sha256[:12]}...; it was altered, cut short, or replaced alone"
        )
    bundle = Bundle(path, sidecar)
    try:
        ARCHITECTURES[bundle.architecture]
        bundle.preprocess  # noqa: B018 -- constructing it checks it
    except FractureError as error:
        raise BundleError(
            f"{sidecar_path(path).name} cannot be used by this release: {error}"
        ) from error
    return bundle


def read_ood_detector(bundle: Bundle) -> OODDetector | None:
    """Read what pictures a bundle's network is familiar with, None where the bundle does not say.

    Raises:
        BundleError: the sidecar says so, and the ``.h5`` file holds nothing that fits.
    """
    section = bundle.sidecar.ood_detector
    if section is None:
        return None
    try:
        return load_ood_detector(bundle.path, section.limits)
    except (OSError, KeyError, SetupError) as error:
        raise BundleError(
            f"{bundle.path.name} does not hold what its sidecar says of familiar pictures ({error})"
        ) from error


def load_network(bundle: Bundle, image_size: int | None = None) -> keras.Model:
    """Build a bundle's network and load its weights.

    Args:
        bundle: what ``read_bundle`` returned.
        image_size: side of its input if not the bundle's, pixels.

    Raises:
        BundleError: the weights do not fit the architecture that the sidecar names.
    """
    network = build_model(
        bundle.architecture,
        image_size or bundle.preprocess.image_size,
        regions=bundle.regions,
        detail=bundle.sidecar.model.detail,
        dropout=0.0,
    )
    try:
        network.load_weights(bundle.path)
    except Exception as error:  # Keras and h5py raise half a dozen kinds
        raise BundleError(
            f"the weights in {bundle.path.name} do not fit {bundle.architecture} ({error})"
        ) from error
    return network


def save_bundle(
    path: Path,
    network: keras.Model,
    *,
    spec: PreprocessSpec,
    regions: Sequence[str],
    labels: Labels,
    decision: Decision,
    scale_top: float,
    self_test: Outputs,
    training: dict[str, Any],
    metrics: dict[str, Any],
    seen: TrainingManifest,
    ood_detector: OODDetector | None = None,
) -> Bundle:
    """Write a bundle: each file in full under another name first, the sidecar last.

    Args:
        path: of the ``.h5`` file; its folder is made where it is missing.
        network: with its final weights, float32.
        golden: what the explained network answers to ``self_test_input``.
        seen: the images that trained, chose or calibrated it.
        familiarity: what pictures it knows; without it no doubt about a picture is ever said.

    Returns:
        The bundle as read back.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    listed = manifest_text(seen)
    weights_part = _part(path)
    _save_weights(network, weights_part)
    if ood_detector is not None:
        save_ood_detector(weights_part, ood_detector)
    sidecar = Sidecar(
        weights_sha256=sha256_of(weights_part),
        model=ModelSection(
            architecture=network.name,
            detail=detail_of(network),
            heads={LOGIT: (labels.positive,), **({REGION: tuple(regions)} if regions else {})},
        ),
        preprocess=PreprocessSection.model_validate(spec.as_json()),
        labels=labels,
        decision=decision,
        map=MapSection(scale_top=scale_top, shift=map_offset(network.name, detail_of(network))),
        ood_detector=None
        if ood_detector is None
        else OODSection(limits=ood_detector.limits, false_alarms=FALSE_ALARMS),
        training={**training, "seen": _seen_section(path, seen, listed)},
        metrics=metrics,
        self_test=self_test_section(self_test),
        environment=_environment(),
    )
    return _finish(path, sidecar, listed)


def save_variant(
    bundle: Bundle,
    path: Path,
    *,
    decision: Decision,
    training: dict[str, Any],
    metrics: dict[str, Any],
    seen: TrainingManifest,
) -> Bundle:
    """Write a bundle of the same weights with another decision.

    Args:
        bundle: the one whose weights, labels, map and golden example are kept.
        path: of the new ``.h5`` file; its folder is made where it is missing.
        decision: the new one.
        training: what the sidecar says of the training and of what came after it.
        metrics: figures of the new decision, by part.
        seen: the images that trained, chose or calibrated it, those of the new decision too.

    Returns:
        The new bundle as read back.

    Raises:
        BundleError: the weights were altered meanwhile.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    listed = manifest_text(seen)
    shutil.copyfile(bundle.path, _part(path))
    if sha256_of(_part(path)) != bundle.sha256:
        _part(path).unlink()
        raise BundleError(f"{bundle.path.name} was altered since it was read; nothing is saved")
    told = {**training, "seen": _seen_section(path, seen, listed)}
    changes = {"decision": decision, "training": told, "metrics": metrics}
    return _finish(path, bundle.sidecar.model_copy(update=changes), listed)


def read_manifest(bundle: Bundle) -> TrainingManifest:
    """Read which images trained, chose or calibrated a bundle.

    Raises:
        BundleError: the list is missing or altered, so that an evaluation could count them as unseen.
    """
    path = manifest_path(bundle.path)
    try:
        text = path.read_bytes()
    except OSError as error:
        raise BundleError(f"{path.name} is missing beside {bundle.path.name}") from error
    if hashlib.sha256(text).hexdigest() != bundle.training["seen"]["sha256"]:
        raise BundleError(f"{path.name} is not the list that belongs to {bundle.path.name}")
    return manifest_from_text(text)


def _seen_section(path: Path, seen: TrainingManifest, listed: str) -> dict[str, Any]:
    """Return what a sidecar says of the list beside it."""
    return {
        "file": manifest_path(path).name,
        "images": len(seen.sha256),
        "sha256": hashlib.sha256(listed.encode()).hexdigest(),
    }


def _finish(path: Path, sidecar: Sidecar, listed: str) -> Bundle:
    """Write what is missing beside the weights' ``.part`` file, then give all three their names."""
    _part(manifest_path(path)).write_text(listed)
    write_sidecar(_part(sidecar_path(path)), sidecar)
    for final in (manifest_path(path), path, sidecar_path(path)):
        os.replace(_part(final), final)
    return read_bundle(path)


def _part(path: Path) -> Path:
    """Return the name under which a file is written before it is whole."""
    return path.with_name(path.name + ".part")


def _save_weights(network: keras.Model, path: Path) -> None:
    """Write a network as Keras's HDF5, whose writer insists on the suffix .h5."""
    written = path.with_name(path.name + ".h5")
    network.save(written, include_optimizer=False)
    os.replace(written, path)


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _environment() -> dict[str, str]:
    """Return the versions that made a bundle."""
    import keras

    return {
        "python": platform.python_version(),
        "keras": version("keras"),
        "backend": f"{keras.config.backend()} {version(keras.config.backend())}",
        "numpy": version("numpy"),
        "machine": platform.machine(),
    }
