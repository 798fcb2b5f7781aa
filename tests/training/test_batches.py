"""utils.training.batches: order, sampling, targets and weights."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from utils.training.batches import Batches, balanced_weights


def make(**options: object) -> Batches:
    """Ten images whose every pixel is their own number; rows 2 to 8 are used."""
    images = np.arange(10, dtype=np.uint8)[:, None, None] * np.ones((1, 4, 4), np.uint8)
    labels = np.array([0, 0, 0, 1, 0, 0, 1, 0, 0, 0])
    regions = np.array([0, 0, 0, 1, -1, 0, 1, -1, 0, 0])
    settings = {"regions": regions, "batch_size": 3, "balanced": True, **options}
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
    marked = {3: np.array([[0, 255], [0, 0]], np.uint8).repeat(2, 0).repeat(2, 1)}
    batches = make(lesions=lambda row: marked.get(row, np.zeros((4, 4), np.uint8)))
    for index in range(len(batches)):
        inputs, _, weights = batches[index]
        for row, number in enumerate(inputs["fitted"][:, 0, 0, 0]):
            assert np.array_equal(
                inputs["lesions"][row, ..., 0] > 0, marked.get(number, 0) > 0 * np.ones((4, 4))
            )
            assert weights["location"][row] == (number != 6)


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
