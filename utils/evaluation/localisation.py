"""Localisation metrics of activation maps: pointing game, energy inside lesions, overlap."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from utils.datasets.image_cache import FileFacts
from utils.datasets.sample import Sample
from utils.evaluation import report_schema as schema
from utils.evaluation.metrics import mean_with_interval
from utils.imaging.geometry import Box, map_over_picture, mask_of_boxes, peak
from utils.messages import sentence

if TYPE_CHECKING:
    from utils.evaluation.scored_images import ScoredImages

# The outline of a map that is compared with the lesions: from this share of its maximum on.
_OUTLINE = 0.5


@dataclass(frozen=True)
class MapLocalisation:
    """How one map lies on one radiograph's lesions.

    Args:
        peak: x, y of its maximum in pixels of the original; None where the map is empty.
        hit: whether the peak lies inside a lesion, see ``pointing_game_hit``.
        evidence_inside: share of the positive map's sum inside the lesions; 0 for an empty map.
        overlap: intersection over union of the lesions with the map from half its maximum on; 0 for an
            empty map.
        covered: share of the picture that the lesions cover: what a constant map reaches in all three.
    """

    peak: tuple[int, int] | None
    hit: bool
    evidence_inside: float
    overlap: float
    covered: float


def localise(
    signed: np.ndarray, sample: Sample, file: FileFacts, offset: float = 0.0
) -> MapLocalisation:
    """Compare one map with the lesions that are marked on its radiograph.

    The map is taken as the app draws it: letterbox undone, smoothed between its cells, positive part.

    Args:
        signed: float32 (h, w) logits, as the network gives it.
        sample: the radiograph, with one box or more.
        file: its size.
        offset: receptive-field centre offset, see ``Bundle.map_offset``.

    Source:
        Wang et al., Score-CAM, arXiv:1910.01279, section 4.3 (the energy-based pointing game, which is
        ``evidence_inside``).
    """
    activation = map_over_picture(signed, file.height, file.width, offset, file.crop)
    inside = mask_of_boxes(sample.boxes, file.height, file.width, activation.shape)
    total, most = float(activation.sum()), float(activation.max())
    highest = peak(activation, file.height, file.width)
    evidence = overlap = 0.0
    if most > 0.0:
        evidence = float(activation[inside].sum()) / total
        outlined = activation >= _OUTLINE * most
        overlap = float((outlined & inside).sum() / (outlined | inside).sum())
    return MapLocalisation(
        peak=highest,
        hit=pointing_game_hit(highest, sample.boxes),
        evidence_inside=evidence,
        overlap=overlap,
        covered=float(inside.mean()),
    )


def pointing_game_hit(peak: tuple[float, float] | None, boxes: Iterable[Box]) -> bool:
    """Return whether a map's peak lies inside a lesion, without tolerance; an empty map is a miss.

    Source:
        Zhang et al., Top-down neural attention by excitation backprop, 2018, section 4.1.
    """
    return peak is not None and any(box.contains(*peak) for box in boxes)


def summarise_localisation(
    localised: Sequence[MapLocalisation],
    groups: Sequence[str],
    *,
    resamples: int = 2000,
    seed: int = 0,
) -> schema.LocalisationFigures:
    """Return the localisation figures with their bootstrap intervals.

    Args:
        localised: the maps of radiographs with marked lesions.
        groups: of each, see ``metrics.summarise``.
        resamples, seed: of the bootstrap, see ``metrics.summarise``.
    """

    def mean(values: Sequence[float]) -> schema.Figure:
        return mean_with_interval(values, groups, resamples=resamples, seed=seed)

    return schema.LocalisationFigures(
        n=len(localised),
        pointing_game=mean([item.hit for item in localised]),
        evidence_inside=mean([item.evidence_inside for item in localised]),
        overlap=mean([item.overlap for item in localised]),
    )


def localisation_table(
    scored: ScoredImages, threshold: float, *, resamples: int, seed: int
) -> schema.Localisation | None:
    """Measure the maps on the marked lesions; None where the source marks none."""
    localised = {
        row: localise(scored.maps[row], sample, scored.files[row], scored.map_offset)
        for row, sample in enumerate(scored.samples)
        if sample.boxes
    }
    if not localised:
        return None

    def of(rows: Sequence[int]) -> schema.LocalisationFigures:
        chosen, groups = [localised[row] for row in rows], [scored.groups[row] for row in rows]
        return summarise_localisation(chosen, groups, resamples=resamples, seed=seed)

    return schema.Localisation(
        rules={name: sentence(f"evaluation.{name}_rule") for name in schema.MEASURES},
        marked=of(list(localised)),
        marked_and_called_positive=of(
            [row for row in localised if scored.probability[row] >= threshold]
        ),
        chance=schema.Chance(
            meaning=sentence("evaluation.chance_meaning"),
            value=float(np.mean([item.covered for item in localised.values()])),
        ),
    )
