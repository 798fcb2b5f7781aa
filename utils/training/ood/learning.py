"""Fit of the OOD detector to the train part, to variations of it, and to what is no such radiograph."""

from __future__ import annotations

import keras
import numpy as np

from utils.datasets.training_set import TrainingSet
from utils.gradcam import EMBEDDING
from utils.model.ood import OODDetector, fit_ood_detector
from utils.preprocess import fit, invert
from utils.training.augmentation.variation import vary
from utils.training.batches import run_network
from utils.training.config import TrainingConfig
from utils.training.ood.presentations import MOST_RADIOGRAPHS, PRESENTATIONS, Draw
from utils.training.ood.samples import IN_DISTRIBUTION, draw_ood_sample

# At most so many radiographs of the train part fit the OOD detector, and so many OOD samples; and so many
# pictures of each way in which a radiograph should not arrive.
MAX_RADIOGRAPHS, MAX_OOD_SAMPLES, MAX_PRESENTED = 4000, 1000, 1200


def images_learned(radiographs: int) -> int:
    """Return an upper bound of the images that the network embeds for a train part of so many."""
    radiographs = min(radiographs, MAX_RADIOGRAPHS)
    presented = (len(PRESENTATIONS) + 2) * min(radiographs, MAX_PRESENTED)
    return 3 * radiographs + MAX_OOD_SAMPLES + presented


def learn_ood_detector(
    explained: keras.Model, config: TrainingConfig, data: TrainingSet, validation: np.ndarray
) -> OODDetector:
    """Fit the OOD detector to the train part, varied copies of it, and synthetic OOD samples.

    Args:
        explained: the network with its embedding.
        config: its seed is that of the samples.
        data: the training set.
        validation: embeddings of its validation part.
    """
    random = np.random.default_rng(config.seed)
    prepared = data.prepared
    rows = data.rows["train"]
    if len(rows) > MAX_RADIOGRAPHS:
        rows = np.sort(random.choice(rows, MAX_RADIOGRAPHS, replace=False))

    def embed(images: list[np.ndarray]) -> np.ndarray:
        every = np.arange(len(images))
        return run_network(explained, config.spec, np.stack(images), every)[EMBEDDING]

    def content(row: int) -> np.ndarray:
        return np.asarray(prepared.images[row][prepared.place(row).inside])

    def varied(row: int) -> np.ndarray:
        unmarked = np.zeros((0, 4), np.float32)
        place = prepared.place(row)
        return vary(prepared.images[row], place, unmarked, random, IN_DISTRIBUTION).image

    def present(draw: Draw) -> np.ndarray:
        return embed(
            [
                fit(draw([content(row) for row in members], random) / np.float32(255), size)
                for members in zip(chosen, *others, strict=True)
            ]
        )

    size = config.image_size
    images = [prepared.images[row] for row in rows]
    samples = min(MAX_OOD_SAMPLES, len(rows))
    chosen = random.permutation(rows)[:MAX_PRESENTED]
    others = [random.choice(rows, len(chosen)) for _ in range(MOST_RADIOGRAPHS - 1)]
    mirrored = [prepared.images[row][:, ::-1] for row in chosen]
    return fit_ood_detector(
        training=embed([*images, *map(varied, rows)]),
        validation=validation,
        ood_samples=embed([draw_ood_sample(config.image_size, random) for _ in range(samples)]),
        inverted=embed(
            [invert(prepared.images[row], prepared.files[row].crop) for row in rows[::2]]
        ),
        upright=embed([*(prepared.images[row] for row in chosen), *mirrored]),
        presented=[(code, present(draw)) for code, draw in PRESENTATIONS],
    )
