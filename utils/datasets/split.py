"""A dataset divided into train, validation and test by a hash of each group's stable key."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import BaseModel
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from utils.datasets.duplicates import DuplicateCounts, DuplicateGroups, group_duplicates
from utils.datasets.sample import PARTS, Dataset
from utils.errors import DatasetError

FRACTIONS = (0.70, 0.15, 0.15)

CONTRADICTORY = "the same picture stands in both classes"
STRADDLES = "of the same patient, study or picture as an image of the {part} part"

# Where a group's members are prescribed to several parts, the first of these keeps its own.
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
        parts: "train", "validation" or "test" for each sample; None where it is left out.
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
    """Divide a dataset so that no patient, study or near-duplicate is on two sides.

    A group's part follows from a hash of its key and the seed alone, so more data moves nobody (but
    see docs/datasets.md: a new image that joins two groups, or comes first in one, may). Parts that
    the source prescribes stand; those it leaves open are carved out of its train part by group.

    Args:
        dataset: the samples.
        thumbnails: uint8 (n, 64, 64), one for each sample.
        seed: chooses one of the possible splits.
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
    groups = merge_groups(dataset, duplicates)
    prescribed = {sample.part for sample in samples if sample.part is not None}
    shares = _shares(prescribed, fractions)
    dropped: Counter[str] = Counter(dataset.dropped)
    kept = np.ones(len(samples), bool)
    for position, reason in _straddling(dataset, groups).items():
        kept[position] = False
        dropped[reason] += 1
    contradictory = _contradictory(dataset, duplicates, kept)
    kept[contradictory] = False
    if contradictory:
        dropped[CONTRADICTORY] += len(contradictory)
    parts: list[str | None] = []
    for sample, group, keep in zip(samples, groups, kept, strict=True):
        if not keep:
            parts.append(None)
        elif sample.part is None or (sample.part == "train" and len(shares) > 1):
            parts.append(part_of(group, seed, shares))
        else:
            parts.append(sample.part)
    counts = _counts(dataset, parts, groups)
    _check_classes(dataset, counts, needed)
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


def merge_groups(dataset: Dataset, duplicates: DuplicateGroups) -> tuple[str, ...]:
    """Merge the source's groups and studies over near-duplicates.

    Returns:
        For each sample the key of its merged group: the smallest source group in it, so that a group
        without duplicates keeps the key the source gave.
    """
    samples = dataset.samples
    sources: list[list[object]] = [
        [sample.group for sample in samples],
        [sample.study if sample.study is not None else sample.group for sample in samples],
        duplicates.group.tolist(),
    ]
    # One node a sample, and one a group that any source names; an edge says "belongs to".
    nodes = len(samples)
    edges = [np.zeros((0, 2), np.int64)]
    for names in sources:
        number = {name: nodes + index for index, name in enumerate(dict.fromkeys(names))}
        edges.append(np.array([(i, number[name]) for i, name in enumerate(names)], np.int64))
        nodes += len(number)
    pairs = np.concatenate([edge.reshape(-1, 2) for edge in edges])
    links = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(nodes, nodes))
    _, component = connected_components(links, directed=False)
    keys: dict[int, str] = {}
    for sample, number in zip(samples, component.tolist(), strict=False):
        keys[number] = min(keys.get(number, sample.group), sample.group)
    return tuple(keys[number] for number in component[: len(samples)].tolist())


def part_of(group: str, seed: int, shares: Mapping[str, float]) -> str:
    """Return the part a group falls into.

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


def _straddling(dataset: Dataset, groups: Sequence[str]) -> dict[int, str]:
    """Return the positions to leave out, with the reason, so that no group is in two given parts.

    The test part keeps its images, then validation; the copies on the other side go.
    """
    members: defaultdict[str, list[int]] = defaultdict(list)
    for position, group in enumerate(groups):
        members[group].append(position)
    # A sample without a part shares the fate of the train part, out of which open parts are carved.
    given = [sample.part or "train" for sample in dataset.samples]
    reasons: dict[int, str] = {}
    for positions in members.values():
        keeps = min((given[i] for i in positions), key=_PRECEDENCE.index)
        for i in positions:
            if given[i] != keeps:
                reasons[i] = STRADDLES.format(part=keeps)
    return reasons


def _contradictory(dataset: Dataset, duplicates: DuplicateGroups, kept: np.ndarray) -> list[int]:
    """Return the positions of images whose copies, among those kept, carry the other label too."""
    labels: defaultdict[int, set[int]] = defaultdict(set)
    for sample, group, keep in zip(dataset.samples, duplicates.group, kept, strict=True):
        if keep:
            labels[int(group)].add(sample.label)
    return [
        i for i, group in enumerate(duplicates.group) if kept[i] and len(labels[int(group)]) > 1
    ]


def _counts(
    dataset: Dataset, parts: Sequence[str | None], groups: Sequence[str]
) -> dict[str, PartCounts]:
    """Return for each part how many images of each class and how many groups it has."""
    counts = {}
    for part in PARTS:
        inside = [i for i, own in enumerate(parts) if own == part]
        positive = sum(dataset.samples[i].label for i in inside)
        counts[part] = PartCounts(
            positive=positive,
            negative=len(inside) - positive,
            groups=len({groups[i] for i in inside}),
        )
    return counts


def _check_classes(
    dataset: Dataset, counts: Mapping[str, PartCounts], needed: Sequence[str]
) -> None:
    """Raise DatasetError where a needed part lacks one of the classes."""
    lacking = [part for part in needed if not (counts[part].positive and counts[part].negative)]
    if lacking:
        found = "; ".join(
            f"{part} {own.positive} positive and {own.negative} negative in {own.groups} groups"
            for part, own in counts.items()
        )
        raise DatasetError(
            f"the split of {dataset.root} leaves {' and '.join(lacking)} without one of the classes "
            f"({found}); more images of different patients are needed, or another seed"
        )
