"""Boxes, the letterbox there and back, and masks of boxes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from utils.imaging.content_crop import find_content_crop
from utils.imaging.geometry import (
    Box,
    Rectangle,
    boxes_in_picture,
    fitted_boxes,
    lesion_mask,
    map_over_picture,
    mask_of_boxes,
    overlap_of_boxes,
    peak,
    placement,
    resize,
    shrunk,
)
from utils.preprocess import fit, letterbox

SIZE = 64
SQUARE = Rectangle(0, 0, SIZE, SIZE)


@pytest.mark.parametrize(("height", "width"), [(454, 373), (373, 454), (300, 300), (2880, 900)])
def test_a_peak_returns_to_its_place(height: int, width: int) -> None:
    cells = 12
    place = placement(height, width, 384)
    for row, column in [(3, 5), (6, 6), (8, 6)]:
        signed = np.full((cells, cells), -1.0, np.float32)
        signed[row, column] = 2.0
        activation = map_over_picture(signed, height, width)
        found = peak(activation, height, width)
        assert found is not None
        cell = 384 / cells
        expected_x = ((column + 0.5) * cell - place.left) * width / place.width
        expected_y = ((row + 0.5) * cell - place.top) * height / place.height
        # Bilinear interpolation leaves a plateau about the cell's middle: half a cell at most.
        assert abs(found[0] - expected_x) <= 0.25 * cell * width / place.width
        assert abs(found[1] - expected_y) <= 0.25 * cell * height / place.height


@pytest.mark.parametrize("offset", [15.5 / 384, -15.5 / 384])
def test_a_centre_offset_moves_the_map(offset: float) -> None:
    signed = np.zeros((12, 12), np.float32)
    signed[6, 4] = 1.0
    straight = peak(map_over_picture(signed, 384, 384), 384, 384)
    moved = peak(map_over_picture(signed, 384, 384, offset), 384, 384)
    assert straight
    assert moved
    for before, after in zip(straight, moved, strict=True):
        assert after - before == pytest.approx(offset * 384, abs=1)


def test_a_map_lies_inside_the_content_crop() -> None:
    signed = np.zeros((12, 12), np.float32)
    signed[6, 6] = 1.0
    crop = Rectangle(top=100, left=30, height=300, width=300)
    activation = map_over_picture(signed, 500, 900, crop=crop)
    assert activation.shape == (284, 512)
    found = peak(activation, 500, 900)
    assert found is not None
    # The middle of cell 6 of 12, in a crop of 300 pixels.
    assert found[0] == pytest.approx(30 + 6.5 * 25, abs=7)
    assert found[1] == pytest.approx(100 + 6.5 * 25, abs=7)
    everywhere = map_over_picture(np.ones((12, 12), np.float32), 500, 900, crop=crop)
    rows, columns = np.nonzero(everywhere)
    scale = 512 / 900
    assert rows.min() == pytest.approx(100 * scale, abs=1)
    assert rows.max() + 1 == pytest.approx(400 * scale, abs=1)
    assert columns.min() == pytest.approx(30 * scale, abs=1)
    assert columns.max() + 1 == pytest.approx(330 * scale, abs=1)


def test_moving_a_map_repeats_its_edge() -> None:
    activation = map_over_picture(np.ones((12, 12), np.float32), 384, 384, 0.1)
    assert (activation == 1).all()


def test_a_map_has_the_aspect_of_its_picture() -> None:
    activation = map_over_picture(np.ones((10, 10), np.float32), 2880, 2304)
    assert activation.shape[0] / activation.shape[1] == pytest.approx(2880 / 2304, rel=0.01)


@pytest.mark.parametrize(
    ("size", "side", "expected"),
    [((2880, 2304), 512, (512, 410)), ((100, 50), 512, (100, 50)), ((1, 9000), 512, (1, 512))],
)
def test_pictures_are_shrunk_and_never_enlarged(
    size: tuple[int, int], side: int, expected: tuple[int, int]
) -> None:
    assert shrunk(*size, side) == expected


def mask_of(boxes: list[Box], crop: Rectangle = SQUARE) -> np.ndarray:
    """Return the mask of lesions of the picture in its file."""
    return lesion_mask(fitted_boxes(boxes, crop, SIZE), SIZE)


def test_a_lesion_mask_lies_on_the_fitted_lesion() -> None:
    pixels = np.random.default_rng(0).uniform(0.2, 0.5, (90, 120)).astype(np.float32)
    pixels[:, :70] = 0.1  # a margin
    pixels[30:50, 80:110] = 1.0
    crop = find_content_crop(pixels)
    assert crop == Rectangle(0, 70, 90, 50)
    mask = mask_of([Box(80, 30, 30, 20)], crop)
    shown = fit(pixels, SIZE)
    assert mask[shown > 200].all()
    assert not mask[shown < 150].any()


def test_a_tiny_lesion_covers_a_pixel() -> None:
    assert (mask_of([Box(1000, 700, 2, 2)], Rectangle(0, 0, 2000, 2000)) > 0).sum() == 1


def test_a_lesion_mask_is_highest_in_its_middle() -> None:
    """So the map's maximum is drawn there, and not to an edge that the next pixel has missed."""
    mask = mask_of([Box(16, 8, 33, 17), Box(60, 60, 3, 3)])
    assert np.unravel_index(mask.argmax(), mask.shape) == (16, 32)
    assert mask[8, 16:49].max() < 255 / 3
    assert (mask[8:25, 16:49] > 0).all()
    assert mask[61, 61] > 0
    assert np.count_nonzero(mask) == 33 * 17 + 9


