"""Catalogue of the sentences for people, by message id.

An id such as ``formats.ends_early`` names a file of ``translations/en/`` and a key in it. Placeholders of
a sentence are filled with facts, as ``str.format`` does.
"""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Any

CATALOGUE = Path(__file__).resolve().parents[1] / "translations" / "en"


def sentence(message_id: str, /, **facts: Any) -> str:
    """Return the sentence of a message id with its facts filled in.

    Raises:
        KeyError: the catalogue has no such id, or the sentence has a placeholder without a fact.
    """
    room, _, key = message_id.partition(".")
    return sentences(room)[key].format(**facts)


@cache
def sentences(room: str) -> dict[str, str]:
    """Return the sentences of one file of the catalogue, by key."""
    with (CATALOGUE / f"{room}.toml").open("rb") as stream:
        return tomllib.load(stream)
