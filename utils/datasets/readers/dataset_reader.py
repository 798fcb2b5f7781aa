"""Dataset reader of one layout on disk, and the names of folders and body parts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from utils.datasets.sample import Dataset, Sample
from utils.errors import DatasetError, UnknownName
from utils.messages import sentence

MISSING_FILE = "listed in the source's table, but the file is missing"

_IGNORED = frozenset({"__macosx", "thumbs.db", "desktop.ini"})
_SHOWN_ENTRIES = 8


@dataclass(frozen=True)
class DatasetReader:
    """How one layout is recognised and read; a row of the READERS table.

    Its layout, the meaning of its positive label and its attribution are sentences of the catalogue.

    Args:
        name: in the table.
        regions: body parts that the source has; empty where its folders decide.
        locate: from a folder to the dataset's own folder (itself or inside), None where the layout is
            not there.
        load: from the dataset's own folder and the regions to keep (empty for all) to the samples and
            the number dropped for each reason.
    """

    name: str
    regions: tuple[str, ...]
    locate: Callable[[Path], Path | None]
    load: Callable[[Path, tuple[str, ...]], tuple[list[Sample], Counter[str]]]

    @property
    def layout(self) -> str:
        """The layout in words."""
        return sentence(f"datasets.layout_{self.name}")

    def read(self, root: Path, regions: Sequence[str]) -> Dataset:
        """Read the samples.

        Args:
            root: the dataset's own folder, from ``locate``.
            regions: body parts to keep; empty keeps all.

        Raises:
            DatasetError: the layout or a table is not as it should be, or a class is empty.
            UnknownName: a region that the source does not have.
        """
        regions = tuple(dict.fromkeys(map(region_name, regions)))
        if self.regions:
            check_regions(regions, self.regions, self.name)
        samples, dropped = self.load(root, regions)
        positive = sum(sample.label for sample in samples)
        if not 0 < positive < len(samples):
            reasons = (
                sentence("datasets.also_dropped", count=count, reason=reason)
                for reason, count in dropped.items()
            )
            raise DatasetError(
                "datasets.empty_class_of_regions" if regions else "datasets.empty_class",
                root=root,
                name=self.name,
                positive=positive,
                negative=len(samples) - positive,
                regions=", ".join(regions),
                dropped="".join(reasons),
            )
        return Dataset(
            name=self.name,
            root=root,
            samples=tuple(sorted(samples, key=lambda sample: sample.id)),
            meaning=sentence(f"datasets.meaning_{self.name}"),
            attribution=sentence(f"datasets.attribution_{self.name}"),
            dropped=dropped,
        )


def is_ignored(name: str) -> bool:
    """Return whether a file or folder is hidden, or one that an operating system leaves behind."""
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
    """Return the first names in a folder, for a message."""
    names = sorted(
        entry.name + ("/" if entry.is_dir() else "")
        for entry in folder.iterdir()
        if not is_ignored(entry.name)
    )
    if not names:
        return sentence("datasets.empty_folder")
    shown = ", ".join(names[:_SHOWN_ENTRIES])
    more = len(names) - _SHOWN_ENTRIES
    return sentence("datasets.more_entries", names=shown, more=more) if more > 0 else shown


def region_name(text: str) -> str:
    """Return the project's name of a body part: MURA's ``XR_WRIST`` is ``wrist``."""
    return text.strip().lower().removeprefix("xr_")


def check_regions(regions: Iterable[str], known: Sequence[str], name: str) -> None:
    """Raise UnknownName where a region is not among the known ones of a dataset."""
    for region in regions:
        if region not in known:
            raise UnknownName(
                "datasets.unknown_region" if known else "datasets.no_regions",
                region=region,
                name=name,
                choices=", ".join(known),
            )
