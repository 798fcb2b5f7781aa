"""Bundle of a trained network: its files, read and checked.

A bundle is ``NAME.h5`` (weights), ``NAME.json`` (the sidecar: everything needed to use them) and
``NAME.seen.json`` (the training manifest). The model configuration inside the HDF5 file is never read: the
network is built from the architecture's name and the weights are loaded into it.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from utils.errors import BundleError, ModelMissing, SetupError
from utils.files import sha256_of
from utils.model.calibration import Calibration, comparable_logits
from utils.model.manifest import TrainingManifest, manifest_path
from utils.model.ood import OODDetector, load_ood_detector
from utils.model.sidecar import BoxSection, Labels, Sidecar, read_sidecar
from utils.model_builder import REGION, build_model, map_offset
from utils.preprocess import PreprocessSpec

if TYPE_CHECKING:
    import keras

    from utils.gradcam import Outputs


@dataclass(frozen=True, eq=False)
class Bundle:
    """A bundle whose files are complete and belong together.

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
        return self.sidecar.preprocess

    @property
    def regions(self) -> tuple[str, ...]:
        """Labels of the region head, empty without it."""
        return self.sidecar.model.heads.get(REGION, ())

    @property
    def labels(self) -> Labels:
        """Names of both classes, and the meaning of a positive label."""
        return self.sidecar.labels

    @property
    def calibration(self) -> Calibration:
        """Calibration of the logit."""
        return self.sidecar.decision.calibration

    def logits(self, outputs: Outputs) -> np.ndarray:
        """Return the logits of a forward pass, float64 (n,), comparable between body parts."""
        calibrations = self.sidecar.decision.region_calibrations
        regions = outputs.predicted_regions(self.regions) if calibrations else ()
        return comparable_logits(outputs.logit, regions, calibrations)

    @property
    def threshold(self) -> float:
        """Least probability of a positive answer."""
        return self.sidecar.decision.threshold

    @property
    def doubt(self) -> tuple[float, float]:
        """Doubtful zone: from the first probability on, below the second."""
        return self.sidecar.decision.doubt

    @property
    def chosen_by(self) -> str:
        """The rule that chose the threshold."""
        return self.sidecar.decision.chosen_by

    @property
    def untested_regions(self) -> tuple[str, ...]:
        """Body parts with too few fractured test images to know how well they are answered."""
        return self.sidecar.decision.untested_regions

    @property
    def boxes(self) -> BoxSection | None:
        """Calibration and least score of the detection head's boxes, None without that head."""
        return self.sidecar.boxes

    @property
    def scale_top(self) -> float:
        """Top of the map's colour scale, logits."""
        return self.sidecar.map.scale_top

    @property
    def map_offset(self) -> float:
        """Receptive-field centre offset of the map's cells, as a share of the input's side."""
        offset = self.sidecar.map.centre_offset
        if offset is None:
            offset = map_offset(self.architecture, self.sidecar.model.detail)
        return offset / self.preprocess.image_size

    @property
    def training(self) -> dict[str, Any]:
        """Data and settings of its training."""
        return self.sidecar.training

    @property
    def metrics(self) -> dict[str, Any]:
        """Figures by part."""
        return self.sidecar.metrics


def read_bundle(path: Path) -> Bundle:
    """Check a bundle's files and read its sidecar, without Keras.

    Raises:
        ModelMissing: there is no file at ``path``.
        BundleError: the sidecar is missing, is no such sidecar, or belongs to other weights.
    """
    if not path.is_file():
        raise ModelMissing("model.missing", path=path)
    sidecar = read_sidecar(path)
    found = sha256_of(path)
    if found != sidecar.weights_sha256:
        raise BundleError(
            "model.checksum_differs",
            file=path.name,
            found=found[:12],
            expected=sidecar.weights_sha256[:12],
        )
    return Bundle(path, sidecar)


def read_ood_detector(bundle: Bundle) -> OODDetector | None:
    """Read a bundle's out-of-distribution detector, None where it has none.

    Raises:
        BundleError: the sidecar names one, and the ``.h5`` file holds none that fits.
    """
    section = bundle.sidecar.ood_detector
    if section is None:
        return None
    try:
        return load_ood_detector(bundle.path, section.classifiers, section.limits)
    except (OSError, KeyError, SetupError) as error:
        raise BundleError(
            "model.ood_detector_missing", file=bundle.path.name, reason=error
        ) from error


def load_network(bundle: Bundle, image_size: int | None = None) -> keras.Model:
    """Build a bundle's network and load its weights.

    ``image_size`` is the side of its input if not the bundle's, pixels.

    Raises:
        BundleError: the weights do not fit the architecture that the sidecar names.
    """
    network = build_model(
        bundle.architecture,
        image_size or bundle.preprocess.image_size,
        regions=bundle.regions,
        detail=bundle.sidecar.model.detail,
        boxes=bundle.boxes is not None,
        dropout=0.0,
    )
    try:
        network.load_weights(bundle.path)
    except Exception as error:  # Keras and h5py raise half a dozen kinds
        raise BundleError(
            "model.foreign_weights",
            file=bundle.path.name,
            architecture=bundle.architecture,
            reason=error,
        ) from error
    return network


def read_manifest(bundle: Bundle) -> TrainingManifest:
    """Read a bundle's training manifest.

    Raises:
        BundleError: it is missing or altered, so that an evaluation could miss leakage.
    """
    path = manifest_path(bundle.path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BundleError(
            "model.manifest_missing", file=path.name, model=bundle.path.name
        ) from error
    if hashlib.sha256(content).hexdigest() != bundle.training["seen"]["sha256"]:
        raise BundleError("model.foreign_manifest", file=path.name, model=bundle.path.name)
    return TrainingManifest.from_json(json.loads(content))
