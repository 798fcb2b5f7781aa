"""Peaks of a heatmap as boxes, and which of them hold a fracture."""

from __future__ import annotations

import numpy as np
import pytest

from utils.model.detection.candidates import decode_boxes, holds_fracture

CELLS, SIZE = 12, 96


def outputs(*peaks: tuple[int, int, float]) -> tuple[np.ndarray, np.ndarray]:
    """A heatmap with peaks (row, column, logit) and boxes of one cell around the cells' centres."""
    heatmap = np.full((CELLS, CELLS), -8.0, np.float32)
    for row, column, logit in peaks:
        around = (slice(max(row - 1, 0), row + 2), slice(max(column - 1, 0), column + 2))
        heatmap[around] = np.maximum(heatmap[around], logit - 2)
        heatmap[row, column] = logit
    return heatmap, np.zeros((CELLS, CELLS, 4), np.float32)


def test_the_highest_peak_comes_first() -> None:
    found = decode_boxes(*outputs((2, 3, 1.0), (8, 5, 3.0)), SIZE)
    assert found.logits[:2].tolist() == [3.0, 1.0]
    assert found.boxes[:2].tolist() == [[40, 64, 8, 8], [24, 16, 8, 8]]


def test_neighbours_of_a_peak_are_none() -> None:
    found = decode_boxes(*outputs((2, 3, 1.0)), SIZE)
    assert (found.logits > -5).sum() == 1


def test_peaks_at_the_border_count() -> None:
    found = decode_boxes(*outputs((0, 0, 1.0), (11, 11, 2.0)), SIZE, most=2)
    assert found.boxes.tolist() == [[88, 88, 8, 8], [0, 0, 8, 8]]


def test_only_so_many_are_returned() -> None:
    heatmap, box = outputs()
    assert len(decode_boxes(heatmap, box, SIZE, most=5).logits) == 5


def test_sizes_and_offsets_are_in_cells() -> None:
    heatmap, box = outputs((2, 3, 1.0))
    box[2, 3] = (0.5, -0.25, np.log(4), np.log(2))
    x, y, width, height = decode_boxes(heatmap, box, SIZE, offset=3.0, most=1).boxes[0]
    assert (width, height) == pytest.approx((32, 16))
    assert (x + width / 2, y + height / 2) == pytest.approx((28 + 4 + 3, 20 - 2 + 3))


def test_an_absurd_size_stays_finite() -> None:
    heatmap, box = outputs((2, 3, 1.0))
    box[2, 3] = (0, 0, 1e9, -1e9)
    assert decode_boxes(heatmap, box, SIZE, most=1).boxes[0, 2:].tolist() == [SIZE, 1.0]


@pytest.mark.parametrize(
    ("box", "holds"),
    [
        ((10, 10, 20, 20), True),
        ((20, 20, 4, 4), True),  # far smaller, but its centre is inside
        ((0, 10, 14, 20), False),  # overlaps by 80 of 600
        ((-1, 10, 21, 20), True),  # its centre is outside; it overlaps by 200 of 620
        ((60, 60, 20, 20), False),
    ],
)
def test_a_box_holds_a_fracture(box: tuple[int, ...], holds: bool) -> None:
    marked = np.array([[10.0, 10, 20, 20], [80, 10, 4, 4]])
    assert holds_fracture(np.array([box], float), marked).tolist() == [holds]


def test_nothing_marked_is_held_by_none() -> None:
    assert not holds_fracture(np.ones((3, 4)), np.zeros((0, 4))).any()
