"""Cross-validation folds: by group, stratified, without the test part."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from tests.support.trees import fracatlas_training_set
from utils.datasets.folds import assign_folds, fold_training_set
from utils.datasets.training_set import TrainingSet
from utils.errors import DatasetError


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> TrainingSet:
    """A synthetic FracAtlas in which three images each are of one patient."""
    drawn = fracatlas_training_set(tmp_path_factory.mktemp("data"), size=32)
    groups = list(drawn.groups)
    for rows in drawn.rows.values():
        for place, row in enumerate(rows):
            groups[row] = f"patient{rows[0]}-{place // 3}"
    return replace(drawn, groups=tuple(groups))


def test_no_group_is_in_two_folds(data: TrainingSet) -> None:
    assigned = assign_folds(data, 3)
    held = [{data.groups[row] for row in np.flatnonzero(assigned == fold)} for fold in (1, 2, 3)]
    assert sum(map(len, held)) == len(set().union(*held))


def test_all_but_the_test_part_is_in_a_fold(data: TrainingSet) -> None:
    used = np.concatenate([data.rows["train"], data.rows["validation"]])
    assert np.flatnonzero(assign_folds(data, 3)).tolist() == sorted(used.tolist())


def test_folds_are_alike_in_label_and_body_part(data: TrainingSet) -> None:
    assigned = assign_folds(data, 3)
    for label, region in ((0, "hand"), (0, "leg"), (1, "hand"), (1, "leg")):
        chosen = (data.labels == label) & (data.region_index == data.regions.index(region))
        counts = Counter(assigned[chosen & (assigned > 0)].tolist())
        # Groups of three images stay whole.
        assert max(counts.values()) - min(counts.values()) <= 4


def test_the_split_seed_shuffles_the_folds(data: TrainingSet) -> None:
    other = replace(data, report=data.report.model_copy(update={"seed": 1}))
    assert (assign_folds(data, 3) == assign_folds(data, 3)).all()
    assert (assign_folds(data, 3) != assign_folds(other, 3)).any()


def test_a_rare_body_part_spoils_no_fold(data: TrainingSet) -> None:
    (first,) = data.rows["train"][data.labels[data.rows["train"]] == 1][:1]
    samples = list(data.prepared.samples)
    samples[first] = replace(samples[first], region="hip")
    rare = replace(data, prepared=replace(data.prepared, samples=tuple(samples)))
    assigned = assign_folds(rare, 3)
    assert assigned[first] > 0
    assert set(assigned.tolist()) == {0, 1, 2, 3}


def test_a_fold_trains_on_the_others(data: TrainingSet) -> None:
    assigned = assign_folds(data, 3)
    fold = fold_training_set(data, assigned, 2)
    assert set(assigned[fold.rows["train"]].tolist()) == {1, 3}
    for part in ("validation", "test"):
        assert set(assigned[fold.rows[part]].tolist()) == {2}
    used = fold.report.used["train"]
    assert used.images == len(fold.rows["train"])
    assert used.positive == data.labels[fold.rows["train"]].sum()


def test_too_many_folds_are_refused(data: TrainingSet) -> None:
    with pytest.raises(DatasetError, match="60 folds need .* give fewer"):
        assign_folds(data, 60)


def test_a_fold_of_one_class_is_refused(data: TrainingSet) -> None:
    """Two groups hold each class, one of them both."""
    train = data.rows["train"]
    chosen = np.concatenate([train[data.labels[train] == label][:2] for label in (1, 0)])
    groups = list(data.groups)
    for row, group in zip(chosen, ("0", "2", "2", "3"), strict=True):
        groups[row] = group
    few = replace(data, rows={**data.rows, "train": chosen, "validation": chosen[:0]})
    with pytest.raises(DatasetError, match="without one of the classes"):
        assign_folds(replace(few, groups=tuple(groups)), 2)
