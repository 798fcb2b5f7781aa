"""utils.training.augmentation.pose: ranges, exactness, and boxes that move with their picture."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.support.pictures import draw_radiograph
from utils.imaging.geometry import Rectangle
from utils.preprocess import fit
from utils.training.augmentation.pose import (
    PoseRange,
    draw_pose,
    draw_tilt,
    move_boxes,
    move_picture,
    move_place,
)

SIZE = 64
SQUARE = Rectangle(0, 0, SIZE, SIZE)
NO_BOXES = np.zeros((0, 4), np.float32)


@pytest.fixture
def picture() -> np.ndarray:
    """A fitted radiograph, uint8 (64, 64)."""
    return fit(draw_radiograph(), SIZE)


def poses(
    ranges: PoseRange,
    picture: np.ndarray | None = None,
    boxes: np.ndarray = NO_BOXES,
    place: Rectangle = SQUARE,
    count: int = 60,
) -> list[np.ndarray]:
    """Draw many poses."""
    shown = np.zeros((SIZE, SIZE), np.uint8) if picture is None else picture
    random = np.random.default_rng(0)
    return [draw_pose(shown, place, boxes, random, ranges) for _ in range(count)]


def shape_of(matrix: np.ndarray) -> tuple[float, float, float]:
    """Rotation in degrees, scale, and aspect of a matrix."""
    across, down = (float(np.hypot(*matrix[:2, axis])) for axis in (0, 1))
    angle = math.degrees(math.atan2(-matrix[0, 1], matrix[1, 1]))
    return angle, math.sqrt(across * down), across / down


def test_no_range_is_no_change(picture: np.ndarray) -> None:
    (matrix,) = poses(PoseRange(), count=1)
    np.testing.assert_array_equal(matrix, np.eye(3))
    np.testing.assert_array_equal(move_picture(picture, matrix), picture)


def test_turns_and_mirrors_are_exact(picture: np.ndarray) -> None:
    found = {
        move_picture(picture, matrix).tobytes()
        for matrix in poses(PoseRange(mirror=0.5, turn=0.7), count=200)
    }
    turned = [np.rot90(one, k) for one in (picture, picture[:, ::-1]) for k in range(4)]
    assert found == {np.ascontiguousarray(one).tobytes() for one in turned}


def test_half_are_turned_at_a_rate_of_a_half() -> None:
    turned = [abs(shape_of(m)[0]) > 45 for m in poses(PoseRange(turn=0.5), count=400)]
    assert 160 < sum(turned) < 240


def test_a_pose_stays_within_its_ranges() -> None:
    ranges = PoseRange(degrees=15, zoom=(0.7, 1.5), stretch=0.1, shift=0.1)
    angles, zooms, aspects = np.array([shape_of(m) for m in poses(ranges, count=300)]).T
    assert 13 < np.abs(angles).max() <= 15
    assert 0.7 <= zooms.min() < 0.75
    assert 1.4 < zooms.max() <= 1.5
    assert 1 / 1.1 - 1e-6 <= aspects.min() < 0.93
    assert 1.07 < aspects.max() <= 1.1 + 1e-6
    middles = np.array([(m @ [SIZE / 2, SIZE / 2, 1])[:2] for m in poses(ranges)])
    assert 5 < np.abs(middles - SIZE / 2).max() <= 6.4


@pytest.mark.parametrize("tilted", [False, True])
def test_boxes_move_with_their_picture(tilted: bool) -> None:
    """The moved box bounds the moved ellipse to a pixel and a half."""
    boxes = np.array([[20, 30, 14, 8]], np.float32)
    down, right = np.indices((SIZE, SIZE)) + 0.5
    inside = ((right - 27) / 7) ** 2 + ((down - 34) / 4) ** 2 <= 1
    shown = np.where(inside, 255, 0).astype(np.uint8)
    ranges = PoseRange(mirror=0.5, turn=0.5, degrees=25, zoom=(0.9, 1.4), stretch=0.1, shift=0.02)
    random = np.random.default_rng(1)
    for matrix in poses(ranges, shown, boxes):
        moved_by = matrix @ draw_tilt(SIZE, random) if tilted else matrix
        moved = move_boxes(boxes, SIZE, moved_by)
        x, y, width, height = moved.boxes[0]
        rows, columns = np.nonzero(move_picture(shown, moved_by) > 127)
        found = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        np.testing.assert_allclose([x, y, x + width, y + height], found, atol=1.5)
        assert not moved.lost


def test_turned_boxes_are_exact() -> None:
    boxes = np.array([[10, 20, 30, 8]], np.float32)
    quarter = np.array([[0, -1, SIZE], [1, 0, 0], [0, 0, 1]], np.float64)
    moved = move_boxes(boxes, SIZE, quarter).boxes
    np.testing.assert_allclose(moved, [[SIZE - 28, 10, 8, 30]], atol=1e-5)


@pytest.mark.parametrize(
    ("right", "kept", "lost"), [(0, 1, False), (45, 2, False), (52, 1, True), (64, 1, False)]
)
def test_a_box_mostly_outside_is_dropped(right: int, kept: int, lost: bool) -> None:
    """A dropped box that is still partly visible is reported; one that is not seen at all is not."""
    boxes = np.array([[10, 10, 10, 10], [-60, 30, 60, 10]], np.float32)
    moved = move_boxes(boxes, SIZE, np.array([[1, 0, right], [0, 1, 0], [0, 0, 1]], np.float64))
    assert len(moved.boxes) == kept
    assert moved.lost == lost
    assert (moved.boxes[:, 0] + moved.boxes[:, 2] <= SIZE).all()


def test_a_picture_without_its_boxes_lost_them() -> None:
    away = np.array([[1, 0, 500], [0, 1, 0], [0, 0, 1]], np.float64)
    assert move_boxes(np.array([[10, 10, 5, 5]], np.float32), SIZE, away).lost
    assert not move_boxes(NO_BOXES, SIZE, away).lost


def test_crops_hold_their_box(picture: np.ndarray) -> None:
    boxes = np.array([[50, 6, 8, 4]], np.float32)
    zooms = []
    for matrix in poses(PoseRange(crop=1.0), picture, boxes):
        moved = move_boxes(boxes, SIZE, matrix).boxes[0]
        zooms.append(shape_of(matrix)[1])
        assert (moved[2:] >= 1.49 * boxes[0, 2:]).all()
        np.testing.assert_allclose(moved[2:], zooms[-1] * boxes[0, 2:], rtol=1e-4)
        # No edge of the picture comes inside.
        corners = (np.linalg.inv(matrix) @ [[0, SIZE], [0, SIZE], [1, 1]])[:2]
        assert corners.min() >= -1e-6
        assert corners.max() <= SIZE + 1e-6
    assert max(zooms) > 2.8


def test_a_large_box_limits_the_scale(picture: np.ndarray) -> None:
    boxes = np.array([[5, 5, 50, 20]], np.float32)
    for matrix in poses(PoseRange(crop=1.0), picture, boxes):
        moved = move_boxes(boxes, SIZE, matrix)
        assert moved.boxes[0, 2] >= 50
        assert not moved.lost


def test_crops_without_a_box_show_bone() -> None:
    """Places are drawn on the structure, wherever it is, and at the scale of those around a box."""
    shown = np.full((SIZE, SIZE), 20, np.uint8)
    shown[40:60, 10:16] = 220
    seen, zooms = [], []
    for matrix in poses(PoseRange(crop=1.0), shown):
        seen.append(move_picture(shown, matrix).max() > 180)
        zooms.append(shape_of(matrix)[1])
    assert np.mean(seen) > 0.9
    assert min(zooms) >= 1.5
    assert 2.7 < max(zooms) <= 3.0


def test_shrinking_does_not_alias() -> None:
    stripes = np.tile(np.array([0, 255], np.uint8), (SIZE, SIZE // 2))
    shrunk = move_picture(stripes, np.array([[0.7, 0, 9.6], [0, 0.7, 9.6], [0, 0, 1]]))
    assert shrunk[20:44, 20:44].std() < 55
    assert stripes.std() > 127


@pytest.mark.parametrize("place", [SQUARE, Rectangle(0, 9, SIZE, 45), Rectangle(17, 0, 30, SIZE)])
def test_the_place_moves_with_the_picture(place: Rectangle) -> None:
    filled = np.zeros((SIZE, SIZE), np.uint8)
    filled[place.inside] = 255
    still = move_place(place, SIZE, np.eye(3))
    np.testing.assert_array_equal(still, filled > 0)
    for matrix in poses(PoseRange(turn=0.5, degrees=25, zoom=(0.8, 1.4), shift=0.1)):
        moved = move_picture(filled, matrix)
        inside = move_place(place, SIZE, matrix)
        assert inside[moved == 255].mean() > 0.97
        assert not inside[moved == 0].any()
