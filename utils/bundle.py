"""Turns a trained network into a bundle on disk, and a bundle back into a network that can be trusted.

A bundle is ``NAME.h5`` (weights), ``NAME.json`` (the sidecar: everything needed to use them) and
``NAME.seen.json`` (which images trained and calibrated it). The model configuration inside the HDF5 file
is never read: the network is built anew from the architecture's name and the weights are loaded into it.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from utils.architectures import ARCHITECTURES
from utils.calibration import Calibration
from utils.errors import BundleError, FractureError, ModelMissing
from utils.gradcam import Outputs
from utils.model_builder import EVIDENCE, LOGIT, REGION, build_model
from utils.preprocess import PreprocessSpec

if TYPE_CHECKING:
    import keras

SCHEMA_VERSION = 1
GOLDEN_INPUT = "interference-v1"
# Room for another backend's or processor's float32 arithmetic, far below any lost layer's effect.
GOLDEN_ABSOLUTE, GOLDEN_RELATIVE = 1e-3, 1e-2

Probability = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]
Finite = Annotated[float, Field(allow_inf_nan=False)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ModelSection(_Section):
    """Which network the weights belong to; ``heads`` maps a head to its labels."""

    architecture: str
    evidence: Literal["evidence"] = EVIDENCE
    logit: Literal["logit"] = LOGIT
    heads: dict[str, tuple[str, ...]]


class Labels(_Section):
    """The two answers, and what a positive label meant in the data."""

    negative: str = "Normal"
    positive: str = "Fracture Detected"
    meaning: str


class CalibrationSection(_Section):
    """See ``calibration.Calibration``."""

    slope: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    intercept: Finite


class Decision(_Section):
    """From logit to answer: calibration, threshold and the doubtful zone around it."""

    calibration: CalibrationSection
    threshold: Probability
    chosen_by: str
    doubt: tuple[Probability, Probability]

    @model_validator(mode="after")
    def _doubt_contains_threshold(self) -> Decision:
        low, high = self.doubt
        if not low <= self.threshold <= high:
            raise ValueError("the doubtful zone must contain the threshold")
        return self


class MapSection(_Section):
    """The top of the activation map's colour scale, logits."""

    scale_top: Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Golden(_Section):
    """A known input and what the network answers to it."""

    input: Literal["interference-v1"] = GOLDEN_INPUT
    outputs: dict[str, list[Finite]]
    tolerance: dict[str, Finite]

    @model_validator(mode="after")
    def _every_output_has_a_tolerance(self) -> Golden:
        if self.outputs.keys() != self.tolerance.keys():
            raise ValueError("outputs and tolerance must name the same numbers")
        return self


class Sidecar(_Section):
    """The schema of the JSON file beside the weights."""

    schema_version: Literal[1] = SCHEMA_VERSION
    weights_sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    model: ModelSection
    preprocess: dict[str, Any]
    labels: Labels
    decision: Decision
    map: MapSection
    training: dict[str, Any]
    metrics: dict[str, Any]
    golden: Golden
    environment: dict[str, Any]


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
        return PreprocessSpec(**self.sidecar.preprocess)

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
    def training(self) -> dict[str, Any]:
        """What it was trained on and how."""
        return self.sidecar.training

    @property
    def metrics(self) -> dict[str, Any]:
        """Figures by part."""
        return self.sidecar.metrics


@dataclass(frozen=True, eq=False)
class Seen:
    """The images that trained, chose or calibrated a model.

    Args:
        sha256: of the files, the first 16 hexadecimal digits.
        fingerprints: uint8 (n, 32), see ``datasets.duplicates.fingerprints``.
    """

    sha256: frozenset[str]
    fingerprints: np.ndarray


def sidecar_path(model: Path) -> Path:
    """Return where the sidecar of a ``.h5`` file lies."""
    return model.with_suffix(".json")


def seen_path(model: Path) -> Path:
    """Return where the list of images that a ``.h5`` file has seen lies."""
    return model.with_suffix(".seen.json")


