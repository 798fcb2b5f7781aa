"""FracAtlas as it is published: a folder for each class, one table, boxes in PASCAL VOC files."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

from utils.datasets.readers.dataset_reader import (
    MISSING_FILE,
    DatasetReader,
    is_ignored,
    itself_or_inside,
    read_table,
)
from utils.datasets.sample import Dataset, Sample
from utils.errors import DatasetError
from utils.imaging.geometry import Box

TABLE = "dataset.csv"
FOLDERS = {"Fractured": 1, "Non_fractured": 0}
MIXED = "mixed"
REGIONS = ("hand", "leg", "hip", "shoulder")
VIEWS = ("frontal", "lateral", "oblique")

CONTRADICTION = "the table's label contradicts the image's folder"
NO_ROW = "no row in the source's table"

MEANING = (
    "A positive label means that a radiologist marked a fracture in the image (FracAtlas); "
    "every other finding counts as negative."
)
ATTRIBUTION = (
    "FracAtlas: Abedeen et al., 'FracAtlas: A Dataset for Fracture Classification, Localization and "
    "Segmentation of Musculoskeletal Radiographs', Scientific Data 10:521 (2023), "
    "doi 10.1038/s41597-023-02432-4; data doi 10.6084/m9.figshare.22363012, licence CC BY 4.0."
)


def locate(root: Path) -> Path | None:
    """Return the folder that holds the table and the two class folders, or None."""
    return itself_or_inside(
        root,
        lambda folder: (
            (folder / TABLE).is_file()
            and all((folder / "images" / name).is_dir() for name in FOLDERS)
        ),
    )


def load(root: Path, regions: tuple[str, ...]) -> Dataset:
    """Read every image that has both a file and a row; see ``DatasetReader.read``."""
    columns = ("image_id", *REGIONS, "hardware", "fractured", *VIEWS)
    rows = {row["image_id"]: row for row in read_table(root / TABLE, columns)}
    labels = {
        file.name: label
        for name, label in FOLDERS.items()
        for file in (root / "images" / name).iterdir()
        if not is_ignored(file.name)
    }
    folder_of = {label: name for name, label in FOLDERS.items()}
    dropped: Counter[str] = Counter()
    samples = []
    for image_id in sorted(rows.keys() | labels.keys()):
        if image_id not in rows:
            dropped[NO_ROW] += 1
            continue
        row = rows[image_id]
        region = _region(row, root)
        if regions and region not in regions:
            continue
        if image_id not in labels:
            dropped[MISSING_FILE] += 1
            continue
        label = labels[image_id]
        if _flag(row, "fractured", root) != bool(label):
            dropped[CONTRADICTION] += 1
            continue
        file = root / "images" / folder_of[label] / image_id
        samples.append(
            Sample(
                path=file,
                id=file.relative_to(root).as_posix(),
                label=label,
                group=image_id,
                region=region,
                view="+".join(view for view in VIEWS if _flag(row, view, root)) or None,
                hardware=_flag(row, "hardware", root),
                boxes=read_boxes(root, image_id) if label else (),
            )
        )
    return Dataset(
        name=READER.name,
        root=root,
        samples=tuple(sorted(samples, key=lambda sample: sample.id)),
        meaning=MEANING,
        attribution=ATTRIBUTION,
        dropped=dropped,
    )


def read_boxes(root: Path, image_id: str) -> tuple[Box, ...]:
    """Read where the fractures of one image are.

    The PASCAL VOC files say it in whole pixels of the upright picture (some files are turned by their
    EXIF rotation first), so that no picture is opened for it; the YOLO files say the same in fractions.
    Without the file there are no boxes.

    Raises:
        DatasetError: the file is there but is no PASCAL VOC annotation.
    """
    file = root / "Annotations" / "PASCAL VOC" / f"{Path(image_id).stem}.xml"
    if not file.is_file():
        return ()
    try:
        marks = list(ElementTree.parse(file).getroot().iter("bndbox"))
        edges = [
            tuple(float(mark.findtext(edge, "")) for edge in ("xmin", "ymin", "xmax", "ymax"))
            for mark in marks
        ]
    except (ElementTree.ParseError, ValueError, OSError) as fault:
        raise DatasetError(f"{file} cannot be read as a PASCAL VOC annotation: {fault}") from fault
    return tuple(
        Box(x=left, y=top, width=right - left, height=bottom - top)
        for left, top, right, bottom in edges
    )


def _region(row: dict[str, str], root: Path) -> str:
    """Return the one body part that is marked, "mixed" where it is not just one."""
    marked = [region for region in REGIONS if _flag(row, region, root)]
    return marked[0] if len(marked) == 1 else MIXED


def _flag(row: dict[str, str], column: str, root: Path) -> bool:
    """Return a cell that must be 0 or 1."""
    value = row[column]
    if value not in ("0", "1"):
        raise DatasetError(
            f"{root / TABLE}, row {row['image_id']}: {column} is {value!r} where 0 or 1 is expected"
        )
    return value == "1"


READER = DatasetReader(
    name="fracatlas",
    looks_for=f"{TABLE} beside images/Fractured and images/Non_fractured",
    regions=(*REGIONS, MIXED),
    locate=locate,
    load=load,
)
