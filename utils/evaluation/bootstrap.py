"""From one set of images to the figures of many draws of its groups at once, for their intervals.

Patients, or clusters of near-duplicates, are drawn and not images, because images of one group err
together. A draw is a weight on every image, so that all draws go through one matrix product; the tests
hold the outcome to scikit-learn on the drawn images themselves.

Source:
    Field and Welsh, Bootstrapping clustered data, 2007 (the cluster bootstrap).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

BINS = 15
# Images times resamples that are computed at once: few enough for the processor's cache.
_CHUNK = 100_000
_NEWTON_STEPS = 40


def draws(groups: Sequence[str], resamples: int, seed: int) -> Iterator[np.ndarray]:
    """Draw as many groups as there are, with replacement, and take all images of each.

    Args:
        groups: (n,) key of each image's group.
        resamples: number of draws.
        seed: of the draws.

    Yields:
        float64 (some draws, n): how often each draw holds each image, ``resamples`` rows in all.
    """
    keys, member = np.unique(np.asarray(list(groups), dtype=str), return_inverse=True)
    rng = np.random.default_rng(seed)
    chunk = max(1, _CHUNK // max(1, member.size))
    counts = rng.multinomial(keys.size, np.full(keys.size, 1 / keys.size), size=resamples)
    for start in range(0, resamples, chunk):
        yield counts[start : start + chunk, member].astype(np.float64)


def replicates(
    truth: np.ndarray,
    scores: np.ndarray,
    weights: np.ndarray,
    threshold: float,
    slope: float | None,
) -> dict[str, np.ndarray]:
    """Compute every figure for many weightings of the same images at once.

    Args:
        truth: bool (n,).
        scores: float64 (n,) probabilities.
        weights: float64 (draws, n) how often each draw holds each image.
        threshold: of the decision.
        slope: calibration slope of the images themselves, where the search for those of the draws
            starts; None where they have none.

    Returns:
        Name to float64 (draws,), NaN where a draw does not define the figure.
    """
    called = scores >= threshold
    outcomes = np.stack(
        [truth & called, ~truth & called, truth & ~called, ~truth & ~called, (scores - truth) ** 2],
        axis=1,
    )
    gaps = np.zeros((truth.size, BINS))
    # Bins stay those of the images themselves, so that all draws measure the same thing.
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
    """Area under the ROC curve and average precision of each weighting; equal scores count half."""
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
    """Calibration slope and intercept of each weighting by Newton's method, NaN where it finds none."""
    from scipy.special import expit

    logits = logits_of(scores)
    powers = np.stack([np.ones_like(logits), logits, logits**2], axis=1)
    count = weights.shape[0]
    factor, shift, offset = np.full(count, slope or np.nan), np.zeros(count), np.zeros(count)
    move = free_move = np.full(count, np.inf)
    for _ in range(_NEWTON_STEPS):
        p = expit(factor[:, None] * logits + shift[:, None])
        slant = (weights * (truth - p)) @ powers[:, :2]
        bend = (weights * p * (1 - p)) @ powers
        spread = bend[:, 0] * bend[:, 2] - bend[:, 1] ** 2
        move = (bend[:, 0] * slant[:, 1] - bend[:, 1] * slant[:, 0]) / spread
        shift = shift + (bend[:, 2] * slant[:, 0] - bend[:, 1] * slant[:, 1]) / spread
        factor = factor + move
        q = expit(logits + offset[:, None])
        free_move = (weights * (truth - q)).sum(axis=1) / (weights * q * (1 - q)).sum(axis=1)
        offset = offset + free_move
        if np.nanmax(np.abs(np.r_[move, free_move, 0.0])) < 1e-9:
            break
    # Newton's method may seem to settle where the slope is infinite: the likelihood gets flat there.
    settled = (np.abs(move) < 1e-6) & _overlap(truth, scores, weights)
    return {
        "calibration_slope": np.where(settled, factor, np.nan),
        "calibration_intercept": np.where(np.abs(free_move) < 1e-6, offset, np.nan),
    }


def _overlap(truth: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Whether the classes overlap in each weighting, so that no threshold separates them."""
    drawn = weights > 0
    positive, negative = drawn & truth, drawn & ~truth

    def least(chosen: np.ndarray) -> np.ndarray:
        return np.asarray(np.where(chosen, scores, np.inf).min(axis=1))

    def most(chosen: np.ndarray) -> np.ndarray:
        return np.asarray(np.where(chosen, scores, -np.inf).max(axis=1))

    return (least(positive) < most(negative)) & (most(positive) > least(negative))


def bin_of(scores: np.ndarray) -> np.ndarray:
    """Bin of each probability, the bins of scikit-learn's calibration_curve by quantile."""
    edges = np.percentile(scores, np.linspace(0, 1, BINS + 1) * 100)
    return np.searchsorted(edges[1:-1], scores)


def logits_of(scores: np.ndarray) -> np.ndarray:
    """Logit of each probability, kept finite where it is rounded to 0 or 1."""
    from scipy.special import logit

    return np.asarray(logit(np.clip(scores, 1e-9, 1 - 1e-9)))
