"""Tells the activation map where the marked fractures are: the loss that trains it, and its targets."""

from __future__ import annotations

import math

import keras
import numpy as np
from keras import ops

LOCATION = "location"
# Logits by which "nowhere" starts ahead of a whole map of zeros.
NOWHERE_MARGIN = 4.0
# Share of a lesion's best cell that must be left in a picture that was moved: of less nothing is taught.
LEFT = 0.25


def hits(signed: np.ndarray, masks: np.ndarray, shift: float = 0.0) -> np.ndarray:
    """Say in which pictures the map's highest cell looks at a lesion.

    Args:
        signed: maps (n, side, side).
        masks: uint8 (n, size, size), see :func:`lesion_mask`.
        shift: see :class:`LocationLoss`.

    Returns:
        bool (n,).

    Source:
        The pointing game: Zhang et al., arXiv:1608.00507, section 4.1; without tolerance.
    """
    count, side, _ = signed.shape
    size = masks.shape[1]
    places = (np.arange(side) + 0.5) * size / side + shift
    pixels = np.clip(places.astype(int), 0, size - 1)
    rows, columns = np.unravel_index(signed.reshape(count, -1).argmax(axis=1), (side, side))
    inside = masks[np.arange(count), pixels[rows], pixels[columns]] > 0
    # A map without anything positive shows nothing, wherever its least negative cell lies.
    return inside & (signed.max(axis=(1, 2)) > 0)


def given_loss(_: keras.KerasTensor, loss: keras.KerasTensor) -> keras.KerasTensor:
    """Return a loss that the graph itself has computed, (n, 1), as (n,)."""
    return loss[:, 0]


class LocationLoss(keras.layers.Layer):
    """How far the activation map is from marking the lesion: cross-entropy of "where, or nowhere".

    The places of the map, and "nowhere", share one softmax: in a radiograph with a marked lesion its
    cells should have it all, in a normal one "nowhere". So the maximum is drawn into the lesion, and a
    normal radiograph's map is kept low. A cell counts with its place's share of the logit times the map's
    side, so that a handful of cells can win only by an amount that moves the logit as well.

    Args:
        shift: how far right of and below the middle of its share of the picture a cell looks, pixels.
    """

    def __init__(self, shift: float = 0.0) -> None:
        super().__init__(dtype="float32", name="location_loss")
        self.shift = round(shift)

    def call(
        self, inputs: tuple[keras.KerasTensor, keras.KerasTensor, keras.KerasTensor]
    ) -> keras.KerasTensor:
        """Return the loss of each picture, float32 (n, 1); 0 where most of a lesion was moved out of it.

        Args:
            inputs: the signed map (n, side, side) in logits; the masks (n, size, size, 1) in [0, 255] as
                the picture was moved, and as they were before.
        """
        signed, masks, unmoved = inputs
        side = signed.shape[1]
        covered = ops.reshape(self._cells(masks, side), (-1, side * side))
        most = ops.max(covered, axis=1, keepdims=True)
        marked = most[:, 0] > 0
        whole = ops.max(self._cells(ops.cast(unmoved, "float32"), side), axis=(1, 2))
        known = ops.cast(most[:, 0] >= LEFT * whole, "float32")
        # The best covered cell counts fully, however small the lesion.
        covered = covered / ops.maximum(most, 1e-6)
        scores = ops.reshape(signed, (-1, side * side)) * side
        nowhere = ops.full_like(scores[:, :1], math.log(side * side) + NOWHERE_MARGIN)
        everything = ops.logsumexp(ops.concatenate([scores, nowhere], axis=1), axis=1)
        lesion = ops.logsumexp(scores + ops.log(covered + 1e-9), axis=1)
        return (known * (everything - ops.where(marked, lesion, nowhere[:, 0])))[:, None]

    def _cells(self, masks: keras.KerasTensor, side: int) -> keras.KerasTensor:
        """Return how much of what each cell looks at is covered, (n, side, side) in [0, 255]."""
        size = masks.shape[1]
        forth, back = max(self.shift, 0), max(-self.shift, 0)
        moved = ops.pad(masks, [[0, 0], [back, forth], [back, forth], [0, 0]])
        moved = moved[:, forth : forth + size, forth : forth + size, :]
        stride = round(size / side)
        pooled = ops.average_pool(moved, stride, stride, padding="same")
        return pooled[:, :side, :side, 0]
