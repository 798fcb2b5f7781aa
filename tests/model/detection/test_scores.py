"""Calibration of the peaks and the least score that is shown."""

from __future__ import annotations

import numpy as np
import pytest

from utils.model.detection.candidates import Candidates
from utils.model.detection.scores import LEAST_SCORE, fit_box_scores

MARKED = np.array([[10, 10, 20, 20]], np.float32)
NONE = MARKED[:0]
RIGHT, WRONG = (12, 12, 16, 16), (60, 60, 10, 10)


def candidates(*peaks: tuple[float, tuple[int, int, int, int]]) -> Candidates:
    """Candidates of one radiograph: their logits and boxes."""
    boxes = np.array([box for _, box in peaks], np.float32)
    return Candidates(np.array([logit for logit, _ in peaks], np.float32), boxes)


def drawn(count: int = 400, seed: int = 0) -> tuple[list[Candidates], list[np.ndarray]]:
    """Radiographs, one in two marked; a peak holds a fracture by a logistic line of its logit."""
    random = np.random.default_rng(seed)
    found, marked = [], []
    for number in range(count):
        logits = np.sort(random.normal(-1.0, 1.5, 3))[::-1]
        holds = random.random(3) < 1 / (1 + np.exp(-(2 * logits - 1)))
        is_marked = number % 2 == 0
        boxes = [RIGHT if one and is_marked else WRONG for one in holds]
        found.append(candidates(*zip(logits, boxes, strict=True)))
        marked.append(MARKED if is_marked else NONE)
    return found, marked


def test_scores_are_shares_of_right_boxes() -> None:
    found, marked = drawn(4000)
    pairs = [pair for pair in zip(found, marked, strict=True) if len(pair[1])]
    section = fit_box_scores(*map(list, zip(*pairs, strict=True)))
    assert section.calibration.slope == pytest.approx(2, rel=0.1)
    assert section.calibration.intercept == pytest.approx(-1, abs=0.15)


@pytest.mark.parametrize("accepted", [0.05, 0.2, 0.5])
def test_false_boxes_stay_below_their_limit(accepted: float) -> None:
    found, marked = drawn()
    section = fit_box_scores(found, marked, false_boxes=accepted)
    alarms = [
        (section.calibration.probability(one.logits) >= section.threshold).sum()
        for one, boxes in zip(found, marked, strict=True)
        if not len(boxes)
    ]
    assert np.mean(alarms) <= accepted
    assert np.mean(alarms) >= accepted - 0.01 or section.threshold == LEAST_SCORE
    assert f"{np.mean(alarms):.2f} on 200 normal ones" in section.chosen_by


def test_a_head_that_is_never_right_shows_nothing() -> None:
    found = [candidates((5.0, WRONG), (1.0, WRONG)) for _ in range(30)]
    section = fit_box_scores(found, [MARKED, NONE] * 15)
    assert np.max(section.calibration.probability(found[0].logits)) < section.threshold


def test_a_head_that_is_always_right_is_shown() -> None:
    section = fit_box_scores([candidates((1.0, RIGHT))] * 20, [MARKED] * 20)
    assert section.calibration.probability(1.0) > 0.9 > section.threshold
    assert "right box on 20 of 20" in section.chosen_by
