"""Tables of named things; an unknown name raises an error that lists the names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NoReturn, TypeVar

from utils.errors import UnknownName

Item = TypeVar("Item")


class Registry(dict[str, Item]):
    """A table of one kind of thing by name.

    Args:
        kind: what the table holds, in the singular, for messages ("architecture").
        items: name to thing, in the order in which the names are shown.
    """

    def __init__(self, kind: str, items: Mapping[str, Item]) -> None:
        super().__init__(items)
        self._kind = kind

    def __missing__(self, name: str) -> NoReturn:
        choices = ", ".join(self)
        raise UnknownName("base.unknown_name", kind=self._kind, name=name, choices=choices)
