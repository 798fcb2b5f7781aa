"""Writing of a bundle: a trained network, or the same weights with another decision."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from utils.errors import BundleError
from utils.files import atomic_write, sha256_of
from utils.gradcam import Outputs
from utils.model.bundle import Bundle, read_bundle
from utils.model.manifest import TrainingManifest, manifest_path, write_manifest
from utils.model.ood import FALSE_ALARMS, OODDetector, save_ood_detector
from utils.model.self_test import self_test_section
from utils.model.sidecar import (
    BoxSection,
    Decision,
    Labels,
    MapSection,
    ModelSection,
    OODSection,
    Sidecar,
    sidecar_path,
    write_sidecar,
)
from utils.model_builder import HEATMAP, LOGIT, REGION, detail_of, map_offset
from utils.preprocess import PreprocessSpec

if TYPE_CHECKING:
    import keras


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
    manifest: TrainingManifest,
    boxes: BoxSection | None = None,
    ood_detector: OODDetector | None = None,
) -> Bundle:
    """Write a bundle; its three files take their names when all are complete, the sidecar last.

    Args:
        path: of the ``.h5`` file; its folder is made where it is missing.
        network: with its final weights, float32.
        spec, labels, decision, metrics: the sidecar's sections.
        regions: labels of its region head, empty without it.
        scale_top: top of the map's colour scale, logits.
        self_test: outputs of the explained network for ``self_test_input``.
        training: data and settings of its training.
        manifest: the images that trained, calibrated or decided it.
        boxes: scores of the detection head, for a network that has it.
        ood_detector: without it no picture gets a warning as out of distribution.

    Returns:
        The bundle as read back.
    """
    assert (HEATMAP in network.output) == (boxes is not None)
    with _parts(path) as (weights, sidecar, listed):
        network.save(weights, include_optimizer=False)
        section = None
        if ood_detector is not None:
            save_ood_detector(weights, ood_detector)
            section = OODSection(
                classifiers=ood_detector.classifiers,
                limits=ood_detector.limits,
                false_alarms=FALSE_ALARMS,
            )
        detail = detail_of(network)
        content = Sidecar(
            weights_sha256=sha256_of(weights),
            model=ModelSection(
                architecture=network.name,
                detail=detail,
                heads={LOGIT: (labels.positive,), **({REGION: tuple(regions)} if regions else {})},
            ),
            preprocess=spec,
            labels=labels,
            decision=decision,
            map=MapSection(scale_top=scale_top, centre_offset=map_offset(network.name, detail)),
            boxes=boxes,
            ood_detector=section,
            training={**training, "seen": write_manifest(listed, manifest, path)},
            metrics=metrics,
            self_test=self_test_section(self_test),
            environment=_environment(),
        )
        write_sidecar(sidecar, content)
    return read_bundle(path)


def save_variant(
    bundle: Bundle,
    path: Path,
    *,
    decision: Decision,
    training: dict[str, Any],
    metrics: dict[str, Any],
    manifest: TrainingManifest,
) -> Bundle:
    """Write a bundle of the same weights with another decision.

    Args:
        bundle: whose weights, labels, map and self-test are kept.
        path: of the new ``.h5`` file; its folder is made where it is missing.
        decision, training, metrics, manifest: as for ``save_bundle``, with those of the new decision.

    Returns:
        The new bundle as read back.

    Raises:
        BundleError: the weights were altered meanwhile.
    """
    with _parts(path) as (weights, sidecar, listed):
        shutil.copyfile(bundle.path, weights)
        if sha256_of(weights) != bundle.sha256:
            raise BundleError("model.weights_altered", file=bundle.path.name)
        changes = {
            "decision": decision,
            "training": {**training, "seen": write_manifest(listed, manifest, path)},
            "metrics": metrics,
        }
        write_sidecar(sidecar, bundle.sidecar.model_copy(update=changes))
    return read_bundle(path)


@contextmanager
def _parts(path: Path) -> Iterator[tuple[Path, Path, Path]]:
    """Yield partial files of weights, sidecar and manifest; they take their names as the block ends."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with (
        # The sidecar replaces the old one last: it names the checksums of the others.
        atomic_write(sidecar_path(path)) as sidecar,
        atomic_write(path) as weights,
        atomic_write(manifest_path(path)) as manifest,
    ):
        yield weights, sidecar, manifest


def _environment() -> dict[str, str]:
    """Return the versions that wrote a bundle."""
    import keras

    return {
        "python": platform.python_version(),
        "keras": version("keras"),
        "backend": f"{keras.config.backend()} {version(keras.config.backend())}",
        "numpy": version("numpy"),
        "machine": platform.machine(),
    }
