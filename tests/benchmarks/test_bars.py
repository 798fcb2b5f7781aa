"""Targets, and the tables of figures beside them."""

from __future__ import annotations

import json

import pytest

from benchmarks import bars
from benchmarks.bars import Bar, Row, as_markdown, as_text, failed


@pytest.mark.parametrize(
    "bar, reached, missed",
    [
        (bars.P50, 1 / 12, 1 / 11.9),
        (bars.THROUGHPUT, 12.0, 11.99),
        (bars.SHARE, 0.80, 0.799),
        (bars.MEMORY, 0.4, 0.41),
        (bars.START, 1 / 3, 0.34),
        (bars.FOLDER, 0.85, 0.849),
        (bars.LARGE, 1 / 12, 1 / 11.9),
        (bars.REST, 0.49, 0.5),
        (bars.GROWTH, 0.049, 0.05),
        (bars.TAIL, 9.99, 10.0),
    ],
)
def test_a_target_holds_to_its_limit_but_not_for_nan(bar, reached, missed):
    assert bar.holds(reached)
    assert not bar.holds(missed)
    assert not bar.holds(float("nan"))


def table() -> list[Row]:
    bar = Bar("at most", 0.5, "half or less")
    return [
        Row("speed", "1 ms", "4 ms", 0.25, "1/4.0", bar),
        Row("weight", "3 kg", "4 kg", 0.75, "1/1.3", bar),
        Row("colour", "red", "blue", 0.0, ""),
    ]


def test_the_table_names_only_the_missed_targets():
    assert failed(table()) == ["weight"]
    lines = {line.split()[0]: line for line in as_text(table()).splitlines()[2:]}
    assert lines["speed"].endswith("half or less  holds")
    assert lines["weight"].endswith("half or less  FAILS")
    assert lines["colour"].rstrip().endswith("blue")


def test_a_row_survives_json():
    again = [Row.of(json.loads(json.dumps(row.as_json()))) for row in table()]
    assert again == table()
    assert as_markdown(again).count("|---") == 6
