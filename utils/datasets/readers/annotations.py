"""Optional table ``labels.csv`` beside class folders: patients, views and lesions."""

from __future__ import annotations

import math
import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from utils.datasets.readers.dataset_reader import region_name
from utils.datasets.readers.tables import read_flag, read_table
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
    """Add the annotations of the table in a root to its samples, where there is one.

    The patient, else the study, becomes the group. The label stays that of the folder.

    Args:
        samples: all images of the dataset.
        root: its folder.

    Raises:
        DatasetError: the table cannot be read, has an unknown column, a cell of another kind than its
            column, a file that is none of the samples, or rows that contradict each other or the folders.
    """
    table = root / TABLE
    # A broken link counts as a table, so that it is reported as unreadable.
    if not os.path.lexists(table):
        return list(samples)
    rows_of = _rows_by_file(table)
    if missing := sorted(rows_of.keys() - {sample.id for sample in samples}):
        raise DatasetError("datasets.no_such_image", table=table, row=missing[0])
    patient_of_study = _patients(rows_of, table)
    annotated = [
        _annotated(sample, rows_of[sample.id], patient_of_study, table)
        if sample.id in rows_of
        else sample
        for sample in samples
    ]
    # Rotated copies share a group already: those without a row stay with the patient of the others.
    patient_of: dict[str, str] = {}
    for before, after in zip(samples, annotated, strict=True):
        if after.group != before.group and (
            patient_of.setdefault(before.group, after.group) != after.group
        ):
            raise DatasetError("datasets.copy_of_other_patient", table=table, row=after.id)
    return [replace(one, group=patient_of.get(one.group, one.group)) for one in annotated]


def _rows_by_file(table: Path) -> dict[str, list[Row]]:
    """Read the table: path below the root, with forward slashes, to its rows with every column."""
    rows_of: defaultdict[str, list[Row]] = defaultdict(list)
    for row in read_table(table, ("file",), OPTIONAL):
        path = PurePosixPath(row["file"].replace("\\", "/"))
        if not row["file"]:
            raise DatasetError("datasets.no_file_in_row", table=table, row=",".join(row.values()))
        if path.is_absolute() or ".." in path.parts:
            raise DatasetError(
                "datasets.path_outside", table=table, row=row["file"], folder=table.parent
            )
        rows_of[path.as_posix()].append(dict.fromkeys(OPTIONAL, "") | row)
    return dict(rows_of)


def _patients(rows_of: Mapping[str, Iterable[Row]], table: Path) -> dict[str, str]:
    """Return the patient of each study that has one in any row; a study has one patient."""
    patient_of: dict[str, str] = {}
    for name, rows in rows_of.items():
        for row in rows:
            study, patient = row["study"], row["patient"]
            if study and patient and patient_of.setdefault(study, patient) != patient:
                raise DatasetError("datasets.study_of_other_patient", table=table, row=name)
    return patient_of


def _annotated(
    sample: Sample, rows: Sequence[Row], patient_of_study: Mapping[str, str], table: Path
) -> Sample:
    """Return a sample with the annotations in its rows."""
    where = {"table": table, "row": sample.id}

    def cell(column: str) -> str:
        """Return the one value that the rows have in a column, "" where all are empty."""
        values = {row[column] for row in rows} - {""}
        if len(values) > 1:
            raise DatasetError("datasets.contradicting_rows", **where, column=column)
        return values.pop() if values else ""

    patient, study, region, view, hardware = map(
        cell, ("patient", "study", "region", "view", "hardware")
    )
    if region and sample.region not in (None, region_name(region)):
        raise DatasetError(
            "datasets.contradicting_region", **where, region=region, folder=sample.region
        )
    metal = read_flag({"hardware": hardware}, "hardware", table, sample.id) if hardware else None
    boxes = tuple(_box(row, where) for row in rows if any(row[edge] for edge in BOX))
    if boxes and not sample.label:
        raise DatasetError("datasets.lesion_on_normal", **where)
    patient = patient or patient_of_study.get(study, "")
    # Prefixed, so that patient 7 is neither study 7 nor a file.
    group = f"patient/{patient}" if patient else f"study/{study}" if study else sample.group
    return replace(
        sample,
        group=group,
        study=study or None,
        region=region_name(region) if region else sample.region,
        view=view.lower() or None,
        hardware=metal,
        boxes=boxes,
    )


def _box(row: Row, where: Mapping[str, object]) -> Box:
    """Return the lesion that a row marks; ``where`` names the row in a message."""
    cells = [row[edge] for edge in BOX]
    try:
        box = Box(*map(float, cells))
    except ValueError:
        box = Box(math.nan, math.nan, math.nan, math.nan)
    if not all(map(math.isfinite, (box.x, box.y, box.width, box.height))):
        raise DatasetError("datasets.bad_box", **where, columns=", ".join(BOX), found=cells)
    if min(box.width, box.height) < _LEAST_SIDE:
        raise DatasetError("datasets.small_box", **where, width=box.width, height=box.height)
    return box
