"""Platt scaling: a slope and an intercept that calibrate the network's logit.

Class weighting during training shifts the logits, so that their logistic function is no probability. Slope
and intercept are fitted on the validation part alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np

from utils.errors import DatasetError, InputError

# A calibration never reorders images, whatever the validation part looks like.
MIN_SLOPE = 1e-3

Numbers = np.ndarray | Sequence[float]


@dataclass(frozen=True)
class Calibration:
    """Straight line from the network's logit to the logit of a calibrated probability.

    Args:
        slope: factor on the network's logit, above 0.
        intercept: added to it.

    Raises:
        InputError: a slope that is not positive, or a number that is not finite.
    """

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 -- for the sidecar's schema

    slope: float
    intercept: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.slope) and math.isfinite(self.intercept) and self.slope > 0):
            raise InputError("model.calibration_range", slope=self.slope, intercept=self.intercept)

    @overload
    def probability(self, logits: float) -> float: ...
    @overload
    def probability(self, logits: np.ndarray) -> np.ndarray: ...
    def probability(self, logits: float | np.ndarray) -> float | np.ndarray:
        """Return the probability of the positive class, float64 shaped as given, or a plain float."""
        line = self.slope * np.asarray(logits, np.float64) + self.intercept
        # The logistic function as tanh: exact at both ends, no exponential that overflows.
        probability = 0.5 * (1.0 + np.tanh(0.5 * line))
        return float(probability) if probability.ndim == 0 else probability

    def logit(self, probability: float) -> float:
        """Return the network's logit that has this probability; infinite for 0 and 1."""
        if not 0.0 < probability < 1.0:
            return math.inf if probability >= 1.0 else -math.inf
        return (math.log(probability / (1.0 - probability)) - self.intercept) / self.slope


def fit_calibration(logits: Numbers, labels: Numbers) -> Calibration:
    """Fit slope and intercept by maximum likelihood: logistic regression without a penalty.

    Two kinds of validation part have no usable maximum:

    - Classes that one logit separates would drive the slope to infinity. They are fitted to Platt's
      targets, (positives + 1) / (positives + 2) and 1 / (negatives + 2), whose maximum is finite.
    - A network that ranks the classes the wrong way round would get a negative slope, and its map would
      show the opposite of its answer. The slope is held at ``MIN_SLOPE`` or above, so such a network
      gets nearly the same probability, the prevalence, for every image.

    Args:
        logits: (n,) of the network on the validation part.
        labels: (n,) 0 or 1.

    Raises:
        DatasetError: an empty part, or one with a single class.
        InputError: a logit that is not finite, as a training that diverged gives.

    Source:
        Platt, Probabilistic outputs for support vector machines, 1999, section 2.2;
        Guo et al., On calibration of modern neural networks, 2017, section 4.2.
    """
    from scipy.optimize import minimize

    scores, truth = checked_scores(logits, labels, "logits")
    positive, negative = scores[truth], scores[~truth]
    targets = truth.astype(np.float64)
    if positive.min() >= negative.max() or negative.min() >= positive.max():
        targets = np.where(
            truth, (positive.size + 1) / (positive.size + 2), 1 / (negative.size + 2)
        )

    # Standardised, so that the search is equally well conditioned for logits of any size.
    middle, spread = float(scores.mean()), float(scores.std()) or 1.0
    standard = (scores - middle) / spread

    def loss(line: np.ndarray) -> tuple[float, np.ndarray]:
        value = line[0] * standard + line[1]
        residual = 0.5 * (1.0 + np.tanh(0.5 * value)) - targets
        likelihood = np.logaddexp(0.0, value) - targets * value
        return float(likelihood.mean()), np.array([(residual * standard).mean(), residual.mean()])

    share = float(targets.mean())
    found = minimize(
        loss,
        x0=np.array([1.0, math.log(share / (1.0 - share))]),
        jac=True,
        method="L-BFGS-B",
        bounds=[(MIN_SLOPE * spread, None), (None, None)],
        options={"ftol": 1e-15, "gtol": 1e-10, "maxiter": 1000},
    )
    slope = float(found.x[0]) / spread
    return Calibration(slope=slope, intercept=float(found.x[1]) - slope * middle)


def fit_region_calibrations(
    logits: Numbers, labels: Numbers, regions: Sequence[str], *, least: int
) -> dict[str, Calibration]:
    """Fit a calibration for each body part, so that a logit means the same for all of them.

    Args:
        logits, labels: as in ``fit_calibration``.
        regions: (n,) predicted body part of each, "" where it is not known.
        least: images of each class in a body part with a calibration of its own.

    Returns:
        Body part to its calibration. Parts with fewer images, and "", get that of all images.
    """
    scores, truth = checked_scores(logits, labels, "logits")
    names, common = np.asarray(regions), fit_calibration(scores, truth)
    found = {"": common}
    for name in sorted(set(regions)):
        own = names == name
        enough = min((truth & own).sum(), (~truth & own).sum()) >= least
        found[name] = fit_calibration(scores[own], truth[own]) if name and enough else common
    return found


def comparable_logits(
    logits: np.ndarray, regions: Sequence[str], calibrations: Mapping[str, Calibration]
) -> np.ndarray:
    """Return logits that mean the same for every body part, float64 (n,); as they are without calibrations.

    Args:
        logits: (n,) of the network.
        regions: (n,) predicted body part of each.
        calibrations: of ``fit_region_calibrations``; a part that is not in it gets that of "".
    """
    if not calibrations:
        return np.asarray(logits, np.float64)
    lines = [calibrations.get(region, calibrations[""]) for region in regions]
    slopes, intercepts = np.array([(line.slope, line.intercept) for line in lines]).T
    return slopes * np.asarray(logits, np.float64) + intercepts


def checked_scores(scores: Numbers, labels: Numbers, kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Return scores as float64 and labels as bool, both (n,), with both classes in them.

    Raises:
        DatasetError: an empty part, or one with a single class.
        InputError: different lengths, or a score that is not finite; ``kind`` names the scores.
    """
    values = np.asarray(scores, np.float64).reshape(-1)
    truth = np.asarray(labels).reshape(-1) == 1
    if values.size != truth.size:
        raise InputError("model.lengths_differ", values=values.size, kind=kind, labels=truth.size)
    if truth.all() or not truth.any():
        raise DatasetError(
            "model.one_class",
            images=values.size,
            positives=int(truth.sum()),
            negatives=int((~truth).sum()),
        )
    infinite = int((~np.isfinite(values)).sum())
    if infinite:
        raise InputError("model.values_not_finite", count=infinite, values=values.size, kind=kind)
    return values, truth