def read_bundle(path: Path) -> Bundle:
    """Check a bundle's files and read its sidecar; Keras is not needed for it.

    Raises:
        ModelMissing: there is no file at ``path``.
        BundleError: the sidecar is missing, is no such sidecar, or belongs to other weights.
    """
    if not path.is_file():
        raise ModelMissing(f"there is no model at {path}; train one with train.py, or name another")
    beside = sidecar_path(path)
    if not beside.is_file():
        raise BundleError(
            f"{path.name} has no sidecar {beside.name} beside it, so its input size, scaling, calibration "
            "and threshold are unknown and it cannot be used; train it with train.py, which writes both"
        )
    try:
        sidecar = Sidecar.model_validate_json(beside.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise BundleError(f"{beside.name} is no sidecar of this release: {where}: {first['msg']}") from error
    found = _sha256(path)
    if found != sidecar.weights_sha256:
        raise BundleError(
            f"{path.name} is not the file its sidecar describes: its checksum is {found[:12]}..., the "
            f"sidecar's {sidecar.weights_sha256[:12]}...; it was altered, cut short, or replaced alone"
        )
    bundle = Bundle(path, sidecar)
    try:
        ARCHITECTURES[bundle.architecture]
        bundle.preprocess  # noqa: B018 -- constructing it checks it
    except (FractureError, TypeError) as error:
        raise BundleError(f"{beside.name} cannot be used by this release: {error}") from error
    return bundle


def load_network(bundle: Bundle) -> keras.Model:
    """Build a bundle's network and load its weights.

    Raises:
        BundleError: the weights do not fit the architecture that the sidecar names.
    """
    network = build_model(
        bundle.architecture, bundle.preprocess.image_size, regions=bundle.regions
    )
    try:
        network.load_weights(bundle.path)
    except Exception as error:  # Keras and h5py raise half a dozen kinds
        raise BundleError(
            f"the weights in {bundle.path.name} do not fit {bundle.architecture} ({error})"
        ) from error
    return network


def golden_input(size: int) -> np.ndarray:
    """Return the known input, uint8 (1, size, size): rings from two sources, in whole numbers alone."""
    row, column = np.mgrid[0:size, 0:size].astype(np.int64) * 4096 // size
    near = (row - 1200) ** 2 + (column - 900) ** 2
    far = (row - 2900) ** 2 + (column - 3300) ** 2
    return (((near >> 13) ^ (far >> 14)) & 255).astype(np.uint8)[None]


def golden_outputs(outputs: Outputs) -> dict[str, list[float]]:
    """Boil a forward pass of the known input down to a few numbers that depend on every weight."""
    numbers = {
        "logit": [float(outputs.logit[0])],
        "map": [float(outputs.map[0].max()), float(outputs.map[0].min())],
        "embedding": [float(outputs.embedding[0].mean())],
    }
    if outputs.region is not None:
        numbers["region"] = [float(value) for value in outputs.region[0]]
    return numbers


def check_golden(bundle: Bundle, outputs: Outputs) -> None:
    """Hold an engine's answer to the known input against the bundle's.

    Raises:
        BundleError: they differ by more than the bundle's tolerance.
    """
    golden = bundle.sidecar.golden
    found = golden_outputs(outputs)
    if found.keys() != golden.outputs.keys():
        raise BundleError(
            f"the golden example has {sorted(golden.outputs)}, the network gives {sorted(found)}"
        )
    for name, expected in golden.outputs.items():
        allowed = golden.tolerance[name]
        # Shape and NaN fail too: only a difference that is known to be small passes.
        if len(found[name]) != len(expected) or not np.all(
            np.abs(np.subtract(found[name], expected)) <= allowed
        ):
            raise BundleError(
                f"the network answers the golden example with {name} {found[name]}, the bundle says "
                f"{expected} (tolerance {allowed}); this installation does not compute as it should"
            )


def save_bundle(
    path: Path,
    network: keras.Model,
    *,
    spec: PreprocessSpec,
    regions: Sequence[str],
    labels: Labels,
    decision: Decision,
    scale_top: float,
    golden: dict[str, list[float]],
    training: dict[str, Any],
    metrics: dict[str, Any],
    seen: Seen,
) -> Bundle:
    """Write a bundle: each file in full under another name first, the sidecar last.

    Args:
        path: of the ``.h5`` file; its folder is made where it is missing.
        network: with its final weights, float32.
        golden: what ``golden_outputs`` gave for ``golden_input``.
        seen: the images that trained, chose or calibrated it.

    Returns:
        The bundle as read back.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    seen_text = json.dumps(
        {
            "sha256": sorted(seen.sha256),
            "fingerprints": [
                base64.b64encode(row.tobytes()).decode() for row in np.unique(seen.fingerprints, axis=0)
            ],
        },
        indent=0,
    )
    weights_part = _part(path)
    _save_weights(network, weights_part)
    sidecar = Sidecar(
        weights_sha256=_sha256(weights_part),
        model=ModelSection(
            architecture=network.name,
            heads={LOGIT: (labels.positive,), **({REGION: tuple(regions)} if regions else {})},
        ),
        preprocess=spec.as_json(),
        labels=labels,
        decision=decision,
        map=MapSection(scale_top=scale_top),
        training={
            **training,
            "seen": {
                "file": seen_path(path).name,
                "images": len(seen.sha256),
                "sha256": hashlib.sha256(seen_text.encode()).hexdigest(),
            },
        },
        metrics=metrics,
        golden=Golden(
            outputs=golden,
            tolerance={
                name: GOLDEN_ABSOLUTE + GOLDEN_RELATIVE * float(np.max(np.abs(values)))
                for name, values in golden.items()
            },
        ),
        environment=_environment(),
    )
    _part(seen_path(path)).write_text(seen_text)
    _part(sidecar_path(path)).write_text(sidecar.model_dump_json(indent=2) + "\n")
    for final in (seen_path(path), path, sidecar_path(path)):
        os.replace(_part(final), final)
    return read_bundle(path)


def read_seen(bundle: Bundle) -> Seen:
    """Read which images trained, chose or calibrated a bundle.

    Raises:
        BundleError: the list is missing or altered, so that an evaluation could count them as unseen.
    """
    path = seen_path(bundle.path)
    try:
        text = path.read_bytes()
    except OSError as error:
        raise BundleError(f"{path.name} is missing beside {bundle.path.name}") from error
    if hashlib.sha256(text).hexdigest() != bundle.training["seen"]["sha256"]:
        raise BundleError(f"{path.name} is not the list that belongs to {bundle.path.name}")
    listed = json.loads(text)
    rows = [np.frombuffer(base64.b64decode(row), np.uint8) for row in listed["fingerprints"]]
    return Seen(frozenset(listed["sha256"]), np.stack(rows) if rows else np.zeros((0, 32), np.uint8))


def _part(path: Path) -> Path:
    """Return the name under which a file is written before it is whole."""
    return path.with_name(path.name + ".part")


def _save_weights(network: keras.Model, path: Path) -> None:
    """Write a network as Keras's HDF5, whose writer insists on the suffix .h5."""
    written = path.with_name(path.name + ".h5")
    network.save(written, include_optimizer=False)
    os.replace(written, path)


def _sha256(path: Path) -> str:
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
