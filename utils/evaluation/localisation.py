"""From maps and marked lesions to how well the maps point: peak inside, evidence inside, overlap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from utils.datasets.image_cache import FileFacts
from utils.datasets.sample import Sample
from utils.datasets.training_set import TrainingSet
from utils.evaluation.metrics import mean_with_interval, pointing_game
from utils.imaging import geometry
from utils.imaging.geometry import mask_of_boxes
from utils.model_builder import map_offset
from utils.training.config import TrainingConfig

# Name in metrics.json to what it measures, in the words of the report.
MEASURES = {
    "pointing_game": "peak inside a lesion",
    "evidence_inside": "share of the evidence inside lesions",
    "overlap": "overlap with the lesions",
}
# The part of a map that is held against the lesions' outlines: from this share of its maximum on.
_OUTLINE = 0.5


@dataclass(frozen=True)
class MapLocalisation:
    """How one map lies on one radiograph's lesions.

    Args:
        peak: x, y of its highest place in pixels of the original; None where the map is empty.
        boxes: the lesions as x, y, width, height, same pixels.
        evidence_inside: share of the positive map's sum inside the lesions; 0 for an empty map.
        overlap: intersection over union of the lesions with the map from half its maximum on; 0 for an
            empty map.
        covered: share of the picture that the lesions cover, which is what a map of one value everywhere
            would reach in all three.
    """

    peak: tuple[int, int] | None
    boxes: tuple[tuple[float, float, float, float], ...]
    evidence_inside: float
    overlap: float
    covered: float


def localise(
    signed: np.ndarray, sample: Sample, file: FileFacts, shift: float = 0.0
) -> MapLocalisation:
    """Hold one map against the lesions that are marked on its radiograph.

    The map is taken as the app draws it: letterbox undone, smoothed between its cells, positive part.

    Args:
        signed: float32 (h, w) logits, as the network gives it.
        sample: the radiograph, with one box or more.
        file: its size.
        shift: see ``Bundle.map_offset``.

    Source:
        Wang et al., Score-CAM, arXiv:1910.01279, section 4.3 (the energy-based pointing game, which is
        ``evidence_inside``).
    """
    activation = geometry.map_over_picture(signed, file.height, file.width, shift, file.crop)
    inside = mask_of_boxes(sample.boxes, file.height, file.width, activation.shape)
    total, most = float(activation.sum()), float(activation.max())
    evidence = overlap = 0.0
    if most > 0.0:
        evidence = float(activation[inside].sum()) / total
        outlined = activation >= _OUTLINE * most
        overlap = float((outlined & inside).sum() / (outlined | inside).sum())
    return MapLocalisation(
        peak=geometry.peak(activation, file.height, file.width),
        boxes=tuple((box.x, box.y, box.width, box.height) for box in sample.boxes),
        evidence_inside=evidence,
        overlap=overlap,
        covered=float(inside.mean()),
    )


def summarise_localisation(
    aims: Sequence[MapLocalisation], groups: Sequence[str], *, resamples: int = 2000, seed: int = 0
) -> dict[str, Any]:
    """Return ``n`` and every figure of MEASURES with its bootstrap interval.

    Args:
        aims: of the radiographs with marked lesions.
        groups: of each, see ``metrics.summarise``.
        resamples, seed: of the bootstrap, see ``metrics.summarise``.
    """
    drawing: dict[str, int] = {"resamples": resamples, "seed": seed}
    return {
        "n": len(aims),
        "pointing_game": pointing_game(
            [aim.peak for aim in aims], [aim.boxes for aim in aims], groups, **drawing
        ),
        "evidence_inside": mean_with_interval(
            [aim.evidence_inside for aim in aims], groups, **drawing
        ),
        "overlap": mean_with_interval([aim.overlap for aim in aims], groups, **drawing),
    }


def localisation(
    maps: np.ndarray,
    samples: Sequence[Sample],
    files: Sequence[FileFacts],
    groups: Sequence[str],
    *,
    shift: float = 0.0,
    resamples: int = 2000,
    seed: int = 0,
) -> dict[str, Any] | None:
    """Measure the maps of those radiographs whose lesions are marked; None where none is.

    Args:
        maps: float32 (n, h, w), signed, logits.
        samples, files, groups: of each.
        shift: see ``Bundle.map_offset``.
        resamples, seed: of the bootstrap, see ``metrics.summarise``.
    """
    rows = [row for row, sample in enumerate(samples) if sample.boxes]
    if not rows:
        return None
    aims = [localise(maps[row], samples[row], files[row], shift) for row in rows]
    return summarise_localisation(
        aims, [groups[row] for row in rows], resamples=resamples, seed=seed
    )


def localisation_on(
    corpus: TrainingSet, part: str, maps: np.ndarray, plan: TrainingConfig
) -> dict[str, Any] | None:
    """Measure the maps of one part of a training's data; see ``localisation``."""
    rows = corpus.rows[part]
    return localisation(
        maps,
        [corpus.prepared.samples[row] for row in rows],
        [corpus.prepared.files[row] for row in rows],
        [corpus.groups[row] for row in rows],
        shift=map_offset(plan.architecture, plan.detail) / plan.image_size,
    )
