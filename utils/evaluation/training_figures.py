"""Figures of one part of a training set, for the sidecar of the bundle that a training ends in."""

from __future__ import annotations

from typing import Any

from utils.evaluation.localisation import localise, summarise_localisation
from utils.evaluation.metrics import summarise
from utils.training.finalize import PartAnswers


def part_figures(answers: PartAnswers) -> dict[str, Any]:
    """Return the figures of ``metrics.summarise``, JSON-able.

    Where the answers have maps, ``localisation`` is added: None where no lesion is marked.
    """
    data, rows = answers.data, answers.data.rows[answers.part]
    groups = [data.groups[row] for row in rows]
    figures: dict[str, Any] = summarise(
        data.labels[rows], answers.probabilities, groups, answers.threshold
    ).model_dump()
    if answers.maps is not None:
        marked = [n for n, row in enumerate(rows) if data.prepared.samples[row].boxes]
        localised = [
            localise(
                answers.maps[n],
                data.prepared.samples[rows[n]],
                data.prepared.files[rows[n]],
                answers.map_offset,
            )
            for n in marked
        ]
        figures["localisation"] = None
        if localised:
            measured = summarise_localisation(localised, [groups[n] for n in marked])
            figures["localisation"] = measured.model_dump()
    return figures
