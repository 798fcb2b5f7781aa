"""A dataset ready to train on: prepared images, labels and a split by group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from pydantic import BaseModel

from utils.datasets.image_cache import PreparedImages, prepare_images
from utils.datasets.readers import read_dataset
from utils.datasets.sample import PARTS, Dataset
from utils.datasets.split import SplitReport, split_dataset
from utils.errors import DatasetError

# "mixed" is no body part but several in one picture; such images are no examples for the region head.
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
        dataset: as its reader returned it.
        prepared: its readable samples.
        rows: part to the rows of its images; truncated and dropped ones are in none.
        labels: int (n,), 1 positive.
        regions: labels of the region head, empty where there are fewer than two.
        region_index: int (n,), index into ``regions``, -1 where unknown or mixed.
        groups: final group of each row.
        report: what was used and left out.
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
        regions: body parts to keep; none keeps all.
        size: side of the fitted images, pixels.
        seed: of the split.
        cache: folder of prepared images.
        progress: show bars on stderr.

    Raises:
        DatasetError, UnknownName: the root, the reader or the regions do not fit, or a part has no
            image of a class.
    """
    source = read_dataset(root, dataset, regions)
    prepared = prepare_images(source.samples, size, cache, progress=progress)
    readable = replace(source, samples=prepared.samples)
    split = split_dataset(readable, prepared.thumbnails, seed=seed)
    truncated = np.array([facts.truncated for facts in prepared.files])
    parts = np.array([part or "" for part in split.parts])
    labels = np.array([sample.label for sample in prepared.samples])
    rows = {part: np.flatnonzero((parts == part) & ~truncated) for part in PARTS}
    used = {
        part: PartUse(images=len(own), positive=int(labels[own].sum()))
        for part, own in rows.items()
    }
    for part in ("train", "validation"):
        if not 0 < used[part].positive < used[part].images:
            raise DatasetError("datasets.part_lacks_class", part=part, **dict(used[part]))
    report = TrainingSetReport(
        **dict(split.report),
        unreadable=len(prepared.unreadable),
        truncated_left_out=int((truncated & (parts != "")).sum()),
        used=used,
    )
    names = tuple(name for name in readable.regions if name != MIXED)
    names = names if len(names) > 1 else ()
    region_index = [names.index(s.region) if s.region in names else -1 for s in prepared.samples]
    return TrainingSet(
        dataset=source,
        prepared=prepared,
        rows=rows,
        labels=labels,
        regions=names,
        region_index=np.array(region_index),
        groups=split.groups,
        report=report,
        chosen_regions=tuple(regions),
    )
