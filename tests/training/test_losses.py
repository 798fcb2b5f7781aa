"""Where the map should be high: masks of the marked lesions, and the loss that draws it there."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from utils.imaging.content_crop import find_content_crop
from utils.imaging.geometry import Box, Rectangle, lesion_mask, map_over_picture
from utils.preprocess import fit
from utils.training.losses import NOWHERE_MARGIN, LocationLoss, hits

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
    drawn = np.zeros((len(rows), SIZE, SIZE, 1), np.uint8)
    for number, covered in enumerate(rows):
        if covered:
            drawn[number, covered, covered] = 255
    return drawn.astype(np.float32)


def losses(
    signed: np.ndarray,
    covered: np.ndarray,
    shift: float = 0.0,
    before: np.ndarray | None = None,
) -> np.ndarray:
    """The loss of each picture; without ``before``, of pictures that were not moved."""
    before = covered if before is None else before
    tensors = [keras.ops.convert_to_tensor(one) for one in (signed, covered, before)]
    return np.asarray(LocationLoss(shift)(tensors))[:, 0]


def test_a_mask_lies_where_the_fitted_picture_shows_the_lesion() -> None:
    pixels = np.random.default_rng(0).uniform(0.2, 0.5, (90, 120)).astype(np.float32)
    pixels[:, :70] = 0.1  # a margin, which is not seen
    pixels[30:50, 80:110] = 1.0
    view = find_content_crop(pixels)
    assert view == Rectangle(0, 70, 90, 50)
    mask = lesion_mask([Box(80, 30, 30, 20)], view, SIZE)
    shown = fit(pixels, SIZE)
    assert mask[shown > 200].all()
    assert not mask[shown < 150].any()


def test_a_tiny_lesion_covers_one_pixel_at_least() -> None:
    assert (lesion_mask([Box(1000, 700, 2, 2)], Rectangle(0, 0, 2000, 2000), SIZE) > 0).sum() == 1


def test_a_lesion_counts_most_in_its_middle() -> None:
    """So the map's maximum is drawn there, and not to an edge that the next pixel has missed."""
    mask = lesion_mask([Box(16, 8, 33, 17), Box(60, 60, 3, 3)], SQUARE, SIZE)
    assert np.unravel_index(mask.argmax(), mask.shape) == (16, 32)
    assert mask[8, 16:49].max() < 255 / 3
    assert (mask[8:25, 16:49] > 0).all()
    assert mask[61, 61] > 0
    assert np.count_nonzero(mask) == 33 * 17 + 9


def test_a_lesion_beyond_the_edge_is_drawn_as_far_as_it_is_seen() -> None:
    assert np.count_nonzero(lesion_mask([Box(60, 60, 10, 10)], SQUARE, SIZE)) == 16


@pytest.mark.parametrize(("x", "y"), [(5, 150), (150, 5), (420, 150), (150, 420), (-500, -500)])
def test_a_lesion_outside_what_is_seen_is_not_drawn(x: int, y: int) -> None:
    assert not lesion_mask([Box(x, y, 10, 10)], Rectangle(100, 100, 300, 300), SIZE).any()


def test_a_picture_without_boxes_has_an_empty_mask() -> None:
    assert not lesion_mask([], SQUARE, SIZE).any()


def test_the_loss_is_the_cross_entropy_of_where_or_nowhere() -> None:
    """Against the sum written out, for a lesion of one cell and for none."""
    signed = np.random.default_rng(0).normal(0, 0.3, (2, SIDE, SIDE)).astype(np.float32)
    nowhere = np.log(SIDE * SIDE) + NOWHERE_MARGIN
    scores = signed.reshape(2, -1) * SIDE
    total = np.log(np.exp(scores).sum(axis=1) + np.exp(nowhere))
    found = losses(signed, masks(slice(16, 24), None))
    assert found[0] == pytest.approx(total[0] - scores[0, 2 * SIDE + 2], rel=1e-4)
    assert found[1] == pytest.approx(total[1] - nowhere, rel=1e-4)


def test_a_map_that_is_high_in_the_lesion_loses_least() -> None:
    covered = masks(slice(16, 24), slice(16, 24), slice(16, 24))
    right, wrong, nowhere = losses(maps((2, 2), (5, 5), None), covered)
    assert right < 0.1 < nowhere < wrong


def test_a_normal_map_should_be_low_everywhere() -> None:
    flat, hot = losses(maps(None, (5, 5)), masks(None, None))
    assert flat < 0.1 < hot


def test_of_a_lesion_that_was_moved_out_of_the_picture_nothing_is_taught() -> None:
    left = masks(slice(0, 1), None, slice(0, 8))
    before = masks(slice(0, 8), slice(0, 8), slice(0, 8))
    sliver, gone, whole = losses(maps(None, None, None), left, before=before)
    assert sliver == gone == 0.0
    assert whole > 1.0


def test_a_lesion_smaller_than_a_cell_can_be_found() -> None:
    assert losses(maps((2, 2)), masks(slice(19, 21)))[0] < 0.1


@pytest.mark.parametrize("shift", [-8.0, 8.0])
def test_cells_that_look_aside_are_told_of_what_they_look_at(shift: float) -> None:
    """The loss and the map that is shown move the cells the same way."""
    signed = maps((3, 3))
    row, column = np.unravel_index(
        map_over_picture(signed[0], SIZE, SIZE, shift / SIZE).argmax(), (512, 512)
    )
    place = int(row * SIZE / 512)
    assert row == column
    shown, aside = (
        losses(signed, masks(slice(first, first + 8)), shift)[0]
        for first in (place - place % 8, 24)
    )
    assert shown < 0.1 < aside


def test_a_hit_is_a_highest_cell_whose_middle_lies_in_the_lesion() -> None:
    covered = masks(slice(18, 24), slice(18, 20), slice(40, 48))[..., 0]
    assert hits(maps((2, 2), (2, 2), (2, 2)), covered).tolist() == [True, False, False]


def test_a_map_without_anything_positive_hits_nothing() -> None:
    assert not hits(maps((2, 2)) - 100.0, masks(slice(16, 24))[..., 0]).any()


def test_cells_that_look_aside_hit_what_they_look_at() -> None:
    covered = masks(slice(24, 32), slice(16, 24))[..., 0]
    assert hits(maps((2, 2), (2, 2)), covered, 8.0).tolist() == [True, False]
