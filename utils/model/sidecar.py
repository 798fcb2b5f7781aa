"""Schema, checksum and reading of the sidecar, the JSON file beside the weights."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from utils.errors import BundleError, FractureError
from utils.model.architectures import ARCHITECTURES
from utils.model.calibration import Calibration, comparable_logits
from utils.preprocess import PreprocessSpec

# Name of the field that holds the checksum of all the others.
CHECKSUM = "sidecar_sha256"

Probability = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]
Finite = Annotated[float, Field(allow_inf_nan=False)]


class _Section(BaseModel):
    # A field's alias is its name in the file.
    model_config = ConfigDict(
        frozen=True, extra="forbid", populate_by_name=True, serialize_by_alias=True
    )


class ModelSection(_Section):
    """Network that the weights belong to; ``heads`` maps a head to its labels."""

    architecture: str
    detail: Literal["coarse", "fine"] = "coarse"
    evidence: Literal["evidence"] = "evidence"
    logit: Literal["logit"] = "logit"
    heads: dict[str, tuple[str, ...]]


class Labels(_Section):
    """Names of both classes, and the meaning of a positive label in the data."""

    negative: str = "Normal"
    positive: str = "Fracture Detected"
    meaning: str


class Decision(_Section):
    """Calibration, threshold, the doubtful zone around it, and body parts that too few images tested."""

    calibration: Calibration
    threshold: Probability
    chosen_by: str
    doubt: tuple[Probability, Probability]
    untested_regions: tuple[str, ...] = ()
    # Of each predicted body part, applied before ``calibration``; "" is for all others.
    region_calibrations: dict[str, Calibration] = {}

    def probabilities(self, logits: np.ndarray, regions: Sequence[str]) -> np.ndarray:
        """Return calibrated probabilities, float64 (n,), of logits (n,) of the network and body parts."""
        comparable = comparable_logits(logits, regions, self.region_calibrations)
        return self.calibration.probability(comparable)

    @model_validator(mode="after")
    def _doubt_contains_threshold(self) -> Decision:
        low, high = self.doubt
        if not low <= self.threshold <= high:
            raise ValueError("the doubtful zone must contain the threshold")
        if self.region_calibrations and "" not in self.region_calibrations:
            raise ValueError("calibrations of body parts need one for all others")
        return self


class MapSection(_Section):
    """Top of the activation map's colour scale, logits, and receptive-field centre offset, pixels.

    The offset is ``shift`` in files since version 1; None for the architecture's.
    """

    scale_top: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    centre_offset: Finite | None = Field(None, alias="shift")


class OODSection(_Section):
    """Codes of the linear classifiers, limits of the scores, and shares of validation radiographs above them.

    The arrays of ``ood.OODDetector`` are in a group of the ``.h5`` file.
    """

    classifiers: tuple[str, ...]
    limits: dict[str, Finite]
    false_alarms: dict[str, Probability]


class BoxSection(_Section):
    """Calibration of the detection head's peaks, and the least score of a box that is shown."""

    calibration: Calibration
    threshold: Probability
    chosen_by: str


class SelfTest(_Section):
    """Known input and the network's expected outputs."""

    input: Literal["interference-v1"] = "interference-v1"
    outputs: dict[str, list[Finite]]
    tolerance: dict[str, Finite]

    @model_validator(mode="after")
    def _every_output_has_a_tolerance(self) -> SelfTest:
        if self.outputs.keys() != self.tolerance.keys():
            raise ValueError("outputs and tolerance must name the same numbers")
        return self


class Sidecar(_Section):
    """Content of the JSON file beside the weights.

    ``familiarity`` and ``golden`` are the names of two sections in files since version 1.
    """

    schema_version: Literal[1] = 1
    weights_sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    model: ModelSection
    preprocess: PreprocessSpec
    labels: Labels
    decision: Decision
    map: MapSection
    boxes: BoxSection | None = None
    ood_detector: OODSection | None = Field(None, alias="familiarity")
    training: dict[str, Any]
    metrics: dict[str, Any]
    self_test: SelfTest = Field(alias="golden")
    environment: dict[str, Any]

    @field_validator("preprocess", mode="before")
    @classmethod
    def _names_its_version(cls, spec: Any) -> Any:
        if isinstance(spec, dict) and not {"fit", "version"} <= set(spec):
            raise ValueError("fit and version must be stated")
        return spec

    @model_validator(mode="after")
    def _boxes_need_the_fine_map(self) -> Sidecar:
        if self.boxes is not None and self.model.detail != "fine":
            raise ValueError("boxes need the fine map")
        return self

    @field_validator("training")
    @classmethod
    def _names_the_manifest(cls, training: dict[str, Any]) -> dict[str, Any]:
        seen = training.get("seen")
        if not isinstance(seen, dict) or not isinstance(seen.get("sha256"), str):
            raise ValueError("seen.sha256 must name the list of images that the model has seen")
        return training


def sidecar_path(model: Path) -> Path:
    """Return the path of the sidecar of a ``.h5`` file."""
    return model.with_suffix(".json")


def write_sidecar(path: Path, sidecar: Sidecar) -> None:
    """Write a sidecar with the checksum of its content."""
    content = json.loads(sidecar.model_dump_json())
    path.write_text(json.dumps({**content, CHECKSUM: checksum(content)}, indent=2) + "\n")


def checksum(content: dict[str, Any]) -> str:
    """Return the SHA-256 of a sidecar's content without its own checksum, whatever its layout."""
    covered = {name: value for name, value in content.items() if name != CHECKSUM}
    canonical = json.dumps(covered, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def read_sidecar(model: Path) -> Sidecar:
    """Read and check the sidecar of a ``.h5`` file.

    The checksum comes first: one flipped bit in a threshold would turn a fracture into a sure "Normal".

    Raises:
        BundleError: it is missing, altered, or no sidecar of this release; the message names the field.
    """
    path = sidecar_path(model)
    if not path.is_file():
        raise BundleError("model.no_sidecar", model=model.name, file=path.name)
    try:
        content = json.loads(path.read_bytes())
    except ValueError as error:
        raise BundleError("model.invalid_sidecar", file=path.name, reason=error) from error
    if not isinstance(content, dict) or CHECKSUM not in content:
        raise BundleError("model.no_checksum", file=path.name, field=CHECKSUM)
    if content.pop(CHECKSUM) != checksum(content):
        raise BundleError("model.altered_sidecar", file=path.name)
    try:
        sidecar = Sidecar.model_validate(content)
        ARCHITECTURES[sidecar.model.architecture]
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "the file"
        raise BundleError(
            "model.invalid_field", file=path.name, field=field, reason=first["msg"]
        ) from error
    except FractureError as error:
        raise BundleError("model.unusable_sidecar", file=path.name, reason=error) from error
    return sidecar
