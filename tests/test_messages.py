"""The catalogue: every message id that the code uses exists, with exactly its facts; none is unused."""

from __future__ import annotations

import ast
import re
import string
import tomllib
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

import pytest

from tests.support.processes import ROOT
from utils import errors, messages

ERRORS = {
    name
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, errors.FractureError)
}
SOURCES = sorted(
    [*(ROOT / "utils").rglob("*.py"), *(ROOT / "benchmarks").glob("*.py"), *ROOT.glob("*.py")]
)
ROOMS = sorted(path.stem for path in messages.CATALOGUE.glob("*.toml"))


class Use(NamedTuple):
    """A call that names a message: an error that is constructed, or a sentence that is built."""

    place: str
    message: ast.expr
    facts: set[str]
    open_ended: bool


@cache
def parsed() -> list[tuple[str, ast.Module]]:
    return [
        (str(path.relative_to(ROOT)), ast.parse(path.read_text(encoding="utf-8")))
        for path in SOURCES
    ]


def uses() -> list[Use]:
    """Return every construction of a FractureError and every call of ``sentence``, but utils/errors.py's."""
    found = []
    for name, tree in parsed():
        if name == "utils/errors.py":
            continue
        for call in ast.walk(tree):
            if not isinstance(call, ast.Call):
                continue
            called = call.func
            title = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
            if title in ERRORS | {"sentence"} and call.args:
                facts = {keyword.arg for keyword in call.keywords}
                found.append(
                    Use(f"{name}:{call.lineno}", call.args[0], facts - {None}, None in facts)
                )
    return found


def strings() -> Iterator[str]:
    """Yield every literal string of the code."""
    for _, tree in parsed():
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


def ids_of(message: ast.expr) -> list[str] | None:
    """Return the ids that an expression may be, where it is literal: a string, or a choice of two."""
    if isinstance(message, ast.Constant) and isinstance(message.value, str):
        return [message.value]
    if isinstance(message, ast.IfExp):
        first, second = ids_of(message.body), ids_of(message.orelse)
        return None if first is None or second is None else first + second
    return None


def catalogue() -> dict[str, str]:
    return {f"{room}.{k}": text for room in ROOMS for k, text in messages.sentences(room).items()}


def placeholders(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


def prose(message: ast.expr) -> bool:
    """Whether an expression holds a sentence, literal or built on the spot, instead of an id."""
    constants = [one.value for one in ast.walk(message) if isinstance(one, ast.Constant)]
    return any(isinstance(text, str) and " " in text for text in constants)


def test_an_error_names_a_message_not_a_sentence():
    assert [use.place for use in uses() if prose(use.message)] == []


def test_every_message_id_exists():
    known = catalogue()
    literal = {(use.place, one) for use in uses() for one in ids_of(use.message) or ()}
    assert {(place, one) for place, one in literal if one not in known} == set()
    assert len(literal) > 100


def test_every_message_gets_exactly_its_facts():
    known, wrong = catalogue(), []
    for use in uses():
        ids = [one for one in ids_of(use.message) or () if one in known]
        needed = [placeholders(known[one]) for one in ids]
        missing = set().union(*needed) - use.facts if not use.open_ended else set()
        if ids and (missing or use.facts - set().union(*needed)):
            wrong.append((use.place, ids, missing or use.facts - set().union(*needed)))
    assert wrong == []


def test_every_literal_like_an_id_exists():
    """Ids also stand in tables and go through functions that build an error."""
    known = catalogue()
    like_an_id = re.compile(rf"({'|'.join(ROOMS)})\.(?!html|md|json)\w*[^\W_]")
    literals = {text for text in strings() if like_an_id.fullmatch(text)}
    assert literals - set(known) == set()


def test_every_sentence_is_used():
    """By its id as a literal, or by an f-string that begins with a room and ends before its end."""
    literals = set(strings())
    prefixes = tuple(
        str(node.values[0].value)
        for _, tree in parsed()
        for node in ast.walk(tree)
        if isinstance(node, ast.JoinedStr)
        and isinstance(node.values[0], ast.Constant)
        and str(node.values[0].value).startswith(tuple(f"{room}." for room in ROOMS))
    )
    unused = [one for one in catalogue() if one not in literals]
    assert [one for one in unused if not one.startswith(prefixes)] == []


@pytest.mark.parametrize("room", ROOMS)
def test_a_file_of_the_catalogue_is_flat(room):
    content = tomllib.loads((messages.CATALOGUE / f"{room}.toml").read_text(encoding="utf-8"))
    assert {type(text) for text in content.values()} == {str}
    assert [key for key in content if not key.isidentifier()] == []


def test_placeholders_are_plain_names():
    names = {field for text in catalogue().values() for field in placeholders(text)}
    assert {name for name in names if not name.isidentifier()} == set()


def test_facts_are_filled_in():
    found = messages.sentence("base.unknown_name", kind="colour", name="green", choices="red, blue")
    assert found == "unknown colour 'green'; choose one of: red, blue"


def test_an_unknown_id_is_a_bug():
    with pytest.raises(KeyError):
        messages.sentence("base.no_such_message")


def test_a_missing_fact_is_a_bug():
    with pytest.raises(KeyError):
        messages.sentence("base.unknown_name", kind="colour")
