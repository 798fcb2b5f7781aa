"""Registry and errors: a name or the names there are."""

from __future__ import annotations

import pytest

from utils import errors
from utils.registry import Registry


def test_a_known_name_gives_its_thing() -> None:
    assert Registry("colour", {"red": 1, "blue": 2})["blue"] == 2


def test_an_unknown_name_is_answered_with_the_names_there_are() -> None:
    with pytest.raises(errors.UnknownName, match=r"unknown colour 'green'; .*: red, blue"):
        Registry("colour", {"red": 1, "blue": 2})["green"]


def test_a_table_is_counted_and_walked_in_the_order_given() -> None:
    table = Registry("colour", {"red": 1, "blue": 2})
    assert (list(table), len(table), "red" in table, "green" in table) == (
        ["red", "blue"],
        2,
        True,
        False,
    )


def test_every_error_has_a_code_of_its_own_and_a_place_in_the_tree() -> None:
    kinds = [
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.FractureError)
    ]
    codes = [kind.code for kind in kinds]
    assert len(set(codes)) == len(codes)
    leaves = set(kinds) - {errors.FractureError}
    assert all(issubclass(kind, errors.InputError | errors.SetupError) for kind in leaves)
