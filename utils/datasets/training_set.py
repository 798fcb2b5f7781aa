"""Turns a dataset's root into arrays to train on: prepared, split by group, labelled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from utils.datasets.image_cache import PreparedImages, prepare_images
from utils.datasets.readers import read_dataset
from utils.datasets.sample import PARTS, Dataset
from utils.datasets.split import FRACTIONS, split_dataset
from utils.errors import DatasetError

# "mixed" is no body part but several in one picture; such images teach the region head nothing.
MIXED = "mixed"


@dataclass(frozen=True, eq=False)
class TrainingSet:
    """A dataset, ready to train on. Rows are those of ``prepared.images``.

    Args:
        dataset: as its reader gave it.
        prepared: its readable samples.
        rows: part to the rows of its images; truncated and dropped ones are in none.
        labels: int (n,), 1 positive.
        regions: labels of the body parts to tell apart, empty where there are fewer than two.
        region_of: int (n,), index into ``regions``, -1 where unknown or mixed.
        groups: final group of each row.
        report: what the split kept and dropped.
        wanted: the body parts that were asked for, empty for all.
    """

    dataset: Dataset
    prepared: PreparedImages
    rows: dict[str, np.ndarray]
    labels: np.ndarray
    regions: tuple[str, ...]
    region_of: np.ndarray
    groups: tuple[str, ...]
    report: dict[str, Any]
    wanted: tuple[str, ...]


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
    region_of = np.array(
        [names.index(s.region) if s.region in names else -1 for s in prepared.samples]
    )
    report = {
        **split.report,
        "unreadable": len(prepared.unreadable),
        "truncated_left_out": int((truncated & (parts != "")).sum()),
        "used": {
            part: {"images": len(rows[part]), "positive": int(labels[rows[part]].sum())}
            for part in PARTS
        },
    }
    return TrainingSet(
        source, prepared, rows, labels, names, region_of, split.groups, report, tuple(regions)
    )
