"""Fit of a bundle's decision: calibration, threshold and operating points."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from utils.datasets.training_set import TrainingSet
from utils.messages import sentence
from utils.model.calibration import (
    comparable_logits,
    fit_calibration,
    fit_region_calibrations,
)
from utils.model.operating_point import choose_operating_points
from utils.model.sidecar import Decision
from utils.training.config import BY_REGION, TrainingConfig

if TYPE_CHECKING:
    from utils.gradcam import Outputs

# Fractured test images of a body part without which it is not known how well it is answered, and images of
# each class without which it gets no calibration of its own.
LEAST_FRACTURES = 10


@dataclass(frozen=True, eq=False)
class DecisionScores:
    """Images that a decision is fitted on; none of them trained the network that scored it.

    Args:
        logits: float (n,), of the network before calibration.
        labels: int (n,), 1 positive.
        regions: (n,) predicted body part of each, "" without that head.
        images: their name in the rule's sentence; "" for the validation part.
    """

    logits: np.ndarray
    labels: np.ndarray
    regions: tuple[str, ...]
    images: str = ""

    @classmethod
    def of(cls, outputs: Outputs, labels: np.ndarray, regions: Sequence[str]) -> DecisionScores:
        """Return the scores of a forward pass; ``regions`` are the region head's labels."""
        return cls(outputs.logit, labels, outputs.predicted_regions(regions))


def decide(
    scores: DecisionScores, config: TrainingConfig, untested_regions: tuple[str, ...] = ()
) -> Decision:
    """Calibrate, and choose threshold and operating points.

    Args:
        scores: of the validation part, or out of fold.
        config: its sensitivities and specificity are kept; ``calibrate_by`` tells how to calibrate.
        untested_regions: body parts of which too few images tell how well they are answered.

    Raises:
        DatasetError, InputError: see ``fit_calibration`` and ``choose_operating_points``.
    """
    logits, labels, regions = scores.logits, scores.labels, scores.regions
    by_region = (
        fit_region_calibrations(logits, labels, regions, least=LEAST_FRACTURES)
        if config.calibrate_by == BY_REGION
        else {}
    )
    logits = comparable_logits(logits, regions, by_region)
    calibration = fit_calibration(logits, labels)
    points = choose_operating_points(
        calibration.probability(logits),
        labels,
        images=scores.images or sentence("training.validation_part"),
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
        region_calibrations=by_region,
    )


def untested_regions(data: TrainingSet, regions: Sequence[str]) -> tuple[str, ...]:
    """Return the body parts with too few fractured images in the test part, or in validation without one."""
    rows = data.rows["test"] if len(data.rows["test"]) else data.rows["validation"]
    fractured = Counter(data.prepared.samples[row].region for row in rows if data.labels[row] == 1)
    return tuple(region for region in regions if fractured[region] < LEAST_FRACTURES)
