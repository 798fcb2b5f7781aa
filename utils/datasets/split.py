"""Train, validation and test parts by a hash of each group's stable key."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import BaseModel

from utils.datasets.duplicates import DuplicateCounts, DuplicateGroups, group_duplicates
from utils.datasets.sample import PARTS, Dataset
from utils.errors import DatasetError
from utils.messages import sentence

FRACTIONS = (0.70, 0.15, 0.15)

CONTRADICTORY = "the same picture stands in both classes"
STRADDLES = "of the same patient, study or picture as an image of the {part} part"

# Where a source prescribes several parts for one group, the first of these keeps its images.
_PRECEDENCE = ("test", "validation", "train")


class PartCounts(BaseModel, frozen=True):
    """Images of each class, and groups, in one part."""

    positive: int
    negative: int
    groups: int


class SplitReport(BaseModel, frozen=True):
    """What a split kept and dropped, as metrics.json and the sidecar record it.

    Args:
        seed: of the split.
        fractions: part to its share of the groups.
        prescribed: parts that the source marks.
        parts: part to its counts.
        dropped: reason to number of images left out.
        duplicates: near-duplicates among all images.
        largest_group: images in the largest merged group.
    """

    seed: int
    fractions: dict[str, float]
    prescribed: list[str]
    parts: dict[str, PartCounts]
    dropped: dict[str, int]
    duplicates: DuplicateCounts
    largest_group: int


@dataclass(frozen=True)
class Split:
    """Which sample is in which part.

    Args:
        parts: "train", "validation" or "test" for each sample; None where it is dropped.
        groups: for each sample the key of its final group (near-duplicates merged): the smallest
            source group in it. No key occurs in two parts.
        report: counts of what was kept and dropped.
    """

    parts: tuple[str | None, ...]
    groups: tuple[str, ...]
    report: SplitReport


def split_dataset(
    dataset: Dataset,
    thumbnails: np.ndarray,
    *,
    seed: int,
    fractions: tuple[float, float, float] = FRACTIONS,
    needed: Sequence[str] = PARTS,
) -> Split:
    """Split a dataset so that no patient, study or near-duplicate is in two parts.

    A group's part follows from a hash of its key and the seed alone, so more data moves no group (but
    see docs/datasets.md: a new image that joins two groups, or comes first in one, may). Parts that
    the source prescribes stand; those it leaves open are carved out of its train part by group.

    Args:
        dataset: the samples.
        thumbnails: uint8 (n, 64, 64), one for each sample.
        seed: of the hash.
        fractions: of the groups, for train, validation and test.
        needed: parts that must hold images of both classes.

    Returns:
        The split and its report.

    Raises:
        DatasetError: a needed part lacks a class; the message has the counts.
    """
    samples = dataset.samples
    if len(samples) != len(thumbnails):
        raise ValueError(f"{len(samples)} samples but {len(thumbnails)} thumbnails")
    if min(fractions) <= 0 or abs(sum(fractions) - 1) > 1e-9:
        raise ValueError(f"fractions {fractions} are not three shares that add up to 1")
    duplicates = group_duplicates(thumbnails)
    groups = _merged_groups(dataset, duplicates)
    prescribed = {sample.part for sample in samples if sample.part is not None}
    shares = _shares(prescribed, fractions)
    labels = np.array([sample.label for sample in samples], int)
    reasons = _reasons_to_drop(dataset, groups, duplicates.group, labels)
    dropped = Counter(dataset.dropped)
    dropped.update(reason for reason in reasons if reason)
    parts: list[str | None] = []
    for sample, group, reason in zip(samples, groups, reasons, strict=True):
        if reason:
            parts.append(None)
        elif sample.part is None or (sample.part == "train" and len(shares) > 1):
            parts.append(part_of(group, seed, shares))
        else:
            parts.append(sample.part)
    counts = {part: _counts(part, parts, labels, groups) for part in PARTS}
    if lacking := [
        part for part in needed if not (counts[part].positive and counts[part].negative)
    ]:
        raise DatasetError(
            "datasets.split_lacks_class",
            root=dataset.root,
            parts=" and ".join(lacking),
            counts="; ".join(
                sentence("datasets.counts_of_part", part=part, **dict(own))
                for part, own in counts.items()
            ),
        )
    report = SplitReport(
        seed=seed,
        fractions=dict(zip(PARTS, fractions, strict=True)),
        prescribed=[part for part in PARTS if part in prescribed],
        parts=counts,
        dropped=dict(sorted(dropped.items())),
        duplicates=duplicates.counts(),
        largest_group=max(Counter(groups).values(), default=0),
    )
    return Split(parts=tuple(parts), groups=groups, report=report)


def _merged_groups(dataset: Dataset, duplicates: DuplicateGroups) -> tuple[str, ...]:
    """Merge the source's groups and studies over near-duplicates.

    Returns:
        For each sample the key of its merged group: the smallest source group in it, so that a group
        without duplicates keeps the key the source gave.
    """
    from scipy.cluster.hierarchy import DisjointSet

    merged = DisjointSet(range(len(dataset.samples)))
    first: dict[tuple[str, object], int] = {}
    copies = duplicates.group.tolist()
    for i, sample in enumerate(dataset.samples):
        merged.merge(i, first.setdefault(("group", sample.group), i))
        merged.merge(i, first.setdefault(("duplicates", copies[i]), i))
        if sample.study is not None:
            merged.merge(i, first.setdefault(("study", sample.study), i))
    roots = [merged[i] for i in range(len(dataset.samples))]
    keys: dict[int, str] = {}
    for root, sample in zip(roots, dataset.samples, strict=True):
        keys[root] = min(keys.get(root, sample.group), sample.group)
    return tuple(keys[root] for root in roots)


def part_of(group: str, seed: int, shares: Mapping[str, float]) -> str:
    """Return the part of a group.

    Args:
        group: its key.
        seed: of the split.
        shares: part to its share of the groups; they add up to 1.
    """
    digest = hashlib.sha256(f"{seed}:{group}".encode()).digest()
    position = int.from_bytes(digest[:8], "big") / 2**64
    edge = 0.0
    for part, share in shares.items():
        edge += share
        if position < edge:
            return part
    return part  # rounding left the last edge just below 1


def _shares(prescribed: set[str], fractions: Sequence[float]) -> dict[str, float]:
    """Return the parts that free groups are spread over, with their shares of them.

    Where the source prescribes nothing these are all three; else "train" and the parts it lacks.
    """
    open_parts = {
        part: fraction
        for part, fraction in zip(PARTS, fractions, strict=True)
        if part == "train" or part not in prescribed
    }
    total = sum(open_parts.values())
    return {part: fraction / total for part, fraction in open_parts.items()}


def _reasons_to_drop(
    dataset: Dataset, groups: Sequence[str], copies: np.ndarray, labels: np.ndarray
) -> list[str | None]:
    """Return why each image is dropped: a group in two prescribed parts, or copies in both classes."""
    # An image without a part counts as one of train, out of which the open parts are carved.
    given = [sample.part or "train" for sample in dataset.samples]
    first: dict[str, str] = {}
    for group, part in zip(groups, given, strict=True):
        first[group] = min(first.get(group, part), part, key=_PRECEDENCE.index)
    kept = np.array([part == first[group] for part, group in zip(given, groups, strict=True)], bool)
    # Number of kept copies of each image, and of positive ones among them.
    number = np.bincount(copies, kept)[copies]
    positive = np.bincount(copies, kept * labels)[copies]
    reasons: list[str | None] = [
        CONTRADICTORY if both else None for both in (positive > 0) & (positive < number)
    ]
    for i in np.flatnonzero(~kept).tolist():
        reasons[i] = STRADDLES.format(part=first[groups[i]])
    return reasons


def _counts(
    part: str, parts: Sequence[str | None], labels: np.ndarray, groups: Sequence[str]
) -> PartCounts:
    """Return how many images of each class and how many groups a part has."""
    inside = [i for i, own in enumerate(parts) if own == part]
    positive = int(labels[inside].sum())
    return PartCounts(
        positive=positive,
        negative=len(inside) - positive,
        groups=len({groups[i] for i in inside}),
    )
