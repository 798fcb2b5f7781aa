"""Immutable tables of named things; an unknown name raises an error that lists the names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Generic, TypeVar

from utils.errors import UnknownName

Item = TypeVar("Item")


class Registry(Mapping[str, Item], Generic[Item]):
    """An immutable table of one kind of thing by name.

    Args:
        kind: what the table holds, in the singular, for messages ("architecture").
        items: name to thing, in the order in which the names are shown.
    """

    def __init__(self, kind: str, items: Mapping[str, Item]) -> None:
        self._kind = kind
        self._items = dict(items)

    def __getitem__(self, name: str) -> Item:
        """Return the thing of that name.

        Raises:
            UnknownName: there is none; the message lists the names.
        """
        try:
            return self._items[name]
        except KeyError:
            choices = ", ".join(self._items)
            raise UnknownName(
                "base.unknown_name", kind=self._kind, name=name, choices=choices
            ) from None

    def __contains__(self, name: object) -> bool:
        return name in self._items

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)
