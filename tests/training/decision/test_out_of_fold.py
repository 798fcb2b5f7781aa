"""utils.training.decision.out_of_fold: the table, its record and what they are held against."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.support.tables import draw_table
from tests.support.trainings import CONFIG
from utils.datasets.training_set import TrainingSet
from utils.errors import InputError
from utils.training.decision.out_of_fold import TABLE, read_table, table_identity


def test_a_table_is_read_as_it_was_written(tmp_path: Path) -> None:
    written = draw_table(tmp_path, epochs=3)
    for path in (tmp_path, tmp_path / TABLE):
        read = read_table(path)
        assert read.images == written.images
        assert read.record == written.record
        assert read.path == tmp_path / TABLE


def test_the_scores_are_those_of_the_table(tmp_path: Path) -> None:
    table = draw_table(tmp_path)
    assert table.scores.logits.tolist() == [image.logit for image in table.images]
    assert table.scores.labels.sum() == 60
    assert "120 images by the networks of 3 folds" in table.scores.images


def test_an_altered_table_is_refused(tmp_path: Path) -> None:
    path = draw_table(tmp_path).path
    path.write_text(path.read_text().replace(",1,hand,", ",0,hand,", 1))
    with pytest.raises(InputError, match="does not say what it said"):
        read_table(path)


@pytest.mark.parametrize("name", [TABLE, "out_of_fold.json"])
@pytest.mark.parametrize("content", [None, "", "path,logit\na,b\n", "{}", "\0"])
def test_a_file_that_is_no_table_is_refused(tmp_path: Path, name: str, content: str | None) -> None:
    draw_table(tmp_path)
    (tmp_path / name).unlink()
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=r"out_of_fold\.csv"):
        read_table(tmp_path)


def test_what_differs_from_the_folds_is_named(tmp_path: Path) -> None:
    table = draw_table(tmp_path, epochs=3, keep="last")
    table.check({"epochs": 3, "keep": "last"})
    with pytest.raises(InputError, match="keep was 'last' there, now it is 'best'"):
        table.check({"epochs": 3, "keep": "best"})
    with pytest.raises(InputError, match="boxes_weight was None there, now it is 1"):
        table.check({"epochs": 3, "keep": "last", "boxes_weight": 1})


def test_the_identity_is_of_data_and_settings(data: TrainingSet) -> None:
    usual = table_identity(CONFIG, data, (), None)
    assert usual == table_identity(replace(CONFIG, sensitivity=0.5), data, (), None)
    assert usual != table_identity(replace(CONFIG, epochs=3), data, (), None)
    assert usual != table_identity(CONFIG, data, (), "another file")
    moved = replace(CONFIG, weights="elsewhere/w.npz")
    assert table_identity(moved, data, (), "f") == table_identity(
        replace(CONFIG, weights="here/w.npz"), data, (), "f"
    )


def test_other_images_or_labels_are_other_data(data: TrainingSet) -> None:
    usual = table_identity(CONFIG, data, (), None)
    rows = {**data.rows, "train": data.rows["train"][1:]}
    fewer = table_identity(CONFIG, replace(data, rows=rows), (), None)
    flipped = table_identity(CONFIG, replace(data, labels=1 - data.labels), (), None)
    different = [{k for k in usual if usual[k] != other[k]} for other in (fewer, flipped)]
    assert different == [{"data"}, {"data"}]


def test_images_may_move_between_train_and_validation(data: TrainingSet) -> None:
    """Both are scored out of fold."""
    rows = {**data.rows, "train": data.rows["validation"], "validation": data.rows["train"]}
    swapped = replace(data, rows=rows)
    assert table_identity(CONFIG, swapped, (), None) == table_identity(CONFIG, data, (), None)


def test_the_table_becomes_a_part(tmp_path: Path, data: TrainingSet) -> None:
    table = draw_table(tmp_path)
    ids = [sample.id for sample in data.prepared.samples]
    images = tuple(replace(one, path=ids[-n - 1]) for n, one in enumerate(table.images[:5]))
    part = replace(table, images=images).as_part(data)
    assert [ids[row] for row in part.rows["out_of_fold"]] == [image.path for image in images]
    assert np.array_equal(part.rows["test"], data.rows["test"])
