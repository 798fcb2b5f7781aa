"""Runs a network over prepared images on whatever backend trains, and scores an epoch."""

from __future__ import annotations

import keras
import numpy as np

from utils.preprocess import PreprocessSpec, scale

PREDICT_BATCH = 32


def validation_scores(labels: np.ndarray, logits: np.ndarray) -> dict[str, float]:
    """Return an epoch's validation figures, by the names of ``curves.Epoch``."""
    from sklearn.metrics import average_precision_score, roc_auc_score

    signs = np.where(labels == 1, 1.0, -1.0)
    return {
        "val_loss": float(np.mean(np.logaddexp(0.0, -signs * logits))),
        "val_auc": float(roc_auc_score(labels, logits)),
        "val_average_precision": float(average_precision_score(labels, logits)),
    }


def run_network(
    network: keras.Model, spec: PreprocessSpec, images: np.ndarray, rows: np.ndarray
) -> dict[str, np.ndarray]:
    """Answer for the fitted images of the given rows, in batches, on whatever backend trains.

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
