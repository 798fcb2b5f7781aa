"""The record every dataset is read into: an image on disk and what its source says about it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from utils.imaging.geometry import Box

PARTS = ("train", "validation", "test")


@dataclass(frozen=True)
class Sample:
    """One labelled radiograph.

    Args:
        path: the file.
        id: stable name inside the dataset: its path relative to the root, with forward slashes.
        label: 1 for the positive class (see ``Dataset.meaning``), 0 for the negative.
        group: images of one group are never separated by a split: the patient where known, else the
            study, else the image itself. Near-duplicates are merged into one group later.
        study: images of one examination, where the source says so.
        region: body part ("hand", "wrist", ...), where the source says so.
        view: projection ("frontal", "lateral", "oblique", joined by "+" where several are marked).
        hardware: whether metal (plates, screws, casts) is in the picture, where the source says so.
        boxes: where the fractures are, where the source says so.
        part: "train", "validation" or "test" where the source prescribes it, else None.
    """

    path: Path
    id: str
    label: int
    group: str
    study: str | None = None
    region: str | None = None
    view: str | None = None
    hardware: bool | None = None
    boxes: tuple[Box, ...] = ()
    part: str | None = None


@dataclass(frozen=True)
class Dataset:
    """The samples of one source.

    Args:
        name: the reader's name in the READERS table.
        root: the folder it was read from.
        samples: in a stable order (sorted by id).
        meaning: what a positive label means in this source, one sentence for people.
        attribution: source and licence to name wherever a model trained on it is published.
        dropped: reason to number of images left out while reading (contradictory labels, ...).
    """

    name: str
    root: Path
    samples: tuple[Sample, ...]
    meaning: str
    attribution: str = ""
    dropped: Mapping[str, int] = field(default_factory=Counter)

    @property
    def regions(self) -> tuple[str, ...]:
        """Body parts that occur, sorted."""
        return tuple(sorted({sample.region for sample in self.samples if sample.region}))
