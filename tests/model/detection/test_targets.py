"""Targets of the detection head, and the way back from them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from utils.imaging.geometry import overlap_of_boxes
from utils.model.detection.candidates import decode_boxes
from utils.model.detection.targets import encode_boxes, gaussian_radius

CELLS, SIZE = 12, 96
BOX = np.array([[30, 20, 22, 14]], np.float32)


@given(st.floats(0, 90), st.floats(0, 90), st.floats(2, 60), st.floats(2, 60), st.floats(-5.5, 5.5))
def test_a_box_comes_back(x: float, y: float, width: float, height: float, offset: float) -> None:
    marked = np.array([[x, y, min(width, SIZE - x), min(height, SIZE - y)]], np.float32)
    heatmap, regressed = encode_boxes(marked, CELLS, SIZE, offset)
    found = decode_boxes(heatmap[..., 0], regressed[..., :4], SIZE, offset, most=1)
    assert found.boxes == pytest.approx(marked, abs=1e-3)


def test_the_heatmap_is_one_at_the_centre_alone() -> None:
    heatmap, regressed = encode_boxes(BOX, CELLS, SIZE)
    assert np.argwhere(heatmap == 1).tolist() == [[3, 5, 0]]
    assert np.argwhere(regressed[..., 4] == 1).tolist() == [[3, 5]]
    assert 0 < heatmap[3, 6, 0] < heatmap[3, 5, 0]
    assert heatmap[11, 11, 0] < 1e-6


def test_no_box_gives_empty_targets() -> None:
    heatmap, regressed = encode_boxes(BOX[:0], CELLS, SIZE)
    assert not heatmap.any()
    assert not regressed.any()


def test_the_smaller_of_two_keeps_a_cell() -> None:
    both = np.array([[38, 26, 4, 4], [30, 18, 20, 20]], np.float32)
    for boxes in (both, both[::-1]):
        heatmap, regressed = encode_boxes(boxes, CELLS, SIZE)
        assert (heatmap == 1).sum() == regressed[..., 4].sum() == 1
        assert regressed[3, 5, 2] == pytest.approx(np.log(0.5))


@pytest.mark.parametrize("overlap", [0.3, 0.5, 0.7])
@pytest.mark.parametrize(("width", "height"), [(3.0, 3.0), (2.0, 9.0)])
def test_a_box_moved_by_the_radius_still_overlaps(
    width: float, height: float, overlap: float
) -> None:
    r = gaussian_radius(width, height, overlap)
    box = np.array([[10, 10, width, height]])
    together, inwards, outwards = (r, r, 0, 0), (r, r, -2 * r, -2 * r), (-r, -r, 2 * r, 2 * r)
    overlaps = overlap_of_boxes(box, box + np.array([together, inwards, outwards]))
    assert overlaps.min() == pytest.approx(overlap)


def test_small_boxes_have_a_spot_of_some_cells() -> None:
    heatmap, _ = encode_boxes(np.array([[50, 50, 3, 3]], np.float32), CELLS, SIZE)
    assert 0.1 < heatmap[6, 7, 0] < 0.5
