"""utils.inference.predictive_value: values and limits by hand; the bootstrap's are in tests/evaluation."""

from __future__ import annotations

import pytest

from utils.evaluation.metrics import summarise
from utils.inference.predictive_value import PredictiveValue, predictive_value_of_answers


def test_figures_that_are_undefined_give_no_value():
    one_class = summarise([1, 1], [0.4, 0.6], ["a", "b"], 0.5, resamples=0)
    assert predictive_value_of_answers(one_class.model_dump(), 0.1) == {}
    assert predictive_value_of_answers({}, 0.1) == {}


def test_an_answer_never_given_has_no_value():
    figures = summarise([1, 0, 1, 0], [0.1, 0.2, 0.3, 0.4], list("abcd"), 0.9, resamples=50)
    values = predictive_value_of_answers(figures.model_dump(), 0.1)
    assert set(values) == {False}
    assert values[False].value == pytest.approx(0.9)


def test_an_answer_never_wrong_has_a_lower_limit():
    figures = {
        "sensitivity": {"value": 0.8, "low": 0.7, "high": 0.9},
        "specificity": {"value": 1.0, "low": 0.9, "high": 1.0},
    }
    value = predictive_value_of_answers(figures, 0.1)[True]
    assert value.value == value.high == 1.0
    # The corner: 7 of 10 found, 9 of 90 called by mistake.
    assert value.low == pytest.approx(7 / (7 + 9))


def test_no_interval_without_those_of_the_figures():
    figures = {
        "sensitivity": {"value": 0.9, "low": None, "high": None},
        "specificity": {"value": 0.8, "low": 0.7, "high": 0.9},
    }
    value = predictive_value_of_answers(figures, 0.1)[True]
    assert value == PredictiveValue(0.1, pytest.approx(1 / 3), None, None)
