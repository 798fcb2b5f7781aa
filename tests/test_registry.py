"""Registry: a look-up by name, or an error that lists the names."""

from __future__ import annotations

import pytest

from utils.errors import UnknownName
from utils.registry import Registry


def test_a_known_name_gives_its_thing() -> None:
    assert Registry("colour", {"red": 1, "blue": 2})["blue"] == 2


def test_an_unknown_name_raises_the_list_of_names() -> None:
    with pytest.raises(UnknownName, match=r"unknown colour 'green'; .*: red, blue"):
        Registry("colour", {"red": 1, "blue": 2})["green"]


def test_a_registry_keeps_the_order_given() -> None:
    table = Registry("colour", {"red": 1, "blue": 2})
    assert (list(table), len(table), "red" in table, "green" in table) == (
        ["red", "blue"],
        2,
        True,
        False,
    )
