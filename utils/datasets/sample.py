"""A labelled radiograph on disk, and the dataset it belongs to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from utils.imaging.geometry import Box

PARTS = ("train", "validation", "test")


@dataclass(frozen=True)
class Sample:
    """One labelled radiograph. What the source does not state is None or empty.

    Args:
        path: of the file.
        id: stable name in the dataset: the path relative to its root, with forward slashes.
        label: 1 for the positive class (see ``Dataset.meaning``), 0 for the negative.
        group: images of one group are never separated by a split: the patient where known, else the
            study, else the image itself. Near-duplicates are merged into one group later.
        study: images of one examination.
        region: body part ("hand", "wrist", ...).
        view: projection ("frontal", "lateral", "oblique", joined by "+" where several are marked).
        hardware: whether metal (plates, screws, casts) is in the picture.
        boxes: lesions, in pixels of the upright picture.
        part: "train", "validation" or "test" where the source prescribes it.
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
        name: of the reader, in the READERS table.
        root: the folder it was read from.
        samples: sorted by id.
        meaning: of a positive label in this source, one sentence for people.
        attribution: source and licence to name wherever a model trained on it is published.
        dropped: reason, a key of metrics.json, to number of images left out while reading.
    """

    name: str
    root: Path
    samples: tuple[Sample, ...]
    meaning: str
    attribution: str = ""
    dropped: Mapping[str, int] = field(default_factory=dict)

    @property
    def regions(self) -> tuple[str, ...]:
        """Body parts that occur, sorted."""
        return tuple(sorted({sample.region for sample in self.samples if sample.region}))
