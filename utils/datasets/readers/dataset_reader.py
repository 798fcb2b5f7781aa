"""What the readers share: a folder's layout, its tables and its regions checked into a Dataset."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from utils.datasets.sample import Dataset
from utils.errors import DatasetError, UnknownName

MISSING_FILE = "listed in the source's table, but the file is missing"

_IGNORED = frozenset({"__macosx", "thumbs.db", "desktop.ini"})
_SHOWN_ENTRIES = 8


@dataclass(frozen=True)
class DatasetReader:
    """How one layout on disk is recognised and read; a row of the READERS table.

    Args:
        name: in the table.
        looks_for: the layout in words, for the message where it is not there.
        regions: the body parts the source has; empty where its folders decide.
        locate: from the folder given to the dataset's own folder (itself or inside), None where the
            layout is not there.
        load: from the dataset's own folder and the regions wanted (empty for all) to the samples.
    """

    name: str
    looks_for: str
    regions: tuple[str, ...]
    locate: Callable[[Path], Path | None]
    load: Callable[[Path, tuple[str, ...]], Dataset]

    def detect(self, root: Path) -> bool:
        """Return whether the layout is in ``root``."""
        return self.locate(root) is not None

    def read(self, root: Path, regions: Sequence[str] = ()) -> Dataset:
        """Read the samples.

        Args:
            root: the dataset's folder or the one around it.
            regions: body parts to keep; empty keeps all.

        Returns:
            The dataset; it has images of both classes.

        Raises:
            DatasetError: the layout is not there, a table cannot be read, or a class is empty.
            UnknownName: a region that the source does not have.
        """
        located = self.locate(root)
        if located is None:
            raise DatasetError(
                f"{root} is no {self.name!r} dataset: looked for {self.looks_for}; "
                f"found {contents(root)}"
            )
        wanted = tuple(dict.fromkeys(region_name(region) for region in regions))
        if self.regions:
            check_regions(wanted, self.regions, self.name)
        return _with_both_classes(self.load(located, wanted), wanted)


def is_ignored(name: str) -> bool:
    """Return whether a file or folder is one that an operating system leaves behind, or hidden."""
    return name.startswith(".") or name.lower() in _IGNORED


def folders_in(folder: Path) -> list[Path]:
    """Return the folders in a folder that may hold images, sorted by name."""
    return sorted(
        entry for entry in folder.iterdir() if not is_ignored(entry.name) and entry.is_dir()
    )


def itself_or_inside(root: Path, matches: Callable[[Path], bool]) -> Path | None:
    """Return ``root`` where it matches, else the one folder in it that does, else None."""
    if matches(root):
        return root
    inside = [folder for folder in folders_in(root) if matches(folder)]
    return inside[0] if len(inside) == 1 else None


def contents(folder: Path) -> str:
    """Say in a few words what is in a folder, for a message."""
    names = sorted(
        entry.name + ("/" if entry.is_dir() else "")
        for entry in folder.iterdir()
        if not is_ignored(entry.name)
    )
    if not names:
        return "an empty folder"
    more = len(names) - _SHOWN_ENTRIES
    return ", ".join(names[:_SHOWN_ENTRIES]) + (f" and {more} more" if more > 0 else "")


def region_name(text: str) -> str:
    """Return a body part as it is named here: MURA's ``XR_WRIST`` is ``wrist``."""
    return text.strip().lower().removeprefix("xr_")


def check_regions(wanted: Iterable[str], known: Sequence[str], name: str) -> None:
    """Raise UnknownName where a wanted region is none of those known."""
    for region in wanted:
        if region not in known:
            choices = f"choose from: {', '.join(known)}" if known else "its folders name no regions"
            raise UnknownName(f"unknown region {region!r} of the {name} dataset; {choices}")


def read_rows(table: Path) -> list[list[str]]:
    """Read a CSV file into rows of text without surrounding blanks; empty lines are left out.

    Raises:
        DatasetError: the file is missing, empty or no CSV text.
    """
    try:
        with table.open(encoding="utf-8-sig", newline="") as lines:
            rows = [[cell.strip() for cell in row] for row in csv.reader(lines, strict=True) if row]
    except FileNotFoundError as fault:
        raise DatasetError(
            f"there is no {table.name} in {table.parent}; found {contents(table.parent)}"
        ) from fault
    except (OSError, UnicodeDecodeError, csv.Error) as fault:
        raise DatasetError(f"{table} cannot be read as CSV: {fault}") from fault
    if not rows:
        raise DatasetError(f"{table} is empty")
    return rows


def read_table(
    table: Path, columns: Sequence[str], optional: Sequence[str] | None = None
) -> list[dict[str, str]]:
    """Read a CSV file with a header line into records.

    Args:
        table: the file.
        columns: those that must be there.
        optional: those that may be there beside them; None for any.

    Raises:
        DatasetError: the file cannot be read, a column is missing, unknown or named twice, or a line is
            short or long.
    """
    header, *rows = read_rows(table)
    missing = [column for column in columns if column not in header]
    if missing:
        raise DatasetError(
            f"{table} has no column {', '.join(missing)}; its columns are {', '.join(header)}"
        )
    if optional is not None and (unknown := [c for c in header if c not in (*columns, *optional)]):
        raise DatasetError(
            f"{table} has an unknown column {unknown[0]!r}; known are {', '.join((*columns, *optional))}"
        )
    if len(set(header)) < len(header):
        raise DatasetError(f"{table} names a column twice; its columns are {', '.join(header)}")
    for number, row in enumerate(rows, start=2):
        if len(row) != len(header):
            raise DatasetError(
                f"{table}, line {number}: {len(row)} values where the header names {len(header)}"
            )
    return [dict(zip(header, row, strict=True)) for row in rows]


def _with_both_classes(dataset: Dataset, regions: tuple[str, ...]) -> Dataset:
    """Return the dataset unless one of its classes is empty."""
    counts = [sum(sample.label == label for sample in dataset.samples) for label in (0, 1)]
    if all(counts):
        return dataset
    of = f" of {', '.join(regions)}" if regions else ""
    dropped = "".join(f"; {count} dropped: {why}" for why, count in dataset.dropped.items())
    raise DatasetError(
        f"{dataset.root}, read as {dataset.name!r}, has {counts[1]} positive and {counts[0]} "
        f"negative images{of}; both classes are needed{dropped}"
    )
