"""Out-of-distribution detector: a Mahalanobis distance and two linear classifiers on the embedding.

The distance from the training radiographs is in units of a usual one's; the classifiers separate them from
pictures that are no radiographs and from radiographs with their greys inverted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from utils.errors import SetupError

UNLIKE_TRAINING, UNSUPPORTED_REGION = "unlike_training", "unsupported_region"
NOT_A_RADIOGRAPH, INVERTED = "not_a_radiograph", "inverted"
CODES = (UNLIKE_TRAINING, UNSUPPORTED_REGION, NOT_A_RADIOGRAPH, INVERTED)
# Group of a bundle's .h5 file that holds the detector, and its arrays.
GROUP = "familiarity"
ARRAYS = ("mean", "whitening", "borders", "offsets")
# False alarms of each code, as shares of the validation radiographs.
FALSE_ALARMS = {
    UNLIKE_TRAINING: 0.02,
    UNSUPPORTED_REGION: 0.01,
    NOT_A_RADIOGRAPH: 0.001,
    INVERTED: 0.005,
}
# Each code explains those after it.
_BY_SEVERITY = (NOT_A_RADIOGRAPH, INVERTED, UNSUPPORTED_REGION, UNLIKE_TRAINING)


@dataclass(frozen=True, eq=False)
class OODDetector:
    """Distribution of the training radiographs' embeddings, and the limits of the scores.

    Args:
        mean: float32 (channels,), of the embeddings.
        whitening: float32 (channels, channels): embeddings less the mean, times this, have unit variance
            in every direction.
        borders: float32 (channels, 2), weights of the linear classifiers on whitened embeddings: no
            radiograph, inverted.
        offsets: float32 (2,), their intercepts.
        limits: of each code's score; a higher score gives the code.

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
            raise SetupError("model.ood_detector_invalid")

    def whitened(self, embeddings: np.ndarray) -> np.ndarray:
        """Return embeddings (n, channels) in units of the training radiographs' spread."""
        return (embeddings - self.mean) @ self.whitening

    def scores(self, embeddings: np.ndarray) -> dict[str, np.ndarray]:
        """Return the score of each code, float32 (n,)."""
        white = self.whitened(embeddings)
        distance = np.sqrt(np.square(white).mean(axis=1))
        no_radiograph, inverted = (white @ self.borders + self.offsets).T
        return {
            UNLIKE_TRAINING: distance,
            UNSUPPORTED_REGION: distance,
            NOT_A_RADIOGRAPH: no_radiograph,
            INVERTED: inverted,
        }

    def codes(self, embedding: np.ndarray) -> tuple[str, ...]:
        """Return the most severe code of one picture (channels,), none for a usual radiograph."""
        scores = {code: float(values[0]) for code, values in self.scores(embedding[None]).items()}
        found = {code for code in CODES if scores[code] > self.limits[code]}
        if UNLIKE_TRAINING not in found and scores[NOT_A_RADIOGRAPH] <= 0.0:
            # On the radiographs' side of the border, a limit below it counts for distant pictures alone.
            found.discard(NOT_A_RADIOGRAPH)
        # What is no radiograph shows no body part, and what is inverted is distant for that alone.
        return tuple(code for code in _BY_SEVERITY if code in found)[:1]


def fit_ood_detector(
    training: np.ndarray, validation: np.ndarray, ood_samples: np.ndarray, inverted: np.ndarray
) -> OODDetector:
    """Fit the detector and choose its limits.

    Args:
        training: embeddings (n, channels) of training radiographs, original and augmented.
        validation: of validation radiographs, which choose the limits.
        ood_samples: of pictures that are no radiographs.
        inverted: of training radiographs with their greys inverted.
    """
    from sklearn.covariance import LedoitWolf
    from sklearn.linear_model import LogisticRegression

    mean, spread = training.mean(axis=0), training.std(axis=0)
    # Bounds the weight of a channel that hardly varies.
    spread = spread + 1e-3 * spread.mean() + 1e-9
    gaussian = LedoitWolf(assume_centered=True).fit((training - mean) / spread)
    values, vectors = np.linalg.eigh(gaussian.covariance_)
    whitening = (vectors / np.sqrt(values)) / spread[:, None]

    def border(radiographs: np.ndarray, others: np.ndarray) -> tuple[np.ndarray, float]:
        embeddings = np.concatenate([radiographs, others]).astype(np.float64)
        classes = np.repeat([0, 1], [len(radiographs), len(others)])
        model = LogisticRegression(C=1e-3, class_weight="balanced", max_iter=2000)
        model.fit((embeddings - mean) @ whitening, classes)
        return model.coef_[0], float(model.intercept_[0])

    borders = [
        # An inverted radiograph is a radiograph.
        border(np.concatenate([training, inverted]), ood_samples),
        border(training, inverted),
    ]
    detector = OODDetector(
        mean.astype(np.float32),
        whitening.astype(np.float32),
        np.stack([weights for weights, _ in borders], axis=1).astype(np.float32),
        np.array([intercept for _, intercept in borders], np.float32),
        dict.fromkeys(CODES, 0.0),
    )
    scores = detector.scores(validation)
    limits = {
        code: float(np.quantile(scores[code], 1.0 - share)) for code, share in FALSE_ALARMS.items()
    }
    # However far from the border the radiographs lie, a picture on their side of it is not inverted.
    limits[INVERTED] = max(limits[INVERTED], 0.0)
    return replace(detector, limits=limits)


def save_ood_detector(weights: Path, ood_detector: OODDetector) -> None:
    """Add a detector's arrays to an ``.h5`` file."""
    import h5py

    with h5py.File(weights, "a") as file:
        group = file.create_group(GROUP)
        for name in ARRAYS:
            group.create_dataset(name, data=getattr(ood_detector, name))


def load_ood_detector(weights: Path, limits: Mapping[str, float]) -> OODDetector:
    """Read the detector that ``save_ood_detector`` wrote.

    Raises:
        OSError, KeyError, SetupError: it is missing, or its arrays do not fit together.
    """
    import h5py

    with h5py.File(weights, "r") as file:
        arrays = {name: np.asarray(file[GROUP][name], np.float32) for name in ARRAYS}
    return OODDetector(**arrays, limits=dict(limits))
