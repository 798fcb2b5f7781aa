"""A dataset ready to train on: prepared images, labels and a split by group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import BaseModel

from utils.datasets.image_cache import PreparedImages, prepare_images
from utils.datasets.readers import read_dataset
from utils.datasets.sample import PARTS, Dataset
from utils.datasets.split import FRACTIONS, SplitReport, split_dataset
from utils.errors import DatasetError

# "mixed" is no body part but several in one picture; such images teach the region head nothing.
MIXED = "mixed"


class PartUse(BaseModel, frozen=True):
    """Images of one part that are used, and how many of them are positive."""

    images: int
    positive: int


class TrainingSetReport(SplitReport, frozen=True):
    """A split's report with what else was left out, as the sidecar records it.

    Args:
        unreadable: files that could not be decoded.
        truncated_left_out: files of a part that end early.
        used: part to what is left of it.
    """

    unreadable: int
    truncated_left_out: int
    used: dict[str, PartUse]


@dataclass(frozen=True, eq=False)
class TrainingSet:
    """A dataset, ready to train on. Rows are those of ``prepared.images``.

    Args:
        dataset: as its reader gave it.
        prepared: its readable samples.
        rows: part to the rows of its images; truncated and dropped ones are in none.
        labels: int (n,), 1 positive.
        regions: labels of the body parts to tell apart, empty where there are fewer than two.
        region_index: int (n,), index into ``regions``, -1 where unknown or mixed.
        groups: final group of each row.
        report: what the split kept and dropped.
        chosen_regions: body parts that were kept, empty for all.
    """

    dataset: Dataset
    prepared: PreparedImages
    rows: dict[str, np.ndarray]
    labels: np.ndarray
    regions: tuple[str, ...]
    region_index: np.ndarray
    groups: tuple[str, ...]
    report: TrainingSetReport
    chosen_regions: tuple[str, ...]


def read_training_set(
    root: Path,
    *,
    dataset: str,
    regions: Sequence[str],
    size: int,
    seed: int,
    cache: Path,
    progress: bool = False,
) -> TrainingSet:
    """Read, prepare and split a dataset.

    Args:
        root: its folder.
        dataset: name of its reader, or "auto".
        regions: the body parts to keep; none keeps all.
        size: side of the fitted images, pixels.
        seed: of the split.
        cache: where prepared images lie.
        progress: show bars on stderr.

    Raises:
        DatasetError, UnknownName: the root, the reader or the regions do not fit, or a part has no
            image of a class.
    """
    source = read_dataset(root, dataset, regions)
    prepared = prepare_images(source.samples, size, cache, progress=progress)
    kept = Dataset(
        source.name,
        source.root,
        prepared.samples,
        source.meaning,
        source.attribution,
        source.dropped,
    )
    split = split_dataset(kept, prepared.thumbnails, seed=seed, fractions=FRACTIONS)
    truncated = np.array([facts.truncated for facts in prepared.files])
    parts = np.array([part or "" for part in split.parts])
    labels = np.array([sample.label for sample in prepared.samples])
    rows = {part: np.flatnonzero((parts == part) & ~truncated) for part in PARTS}
    for part in ("train", "validation"):
        positives = int(labels[rows[part]].sum())
        if not 0 < positives < len(rows[part]):
            raise DatasetError(
                f"the {part} part has {len(rows[part])} images, {positives} of them positive; "
                "both classes are needed to train and to calibrate"
            )
    names = tuple(name for name in kept.regions if name != MIXED)
    names = names if len(names) > 1 else ()
    region_index = np.array(
        [names.index(s.region) if s.region in names else -1 for s in prepared.samples]
    )
    report = TrainingSetReport(
        **dict(split.report),
        unreadable=len(prepared.unreadable),
        truncated_left_out=int((truncated & (parts != "")).sum()),
        used={
            part: PartUse(images=len(rows[part]), positive=int(labels[rows[part]].sum()))
            for part in PARTS
        },
    )
    return TrainingSet(
        source, prepared, rows, labels, names, region_index, split.groups, report, tuple(regions)
    )
