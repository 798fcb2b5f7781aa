"""Errors: their tree, their codes, and the sentence that each carries."""

from __future__ import annotations

import pickle

import pytest

from utils import errors
from utils.errors import FractureError, InputError, SetupError, TooLarge, UnknownName

KINDS = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, FractureError)
]


def test_every_error_has_its_own_code():
    codes = [kind.code for kind in KINDS]
    assert len(set(codes)) == len(codes)


def test_every_error_blames_the_input_or_the_setup():
    leaves = set(KINDS) - {FractureError}
    assert all(issubclass(kind, InputError | SetupError) for kind in leaves)
    assert not any(issubclass(kind, InputError) and issubclass(kind, SetupError) for kind in KINDS)


def test_an_error_is_its_sentence_with_the_facts():
    error = TooLarge("base.file_too_long", megabytes=7.26, limit=5)
    assert str(error) == "the file has 7.3 MB; at most 5 MB are read"


def test_an_error_keeps_its_id_and_facts():
    error = UnknownName("base.unknown_name", kind="colour", name="green", choices="red")
    assert error.message_id == "base.unknown_name"
    assert error.facts == {"kind": "colour", "name": "green", "choices": "red"}


def test_a_wrong_id_is_a_bug():
    with pytest.raises(KeyError):
        str(InputError("base.no_such_message"))


def test_an_error_crosses_processes_whole():
    error = TooLarge("base.file_too_long", megabytes=7.26, limit=5)
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301
    assert (type(copy), str(copy)) == (TooLarge, str(error))
