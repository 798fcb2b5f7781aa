"""MURA-v1.1 as distributed: CSV lists of images and of labelled studies."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from utils.datasets.readers.dataset_reader import (
    MISSING_FILE,
    DatasetReader,
    is_ignored,
    itself_or_inside,
)
from utils.datasets.readers.tables import read_rows
from utils.datasets.sample import Sample
from utils.errors import DatasetError

# The official validation set stands in for the test set, which was never published.
PARTS = {"train": "train", "valid": "test"}
REGIONS = ("elbow", "finger", "forearm", "hand", "humerus", "shoulder", "wrist")

NO_LABEL = "its study has no label in the source's table"
CONTRADICTION = "the table's label contradicts the study's folder"

# .../XR_WRIST/patient00001/study1_positive, with whatever folders and slashes around it
_STUDY = re.compile(
    r"(?:^|.*/)(?P<study>(?P<part>train|valid)/XR_(?P<region>[A-Z]+)/(?P<patient>patient\d+)/"
    r"study\d+(?:_(?P<finding>positive|negative))?)(?:/(?P<image>[^/]*))?$"
)


def locate(root: Path) -> Path | None:
    """Return the folder that holds one of the lists of images, or None."""
    return itself_or_inside(
        root, lambda folder: any((folder / _list_of(part)).is_file() for part in PARTS)
    )


def load(root: Path, regions: tuple[str, ...]) -> tuple[list[Sample], Counter[str]]:
    """Read every listed image whose study has a label; see ``DatasetReader.load``."""
    dropped: Counter[str] = Counter()
    samples = []
    for part in PARTS:
        labels = _study_labels(root / f"{part}_labeled_studies.csv")
        table = root / _list_of(part)
        listed = found = 0
        for row in read_rows(table):
            path = _parse(row[0], table)
            region = path["region"].lower()
            if is_ignored(path["image"] or ".") or (regions and region not in regions):
                continue
            listed += 1
            file = root / path["study"] / path["image"]
            if not file.is_file():
                dropped[MISSING_FILE] += 1
                continue
            found += 1
            label = labels.get(path["study"])
            if label is None:
                dropped[NO_LABEL] += 1
                continue
            if path["finding"] and (path["finding"] == "positive") != bool(label):
                dropped[CONTRADICTION] += 1
                continue
            samples.append(
                Sample(
                    path=file,
                    id=f"{path['study']}/{path['image']}",
                    label=label,
                    group=path["patient"],
                    study=path["study"],
                    region=region,
                    part=PARTS[part],
                )
            )
        if listed and not found:
            raise DatasetError("datasets.no_image_of_list", count=listed, table=table, part=part)
    return samples, dropped


def _list_of(part: str) -> str:
    """Return the file name of the list of a part's images."""
    return f"{part}_image_paths.csv"


def _study_labels(table: Path) -> dict[str, int]:
    """Return the label of each study in a table of paths and labels without a header."""
    labels = {}
    for line, row in enumerate(read_rows(table), start=1):
        if len(row) != 2 or row[1] not in ("0", "1"):
            raise DatasetError("datasets.bad_study", table=table, line=line, found=",".join(row))
        labels[_parse(row[0], table)["study"]] = int(row[1])
    return labels


def _parse(path: str, table: Path) -> dict[str, str]:
    """Return the components of a path as MURA's tables write them, or raise DatasetError."""
    match = _STUDY.match(path.replace("\\", "/"))
    if match is None:
        raise DatasetError("datasets.bad_path", table=table, path=path)
    return match.groupdict()


READER = DatasetReader("mura", REGIONS, locate, load)
