"""utils.training.augmentation.marks: words and collimators beside the boxes."""

from __future__ import annotations

import numpy as np

from utils.training.augmentation.marks import MarkRates, add_marks

SIZE = 96
GREY = np.full((SIZE, SIZE), 90, np.uint8)
NO_BOXES = np.zeros((0, 4), np.float32)


def marked(rates: MarkRates, boxes: np.ndarray = NO_BOXES) -> np.ndarray:
    """Mark a grey picture two hundred times."""
    random = np.random.default_rng(0)
    return np.stack([add_marks(GREY, boxes, random, rates) for _ in range(200)])


def test_no_rate_is_no_mark() -> None:
    assert (marked(MarkRates()) == 90).all()


def test_words_are_bright_and_small() -> None:
    pictures = marked(MarkRates(words=1.0))
    assert pictures.min() == 90
    assert pictures.max() > 170
    shares = (pictures > 90).mean(axis=(1, 2))
    assert np.median(shares) > 0.005
    assert shares.max() < 0.5


def test_a_collimator_cuts_the_border_alone() -> None:
    pictures = marked(MarkRates(collimator=1.0))
    changed = pictures != 90
    assert 0.6 < changed.any(axis=(1, 2)).mean() <= 1
    assert not changed[:, SIZE // 4 + 1 : -SIZE // 4 - 1, SIZE // 4 + 1 : -SIZE // 4 - 1].any()
    beyond = pictures[changed]
    assert (beyond == 0).mean() > 0.2
    assert (beyond == 255).mean() > 0.1
    assert len(np.unique(beyond)) > 30


def test_marks_never_hide_a_box() -> None:
    boxes = np.array([[2, 40, 30, 12], [70, 80, 20, 14]], np.float32)
    pictures = marked(MarkRates(words=1.0, collimator=1.0), boxes)
    assert (pictures[:, 40:52, 2:32] == 90).all()
    assert (pictures[:, 80:94, 70:90] == 90).all()
    assert (pictures != 90).any(axis=(1, 2)).mean() > 0.9
