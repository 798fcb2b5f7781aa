"""Folders named by class, optionally below folders named by part and body part."""

from __future__ import annotations

import os
import re
from collections import Counter
from dataclasses import dataclass, replace
from itertools import takewhile
from pathlib import Path, PurePosixPath

from utils.datasets.readers.annotations import TABLE, annotate
from utils.datasets.readers.dataset_reader import (
    DatasetReader,
    check_regions,
    contents,
    folders_in,
    is_ignored,
    region_name,
)
from utils.datasets.sample import Sample
from utils.errors import DatasetError
from utils.formats import FORMATS, may_be_image

# Compared without case, blanks, hyphens, underscores and dots.
POSITIVE = ("fractured", "fracture", "fractures", "positive", "abnormal", "1")
NEGATIVE = (
    *("normal", "negative", "unfractured", "healthy", "0", "nofractures", "nonfractures"),
    *("notfractured", "nonfractured", "nofractured", "notfracture", "nonfracture", "nofracture"),
)
CLASSES = dict.fromkeys(POSITIVE, 1) | dict.fromkeys(NEGATIVE, 0)
PARTS = (
    dict.fromkeys(("train", "training"), "train")
    | dict.fromkeys(("validation", "valid", "val", "validate"), "validation")
    | dict.fromkeys(("test", "testing"), "test")
)

NOT_AN_IMAGE = f"no {', '.join(format.title for format in FORMATS.values())} file"
UNREADABLE = "a broken link, or a file that cannot be read"

_DEEPEST = 5  # levels of folders searched for classes; an end also to links in a circle
# Copies that a source made by rotating its images, as the Kaggle multi-region set names them:
# "12-rotated1-rotated3.jpg" is made of "12.jpg".
_ROTATED = re.compile(r"(?<=.)(?:-rotated\d+)+$", re.IGNORECASE)


@dataclass(frozen=True)
class ClassFolder:
    """A folder that holds the images of one class.

    Args:
        path: of the folder.
        label: of its images.
        part: the one that the folders above it name, if any.
        others: folders above it, below the root, that name neither class nor part.
    """

    path: Path
    label: int
    part: str | None
    others: tuple[str, ...]

    @property
    def region(self) -> str | None:
        """The body part that the folders above it name, if any."""
        return region_name(self.others[0]) if self.others else None


def locate(root: Path) -> Path | None:
    """Return the folder whose sub-folders name classes, below folders of a single entry, or None.

    Raises:
        DatasetError: there is a ``labels.csv`` above or below that folder, where none is read.
    """
    folders = _class_folders(root)
    if not folders:
        return None
    # Folders around everything ("archive/Bone_Fracture_Binary_Classification/train/...") are no regions.
    common = Path(os.path.commonpath([folder.path.parent for folder in folders]))
    names = common.relative_to(root).parts
    located = root.joinpath(*takewhile(lambda name: _plain(name) not in PARTS, names))
    elsewhere = {above for folder in folders for above in folder.path.parents} - {located}
    for above in sorted(elsewhere):
        if above.is_relative_to(root) and (above / TABLE).is_file():
            raise DatasetError("datasets.table_elsewhere", table=above / TABLE, folder=located)
    return located


def load(root: Path, regions: tuple[str, ...]) -> tuple[list[Sample], Counter[str]]:
    """Read every image in the class folders; see ``DatasetReader.load``."""
    folders = _class_folders(root)
    _check_layout(root, folders)
    dropped: Counter[str] = Counter()
    samples = []
    for folder in folders:
        images, others = _images(folder.path)
        if not regions or folder.region in (None, *regions):
            dropped += others
        for file in images:
            name = file.relative_to(root).as_posix()
            samples.append(
                Sample(file, name, folder.label, name, region=folder.region, part=folder.part)
            )
    # All of them, also those of other regions: the table may name any image, and itself name regions.
    samples = annotate(_group_rotated_copies(samples), root)
    named = {folder.region for folder in folders} | {sample.region for sample in samples}
    check_regions(regions, sorted(region for region in named if region), READER.name)
    kept = [sample for sample in samples if not regions or sample.region in regions]
    return kept, dropped


def _plain(name: str) -> str:
    """Return a folder's name without case and separators: "Not_Fractured" is "notfractured"."""
    return re.sub(r"[\s_.-]+", "", name).lower()


def _class_folders(folder: Path, above: tuple[str, ...] = ()) -> list[ClassFolder]:
    """Return the class folders below a folder, sorted by path; ``above`` are the names down to it."""
    found = []
    for inside in folders_in(folder):
        label = CLASSES.get(_plain(inside.name))
        if label is not None:
            parts = [PARTS[_plain(name)] for name in above if _plain(name) in PARTS]
            if len(parts) > 1:
                raise DatasetError(
                    "datasets.nested_parts", folder=inside, parts=" and ".join(parts)
                )
            others = tuple(name for name in above if _plain(name) not in PARTS)
            found.append(ClassFolder(inside, label, parts[0] if parts else None, others))
        elif len(above) + 1 < _DEEPEST:
            found += _class_folders(inside, (*above, inside.name))
    return found


def _check_layout(root: Path, folders: list[ClassFolder]) -> None:
    """Raise DatasetError where the folders above the classes can be read in more than one way."""
    shapes = {
        (folder.part is not None, len(folder.others)): folder.path.relative_to(root).as_posix()
        for folder in folders
    }
    if len(shapes) > 1:
        found = " beside ".join(sorted(shapes.values()))
        raise DatasetError("datasets.mixed_layout", root=root, found=found)
    ((_, depth),) = shapes
    if depth > 1:
        raise DatasetError("datasets.nested_regions", root=root, found=min(shapes.values()))


def _images(folder: Path) -> tuple[list[Path], Counter[str]]:
    """Return the images in a class folder, and the number of other files for each reason."""
    images = []
    dropped: Counter[str] = Counter()
    for entry in sorted(folder.iterdir()):
        if is_ignored(entry.name):
            continue
        if entry.is_dir():
            # Folders below a class may be patients or body parts.
            if any(below.is_file() and not is_ignored(below.name) for below in entry.rglob("*")):
                raise DatasetError(
                    "datasets.images_below_class", folder=entry, found=contents(entry)
                )
            continue
        try:
            if may_be_image(entry):
                images.append(entry)
            else:
                dropped[NOT_AN_IMAGE] += 1
        except OSError:
            dropped[UNREADABLE] += 1
    return images, dropped


def _group_rotated_copies(samples: list[Sample]) -> list[Sample]:
    """Return the samples with rotated copies of an image, recognised by name, in one group."""
    stems = [PurePosixPath(sample.id).stem for sample in samples]
    originals = [_ROTATED.sub("", stem) for stem in stems]
    families = [
        f"{sample.label}/{sample.region}/{original}"
        for sample, original in zip(samples, originals, strict=True)
    ]
    # Without a rotated copy a shared name means nothing: "1.jpg" may be in every folder.
    rotated = {families[i] for i in range(len(samples)) if originals[i] != stems[i]}
    return [
        replace(sample, group=family) if family in rotated else sample
        for sample, family in zip(samples, families, strict=True)
    ]


READER = DatasetReader("folder", (), locate, load)
