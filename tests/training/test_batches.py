"""utils.training.batches: order, sampling, targets and weights."""

from __future__ import annotations

import itertools
from functools import partial

import numpy as np
import pytest

from utils.imaging.geometry import Rectangle
from utils.model.detection.targets import encode_boxes
from utils.training.augmentation.pose import PoseRange
from utils.training.augmentation.variation import STRONG, Variation
from utils.training.batches import Batches, balanced_weights

NO_BOXES = np.zeros((0, 4), np.float32)


def make(**options: object) -> Batches:
    """Ten images whose every pixel is their own number; rows 2 to 8 are used."""
    images = np.arange(10, dtype=np.uint8)[:, None, None] * np.ones((1, 4, 4), np.uint8)
    labels = np.array([0, 0, 0, 1, 0, 0, 1, 0, 0, 0])
    regions = np.array([0, 0, 0, 1, -1, 0, 1, -1, 0, 0])
    settings = {
        "regions": regions,
        "boxes": lambda row: NO_BOXES,
        "places": lambda row: Rectangle(0, 0, 4, 4),
        "batch_size": 3,
        "balanced": True,
        **options,
    }
    return Batches(images, range(2, 9), labels, **settings)


def test_an_epoch_has_every_image_once() -> None:
    batches = make()
    rows = np.concatenate(
        [batches[index][0]["fitted"][:, 0, 0, 0] for index in range(len(batches))]
    )
    assert len(batches) == 3
    assert sorted(rows) == list(range(2, 9))


def test_negatives_are_sampled_for_each_epoch() -> None:
    batches = make(negatives=1.5, balanced=False)
    rows = []
    for epoch in range(20):
        batches.start_epoch(epoch)
        rows.append({int(row) for row in batches.order})
        assert len(batches.order) == 5
        assert {3, 6} < rows[-1] <= set(range(2, 9))
    assert len(batches) == 2
    assert set.union(*rows) == set(range(2, 9))
    assert any(one != other for one, other in itertools.pairwise(rows))


@pytest.mark.parametrize(("negatives", "rows"), [(0.0, 7), (100.0, 7), (0.01, 3)])
def test_the_number_of_negatives_is_bounded(negatives: float, rows: int) -> None:
    assert len(make(negatives=negatives).order) == rows


def test_class_weights_follow_the_sampling() -> None:
    assert make(negatives=1.0).class_weights == (1.0, 1.0)


def test_targets_and_weights_match_their_images() -> None:
    batches = make()
    for index in range(len(batches)):
        inputs, targets, weights = batches[index]
        fitted = inputs["fitted"]
        assert fitted.dtype == np.uint8
        assert fitted.shape[1:] == (4, 4, 1)
        for row, number in enumerate(fitted[:, 0, 0, 0]):
            positive = number in (3, 6)
            assert targets["logit"][row, 0] == positive
            assert weights["logit"][row] == pytest.approx(7 / 4 if positive else 7 / 10)
            assert weights["region"][row] == (number not in (4, 7))
            if number not in (4, 7):
                assert targets["region"][row, 0] == positive


def test_no_region_head_has_no_region_targets() -> None:
    _, targets, weights = make(regions=None)[0]
    assert set(targets) == set(weights) == {"logit"}


def test_unmarked_positives_have_no_location_loss() -> None:
    marked = {3: np.array([[2, 0, 2, 2]], np.float32)}
    batches = make(boxes=lambda row: marked.get(row, NO_BOXES), location=True)
    for index in range(len(batches)):
        inputs, _, weights = batches[index]
        for row, number in enumerate(inputs["fitted"][:, 0, 0, 0]):
            covered = np.zeros((4, 4), bool)
            covered[:2, 2:] = number == 3
            assert np.array_equal(inputs["lesions"][row, ..., 0] > 0, covered)
            assert weights["location"][row] == (number != 6)
            assert weights["logit"][row] > 0


