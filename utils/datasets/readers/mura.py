"""MURA-v1.1 as it is distributed: CSV lists of images and of labelled studies of the upper limb."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from utils.datasets.readers.dataset_reader import (
    MISSING_FILE,
    DatasetReader,
    is_ignored,
    itself_or_inside,
    read_rows,
)
from utils.datasets.sample import Dataset, Sample
from utils.errors import DatasetError

# The official validation set stands in for the test set, which was never published.
PARTS = {"train": "train", "valid": "test"}
REGIONS = ("elbow", "finger", "forearm", "hand", "humerus", "shoulder", "wrist")

NO_LABEL = "its study has no label in the source's table"
CONTRADICTION = "the table's label contradicts the study's folder"

MEANING = (
    "A positive label means that a radiologist called the study abnormal (MURA): fractures, but also "
    "hardware, degenerative joint disease, lesions, subluxations and other findings."
)
ATTRIBUTION = (
    "MURA: Rajpurkar et al., 'MURA: Large Dataset for Abnormality Detection in Musculoskeletal "
    "Radiographs', arXiv:1712.06957; used under the Stanford ML Group's research use agreement."
)

# .../XR_WRIST/patient00001/study1_positive, with whatever folders and slashes around it
_STUDY = re.compile(
    r"(?:^|.*/)(?P<study>(?P<part>train|valid)/XR_(?P<region>[A-Z]+)/(?P<patient>patient\d+)/"
    r"study\d+(?:_(?P<finding>positive|negative))?)(?:/(?P<image>[^/]*))?$"
)


def locate(root: Path) -> Path | None:
    """Return the folder that holds one of the lists of images, or None."""
    return itself_or_inside(
        root,
        lambda folder: any((folder / _images_table(part)).is_file() for part in PARTS),
    )


def load(root: Path, regions: tuple[str, ...]) -> Dataset:
    """Read every listed image whose study has a label; see ``DatasetReader.read``."""
    dropped: Counter[str] = Counter()
    samples = []
    for part in PARTS:
        labels = _study_labels(root / f"{part}_labeled_studies.csv")
        table = root / _images_table(part)
        listed = found = 0
        for row in read_rows(table):
            path = _parse(row[0], table)
            if is_ignored(path["image"] or "."):
                continue
            if regions and path["region"].lower() not in regions:
                continue
            listed += 1
            relative = f"{path['study']}/{path['image']}"
            if not (root / relative).is_file():
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
                    path=root / relative,
                    id=relative,
                    label=label,
                    group=path["patient"],
                    study=path["study"],
                    region=path["region"].lower(),
                    part=PARTS[part],
                )
            )
        if listed and not found:
            raise DatasetError(
                f"none of the {listed} images that {table} lists is there; the folders "
                f"{part}/XR_* are looked for beside it"
            )
    return Dataset(
        name=READER.name,
        root=root,
        samples=tuple(sorted(samples, key=lambda sample: sample.id)),
        meaning=MEANING,
        attribution=ATTRIBUTION,
        dropped=dropped,
    )


def _images_table(part: str) -> str:
    """Return the file name of the list of a part's images."""
    return f"{part}_image_paths.csv"


def _study_labels(table: Path) -> dict[str, int]:
    """Return the label of each study in a table of paths and labels without a header."""
    labels = {}
    for number, row in enumerate(read_rows(table), start=1):
        if len(row) != 2 or row[1] not in ("0", "1"):
            raise DatasetError(
                f"{table}, line {number}: a study's path and 0 or 1 are expected, "
                f"found {','.join(row)!r}"
            )
        labels[_parse(row[0], table)["study"]] = int(row[1])
    return labels


def _parse(text: str, table: Path) -> dict[str, str]:
    """Return the components of a path as MURA's tables write them.

    Raises:
        DatasetError: it is written otherwise.
    """
    match = _STUDY.match(text.replace("\\", "/"))
    if match is None:
        raise DatasetError(
            f"{table}: {text!r} is no path like "
            "MURA-v1.1/train/XR_WRIST/patient00001/study1_positive/image1.png"
        )
    return match.groupdict()


READER = DatasetReader(
    name="mura",
    looks_for="train_image_paths.csv and valid_image_paths.csv beside train/XR_* and valid/XR_*",
    regions=REGIONS,
    locate=locate,
    load=load,
)
