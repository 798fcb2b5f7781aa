"""Cluster bootstrap: every metric of many resamples of the groups at once.

Groups (patients, or clusters of near-duplicates) are resampled and not images, because images of one group
err together. A resample is a weight on every image, so that all resamples go through one matrix product;
the tests compare the outcome with scikit-learn on the drawn images themselves.

Source:
    Field and Welsh, Bootstrapping clustered data, 2007 (the cluster bootstrap).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

BINS = 15
# Images times resamples that are computed at once: few enough for the processor's cache.
_CHUNK = 100_000
_NEWTON_STEPS = 40


def draw_weights(groups: Sequence[str], resamples: int, seed: int) -> Iterator[np.ndarray]:
    """Resample the groups with replacement, as many as there are, each with all its images.

    Args:
        groups: (n,) key of each image's group.

    Yields:
        float64 (chunk, n): multiplicity of each image in each resample, ``resamples`` rows in all.
    """
    keys, member = np.unique(np.asarray(list(groups), dtype=str), return_inverse=True)
    rng = np.random.default_rng(seed)
    chunk = max(1, _CHUNK // max(1, member.size))
    counts = rng.multinomial(keys.size, np.full(keys.size, 1 / keys.size), size=resamples)
    for start in range(0, resamples, chunk):
        yield counts[start : start + chunk, member].astype(np.float64)


def resampled(
    groups: Sequence[str],
    resamples: int,
    seed: int,
    statistic: Callable[[np.ndarray], np.ndarray],
) -> np.ndarray | None:
    """Return a statistic (..., chunk) of weights for all resamples, None for one group or no resamples."""
    if len(set(groups)) < 2 or resamples == 0:
        return None
    chunks = [statistic(weights) for weights in draw_weights(groups, resamples, seed)]
    return np.concatenate(chunks, axis=-1)


def replicates(
    truth: np.ndarray,
    scores: np.ndarray,
    weights: np.ndarray,
    threshold: float,
    slope: float | None,
) -> dict[str, np.ndarray]:
    """Compute every figure of FIGURES for many resamples of the same images at once.

    Args:
        truth, scores: bool and float64 (n,), labels and probabilities.
        weights: float64 (resamples, n), see ``draw_weights``.
        slope: calibration slope of the images themselves, where those of the resamples start; None
            where they have none.

    Returns:
        Name to float64 (resamples,), NaN where a resample does not define the figure.
    """
    called = scores >= threshold
    outcomes = np.stack(
        [truth & called, ~truth & called, truth & ~called, ~truth & ~called, (scores - truth) ** 2],
        axis=1,
    )
    gaps = np.zeros((truth.size, BINS))
    # All resamples share the bins of the images themselves.
    gaps[np.arange(truth.size), bin_of(scores)] = scores - truth
    hit, alarm, miss, rejected, squares = (weights @ outcomes).T
    positive, negative, total = hit + miss, alarm + rejected, weights.sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        chance = ((hit + alarm) * positive + (miss + rejected) * negative) / total**2
        agreed = (hit + rejected) / total
        figures = {
            "accuracy": agreed,
            "sensitivity": hit / positive,
            "specificity": rejected / negative,
            "precision": hit / (hit + alarm),
            "f1": 2 * hit / (2 * hit + alarm + miss),
            **_ranking(truth, scores, weights),
            "cohen_kappa": (agreed - chance) / (1 - chance),
            "brier": squares / total,
            "calibration_error": np.abs(weights @ gaps).sum(axis=1) / total,
        }
        one_class = (positive == 0) | (negative == 0)
        for name, line in _calibration_lines(truth, scores, weights, slope).items():
            figures[name] = np.where(one_class, np.nan, line)
    return figures


def _ranking(truth: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> dict[str, np.ndarray]:
    """Area under the ROC curve and average precision of each resample; equal scores count half."""
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    starts = np.flatnonzero(np.r_[True, ranked[1:] != ranked[:-1]])
    hits = np.add.reduceat(weights[:, order] * truth[order], starts, axis=1)
    alarms = np.add.reduceat(weights[:, order] * ~truth[order], starts, axis=1)
    found, raised = np.cumsum(hits, axis=1), np.cumsum(alarms, axis=1)
    positive, negative = found[:, -1], raised[:, -1]
    area = (alarms * (found - hits / 2)).sum(axis=1) / (positive * negative)
    called = found + raised
    precision = np.divide(found, called, out=np.zeros_like(found), where=called > 0)
    return {"roc_auc": area, "average_precision": (precision * hits).sum(axis=1) / positive}


def _calibration_lines(
    truth: np.ndarray, scores: np.ndarray, weights: np.ndarray, slope: float | None
) -> dict[str, np.ndarray]:
    """Calibration slope and intercept of each resample by Newton's method; NaN without convergence."""
    from scipy.special import expit

    logits = logits_of(scores)
    powers = np.stack([np.ones_like(logits), logits, logits**2], axis=1)
    count = weights.shape[0]
    slopes, constants = np.full(count, slope or np.nan), np.zeros(count)
    intercepts = np.zeros(count)
    step = intercept_step = np.full(count, np.inf)
    for _ in range(_NEWTON_STEPS):
        p = expit(slopes[:, None] * logits + constants[:, None])
        gradient = (weights * (truth - p)) @ powers[:, :2]
        hessian = (weights * p * (1 - p)) @ powers
        determinant = hessian[:, 0] * hessian[:, 2] - hessian[:, 1] ** 2
        step = (hessian[:, 0] * gradient[:, 1] - hessian[:, 1] * gradient[:, 0]) / determinant
        constants = (
            constants
            + (hessian[:, 2] * gradient[:, 0] - hessian[:, 1] * gradient[:, 1]) / determinant
        )
        slopes = slopes + step
        # The intercept has the slope fixed at 1.
        q = expit(logits + intercepts[:, None])
        intercept_step = (weights * (truth - q)).sum(axis=1) / (weights * q * (1 - q)).sum(axis=1)
        intercepts = intercepts + intercept_step
        if np.nanmax(np.abs(np.r_[step, intercept_step, 0.0])) < 1e-9:
            break
    # Steps also get small where the slope is infinite, because the likelihood gets flat there.
    converged = (np.abs(step) < 1e-6) & _classes_overlap(truth, scores, weights)
    return {
        "calibration_slope": np.where(converged, slopes, np.nan),
        "calibration_intercept": np.where(np.abs(intercept_step) < 1e-6, intercepts, np.nan),
    }


def _classes_overlap(truth: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Whether no threshold separates the classes, bool (resamples,)."""
    drawn = weights > 0
    extremes = []
    for of_class in (drawn & truth, drawn & ~truth):
        extremes.append(np.where(of_class, scores, np.inf).min(axis=1))
        extremes.append(np.where(of_class, scores, -np.inf).max(axis=1))
    low_positive, high_positive, low_negative, high_negative = extremes
    return np.asarray((low_positive < high_negative) & (high_positive > low_negative))


def bin_of(scores: np.ndarray) -> np.ndarray:
    """Bin of each probability, the bins of scikit-learn's calibration_curve by quantile."""
    edges = np.percentile(scores, np.linspace(0, 1, BINS + 1) * 100)
    return np.searchsorted(edges[1:-1], scores)


def logits_of(scores: np.ndarray) -> np.ndarray:
    """Logit of each probability, kept finite where it is rounded to 0 or 1."""
    from scipy.special import logit

    return np.asarray(logit(np.clip(scores, 1e-9, 1 - 1e-9)))
