"""utils.training.epochs.schedule: learning rates and patience."""

from __future__ import annotations

import pytest

from utils.errors import UnknownName
from utils.training.epochs.schedule import learning_rate_at, out_of_patience


def test_cosine_rises_falls_and_ends_low() -> None:
    rates = [learning_rate_at("cosine", 1.0, step / 1000, []) for step in range(1001)]
    top = rates.index(max(rates))
    assert 45 <= top <= 55
    assert rates[:top] == sorted(rates[:top])
    assert rates[top:] == sorted(rates[top:], reverse=True)
    assert rates[525] == pytest.approx(0.505, abs=0.01)  # half way down the half cosine
    assert rates[-1] == pytest.approx(0.01)


def test_plateau_falls_after_two_worse_epochs() -> None:
    def rate(*scores: float) -> float:
        return learning_rate_at("plateau", 2.0, 0.5, scores)

    assert rate() == 2.0
    assert rate(0.7, 0.8, 0.75) == 2.0
    assert rate(0.7, 0.8, 0.75, 0.8) == pytest.approx(0.6)
    assert rate(0.7, 0.8, 0.75, 0.8, 0.9, 0.9) == pytest.approx(0.6)
    assert rate(0.8, 0.7, 0.7, 0.7, 0.7) == pytest.approx(0.18)


def test_constant_stays() -> None:
    assert learning_rate_at("constant", 0.3, 0.9, [0.5, 0.4, 0.3]) == 0.3


def test_an_unknown_schedule_names_the_choices() -> None:
    with pytest.raises(UnknownName, match="cosine, plateau, constant"):
        learning_rate_at("step", 0.3, 0.9, [])


@pytest.mark.parametrize(
    ("scores", "patience", "expected"),
    [
        ([], 1, False),
        ([0.9], 1, False),
        ([0.9, 0.8], 1, True),
        ([0.9, 0.8], 2, False),
        ([0.9, 0.8, 0.9], 2, True),
        ([0.9, 0.8, 0.95], 2, False),
    ],
)
def test_patience_counts_epochs_since_the_best(
    scores: list[float], patience: int, expected: bool
) -> None:
    assert out_of_patience(scores, patience) is expected
