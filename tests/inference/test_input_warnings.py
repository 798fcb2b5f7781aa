"""utils.inference.input_warnings: the one rule for which answers are doubtful or withheld."""

from __future__ import annotations

import pytest

from utils.inference.input_warnings import LOW_RESOLUTION, certainty_of
from utils.model.ood import INVERTED, NOT_A_RADIOGRAPH, UNLIKE_TRAINING, UNSUPPORTED_REGION


@pytest.mark.parametrize(
    ("probability", "expected"),
    [(0.19, "definite"), (0.2, "doubtful"), (0.39, "doubtful"), (0.4, "definite")],
)
def test_the_doubtful_zone_holds_its_lower_end_and_not_its_upper_one(probability, expected):
    assert certainty_of(probability, (0.2, 0.4), ()) == expected


@pytest.mark.parametrize("probability", [0.01, 0.3, 0.99])
def test_some_warnings_decide_whatever_the_probability(probability):
    for code in (UNSUPPORTED_REGION, INVERTED, LOW_RESOLUTION):
        assert certainty_of(probability, (0.2, 0.4), [code]) == "doubtful"
    assert certainty_of(probability, (0.2, 0.4), [NOT_A_RADIOGRAPH]) == "withheld"
    assert (
        certainty_of(probability, (0.2, 0.4), [UNSUPPORTED_REGION, NOT_A_RADIOGRAPH]) == "withheld"
    )


def test_other_warnings_leave_an_answer_as_certain_as_its_probability():
    assert certainty_of(0.9, (0.2, 0.4), [UNLIKE_TRAINING, "truncated"]) == "definite"
    assert certainty_of(0.3, (0.2, 0.4), [UNLIKE_TRAINING, "truncated"]) == "doubtful"
