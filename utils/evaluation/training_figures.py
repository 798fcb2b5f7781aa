"""Figures that a training records: of one part in the sidecar, and of out-of-fold predictions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from utils.datasets.training_set import TrainingSet
from utils.evaluation.localisation import localise, summarise_localisation
from utils.evaluation.metrics import mean_with_interval, summarise
from utils.inference.input_warnings import DEFINITE, certainty_of
from utils.model.sidecar import Decision
from utils.training.decision.out_of_fold import MapPeak, OutOfFold, OutOfFoldImage
from utils.training.finalize import PartAnswers

# Those of ``metrics.summarise`` that choose between candidates.
COMPARED = (
    *("roc_auc", "average_precision", "sensitivity", "specificity"),
    *("calibration_slope", "calibration_intercept"),
)


def part_figures(answers: PartAnswers) -> dict[str, Any]:
    """Return the figures of ``metrics.summarise``, JSON-able.

    Where the answers have maps, ``localisation`` is added: None where no lesion is marked.
    """
    data, rows = answers.data, answers.data.rows[answers.part]
    groups = [data.groups[row] for row in rows]
    figures: dict[str, Any] = summarise(
        data.labels[rows], answers.probabilities, groups, answers.threshold
    ).model_dump()
    if answers.maps is not None:
        marked = [n for n, row in enumerate(rows) if data.prepared.samples[row].boxes]
        localised = [
            localise(
                answers.maps[n],
                data.prepared.samples[rows[n]],
                data.prepared.files[rows[n]],
                answers.map_offset,
            )
            for n in marked
        ]
        figures["localisation"] = None
        if localised:
            measured = summarise_localisation(localised, [groups[n] for n in marked])
            figures["localisation"] = measured.model_dump()
    return figures


def locate_peaks(
    data: TrainingSet, rows: np.ndarray, maps: np.ndarray, offset: float
) -> list[MapPeak]:
    """Return the peak of each row's map, and whether it lies inside a marked lesion.

    Args:
        data: a training set.
        rows: of it, (n,).
        maps: float32 (n, h, w), signed, logits.
        offset: receptive-field centre offset of the maps, as a share of the input.
    """
    peaks = []
    for row, signed in zip(rows, maps, strict=True):
        sample = data.prepared.samples[row]
        found = localise(signed, sample, data.prepared.files[row], offset)
        x, y = found.peak or (None, None)
        peaks.append(MapPeak(x, y, found.hit if sample.boxes else None))
    return peaks


def out_of_fold_figures(
    table: OutOfFold, decision: Decision, *, resamples: int = 2000, seed: int = 0
) -> dict[str, Any]:
    """Return the figures of out-of-fold predictions, in all and by body part, JSON-able.

    The decision is fitted on the same predictions: in all the slope is 1 and the intercept 0, and only their
    intervals and the body parts tell something.

    Args:
        table: of a cross-validation.
        decision: fitted on it.
        resamples, seed: of the bootstrap, which draws groups, see ``metrics.summarise``.
    """

    def of(images: Sequence[OutOfFoldImage]) -> dict[str, Any]:
        labels = np.array([image.label for image in images])
        groups = [image.group for image in images]
        predicted = [image.predicted_region for image in images]
        logits = np.array([image.logit for image in images])
        probabilities = decision.probabilities(logits, predicted)
        drawing = {"resamples": resamples, "seed": seed}
        figures = summarise(labels, probabilities, groups, decision.threshold, **drawing)
        certain = np.array([certainty_of(p, decision.doubt, ()) == DEFINITE for p in probabilities])
        called = probabilities >= decision.threshold

        def mean(values: Sequence[float | bool] | np.ndarray, chosen: np.ndarray) -> dict[str, Any]:
            rows = np.flatnonzero(chosen)
            units = [groups[row] for row in rows]
            return mean_with_interval(
                np.asarray(values, float)[rows], units, **drawing
            ).model_dump()

        marked = np.array([image.hit is not None for image in images])
        return {
            "n": len(images),
            "positive": int(labels.sum()),
            "groups": len(set(groups)),
            **{name: getattr(figures, name).model_dump() for name in COMPARED},
            "pointing_game": mean([image.hit or False for image in images], marked),
            "definite": mean(certain, np.ones(len(images), bool)),
            "definite_fractures_right": mean(labels == 1, certain & called),
            "definite_normals_right": mean(labels == 0, certain & ~called),
        }

    regions = sorted({image.region for image in table.images} - {""})
    return {
        "calibration": {
            "slope": decision.calibration.slope,
            "intercept": decision.calibration.intercept,
        },
        "threshold": decision.threshold,
        "doubt": list(decision.doubt),
        "chosen_by": decision.chosen_by,
        "all": of(table.images),
        "regions": {
            region: of([image for image in table.images if image.region == region])
            for region in regions
        },
    }