def test_a_lesion_mask_is_cut_at_the_edge() -> None:
    assert np.count_nonzero(mask_of([Box(60, 60, 10, 10)])) == 16


@pytest.mark.parametrize(("x", "y"), [(5, 150), (150, 5), (420, 150), (150, 420), (-500, -500)])
def test_a_lesion_outside_the_crop_is_not_drawn(x: int, y: int) -> None:
    assert not mask_of([Box(x, y, 10, 10)], Rectangle(100, 100, 300, 300)).any()


def test_without_boxes_the_mask_is_empty() -> None:
    assert not mask_of([]).any()


def test_halving_averages_areas() -> None:
    picture = np.array([[0.0, 1.0], [1.0, 0.0]] * 1, np.float32).repeat(32, 0).repeat(32, 1)
    checker = np.indices((64, 64)).sum(0) % 2
    assert np.allclose(resize(checker.astype(np.float32), 32, 32), 0.5)
    assert resize(picture, 32, 32).shape == (32, 32)


@given(st.integers(1, 5000), st.integers(1, 5000), st.integers(32, 512))
def test_a_letterbox_fills_one_side_of_its_square(height: int, width: int, size: int) -> None:
    place = placement(height, width, size)
    assert max(place.height, place.width) == size
    assert place.top >= 0
    assert place.top + place.height <= size
    assert place.left >= 0
    assert place.left + place.width <= size
    assert abs(place.height - height * size / max(height, width)) <= 1
    assert abs(place.width - width * size / max(height, width)) <= 1


def test_a_box_contains_all_but_its_far_edges() -> None:
    box = Box(10, 20, 5, 4)
    inside = [box.contains(x, y) for x, y in [(10, 20), (14, 23), (15, 20), (10, 24), (9, 20)]]
    assert inside == [True, True, False, False, False]


def test_a_box_meets_what_shares_area_with_it() -> None:
    box = Box(10, 20, 5, 4)
    assert box.meets(Rectangle(23, 14, 10, 10))
    assert not box.meets(Rectangle(24, 10, 10, 10))
    assert not box.meets(Rectangle(20, 15, 10, 10))


def test_a_rectangle_scales_within_its_picture() -> None:
    assert Rectangle(1, 2, 3, 4).scaled(2.0, 3.0, 100, 100) == Rectangle(2, 6, 6, 12)
    assert Rectangle(0, 30, 50, 40).scaled(2.02, 1.99, 100, 139) == Rectangle(0, 60, 100, 79)


def test_a_mask_covers_pixel_centres_in_boxes() -> None:
    mask = mask_of_boxes([Box(0, 0, 30, 20), Box(50, 70, 50, 30)], 100, 100, (10, 10))
    assert mask[:2, :3].all()
    assert mask[7:, 5:].all()
    assert mask.sum() == 6 + 15


def test_no_positive_value_has_no_peak() -> None:
    assert peak(np.zeros((4, 4), np.float32), 100, 80) is None


def test_resizing_to_the_same_size_copies() -> None:
    picture = np.random.default_rng(0).random((8, 6), dtype=np.float32)
    same = resize(picture, 8, 6)
    assert np.array_equal(same, picture)
    assert same is not picture


@given(
    crop=st.builds(
        Rectangle, st.integers(0, 60), st.integers(0, 60), st.integers(8, 400), st.integers(8, 400)
    ),
    corner=st.tuples(st.floats(0, 0.8), st.floats(0, 0.8)),
    share=st.floats(0.05, 0.2),
)
def test_a_box_returns_from_the_square(
    crop: Rectangle, corner: tuple[float, float], share: float
) -> None:
    x, y = crop.left + corner[0] * crop.width, crop.top + corner[1] * crop.height
    box = Box(x, y, share * crop.width, share * crop.height)
    fitted = fitted_boxes([box], crop, SIZE)
    (found,) = boxes_in_picture(fitted, crop, SIZE)
    side = max(crop.height, crop.width)
    for name in ("x", "y", "width", "height"):
        assert getattr(found, name) == pytest.approx(getattr(box, name), abs=1e-5 * side)


def test_a_fitted_box_is_where_its_pixels_are() -> None:
    picture = np.full((100, 60), 0.3, np.float32)
    picture[20:60, 30:50] = 1.0
    crop = Rectangle(10, 20, 80, 40)
    square = letterbox(picture[crop.inside], SIZE)
    rows, columns = np.nonzero(square > 200)
    x, y, width, height = fitted_boxes([Box(30, 20, 20, 40)], crop, SIZE)[0]
    assert (x, x + width) == pytest.approx((columns.min(), columns.max() + 1), abs=1)
    assert (y, y + height) == pytest.approx((rows.min(), rows.max() + 1), abs=1)


def test_boxes_are_clipped_to_the_crop() -> None:
    crop = Rectangle(10, 10, 40, 20)
    boxes = [Box(0, 0, 100, 100), Box(40, 60, 5, 5)]
    fitted = fitted_boxes(boxes, crop, SIZE)
    assert fitted.tolist() == [[16, 0, 32, 64]]
    everywhere = np.array([[-5, -5, 90, 90]], np.float32)
    assert boxes_in_picture(everywhere, crop, SIZE) == (Box(10, 10, 20, 40),)


def test_overlaps_are_shares_of_the_union() -> None:
    boxes = np.array([[0, 0, 10, 10], [5, 0, 10, 10]], np.float32)
    others = np.array([[0, 0, 10, 10], [20, 20, 1, 1], [0, 0, 0, 0]], np.float32)
    assert overlap_of_boxes(boxes, others) == pytest.approx(np.array([[1, 0, 0], [1 / 3, 0, 0]]))
