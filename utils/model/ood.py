"""Tells from the middle of the network how far a picture is from those it learned from, and in what way.

Two things are known of a picture's embedding: its Mahalanobis distance from the training radiographs (in
units of a usual one's), and which side of two linear borders it lies on, of pictures that are no
radiographs and of radiographs with their greys inverted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from utils.errors import SetupError

UNLIKE_TRAINING, UNSUPPORTED_REGION, NOT_A_RADIOGRAPH, INVERTED = (
    "unlike_training",
    "unsupported_region",
    "not_a_radiograph",
    "inverted",
)
CODES = (UNLIKE_TRAINING, UNSUPPORTED_REGION, NOT_A_RADIOGRAPH, INVERTED)
# The group of a bundle's .h5 file that holds a familiarity, and what is in it.
GROUP = "familiarity"
ARRAYS = ("mean", "whitening", "borders", "offsets")
# Shares of the validation radiographs over which each doubt is raised without cause.
FALSE_ALARMS = {
    UNLIKE_TRAINING: 0.02,
    UNSUPPORTED_REGION: 0.01,
    NOT_A_RADIOGRAPH: 0.001,
    INVERTED: 0.005,
}


@dataclass(frozen=True, eq=False)
class OODDetector:
    """What the radiographs a network learned from look like from its middle.

    Args:
        mean: float32 (channels,), of their embeddings.
        whitening: float32 (channels, channels): times this, embeddings less the mean have variance one in
            every direction.
        borders: float32 (channels, 2), of whitened embeddings: no radiograph, inverted.
        offsets: float32 (2,), likewise.
        limits: of each code, from which on it is said.

    Source:
        Lee et al., A simple unified framework for detecting out-of-distribution samples,
        arXiv:1807.03888, section 2.1 (one Gaussian, the covariance shrunk by Ledoit and Wolf).
    """

    mean: np.ndarray
    whitening: np.ndarray
    borders: np.ndarray
    offsets: np.ndarray
    limits: dict[str, float]

    def __post_init__(self) -> None:
        channels = self.mean.size
        shapes = (self.whitening.shape, self.borders.shape, self.offsets.shape)
        if shapes != ((channels, channels), (channels, 2), (2,)) or set(self.limits) != set(CODES):
            raise SetupError("what the bundle says about familiar pictures does not fit together")

    def whitened(self, embeddings: np.ndarray) -> np.ndarray:
        """Return embeddings (n, channels) in units of the training radiographs' own spread."""
        return (embeddings - self.mean) @ self.whitening

    def scores(self, embeddings: np.ndarray) -> dict[str, np.ndarray]:
        """Return the score of each code, float32 (n,); the higher, the more reason to say it."""
        white = self.whitened(embeddings)
        distance = np.sqrt(np.square(white).mean(axis=1))
        strange, inverted = (white @ self.borders + self.offsets).T
        return {
            UNLIKE_TRAINING: distance,
            UNSUPPORTED_REGION: distance,
            NOT_A_RADIOGRAPH: strange,
            INVERTED: inverted,
        }

    def doubts(self, embedding: np.ndarray) -> tuple[str, ...]:
        """Return the codes to say about one picture, the gravest where one explains another."""
        scores = self.scores(embedding[None])
        said = {code for code in CODES if float(scores[code][0]) > self.limits[code]}
        if UNLIKE_TRAINING not in said and float(scores[NOT_A_RADIOGRAPH][0]) <= 0.0:
            # Short of the border itself both are asked: that it is far away, and towards which side.
            said.discard(NOT_A_RADIOGRAPH)
        # From the gravest on: what is no radiograph is of no body part, and what is inverted is far away
        # for that alone.
        if NOT_A_RADIOGRAPH in said:
            said -= {INVERTED, UNSUPPORTED_REGION, UNLIKE_TRAINING}
        if INVERTED in said:
            said -= {UNSUPPORTED_REGION, UNLIKE_TRAINING}
        if UNSUPPORTED_REGION in said:
            said -= {UNLIKE_TRAINING}
        return tuple(code for code in CODES if code in said)


def fit_ood_detector(
    familiar: np.ndarray, checked: np.ndarray, strange: np.ndarray, inverted: np.ndarray
) -> OODDetector:
    """Fit what is familiar, and choose the limits.

    Args:
        familiar: embeddings (n, channels) of training radiographs, as they are and varied.
        checked: of validation radiographs as they are, which choose the limits.
        strange: of pictures that are no radiographs.
        inverted: of training radiographs with their greys inverted.
    """
    from sklearn.covariance import LedoitWolf
    from sklearn.linear_model import LogisticRegression

    mean, spread = familiar.mean(axis=0), familiar.std(axis=0)
    # A channel that never changes would otherwise be infinitely telling.
    spread = spread + 1e-3 * spread.mean() + 1e-9
    gaussian = LedoitWolf(assume_centered=True).fit((familiar - mean) / spread)
    values, vectors = np.linalg.eigh(gaussian.covariance_)
    whitening = (vectors / np.sqrt(values)) / spread[:, None]

    def border(radiographs: np.ndarray, others: np.ndarray) -> tuple[np.ndarray, float]:
        shown = np.concatenate([radiographs, others]).astype(np.float64)
        sides = np.repeat([0, 1], [len(radiographs), len(others)])
        model = LogisticRegression(C=1e-3, class_weight="balanced", max_iter=2000)
        model.fit((shown - mean) @ whitening, sides)
        return model.coef_[0], float(model.intercept_[0])

    # An inverted radiograph is a radiograph: it is not to be taken for a stranger.
    borders = [
        border(np.concatenate([familiar, inverted]), strange),
        border(familiar, inverted),
    ]
    kernels = np.stack([kernel for kernel, _ in borders], axis=1)
    offsets = np.array([offset for _, offset in borders])
    mean, whitening, kernels, offsets = (
        array.astype(np.float32) for array in (mean, whitening, kernels, offsets)
    )
    made = OODDetector(mean, whitening, kernels, offsets, dict.fromkeys(CODES, 0.0))
    found = made.scores(checked)
    limits = {
        code: float(np.quantile(found[code], 1.0 - share)) for code, share in FALSE_ALARMS.items()
    }
    # An inverted radiograph is a matter of the border itself, however clear the others are of it.
    limits[INVERTED] = max(limits[INVERTED], 0.0)
    return replace(made, limits=limits)


def save_ood_detector(weights: Path, ood_detector: OODDetector) -> None:
    """Put a familiarity's arrays into an ``.h5`` file."""
    import h5py

    with h5py.File(weights, "a") as file:
        group = file.create_group(GROUP)
        for name in ARRAYS:
            group.create_dataset(name, data=getattr(ood_detector, name))


def load_ood_detector(weights: Path, limits: Mapping[str, float]) -> OODDetector:
    """Read what ``save_ood_detector`` wrote.

    Raises:
        OSError, KeyError, SetupError: it is not there, or does not fit together.
    """
    import h5py

    with h5py.File(weights, "r") as file:
        arrays = {name: np.asarray(file[GROUP][name], np.float32) for name in ARRAYS}
    return OODDetector(**arrays, limits=dict(limits))
