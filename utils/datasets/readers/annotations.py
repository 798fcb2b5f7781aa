"""The table ``labels.csv`` beside class folders, put into the samples of their images."""

from __future__ import annotations

import math
import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from utils.datasets.readers.dataset_reader import read_table, region_name
from utils.datasets.sample import Sample
from utils.errors import DatasetError
from utils.imaging.geometry import Box

TABLE = "labels.csv"
BOX = ("x", "y", "width", "height")
OPTIONAL = ("patient", "study", "region", "view", "hardware", *BOX)

# Pixels. Sides below it are those of boxes in fractions of the picture, as YOLO files have them.
_LEAST_SIDE = 1.0

Row = Mapping[str, str]


def annotate(samples: Sequence[Sample], root: Path) -> list[Sample]:
    """Return the samples with what the table in their root says of them; as they are where there is none.

    The patient, else the study, becomes the group. The label stays that of the folder.

    Args:
        samples: all images of the dataset.
        root: its folder.

    Raises:
        DatasetError: the table cannot be read, has an unknown column, a cell of another kind than its
            column, a file that is none of the samples, or rows that contradict each other or the folders.
    """
    table = root / TABLE
    # A broken link counts as a table, so that it is said to be unreadable.
    if not os.path.lexists(table):
        return list(samples)
    rows_of = _rows_of_files(table)
    if missing := sorted(rows_of.keys() - {sample.id for sample in samples}):
        raise DatasetError(
            f"{table}, row {missing[0]}: there is no such image in the class folders"
        )
    patient_of_study = _patients(rows_of, table)
    annotated = [
        _annotated(sample, rows_of[sample.id], patient_of_study, f"{table}, row {sample.id}")
        if sample.id in rows_of
        else sample
        for sample in samples
    ]
    # Turned copies share a group already: those without a row stay with the patient of the others.
    patient_of: dict[str, str] = {}
    for before, after in zip(samples, annotated, strict=True):
        if after.group != before.group and (
            patient_of.setdefault(before.group, after.group) != after.group
        ):
            raise DatasetError(
                f"{table}, row {after.id}: another copy of this picture is another patient's in the table"
            )
    return [replace(one, group=patient_of.get(one.group, one.group)) for one in annotated]


def _rows_of_files(table: Path) -> dict[str, list[Row]]:
    """Read the table: path below the root, with forward slashes, to its rows with every column."""
    rows_of: defaultdict[str, list[Row]] = defaultdict(list)
    for row in read_table(table, ("file",), OPTIONAL):
        path = PurePosixPath(row["file"].replace("\\", "/"))
        if not row["file"]:
            raise DatasetError(f"{table}: a row names no file, found {','.join(row.values())!r}")
        if path.is_absolute() or ".." in path.parts:
            raise DatasetError(
                f"{table}, row {row['file']}: a path below {table.parent} is expected, without '..'"
            )
        rows_of[path.as_posix()].append(dict.fromkeys(OPTIONAL, "") | row)
    return dict(rows_of)


def _patients(rows_of: Mapping[str, Iterable[Row]], table: Path) -> dict[str, str]:
    """Return the patient of each study of whom a row tells, and insist that it is one."""
    patient_of: dict[str, str] = {}
    for name, rows in rows_of.items():
        for row in rows:
            patient = row["patient"]
            if row["study"] and patient and patient_of.setdefault(row["study"], patient) != patient:
                raise DatasetError(
                    f"{table}, row {name}: its study is another patient's in a row above; give every "
                    "study a name of its own"
                )
    return patient_of


def _annotated(
    sample: Sample, rows: Sequence[Row], patient_of_study: Mapping[str, str], where: str
) -> Sample:
    """Return a sample with what its rows say; ``where`` begins the message of a fault."""
    patient, study, region, view, hardware = (
        _stated(rows, column, where)
        for column in ("patient", "study", "region", "view", "hardware")
    )
    if region and sample.region not in (None, region_name(region)):
        raise DatasetError(f"{where}: region is {region!r}, its folder's is {sample.region!r}")
    if hardware not in (None, "0", "1"):
        raise DatasetError(f"{where}: hardware is {hardware!r} where 0 or 1 is expected")
    boxes = tuple(_box(row, where) for row in rows if any(row[edge] for edge in BOX))
    if boxes and not sample.label:
        raise DatasetError(f"{where}: a lesion is marked on an image in a folder of normal ones")
    patient = patient or patient_of_study.get(study or "")
    # Prefixed, so that patient 7 is neither study 7 nor a file.
    group = f"patient/{patient}" if patient else f"study/{study}" if study else sample.group
    return replace(
        sample,
        group=group,
        study=study,
        region=region_name(region) if region else sample.region,
        view=view.lower() if view else None,
        hardware=None if hardware is None else hardware == "1",
        boxes=boxes,
    )


def _stated(rows: Iterable[Row], column: str, where: str) -> str | None:
    """Return the one value that a file's rows have in a column, None where their cells are empty."""
    values = {row[column] for row in rows if row[column]}
    if len(values) > 1:
        raise DatasetError(f"{where}: the rows of this file contradict each other in {column}")
    return values.pop() if values else None


def _box(row: Row, where: str) -> Box:
    """Return the lesion that a row marks."""
    cells = [row[edge] for edge in BOX]
    try:
        x, y, width, height = (float(cell) for cell in cells)
    except ValueError:
        x = y = width = height = math.nan
    if not all(map(math.isfinite, (x, y, width, height))):
        raise DatasetError(f"{where}: {', '.join(BOX)} must be four numbers, found {cells}")
    if min(width, height) < _LEAST_SIDE:
        raise DatasetError(
            f"{where}: a lesion of {width:g} x {height:g} pixels; at least one pixel each way is expected"
        )
    return Box(x=x, y=y, width=width, height=height)