def draw_varied(variation: Variation, count: int = 24, **options: object) -> Batches:
    """Radiographs of stripes whose every second one is positive, with a box in its middle."""
    random = np.random.default_rng(0)
    images = np.repeat(random.integers(30, 220, (count, 1, 64)).astype(np.uint8), 64, axis=1)
    box = np.array([[28, 28, 8, 8]], np.float32)
    settings = {
        "regions": None,
        "boxes": lambda row: box if row % 2 else NO_BOXES,
        "places": lambda row: Rectangle(0, 0, 64, 64),
        "batch_size": 8,
        "location": True,
        **options,
    }
    labels = np.arange(count) % 2
    return Batches(images, range(count), labels, variation=variation, **settings)


def test_variation_depends_on_seed_and_epoch_alone() -> None:
    def epoch(number: int, seed: int = 0) -> bytes:
        batches = draw_varied(STRONG, seed=seed)
        batches.start_epoch(number)
        # Batches are made in any order.
        made = {index: batches[index][0] for index in reversed(range(len(batches)))}
        return b"".join(made[index][name].tobytes() for index in sorted(made) for name in made[0])

    assert epoch(3) == epoch(3)
    assert len({epoch(3), epoch(4), epoch(3, seed=1)}) == 3


def test_each_image_of_a_batch_varies_by_itself() -> None:
    batches = draw_varied(STRONG)
    batches.images[:] = batches.images[0]
    images = batches[0][0]["fitted"]
    assert len({image.tobytes() for image in images}) == len(images)


def test_an_image_without_its_fracture_counts_nothing() -> None:
    """Where every box is moved out, neither label nor location is trained; normal images count on."""
    batches = draw_varied(Variation(PoseRange(zoom=(40.0, 40.0), shift=0.0)))
    batches.boxes = lambda row: np.array([[2, 2, 3, 3]] * (row % 2), np.float32).reshape(-1, 4)
    for index in range(len(batches)):
        inputs, targets, weights = batches[index]
        normal = targets["logit"][:, 0] == 0
        assert np.array_equal(weights["logit"] > 0, normal)
        assert np.array_equal(weights["location"] > 0, normal)
        assert not inputs["lesions"].any()


@pytest.mark.parametrize(("marked", "cropped"), [(1, {0, 1}), (0, set())])
def test_crops_say_nothing_about_the_label(marked: int, cropped: set[int]) -> None:
    """Normal images are cropped as often as fractured ones; without boxes, neither are."""
    unmarked = {} if marked else {"boxes": lambda row: NO_BOXES}
    batches = draw_varied(Variation(PoseRange(crop=0.5)), 600, **unmarked)
    changed = [
        [not np.array_equal(batches._example(row, row).image, batches.images[row]) for row in rows]
        for rows in (range(0, 600, 2), range(1, 600, 2))
    ]
    assert {label for label, found in enumerate(changed) if any(found)} == cropped
    assert abs(np.mean(changed[0]) - np.mean(changed[1])) < 0.12


def test_order_depends_on_seed_and_epoch_alone() -> None:
    first, again, other = make(seed=1), make(seed=1), make(seed=2)
    assert np.array_equal(first.order, again.order)
    assert not np.array_equal(first.order, other.order)
    first.start_epoch(5)
    assert not np.array_equal(first.order, again.order)
    again.start_epoch(5)
    assert np.array_equal(first.order, again.order)


def test_balanced_weights_equalise_the_classes() -> None:
    negative, positive = balanced_weights(negatives=4, positives=1)
    assert negative * 4 == pytest.approx(positive * 1)
    assert (negative * 4 + positive) / 5 == pytest.approx(1)


def test_boxes_have_their_targets_and_weights() -> None:
    """Image 3 is marked, 6 is fractured without a mark, the others are normal."""
    marked = np.array([[1, 1, 2, 2]], np.float32)
    batches = make(
        boxes=lambda row: marked if row == 3 else NO_BOXES,
        detection=partial(encode_boxes, cells=4, size=4),
    )
    for index in range(len(batches)):
        inputs, targets, weights = batches[index]
        for row, number in enumerate(inputs["fitted"][:, 0, 0, 0]):
            heatmap, box = encode_boxes(marked if number == 3 else NO_BOXES, 4, 4)
            np.testing.assert_array_equal(targets["heatmap"][row], heatmap)
            np.testing.assert_array_equal(targets["box"][row], box)
            assert weights["heatmap"][row] == weights["box"][row] == (number != 6)
