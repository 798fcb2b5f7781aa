"""Turns prepared radiographs and their labels into the batches that Keras trains on."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import keras
import numpy as np

from utils.augmentation import FITTED, LESIONS
from utils.location import LOCATION
from utils.model_builder import LOGIT, REGION

Targets = dict[str, np.ndarray]


class Batches(keras.utils.PyDataset):
    """Shuffled batches of fitted bytes; the order depends on the seed and the epoch alone.

    Args:
        images: uint8 (n, size, size), may be memory-mapped.
        rows: which of them, in any order.
        labels: int (n,), 1 positive.
        regions: int (n,), index of the body part, -1 where it is unknown; None without that head.
        lesions: gives the mask of a row, uint8 (size, size), see ``location.lesion_mask``; None trains
            no map.
        batch_size: images a batch; the last one of an epoch is shorter.
        class_weights: loss weight of a negative and of a positive image.
        seed: of the order.
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
        class_weights: tuple[float, float] = (1.0, 1.0),
        seed: int = 0,
    ) -> None:
        super().__init__(workers=1, use_multiprocessing=False)
        self.images, self.rows, self.labels = images, np.asarray(rows), labels
        self.regions, self.lesions = regions, lesions
        self.batch_size, self.class_weights, self.seed = batch_size, class_weights, seed
        self.start_epoch(0)

    def start_epoch(self, epoch: int) -> None:
        """Shuffle for an epoch, counted from the start of the run."""
        self.order = np.random.default_rng((self.seed, epoch)).permutation(self.rows)

    def __len__(self) -> int:
        return -(-len(self.rows) // self.batch_size)

    def __getitem__(self, index: int) -> tuple[Targets, Targets, Targets]:
        """Return pictures and lesions uint8 (b, size, size, 1), targets and weights by head."""
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
            # Where a lesion is, or that there is none; of a positive that nobody marked nothing is known.
            known = (labels == 0) | lesions.any(axis=(1, 2, 3))
            targets[LOCATION] = np.zeros((len(chosen), 1), np.float32)
            weights[LOCATION] = known.astype(np.float32)
        return {FITTED: fitted, LESIONS: lesions}, targets, weights


def balanced_weights(labels: np.ndarray) -> tuple[float, float]:
    """Return the weights under which both classes count alike and the mean weight is 1."""
    positives = int(labels.sum())
    negatives = len(labels) - positives
    return len(labels) / (2 * negatives), len(labels) / (2 * positives)
