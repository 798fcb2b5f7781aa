"""utils.training.losses: location loss and pointing hits."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from utils.imaging.geometry import Rectangle, map_over_picture
from utils.training.losses import NOWHERE_MARGIN, LocationLoss, pointing_hits

SIDE, SIZE = 8, 64
SQUARE = Rectangle(0, 0, SIZE, SIZE)


def maps(*hot: tuple[int, int] | None, height: float = 40.0) -> np.ndarray:
    """Signed maps of zeros, each with one high cell (row, column) or none."""
    signed = np.zeros((len(hot), SIDE, SIDE), np.float32)
    for number, cell in enumerate(hot):
        if cell:
            signed[number][cell] = height / SIDE
    return signed


def masks(*rows: slice | None) -> np.ndarray:
    """Masks that cover the same rows and columns, or nothing."""
    pixels = np.zeros((len(rows), SIZE, SIZE, 1), np.uint8)
    for number, covered in enumerate(rows):
        if covered:
            pixels[number, covered, covered] = 255
    return pixels.astype(np.float32)


def losses(
    signed: np.ndarray,
    covered: np.ndarray,
    offset: float = 0.0,
    before: np.ndarray | None = None,
) -> np.ndarray:
    """Location loss of each image; without ``before``, of images without augmentation."""
    before = covered if before is None else before
    tensors = [keras.ops.convert_to_tensor(one) for one in (signed, covered, before)]
    return np.asarray(LocationLoss(offset)(tensors))[:, 0]


def test_location_loss_is_a_cross_entropy() -> None:
    """Against the sum written out, for a lesion of one cell and for none."""
    signed = np.random.default_rng(0).normal(0, 0.3, (2, SIDE, SIDE)).astype(np.float32)
    nowhere = np.log(SIDE * SIDE) + NOWHERE_MARGIN
    scores = signed.reshape(2, -1) * SIDE
    total = np.log(np.exp(scores).sum(axis=1) + np.exp(nowhere))
    found = losses(signed, masks(slice(16, 24), None))
    assert found[0] == pytest.approx(total[0] - scores[0, 2 * SIDE + 2], rel=1e-4)
    assert found[1] == pytest.approx(total[1] - nowhere, rel=1e-4)


def test_a_map_high_in_the_lesion_loses_least() -> None:
    covered = masks(slice(16, 24), slice(16, 24), slice(16, 24))
    right, wrong, nowhere = losses(maps((2, 2), (5, 5), None), covered)
    assert right < 0.1 < nowhere < wrong


def test_a_normal_map_should_be_low() -> None:
    flat, hot = losses(maps(None, (5, 5)), masks(None, None))
    assert flat < 0.1 < hot


def test_a_lesion_moved_out_has_no_loss() -> None:
    left = masks(slice(0, 1), None, slice(0, 8))
    before = masks(slice(0, 8), slice(0, 8), slice(0, 8))
    sliver, gone, whole = losses(maps(None, None, None), left, before=before)
    assert sliver == gone == 0.0
    assert whole > 1.0


def test_a_lesion_below_cell_size_can_be_found() -> None:
    assert losses(maps((2, 2)), masks(slice(19, 21)))[0] < 0.1


@pytest.mark.parametrize("offset", [-8.0, 8.0])
def test_the_loss_applies_the_centre_offset(offset: float) -> None:
    """The loss and the displayed map place the cells alike."""
    signed = maps((3, 3))
    row, column = np.unravel_index(
        map_over_picture(signed[0], SIZE, SIZE, offset / SIZE).argmax(), (512, 512)
    )
    place = int(row * SIZE / 512)
    assert row == column
    inside, aside = (
        losses(signed, masks(slice(first, first + 8)), offset)[0]
        for first in (place - place % 8, 24)
    )
    assert inside < 0.1 < aside


def test_a_hit_has_its_centre_in_the_lesion() -> None:
    covered = masks(slice(18, 24), slice(18, 20), slice(40, 48))[..., 0]
    assert pointing_hits(maps((2, 2), (2, 2), (2, 2)), covered).tolist() == [True, False, False]


def test_a_map_without_evidence_is_a_miss() -> None:
    assert not pointing_hits(maps((2, 2)) - 100.0, masks(slice(16, 24))[..., 0]).any()


def test_hits_apply_the_centre_offset() -> None:
    covered = masks(slice(24, 32), slice(16, 24))[..., 0]
    assert pointing_hits(maps((2, 2), (2, 2)), covered, 8.0).tolist() == [True, False]
