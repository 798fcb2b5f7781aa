"""Batches of prepared images: varied to train on, and to run a network over."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import keras
import numpy as np
from joblib import cpu_count

from utils.imaging.geometry import Rectangle, lesion_mask
from utils.model_builder import BOX, HEATMAP, LOGIT, REGION
from utils.preprocess import PreprocessSpec, scale
from utils.training.augmentation.variation import Variation, Varied, vary
from utils.training.losses import LOCATION

FITTED, LESIONS = "fitted", "lesions"
Targets = dict[str, np.ndarray]
PREDICT_BATCH = 32


class Batches(keras.utils.PyDataset):
    """Shuffled batches of fitted bytes; order and variation depend on the seed and the epoch alone.

    Args:
        images: uint8 (n, size, size), may be memory-mapped.
        rows: which of them, in any order.
        labels: int (n,), 1 positive.
        regions: int (n,), index of the body part, -1 where it is unknown; None without that head.
        boxes: marked boxes of a row in pixels of its image, float32 (m, 4), see ``PreparedImages.boxes``.
        places: where the radiograph of a row lies in its image, see ``PreparedImages.place``.
        location: make masks of the boxes, for the location loss.
        detection: heatmap and box targets of an image's boxes, see ``targets.encode_boxes``; None without
            detection head.
        variation: of the images; None shows them as they are served.
        batch_size: images a batch; the last one of an epoch is shorter.
        balanced: weight the losses by inverse class frequency.
        negatives: negative images for each positive one, sampled for every epoch; 0 for all.
        seed: of the order, of the sampling and of the variation.
    """

    def __init__(
        self,
        images: np.ndarray,
        rows: Sequence[int] | np.ndarray,
        labels: np.ndarray,
        *,
        regions: np.ndarray | None,
        boxes: Callable[[int], np.ndarray],
        places: Callable[[int], Rectangle],
        location: bool = False,
        detection: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]] | None = None,
        variation: Variation | None = None,
        batch_size: int,
        balanced: bool = False,
        negatives: float = 0.0,
        seed: int = 0,
    ) -> None:
        super().__init__(workers=1, use_multiprocessing=False)
        self.images, self.labels, self.regions = images, labels, regions
        self.boxes, self.places = boxes, places
        self.location, self.detection = location, detection
        self.batch_size, self.seed = batch_size, seed
        rows = np.asarray(rows)
        self.positive, self.negative = rows[labels[rows] == 1], rows[labels[rows] == 0]
        limit = max(1, round(negatives * len(self.positive))) if negatives else math.inf
        self.negatives_shown = int(min(limit, len(self.negative)))
        self.class_weights = (1.0, 1.0)
        if balanced:
            self.class_weights = balanced_weights(self.negatives_shown, len(self.positive))
        self.variation = variation
        marked = sum(len(boxes(row)) > 0 for row in self.positive)
        self.marked_share = marked / max(len(self.positive), 1)
        self._threads = ThreadPoolExecutor(cpu_count())
        self.start_epoch(0)

    def start_epoch(self, epoch: int) -> None:
        """Sample and shuffle for an epoch, counted from the start of the run."""
        random = np.random.default_rng((self.seed, epoch))
        chosen = random.choice(self.negative, self.negatives_shown, replace=False)
        self.epoch = epoch
        self.order = random.permutation(np.concatenate([chosen, self.positive]))

    def __len__(self) -> int:
        return -(-len(self.order) // self.batch_size)

    def __getitem__(self, index: int) -> tuple[Targets, Targets, Targets]:
        """Return images and lesions uint8 (b, size, size, 1), targets and weights by head."""
        # Sorted within the batch: a memory-mapped file is then read forwards.
        start = index * self.batch_size
        chosen = np.sort(self.order[start : start + self.batch_size])
        examples = list(self._threads.map(self._example, chosen, range(start, start + len(chosen))))
        inputs = {FITTED: np.stack([example.image for example in examples])[..., None]}
        labels = self.labels[chosen]
        shown = np.array([len(example.boxes) > 0 for example in examples])
        lost = np.array([example.lost for example in examples])
        targets = {LOGIT: labels.astype(np.float32)[:, None]}
        # A picture without its fracture is no example of one.
        weights = {LOGIT: np.asarray(self.class_weights, np.float32)[labels] * (shown | ~lost)}
        if self.regions is not None:
            known = self.regions[chosen]
            targets[REGION] = np.maximum(known, 0).astype(np.int32)[:, None]
            weights[REGION] = (known >= 0).astype(np.float32)
        # Where fractures are is known of marked and of negative images, not of unmarked positive ones.
        located = (((labels == 0) | shown) & ~lost).astype(np.float32)
        if self.location:
            size = self.images.shape[1]
            masks = [lesion_mask(example.boxes, size) for example in examples]
            inputs[LESIONS] = np.stack(masks)[..., None]
            targets[LOCATION] = np.zeros((len(chosen), 1), np.float32)
            weights[LOCATION] = located
        if self.detection:
            heatmaps, boxes = zip(*(self.detection(one.boxes) for one in examples), strict=True)
            targets |= {HEATMAP: np.stack(heatmaps), BOX: np.stack(boxes)}
            weights |= {HEATMAP: located, BOX: located}
        return inputs, targets, weights

    def _example(self, row: int, position: int) -> Varied:
        """Return the image of a row at a position in the order, varied."""
        image, boxes = np.asarray(self.images[row]), self.boxes(row)
        if self.variation is None:
            return Varied(image, boxes, lost=False)
        variation, pose = self.variation, self.variation.pose
        if not len(boxes):
            # Unmarked fractures are not cropped, lest they be cut off; and normal images as often as
            # fractured ones, so that the scale reveals no label.
            share = 0.0 if self.labels[row] == 1 else self.marked_share
            variation = replace(variation, pose=replace(pose, crop=pose.crop * share))
        # The order has the generator of position 0.
        random = np.random.default_rng((self.seed, self.epoch, 1 + position))
        return vary(image, self.places(row), boxes, random, variation)


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
