"""Bundles of a small network with random weights."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from utils.model.architectures import ARCHITECTURES
from utils.model.bundle_writer import save_bundle
from utils.model.calibration import Calibration
from utils.model.manifest import TrainingManifest
from utils.model.ood import CODES, UNLIKE_TRAINING, UNSUPPORTED_REGION, OODDetector
from utils.model.self_test import self_test_input
from utils.model.sidecar import (
    CHECKSUM,
    BoxSection,
    Decision,
    Labels,
    checksum,
    sidecar_path,
)
from utils.model_builder import COARSE
from utils.preprocess import PreprocessSpec, scale


def tiny_bundle(
    folder: Path,
    *,
    architecture: str = "custom",
    image_size: int = 64,
    detail: str = COARSE,
    boxes: BoxSection | None = None,
    regions: Sequence[str] = ("hand", "leg"),
    seed: int = 0,
    threshold: float = 0.5,
    doubt: tuple[float, float] = (0.4, 0.6),
    split: dict[str, object] | None = None,
    ood_detector: OODDetector | None = None,
) -> Path:
    """Save a bundle as ``folder/best_model.h5`` and return that path; boxes need ``detail="fine"``."""
    import keras

    from utils.gradcam import Outputs, explain
    from utils.model_builder import build_model

    keras.utils.set_random_seed(seed)
    network = build_model(
        architecture, image_size, regions=regions, detail=detail, boxes=boxes is not None
    )
    spec = PreprocessSpec(image_size, ARCHITECTURES[architecture].scaling)
    outputs = Outputs.of(
        explain(network).predict_on_batch(scale(self_test_input(image_size), spec.scaling))
    )
    path = folder / "best_model.h5"
    save_bundle(
        path,
        network,
        spec=spec,
        regions=regions,
        labels=Labels(meaning="A positive answer means that the drawn bone has a gap."),
        decision=Decision(
            calibration=Calibration(1.0, 0.0),
            threshold=threshold,
            chosen_by="fixed by the test",
            doubt=doubt,
        ),
        scale_top=1.0,
        self_test=outputs,
        training={
            "dataset": "drawn",
            "counts": {},
            "seed": seed,
            "args": {},
            "split": split or {"seed": seed, "fractions": [0.7, 0.15, 0.15]},
        },
        metrics={},
        manifest=TrainingManifest(frozenset(), np.zeros((0, 32), np.uint8)),
        boxes=boxes,
        ood_detector=ood_detector,
    )
    return path


def box_section(*, intercept: float = 0.0, threshold: float = 0.005) -> BoxSection:
    """Return scores of the detection head; untrained, it gives each peak a logit of about -4.6."""
    return BoxSection(
        calibration=Calibration(1.0, intercept), threshold=threshold, chosen_by="fixed by the test"
    )


@contextmanager
def altered_sidecar(model: Path) -> Iterator[dict[str, Any]]:
    """Yield a sidecar's content to change; it is written back with its new checksum."""
    path = sidecar_path(model)
    content = json.loads(path.read_text())
    yield content
    content[CHECKSUM] = checksum(content)
    path.write_text(json.dumps(content))


def alter_sidecar(model: Path, change: dict[str, Any], section: str | None = None) -> None:
    """Change fields of a sidecar or of one of its sections, with a new checksum."""
    with altered_sidecar(model) as content:
        (content[section] if section else content).update(change)


def fixed_ood_detector(*codes: str, channels: int = 192) -> OODDetector:
    """Return an OOD detector that reports these codes for every picture.

    Args:
        codes: of utils.model.ood.CODES.
        channels: of the embedding; 192 is the custom network's.
    """
    nothing = np.zeros((channels, channels), np.float32)
    classifiers = tuple(code for code in CODES if code not in (UNLIKE_TRAINING, UNSUPPORTED_REGION))
    return OODDetector(
        mean=np.zeros(channels, np.float32),
        whitening=nothing,
        borders=np.zeros((channels, len(classifiers)), np.float32),
        offsets=np.zeros(len(classifiers), np.float32),
        classifiers=classifiers,
        limits={code: -1.0 if code in codes else 1.0 for code in CODES},
    )
