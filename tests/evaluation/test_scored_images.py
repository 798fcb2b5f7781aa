"""utils.evaluation.scored_images: the table predictions.csv, written and read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.support.evaluations import facts_of
from utils.datasets.sample import Sample
from utils.errors import InputError
from utils.evaluation.scored_images import (
    ScoredImages,
    prediction_rows,
    read_names,
    write_predictions,
)

# A name that a table has to quote.
NAMES = ("a/1.png", 'a/"2", odd.png', "b/3.png")
SAMPLES = tuple(
    Sample(Path(name), name, row % 2, f"g{row}", region="hand", hardware=row == 2 or None)
    for row, name in enumerate(NAMES)
)


def scored() -> ScoredImages:
    return ScoredImages(
        samples=SAMPLES,
        files=tuple(facts_of(80, 40, truncated=row == 1) for row in range(3)),
        parts=("test",) * 3,
        groups=("g0", "g1", "g2"),
        labels=np.array([0, 1, 0]),
        logit=np.array([-1.5, 0.25, 2.0], np.float32),
        probability=np.array([0.25, 0.5, 0.75]),
        maps=np.zeros((3, 2, 2), np.float32),
        region=None,
        input_warnings=((), (), ()),
    )


def test_a_line_has_the_image_and_its_answer():
    rows = list(prediction_rows(scored(), 0.5))
    assert list(rows[0]) == [
        *("path", "part", "group", "label", "probability", "prediction"),
        *("study", "region", "view", "hardware", "truncated", "logit"),
    ]
    assert [row["prediction"] for row in rows] == [0, 1, 1]
    assert [row["truncated"] for row in rows] == [0, 1, 0]
    assert [row["hardware"] for row in rows] == ["", "", 1]
    assert (rows[2]["probability"], rows[2]["logit"]) == ("0.750000", "2.000000")


def test_written_names_are_read_again(tmp_path):
    write_predictions(scored(), 0.5, tmp_path / "predictions.csv")
    assert read_names(tmp_path / "predictions.csv", SAMPLES) == set(NAMES)
    other = Sample(Path("other"), "other", 0, "other")
    assert read_names(tmp_path / "predictions.csv", (*SAMPLES, other)) == set(NAMES)


def test_unknown_names_are_counted(tmp_path):
    write_predictions(scored(), 0.5, tmp_path / "predictions.csv")
    message = (
        "2 of the 3 images that .* names are not among the 1 of the dataset, the first of them 'a/1"
    )
    with pytest.raises(InputError, match=message):
        read_names(tmp_path / "predictions.csv", SAMPLES[2:])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read as a table: No such file"),
        (b"\xff\xfe\x00path", "cannot be read as a table: 'utf-8'"),
        (b"", "names no image"),
        (b"path,label\n", "names no image"),
        (b"name,label\na/1.png,0\n", "names no image: .* a column 'path'"),
    ],
)
def test_an_unusable_table_is_an_input_error(tmp_path, content, message):
    if content is not None:
        (tmp_path / "table.csv").write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_names(tmp_path / "table.csv", SAMPLES)
