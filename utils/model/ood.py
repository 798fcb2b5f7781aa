"""Out-of-distribution detector: a Mahalanobis distance and linear classifiers on the embedding.

The distance from the training radiographs is in units of a usual one's; the classifiers separate them from
pictures that are no radiographs, and from radiographs that are inverted, turned, stretched, photographed, or
several in one picture.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from utils.errors import SetupError

UNLIKE_TRAINING, UNSUPPORTED_REGION = "unlike_training", "unsupported_region"
NOT_A_RADIOGRAPH, INVERTED = "not_a_radiograph", "inverted"
SEVERAL_RADIOGRAPHS, TURNED = "several_radiographs", "turned"
STRETCHED, PHOTOGRAPHED = "stretched", "photographed"
# Group of a bundle's .h5 file that holds the detector, and its arrays.
GROUP = "familiarity"
ARRAYS = ("mean", "whitening", "borders", "offsets")
# False alarms of each code, as shares of the validation radiographs.
FALSE_ALARMS = {
    UNLIKE_TRAINING: 0.01,
    UNSUPPORTED_REGION: 0.003,
    NOT_A_RADIOGRAPH: 0.001,
    INVERTED: 0.005,
    SEVERAL_RADIOGRAPHS: 0.003,
    STRETCHED: 0.005,
    TURNED: 0.01,
    PHOTOGRAPHED: 0.005,
}
CODES = tuple(FALSE_ALARMS)
# Each code explains those after it.
_BY_SEVERITY = (
    NOT_A_RADIOGRAPH,
    SEVERAL_RADIOGRAPHS,
    STRETCHED,
    PHOTOGRAPHED,
    INVERTED,
    UNSUPPORTED_REGION,
    TURNED,
    UNLIKE_TRAINING,
)


@dataclass(frozen=True, eq=False)
class OODDetector:
    """Distribution of the training radiographs' embeddings, and the limits of the scores.

    Args:
        mean: float32 (channels,), of the embeddings.
        whitening: float32 (channels, channels): embeddings less the mean, times this, have unit variance
            in every direction.
        borders: float32 (channels, classifiers), weights of the linear classifiers on whitened embeddings.
        offsets: float32 (classifiers,), their intercepts.
        classifiers: code of each: no radiograph, inverted, then one each way in which a radiograph should
            not arrive.
        limits: of each code's score; a higher score gives the code.

    Source:
        Lee et al., A simple unified framework for detecting out-of-distribution samples,
        arXiv:1807.03888, section 2.1 (one Gaussian, the covariance shrunk by Ledoit and Wolf).
    """

    mean: np.ndarray
    whitening: np.ndarray
    borders: np.ndarray
    offsets: np.ndarray
    classifiers: tuple[str, ...]
    limits: dict[str, float]

    def __post_init__(self) -> None:
        channels, count = self.mean.size, len(self.classifiers)
        shapes = (self.whitening.shape, self.borders.shape, self.offsets.shape)
        expected = ((channels, channels), (channels, count), (count,))
        scored = {UNLIKE_TRAINING, UNSUPPORTED_REGION, *self.classifiers}
        if shapes != expected or scored != set(CODES) or set(self.limits) != set(CODES):
            raise SetupError("model.ood_detector_invalid")

    def whitened(self, embeddings: np.ndarray) -> np.ndarray:
        """Return embeddings (n, channels) in units of the training radiographs' spread."""
        return (embeddings - self.mean) @ self.whitening

    def scores(self, embeddings: np.ndarray) -> dict[str, np.ndarray]:
        """Return the score of each code, float32 (n,)."""
        white = self.whitened(embeddings)
        distance = np.sqrt(np.square(white).mean(axis=1))
        no_radiograph, inverted, *presented = (white @ self.borders + self.offsets).T
        scores = {
            UNLIKE_TRAINING: distance,
            UNSUPPORTED_REGION: distance,
            NOT_A_RADIOGRAPH: no_radiograph,
            INVERTED: inverted,
        }
        codes = np.array(self.classifiers[2:])
        # Log-odds against a usual radiograph, whose own are 0.
        odds = np.stack([*presented, np.zeros_like(distance)])
        for code in dict.fromkeys(self.classifiers[2:]):
            own = np.append(codes == code, False)
            # Ahead of all others, so that one code at most explains a picture.
            scores[code] = odds[own].max(axis=0) - odds[~own].max(axis=0)
        return scores

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
    training: np.ndarray,
    validation: np.ndarray,
    ood_samples: np.ndarray,
    inverted: np.ndarray,
    upright: np.ndarray,
    presented: Sequence[tuple[str, np.ndarray]],
) -> OODDetector:
    """Fit the detector and choose its limits.

    Args:
        training: embeddings (n, channels) of training radiographs, original and augmented.
        validation: of validation radiographs, which choose the limits.
        ood_samples: of pictures that are no radiographs.
        inverted: of training radiographs with their greys inverted.
        upright: of training radiographs as they are, and mirrored.
        presented: a code, and embeddings of training radiographs presented in the way that it names; several
            entries may have one code.
    """
    from sklearn.covariance import LedoitWolf
    from sklearn.linear_model import LogisticRegression

    mean, spread = training.mean(axis=0), training.std(axis=0)
    # Bounds the weight of a channel that hardly varies.
    spread = spread + 1e-3 * spread.mean() + 1e-9
    gaussian = LedoitWolf(assume_centered=True).fit((training - mean) / spread)
    values, vectors = np.linalg.eigh(gaussian.covariance_)
    whitening = (vectors / np.sqrt(values)) / spread[:, None]

    def separate(strength: float, *classes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return weights (channels, classes - 1) and intercepts of log-odds against the first class."""
        embeddings = np.concatenate(classes).astype(np.float64)
        labels = np.repeat(np.arange(len(classes)), [len(members) for members in classes])
        model = LogisticRegression(C=strength, class_weight="balanced", max_iter=2000)
        model.fit((embeddings - mean) @ whitening, labels)
        if len(classes) == 2:
            return model.coef_.T, model.intercept_
        return (model.coef_[1:] - model.coef_[0]).T, model.intercept_[1:] - model.intercept_[0]

    borders = [
        # An inverted radiograph is a radiograph.
        separate(1e-3, np.concatenate([training, inverted]), ood_samples),
        separate(1e-3, training, inverted),
        separate(1e-2, upright, *(embeddings for _, embeddings in presented)),
    ]
    detector = OODDetector(
        mean.astype(np.float32),
        whitening.astype(np.float32),
        np.concatenate([weights for weights, _ in borders], axis=1).astype(np.float32),
        np.concatenate([intercepts for _, intercepts in borders]).astype(np.float32),
        (NOT_A_RADIOGRAPH, INVERTED, *(code for code, _ in presented)),
        dict.fromkeys(CODES, 0.0),
    )
    scores = detector.scores(validation)
    limits = {
        code: float(np.quantile(scores[code], 1.0 - share)) for code, share in FALSE_ALARMS.items()
    }
    # However far from the border the radiographs lie, a picture on their side of it is usual.
    for code in {INVERTED, *(code for code, _ in presented)}:
        limits[code] = max(limits[code], 0.0)
    return replace(detector, limits=limits)


def save_ood_detector(weights: Path, ood_detector: OODDetector) -> None:
    """Add a detector's arrays to an ``.h5`` file."""
    import h5py

    with h5py.File(weights, "a") as file:
        group = file.create_group(GROUP)
        for name in ARRAYS:
            group.create_dataset(name, data=getattr(ood_detector, name))


def load_ood_detector(
    weights: Path, classifiers: Sequence[str], limits: Mapping[str, float]
) -> OODDetector:
    """Read the detector that ``save_ood_detector`` wrote.

    Args:
        weights: the ``.h5`` file.
        classifiers, limits: of the sidecar.

    Raises:
        OSError, KeyError, SetupError: it is missing, or its arrays do not fit together.
    """
    import h5py

    with h5py.File(weights, "r") as file:
        arrays = {name: np.asarray(file[GROUP][name], np.float32) for name in ARRAYS}
    return OODDetector(**arrays, classifiers=tuple(classifiers), limits=dict(limits))
