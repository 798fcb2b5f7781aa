"""Outcomes of radiographs that were sent in many ways: counts, totals, targets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from benchmarks.bars import Bar, Row, percent
from benchmarks.ways.way import Way
from utils.errors import InputError
from utils.inference.input_warnings import DEFINITE
from utils.inference.prediction import Prediction
from utils.inference.predictor import Predictor

SILENT = Bar("at most", 0.03, "3 % or less")
WORST = Bar("at most", 0.10, "10 % or less")
FOUND = Bar("at least", 0.55, "55 % or more")


class Outcome(StrEnum):
    """Answer to one file, as the battery counts it."""

    FRACTURE = "fracture"
    FRACTURE_WARNED = "fracture, with a warning"
    NORMAL = "normal"
    NORMAL_WARNED = "normal, with a warning"
    DOUBTFUL = "doubtful"
    WITHHELD = "withheld"
    REFUSED = "refused"


FRACTURES = (Outcome.FRACTURE, Outcome.FRACTURE_WARNED)
NORMALS = (Outcome.NORMAL, Outcome.NORMAL_WARNED)
UNDECIDED = (Outcome.DOUBTFUL, Outcome.WITHHELD, Outcome.REFUSED)


def outcome(predictor: Predictor, content: bytes) -> Outcome:
    """Return the outcome of one file; only errors of the input are outcomes."""
    try:
        answer = predictor.predict(content, pictures=False)
    except InputError:
        return Outcome.REFUSED
    return outcome_of(answer, predictor.bundle.labels.positive)


def outcome_of(answer: Prediction, positive: str) -> Outcome:
    """Return the outcome of an answer; ``positive`` is the label of a fracture."""
    if answer.certainty != DEFINITE:
        return Outcome(answer.certainty)
    return (FRACTURES if answer.prediction == positive else NORMALS)[bool(answer.warnings)]


@dataclass(frozen=True)
class WayResult:
    """Outcomes of one way.

    Args:
        kind, name, destructive, damaged: see ``Way``.
        fractures: outcomes of fractures that are found when sent plainly.
        normals: outcomes of normal radiographs.
    """

    kind: str
    name: str
    destructive: bool
    damaged: bool
    fractures: Counter[Outcome]
    normals: Counter[Outcome]

    @classmethod
    def of(cls, way: Way, fractures: Sequence[Outcome], normals: Sequence[Outcome]) -> WayResult:
        """Count the outcomes of a way."""
        facts = (way.kind, way.name, way.destructive, way.damaged)
        return cls(*facts, Counter(fractures), Counter(normals))

    @property
    def silent(self) -> float:
        """Share of silent Normals among the fractures; of a damaged file every definite one is."""
        return share([self.fractures], *(NORMALS if self.damaged else NORMALS[:1]))

    @property
    def everyday(self) -> bool:
        """Whether the whole radiograph arrives with its detail, so that an answer is wanted."""
        return not self.destructive and not self.damaged

    def as_json(self) -> dict[str, Any]:
        """Return the record with its counts by name."""
        counts = {"fractures": dict(self.fractures), "normals": dict(self.normals)}
        return {**vars(self), **counts}


def share(counts: Sequence[Counter[Outcome]], *outcomes: Outcome) -> float:
    """Return the share of some outcomes in several counts together."""
    return sum(one[name] for one in counts for name in outcomes) / sum(map(Counter.total, counts))


def totals(upright: WayResult, results: Sequence[WayResult]) -> list[Row]:
    """Return the totals over the ways, with their targets.

    Args:
        upright: the same radiographs sent plainly.
        results: at least one everyday way.
    """
    everyday = [one for one in results if one.everyday]
    sent = [one.fractures for one in everyday]
    silent, found = share(sent, Outcome.NORMAL), share(sent, *FRACTURES)
    turned = share([one.normals for one in everyday], *FRACTURES)
    plainly = share([upright.normals], *FRACTURES)
    worst = max((one for one in results if not one.destructive), key=lambda one: one.silent)
    rows = [
        _row("silent Normals, all everyday ways", silent, bar=SILENT),
        _row("silent Normals, worst way that is not destructive", worst.silent, worst.name, WORST),
        _row("fractures still found for certain, everyday ways", found, bar=FOUND),
        _row(
            "normals turned into definite fractures, everyday ways",
            turned,
            f"{percent(plainly)} upright",
            Bar("at most", plainly, "no more than upright"),
        ),
        _row("definite Normals with a warning, everyday ways", share(sent, Outcome.NORMAL_WARNED)),
        _row("answers withheld or refused, everyday ways", share(sent, *UNDECIDED[1:])),
    ]
    for name in ("destructive", "damaged"):
        silent_ones = [one.silent for one in results if getattr(one, name)]
        if silent_ones:
            mean = sum(silent_ones) / len(silent_ones)
            rows.append(_row(f"silent Normals, {name} ways", mean))
    return rows


def _row(figure: str, value: float, against: str = "", bar: Bar | None = None) -> Row:
    """Return the row of a share."""
    return Row(figure, "", against, value, percent(value), bar)
