"""FracAtlas as published: class folders, one table, boxes in PASCAL VOC files."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

from utils.datasets.readers.dataset_reader import (
    MISSING_FILE,
    DatasetReader,
    is_ignored,
    itself_or_inside,
)
from utils.datasets.readers.tables import read_flag, read_table
from utils.datasets.sample import Sample
from utils.errors import DatasetError
from utils.imaging.geometry import Box

TABLE = "dataset.csv"
FOLDERS = {"Fractured": 1, "Non_fractured": 0}
MIXED = "mixed"
REGIONS = ("hand", "leg", "hip", "shoulder")
VIEWS = ("frontal", "lateral", "oblique")

CONTRADICTION = "the table's label contradicts the image's folder"
NO_ROW = "no row in the source's table"


def locate(root: Path) -> Path | None:
    """Return the folder that holds the table and the two class folders, or None."""

    def matches(folder: Path) -> bool:
        classes = (folder / "images" / name for name in FOLDERS)
        return (folder / TABLE).is_file() and all(path.is_dir() for path in classes)

    return itself_or_inside(root, matches)


def load(root: Path, regions: tuple[str, ...]) -> tuple[list[Sample], Counter[str]]:
    """Read every image that has both a file and a row; see ``DatasetReader.load``."""
    table = root / TABLE
    columns = ("image_id", *REGIONS, "hardware", "fractured", *VIEWS)
    rows = {row["image_id"]: row for row in read_table(table, columns)}
    files = {
        file.name: (file, label)
        for name, label in FOLDERS.items()
        for file in (root / "images" / name).iterdir()
        if not is_ignored(file.name)
    }
    dropped: Counter[str] = Counter()
    samples = []
    for image_id in sorted(rows.keys() | files.keys()):
        if image_id not in rows:
            dropped[NO_ROW] += 1
            continue
        row = rows[image_id]
        marked = [name for name in REGIONS if read_flag(row, name, table, image_id)]
        region = marked[0] if len(marked) == 1 else MIXED
        if regions and region not in regions:
            continue
        if image_id not in files:
            dropped[MISSING_FILE] += 1
            continue
        file, label = files[image_id]
        if read_flag(row, "fractured", table, image_id) != bool(label):
            dropped[CONTRADICTION] += 1
            continue
        views = [view for view in VIEWS if read_flag(row, view, table, image_id)]
        samples.append(
            Sample(
                path=file,
                id=file.relative_to(root).as_posix(),
                label=label,
                group=image_id,
                region=region,
                view="+".join(views) or None,
                hardware=read_flag(row, "hardware", table, image_id),
                boxes=read_boxes(root, image_id) if label else (),
            )
        )
    return samples, dropped


def read_boxes(root: Path, image_id: str) -> tuple[Box, ...]:
    """Read the lesions of one image; none where it has no annotation file.

    The PASCAL VOC files have whole pixels of the upright picture (some files are rotated by EXIF), so
    that no picture is opened for them; the YOLO files have fractions of the stored picture.

    Raises:
        DatasetError: the file is there but is no PASCAL VOC annotation.
    """
    file = root / "Annotations" / "PASCAL VOC" / f"{Path(image_id).stem}.xml"
    if not file.is_file():
        return ()
    try:
        edges = [
            tuple(float(mark.findtext(edge, "")) for edge in ("xmin", "ymin", "xmax", "ymax"))
            for mark in ElementTree.parse(file).getroot().iter("bndbox")
        ]
    except (ElementTree.ParseError, ValueError, OSError) as error:
        raise DatasetError("datasets.bad_annotation", file=file, reason=str(error)) from error
    return tuple(
        Box(x=left, y=top, width=right - left, height=bottom - top)
        for left, top, right, bottom in edges
    )


READER = DatasetReader("fracatlas", (*REGIONS, MIXED), locate, load)
