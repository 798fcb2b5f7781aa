"""utils.training.losses: location loss, pointing hits, and the detection head's losses."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from utils.imaging.geometry import Rectangle, map_over_picture
from utils.model.detection.targets import encode_boxes
from utils.training.losses import (
    NOWHERE_MARGIN,
    LocationLoss,
    box_loss,
    heatmap_loss,
    pointing_hits,
)

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


def losses(signed: np.ndarray, covered: np.ndarray, offset: float = 0.0) -> np.ndarray:
    """Location loss of each image."""
    tensors = [keras.ops.convert_to_tensor(one) for one in (signed, covered)]
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


MARKED = np.array([[10, 20, 14, 10], [40, 40, 9, 20]], np.float32)


def detection_targets(*marked: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Heatmaps and boxes of images with these marked boxes."""
    heatmaps, boxes = zip(*(encode_boxes(one, SIDE, SIZE) for one in marked), strict=True)
    return np.stack(heatmaps), np.stack(boxes)


def test_the_heatmap_has_a_focal_loss() -> None:
    """Against the published equation, written out cell by cell."""
    target, _ = detection_targets(MARKED, MARKED[:0])
    logits = np.random.default_rng(0).normal(0, 2, target.shape).astype(np.float32)
    p = 1 / (1 + np.exp(-logits.astype(np.float64)))
    terms = np.where(
        target == 1, (1 - p) ** 2 * np.log(p), (1 - target) ** 4 * p**2 * np.log(1 - p)
    )
    expected = -terms.sum(axis=(1, 2, 3)) / [2, 1]
    np.testing.assert_allclose(np.asarray(heatmap_loss(target, logits)), expected, rtol=1e-4)


def test_extreme_logits_have_a_finite_loss() -> None:
    target, _ = detection_targets(MARKED, MARKED)
    logits = np.stack([np.full_like(target[0], -200.0), np.full_like(target[0], 200.0)])
    assert np.isfinite(np.asarray(heatmap_loss(target, logits))).all()


def test_boxes_are_compared_at_their_centres() -> None:
    _, target = detection_targets(MARKED, MARKED[:0])
    box = np.random.default_rng(0).normal(size=(2, SIDE, SIDE, 4)).astype(np.float32)
    centres = target[0, ..., 4] == 1
    expected = np.abs(target[0, ..., :4] - box[0])[centres].sum() / 2
    found = np.asarray(box_loss(target, box))
    assert found[0] == pytest.approx(expected, rel=1e-5)
    assert found[1] == 0.0
