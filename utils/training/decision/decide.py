"""Fit of a bundle's decision: calibration, threshold and operating points."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from utils.datasets.training_set import TrainingSet
from utils.model.calibration import fit_calibration
from utils.model.operating_point import choose_operating_points
from utils.model.sidecar import Decision
from utils.training.config import TrainingConfig

# Fractured test images of a body part without which it is not known how well it is answered.
LEAST_FRACTURES = 10


@dataclass(frozen=True, eq=False)
class DecisionScores:
    """Images that a decision is fitted on; none of them trained the network that scored it.

    Args:
        logits: float (n,), of the network before calibration.
        labels: int (n,), 1 positive.
        images: their name in the rule's sentence.
    """

    logits: np.ndarray
    labels: np.ndarray
    images: str


def decide(
    scores: DecisionScores, config: TrainingConfig, untested_regions: tuple[str, ...] = ()
) -> Decision:
    """Calibrate, and choose threshold and operating points.

    Args:
        scores: of the validation part, or out of fold.
        config: its sensitivities and specificity are kept.
        untested_regions: body parts of which too few images tell how well they are answered.

    Raises:
        DatasetError, InputError: see ``fit_calibration`` and ``choose_operating_points``.
    """
    calibration = fit_calibration(scores.logits, scores.labels)
    points = choose_operating_points(
        calibration.probability(scores.logits),
        scores.labels,
        images=scores.images,
        sensitivity=config.sensitivity,
        rule_out=config.rule_out_sensitivity,
        rule_in=config.rule_in_specificity,
    )
    return Decision(
        calibration=calibration,
        threshold=points.threshold,
        chosen_by=points.chosen_by,
        doubt=points.doubt,
        untested_regions=untested_regions,
    )


def untested_regions(data: TrainingSet, regions: Sequence[str]) -> tuple[str, ...]:
    """Return the body parts with too few fractured images in the test part, or in validation without one."""
    rows = data.rows["test"] if len(data.rows["test"]) else data.rows["validation"]
    fractured = Counter(data.prepared.samples[row].region for row in rows if data.labels[row] == 1)
    return tuple(region for region in regions if fractured[region] < LEAST_FRACTURES)
