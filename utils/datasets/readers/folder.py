"""A tree of folders named after class, and after part and body part where it has them."""

from __future__ import annotations

import os
import re
from collections import Counter, defaultdict
from dataclasses import dataclass, replace
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
from utils.datasets.sample import Dataset, Sample
from utils.errors import DatasetError
from utils.formats import FORMATS, may_be_image

# Compared without case, blanks, hyphens, underscores and dots.
CLASSES = {
    **dict.fromkeys(("fractured", "fracture", "fractures", "positive", "abnormal", "1"), 1),
    **dict.fromkeys(
        (
            *("normal", "negative", "unfractured", "healthy", "0"),
            *(f"{no}{noun}" for no in ("not", "non", "no") for noun in ("fractured", "fracture")),
            *("nofractures", "nonfractures"),
        ),
        0,
    ),
}
PARTS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("validation", "valid", "val", "validate"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}

NOT_AN_IMAGE = f"no {', '.join(format.title for format in FORMATS.values())} file"
UNREADABLE = "a broken link, or a file that cannot be read"

MEANING = (
    "A positive label means that the image was in the folder of fractured ones; what its collectors "
    "counted as a fracture is for them to say."
)

_DEEPEST = 5  # levels of folders searched for classes; an end also to links in a circle
# Copies that a source made by turning its images, as the Kaggle multi-region set names them:
# "12-rotated1-rotated3.jpg" is made of "12.jpg".
_TURNED = re.compile(r"^(?P<original>.+?)(?:-rotated\d+)+$", re.IGNORECASE)


@dataclass(frozen=True)
class ClassFolder:
    """A folder that holds the images of one class.

    Args:
        path: the folder.
        label: of its images.
        part: that the folders above it name, if any.
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
    found = _class_folders(root)
    if not found:
        return None
    # Folders around everything ("archive/Bone_Fracture_Binary_Classification/train/...") are no regions.
    common = Path(os.path.commonpath([folder.path.parent for folder in found]))
    located = root
    for name in common.relative_to(root).parts:
        if _plain(name) in PARTS:
            break
        located = located / name
    elsewhere = {above for folder in found for above in folder.path.parents} - {located}
    for above in sorted(elsewhere):
        if above.is_relative_to(root) and (above / TABLE).is_file():
            raise DatasetError(
                f"{above / TABLE} is not read there; its place is {located}, with files named from there"
            )
    return located


def load(root: Path, regions: tuple[str, ...]) -> Dataset:
    """Read every image in the class folders; see ``DatasetReader.read``."""
    found = _class_folders(root)
    _check_layout(root, found)
    dropped: Counter[str] = Counter()
    samples = []
    for folder in found:
        images, left_out = _images(folder.path)
        if not regions or folder.region in (None, *regions):
            dropped += left_out
        for file in images:
            name = file.relative_to(root).as_posix()
            samples.append(
                Sample(
                    path=file,
                    id=name,
                    label=folder.label,
                    group=name,
                    region=folder.region,
                    part=folder.part,
                )
            )
    # All of them, also those of other regions: the table may name any image, and itself name regions.
    samples = annotate(_with_turned_copies(samples), root)
    named = {folder.region for folder in found} | {sample.region for sample in samples}
    check_regions(regions, sorted(region for region in named if region), READER.name)
    kept = [sample for sample in samples if not regions or sample.region in regions]
    return Dataset(
        name=READER.name,
        root=root,
        samples=tuple(sorted(kept, key=lambda sample: sample.id)),
        meaning=MEANING,
        dropped=dropped,
    )


def _plain(name: str) -> str:
    """Return a folder's name without case and separators: "Not_Fractured" is "notfractured"."""
    return re.sub(r"[\s_.-]+", "", name).lower()


def _class_folders(root: Path) -> list[ClassFolder]:
    """Return the class folders below a root, sorted by path."""
    found: list[ClassFolder] = []
    open_folders: list[tuple[Path, tuple[str, ...]]] = [(root, ())]
    while open_folders:
        folder, above = open_folders.pop()
        for inside in folders_in(folder):
            plain = _plain(inside.name)
            if plain in CLASSES:
                parts = [PARTS[_plain(name)] for name in above if _plain(name) in PARTS]
                if len(parts) > 1:
                    raise DatasetError(
                        f"{inside} lies below {' and '.join(parts)}; one part is read"
                    )
                found.append(
                    ClassFolder(
                        path=inside,
                        label=CLASSES[plain],
                        part=parts[0] if parts else None,
                        others=tuple(name for name in above if _plain(name) not in PARTS),
                    )
                )
            elif len(above) + 1 < _DEEPEST:
                open_folders.append((inside, (*above, inside.name)))
    return sorted(found, key=lambda folder: folder.path)


def _check_layout(root: Path, found: list[ClassFolder]) -> None:
    """Raise DatasetError where the folders above the classes can be read in more than one way."""
    shapes = {
        (folder.part is not None, len(folder.others)): folder.path.relative_to(root).as_posix()
        for folder in found
    }
    if len(shapes) > 1:
        raise DatasetError(
            f"{root}: all class folders must lie at the same kind of place, either all below part "
            f"folders (train, validation, test) or none, and all below a body part or none; found "
            f"{' beside '.join(sorted(shapes.values()))}"
        )
    ((_, depth),) = shapes
    if depth > 1:
        raise DatasetError(
            f"{root}: one level of body part folders is read, found {min(shapes.values())}"
        )


def _images(folder: Path) -> tuple[list[Path], Counter[str]]:
    """Return the images in a class folder, and why how many other files that are not hidden are none."""
    images = []
    dropped: Counter[str] = Counter()
    for entry in sorted(folder.iterdir()):
        if is_ignored(entry.name):
            continue
        if entry.is_dir():
            _refuse_images_below(entry)
        elif (reason := _why_no_image(entry)) is None:
            images.append(entry)
        else:
            dropped[reason] += 1
    return images, dropped


def _refuse_images_below(folder: Path) -> None:
    """Raise DatasetError where files lie below a class folder: a patient's or a body part's?"""
    if any(entry.is_file() and not is_ignored(entry.name) for entry in folder.rglob("*")):
        raise DatasetError(
            f"{folder}: images are expected in the class folder itself, not in folders below it "
            f"(body part folders go above the class); found {contents(folder)}"
        )


def _why_no_image(file: Path) -> str | None:
    """Return why a file is left out, None for an image."""
    try:
        return None if may_be_image(file) else NOT_AN_IMAGE
    except OSError:
        return UNREADABLE


def _with_turned_copies(samples: list[Sample]) -> list[Sample]:
    """Return the samples with turned copies of an image, told by their names, in one group."""
    families: defaultdict[tuple[int, str | None, str], list[Sample]] = defaultdict(list)
    turned = set()
    for sample in samples:
        stem = PurePosixPath(sample.id).stem
        match = _TURNED.match(stem)
        family = (sample.label, sample.region, match["original"] if match else stem)
        families[family].append(sample)
        if match:
            turned.add(family)
    # Without a turned copy a shared name says nothing: "1.jpg" may be in every folder.
    return [
        replace(sample, group="/".join(str(name) for name in key)) if key in turned else sample
        for key, family in families.items()
        for sample in family
    ]


READER = DatasetReader(
    name="folder",
    looks_for="folders named fractured and normal, alone or in train, validation and test",
    regions=(),
    locate=locate,
    load=load,
)
