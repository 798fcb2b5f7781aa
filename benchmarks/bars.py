"""Targets of the benchmarks, and tables of measured figures beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class Bar:
    """A target for a figure.

    Args:
        kind: whether the value has to be at least or at most, or strictly under, the limit.
        limit: in the figure's own unit.
        text: its words in the table.
    """

    kind: Literal["at least", "at most", "under"]
    limit: float
    text: str

    def holds(self, value: float) -> bool:
        """Return whether a value reaches the target; NaN never does."""
        if self.kind == "at least":
            return value >= self.limit
        return value <= self.limit if self.kind == "at most" else value < self.limit


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Args:
        figure: what was measured.
        app: the app's value, as it is shown.
        against: the value it is compared with, as it is shown.
        value: the number that the target is for; a ratio mostly.
        shown: the same as it is shown.
        bar: its target; None for a figure without one.
    """

    figure: str
    app: str
    against: str
    value: float
    shown: str
    bar: Bar | None = None

    @property
    def holds(self) -> bool | None:
        """Whether the target is reached; None without one."""
        return None if self.bar is None else self.bar.holds(self.value)

    def as_json(self) -> dict[str, Any]:
        """Return the row with its verdict."""
        return {**asdict(self), "holds": self.holds}

    @classmethod
    def of(cls, saved: dict[str, Any]) -> Row:
        """Return the row that ``as_json`` wrote."""
        fields = {name: saved[name] for name in ("figure", "app", "against", "value", "shown")}
        return cls(**fields, bar=Bar(**saved["bar"]) if saved["bar"] else None)


# Exit code of a benchmark that misses a target.
BARS_FAILED = 1

# Targets for DenseNet121 at the shipped input size, same run, same machine, same weights.
P50 = Bar("at most", 1 / 12, "1/12 or less")
THROUGHPUT = Bar("at least", 12.0, "12 times or more")
SHARE = Bar("at least", 0.80, "80 % or more")
MEMORY = Bar("at most", 1 / 2.5, "1/2.5 or less")
START = Bar("at most", 1 / 3, "1/3 or less")
FOLDER = Bar("at least", 0.85, "85 % or more")
LARGE = Bar("at most", 1 / 12, "1/12 or less")
REST = Bar("under", 0.5, "under half")
ERRORS = Bar("at most", 0.0, "none but 503")
NONE = Bar("at most", 0.0, "none")
GROWTH = Bar("under", 0.05, "under 5 %")
TAIL = Bar("under", 10.0, "under 10 times")


def fraction(value: float) -> str:
    """Return a ratio below one as a fraction: ``1/14.2``."""
    return f"1/{1 / value:.1f}" if 0 < value < 1 else f"{value:.2f}"


def times(value: float) -> str:
    """Return a ratio above one as text."""
    return f"{value:.1f} times"


def percent(value: float) -> str:
    """Return a share as text."""
    return f"{100 * value:.1f} %"


def verdict(row: Row) -> str:
    """Return whether a row's target is reached, in the table's words."""
    return {None: "", True: "holds", False: "FAILS"}[row.holds]


def cells(rows: Sequence[Row]) -> list[tuple[str, ...]]:
    """Return the cells of the table, its head first."""
    head = ("figure", "app", "against", "reached", "to reach", "")
    return [
        head,
        *(
            (
                row.figure,
                row.app,
                row.against,
                row.shown,
                row.bar.text if row.bar else "",
                verdict(row),
            )
            for row in rows
        ),
    ]


def as_text(rows: Sequence[Row]) -> str:
    """Return the table for a terminal."""
    return text_of(cells(rows))


def text_of(table: Sequence[tuple[str, ...]]) -> str:
    """Return cells, their head first, for a terminal."""
    widths = [max(len(line[column]) for line in table) for column in range(len(table[0]))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in table
    ]
    return "\n".join([lines[0], "-" * sum(widths), *lines[1:]])


def as_markdown(rows: Sequence[Row]) -> str:
    """Return the table for a document."""
    return markdown_of(cells(rows))


def markdown_of(table: Sequence[tuple[str, ...]]) -> str:
    """Return cells, their head first, for a document."""
    head, *body = table
    lines = ["| " + " | ".join(line) + " |" for line in body]
    return "\n".join(["| " + " | ".join(head) + " |", "|---" * len(head) + "|", *lines])


def failed(rows: Sequence[Row]) -> list[str]:
    """Return the names of the figures that miss their target."""
    return [row.figure for row in rows if row.holds is False]
