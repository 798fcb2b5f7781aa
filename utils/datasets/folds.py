"""Cross-validation folds by group, stratified by label and body part."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from utils.datasets.training_set import PartUse, TrainingSet
from utils.errors import DatasetError


def assign_folds(data: TrainingSet, folds: int) -> np.ndarray:
    """Divide train and validation part into folds; no group is in two of them.

    Args:
        data: split as usual; its ``report.seed`` shuffles the groups.
        folds: number of them, at least 2.

    Returns:
        int (n,): the fold of each row, from 1; 0 for rows of no or of the test part.

    Raises:
        DatasetError: too few groups of a class for so many folds.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    rows = np.sort(np.concatenate([data.rows["train"], data.rows["validation"]]))
    labels = data.labels[rows]
    groups = np.array([data.groups[row] for row in rows])
    fewest = min(len(set(groups[labels == label])) for label in (0, 1))
    if fewest < folds:
        raise DatasetError("datasets.too_few_for_folds", folds=folds, groups=fewest)
    regions = [data.prepared.samples[row].region or "" for row in rows]
    strata = _strata(labels.tolist(), regions, folds)
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=data.report.seed)
    assigned = np.zeros(len(data.labels), int)
    for number, (_, held_out) in enumerate(splitter.split(rows, strata, groups), 1):
        if len(set(labels[held_out].tolist())) < 2:
            raise DatasetError("datasets.fold_lacks_class", folds=folds)
        assigned[rows[held_out]] = number
    return assigned


def fold_training_set(data: TrainingSet, assigned: np.ndarray, fold: int) -> TrainingSet:
    """Return the training set of one fold.

    Args:
        data: the whole.
        assigned: fold of each row, see ``assign_folds``.
        fold: the one that is held out.

    Returns:
        A training set whose train part are the other folds. Validation and test part are both the fold that
        is held out: its curve may be looked at, and no bundle that a run builds on may have seen it.
    """
    held_out = np.flatnonzero(assigned == fold)
    rows = {
        "train": np.flatnonzero((assigned > 0) & (assigned != fold)),
        "validation": held_out,
        "test": held_out,
    }
    used = {
        part: PartUse(images=len(own), positive=int(data.labels[own].sum()))
        for part, own in rows.items()
    }
    return replace(data, rows=rows, report=data.report.model_copy(update={"used": used}))


def _strata(labels: Sequence[int], regions: Sequence[str], folds: int) -> list[str]:
    """Name label and body part of each image; what is rarer than the folds joins the most of its class."""
    names = [f"{label} {region}" for label, region in zip(labels, regions, strict=True)]
    counts = Counter(names)
    # Sorted, so that the outcome does not depend on the order of the images.
    most = {name[0]: name for name in sorted(counts, key=lambda name: (counts[name], name))}
    return [name if counts[name] >= folds else most[name[0]] for name in names]
