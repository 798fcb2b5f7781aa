"""Tables of the battery of ways, and the generated section of docs/robustness.md."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from benchmarks.bars import Row, markdown_of, text_of, verdict
from benchmarks.outcomes import FRACTURES, NORMALS, UNDECIDED, Outcome, WayResult, share, totals
from benchmarks.performance import RESULTS, filled
from tests.support.processes import ROOT

DOCUMENT = ROOT / "docs" / "robustness.md"
HEAD = (
    "way",
    "silent Normal",
    "Normal, warned",
    "doubtful, withheld or refused",
    "definite fracture",
    "normals: definite fracture",
    "definite Normal",
)


@dataclass(frozen=True)
class Battery:
    """Results of all ways.

    Args:
        facts: date, model and data of the run, for the document.
        upright: the radiographs sent plainly.
        results: of each way.
    """

    facts: str
    upright: WayResult
    results: Sequence[WayResult]

    @property
    def rows(self) -> list[Row]:
        """Totals and targets; none where no everyday way was sent."""
        everyday = any(one.everyday for one in self.results)
        return totals(self.upright, self.results) if everyday else []

    def as_json(self) -> dict[str, Any]:
        """Return the counts of every way, and the totals."""
        return {
            "facts": self.facts,
            "upright": self.upright.as_json(),
            "ways": [one.as_json() for one in self.results],
            "totals": [row.as_json() for row in self.rows],
        }

    def as_text(self) -> str:
        """Return the tables for a terminal."""
        table = [HEAD, *(cells(one) for one in (self.upright, *self.results))]
        return "\n\n".join([self.facts, text_of(table), text_of(targets(self.rows))])

    def as_markdown(self) -> str:
        """Return the tables for the document, one for each kind."""
        pieces = [self.facts, markdown_of(targets(self.rows))]
        for kind, ways in groupby(self.results, key=lambda one: one.kind):
            table = [HEAD, *(cells(one) for one in ways)]
            pieces += [f"### {kind[0].upper()}{kind[1:]}", markdown_of(table)]
        return "\n\n".join(pieces)


def cells(result: WayResult) -> tuple[str, ...]:
    """Return the line of one way; an asterisk marks a destructive one."""
    fractures, normals = [result.fractures], [result.normals]
    shares = (
        share(fractures, Outcome.NORMAL),
        share(fractures, Outcome.NORMAL_WARNED),
        share(fractures, *UNDECIDED),
        share(fractures, *FRACTURES),
        share(normals, *FRACTURES),
        share(normals, *NORMALS),
    )
    name = f"{result.name} *" if result.destructive else result.name
    return (name, *(f"{100 * one:.0f} %" for one in shares))


def targets(rows: Sequence[Row]) -> list[tuple[str, ...]]:
    """Return the cells of the totals and their targets, the head first."""
    head = ("total", "reached", "", "to reach", "")
    return [
        head,
        *(
            (row.figure, row.shown, row.against, row.bar.text if row.bar else "", verdict(row))
            for row in rows
        ),
    ]


def save(battery: Battery) -> None:
    """Save the results and fill the document's section."""
    write_json(battery, RESULTS / "arrivals.json")
    text = DOCUMENT.read_text(encoding="utf-8")
    DOCUMENT.write_text(filled(text, "arrivals", battery.as_markdown()), encoding="utf-8")


def write_json(battery: Battery, file: Path) -> None:
    """Write the results as JSON."""
    file.write_text(json.dumps(battery.as_json(), indent=1) + "\n", encoding="utf-8")
