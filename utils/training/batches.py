"""Batches of prepared images: to train on, and to run a network over."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import keras
import numpy as np

from utils.model_builder import LOGIT, REGION
from utils.preprocess import PreprocessSpec, scale
from utils.training.augmentation import FITTED, LESIONS
from utils.training.losses import LOCATION

Targets = dict[str, np.ndarray]
PREDICT_BATCH = 32


class Batches(keras.utils.PyDataset):
    """Shuffled batches of fitted bytes; the order depends on the seed and the epoch alone.

    Args:
        images: uint8 (n, size, size), may be memory-mapped.
        rows: which of them, in any order.
        labels: int (n,), 1 positive.
        regions: int (n,), index of the body part, -1 where it is unknown; None without that head.
        lesions: mask of a row, uint8 (size, size), see ``geometry.lesion_mask``; None without location
            loss.
        batch_size: images a batch; the last one of an epoch is shorter.
        balanced: weight the losses by inverse class frequency.
        negatives: negative images for each positive one, sampled for every epoch; 0 for all.
        seed: of the order and of the sampling.
    """

    def __init__(
        self,
        images: np.ndarray,
        rows: Sequence[int] | np.ndarray,
        labels: np.ndarray,
        *,
        regions: np.ndarray | None,
        lesions: Callable[[int], np.ndarray] | None = None,
        batch_size: int,
        balanced: bool = False,
        negatives: float = 0.0,
        seed: int = 0,
    ) -> None:
        super().__init__(workers=1, use_multiprocessing=False)
        self.images, self.labels = images, labels
        self.regions, self.lesions = regions, lesions
        self.batch_size, self.seed = batch_size, seed
        rows = np.asarray(rows)
        self.positive, self.negative = rows[labels[rows] == 1], rows[labels[rows] == 0]
        limit = max(1, round(negatives * len(self.positive))) if negatives else math.inf
        self.negatives_shown = int(min(limit, len(self.negative)))
        self.class_weights = (1.0, 1.0)
        if balanced:
            self.class_weights = balanced_weights(self.negatives_shown, len(self.positive))
        self.start_epoch(0)

    def start_epoch(self, epoch: int) -> None:
        """Sample and shuffle for an epoch, counted from the start of the run."""
        random = np.random.default_rng((self.seed, epoch))
        chosen = random.choice(self.negative, self.negatives_shown, replace=False)
        self.order = random.permutation(np.concatenate([chosen, self.positive]))

    def __len__(self) -> int:
        return -(-len(self.order) // self.batch_size)

    def __getitem__(self, index: int) -> tuple[Targets, Targets, Targets]:
        """Return images and lesions uint8 (b, size, size, 1), targets and weights by head."""
        # Sorted within the batch: a memory-mapped file is then read forwards.
        chosen = np.sort(self.order[index * self.batch_size : (index + 1) * self.batch_size])
        fitted = np.asarray(self.images[chosen])[..., None]
        lesions = np.zeros_like(fitted)
        labels = self.labels[chosen]
        targets = {LOGIT: labels.astype(np.float32)[:, None]}
        weights = {LOGIT: np.asarray(self.class_weights, np.float32)[labels]}
        if self.regions is not None:
            known = self.regions[chosen]
            targets[REGION] = np.maximum(known, 0).astype(np.int32)[:, None]
            weights[REGION] = (known >= 0).astype(np.float32)
        if self.lesions is not None:
            lesions[..., 0] = [self.lesions(row) for row in chosen]
            # The location is known of marked and of negative images, not of unmarked positive ones.
            known = (labels == 0) | lesions.any(axis=(1, 2, 3))
            targets[LOCATION] = np.zeros((len(chosen), 1), np.float32)
            weights[LOCATION] = known.astype(np.float32)
        return {FITTED: fitted, LESIONS: lesions}, targets, weights


def balanced_weights(negatives: int, positives: int) -> tuple[float, float]:
    """Return the weights under which both classes count alike and the mean weight is 1."""
    both = negatives + positives
    return both / (2 * negatives), both / (2 * positives)


def run_network(
    network: keras.Model, spec: PreprocessSpec, images: np.ndarray, rows: np.ndarray
) -> dict[str, np.ndarray]:
    """Run a network over the prepared images of the given rows, on the backend that trains.

    Returns:
        The network's outputs by name, float32 (len(rows), ...).
    """
    batches = [
        network.predict_on_batch(scale(images[rows[start : start + PREDICT_BATCH]], spec.scaling))
        for start in range(0, len(rows), PREDICT_BATCH)
    ]
    return {
        name: np.concatenate([np.asarray(batch[name], np.float32) for batch in batches])
        for name in batches[0]
    }
