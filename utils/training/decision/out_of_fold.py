"""Table of out-of-fold predictions, and the record that names its data and settings.

``out_of_fold.csv`` has a line for each radiograph of train and validation part; ``out_of_fold.json`` beside
it has what a training must have in common to take its decision from the table.
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, TypeAdapter, ValidationError

from utils.datasets.training_set import TrainingSet
from utils.errors import InputError
from utils.files import atomic_write, sha256_of
from utils.messages import sentence
from utils.model.bundle import Bundle
from utils.training.config import TrainingConfig, training_settings
from utils.training.decision.decide import DecisionScores

TABLE = "out_of_fold.csv"
# Part of the metrics that the figures of the table are.
PART = "out_of_fold"


@dataclass(frozen=True)
class MapPeak:
    """Peak of an activation map in pixels of the file, and whether it lies inside a marked fracture.

    Args:
        x, y: None where the map is empty.
        hit: None where no fracture is marked.
    """

    x: int | None
    y: int | None
    hit: bool | None


@dataclass(frozen=True)
class OutOfFoldImage:
    """One radiograph, scored by the network of the fold that held it out.

    Args:
        path: the sample's id.
        group: unit of folds and bootstrap.
        fold: the one that it is in, from 1.
        label: 1 positive.
        region: body part, "" where it is not known.
        predicted_region: by the region head, "" without it.
        logit: before calibration.
        hit, peak_x, peak_y: see ``MapPeak``.
    """

    path: str
    group: str
    fold: int
    label: int
    region: str
    predicted_region: str
    logit: float
    hit: bool | None
    peak_x: int | None
    peak_y: int | None


class OutOfFoldRecord(BaseModel, frozen=True, extra="forbid"):
    """Origin of a table.

    Args:
        folds: number of them.
        identity: settings, parents and data, by name.
        commits: versions of the code that trained the folds.
        table_sha256: of the CSV file.
    """

    folds: int
    identity: dict[str, Any]
    commits: tuple[str, ...]
    table_sha256: str


@dataclass(frozen=True, eq=False)
class OutOfFold:
    """A table with its record; the images are sorted by path."""

    path: Path
    images: tuple[OutOfFoldImage, ...]
    record: OutOfFoldRecord

    @property
    def scores(self) -> DecisionScores:
        """Logits and labels, to decide by."""
        return DecisionScores(
            np.array([image.logit for image in self.images]),
            np.array([image.label for image in self.images]),
            tuple(image.predicted_region for image in self.images),
            sentence("training.out_of_fold", images=len(self.images), folds=self.record.folds),
        )

    @property
    def summary(self) -> dict[str, Any]:
        """Folds, commits and checksum, for the sidecar."""
        return self.record.model_dump(exclude={"identity"}, mode="json")

    def check(self, identity: Mapping[str, Any]) -> None:
        """Raise InputError where a training differs from the folds, naming what does.

        Args:
            identity: of the training, see ``table_identity``.
        """
        before = self.record.identity
        for name in sorted(before.keys() | identity.keys()):
            if before.get(name) != identity.get(name):
                raise InputError(
                    "training.other_table",
                    path=self.path,
                    name=name,
                    before=before.get(name),
                    now=identity.get(name),
                )

    def as_part(self, data: TrainingSet) -> TrainingSet:
        """Return a training set with one more part, PART: the table's rows, in its order."""
        row_of = {sample.id: row for row, sample in enumerate(data.prepared.samples)}
        rows = np.array([row_of[image.path] for image in self.images])
        return replace(data, rows={**data.rows, PART: rows})


def table_identity(
    config: TrainingConfig, data: TrainingSet, parents: Sequence[Bundle], weights_sha256: str | None
) -> dict[str, Any]:
    """Return what a training and the folds that decide for it must have in common, JSON-able.

    Args:
        config: the settings; those of the decision are free.
        data: the whole training set.
        parents: bundles that the run builds on.
        weights_sha256: of the initial weight file.
    """
    rows = np.concatenate([data.rows["train"], data.rows["validation"]])
    images = sorted(f"{data.prepared.files[row].sha256} {data.labels[row]}" for row in rows)
    identity = {
        **training_settings(config),
        # The folder of a file exists on one machine only.
        "weights": Path(config.weights).name,
        "teacher": config.teacher and Path(config.teacher).name,
        "weights_sha256": weights_sha256,
        "built on": [bundle.sha256 for bundle in parents],
        "data": hashlib.sha256("\n".join(images).encode()).hexdigest(),
    }
    return dict(json.loads(json.dumps(identity)))


def write_images(path: Path, images: Iterable[OutOfFoldImage]) -> None:
    """Write a line an image."""
    with atomic_write(path) as part, part.open("w", encoding="utf-8", newline="") as stream:
        names = [field.name for field in fields(OutOfFoldImage)]
        writer = csv.DictWriter(stream, names, lineterminator="\n")
        writer.writeheader()
        for image in images:
            hit = "" if image.hit is None else int(image.hit)
            writer.writerow({**asdict(image), "logit": f"{image.logit:.6f}", "hit": hit})


def read_images(path: Path) -> tuple[OutOfFoldImage, ...]:
    """Read what ``write_images`` wrote.

    Raises:
        OSError, ValueError: the file cannot be read, or is no such table.
    """
    optional = ("hit", "peak_x", "peak_y")
    with path.open(encoding="utf-8", newline="") as stream:
        lines = [
            {**line, **{name: line[name] or None for name in optional if name in line}}
            for line in csv.DictReader(stream)
        ]
    return TypeAdapter(tuple[OutOfFoldImage, ...]).validate_python(lines)


def write_table(folder: Path, images: Iterable[OutOfFoldImage], **origin: Any) -> OutOfFold:
    """Write table and record into a folder.

    Args:
        folder: of the run.
        images: in any order.
        origin: fields of ``OutOfFoldRecord`` but the checksum.
    """
    path, ordered = folder / TABLE, tuple(sorted(images, key=lambda image: image.path))
    write_images(path, ordered)
    record = OutOfFoldRecord(**origin, table_sha256=sha256_of(path))
    with atomic_write(path.with_suffix(".json")) as part:
        part.write_text(record.model_dump_json(indent=1))
    return OutOfFold(path, ordered, record)


def read_table(path: Path) -> OutOfFold:
    """Read a table by its path, or by that of its folder.

    Raises:
        InputError: table or record are missing or unreadable, or do not belong together.
    """
    path = path / TABLE if path.is_dir() else path
    try:
        record = OutOfFoldRecord.model_validate_json(path.with_suffix(".json").read_bytes())
        images = read_images(path)
    except OSError as fault:
        raise InputError("training.no_table", path=path, reason=fault.strerror) from fault
    except (ValidationError, ValueError, csv.Error) as fault:
        reason = str(fault).splitlines()[0]
        raise InputError("training.no_table", path=path, reason=reason) from fault
    if record.table_sha256 != sha256_of(path):
        raise InputError("training.altered_table", path=path)
    return OutOfFold(path, images, record)
