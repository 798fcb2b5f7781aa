"""CSV files of a dataset: what is read, and how errors are named."""

from __future__ import annotations

import pytest

from utils.datasets.readers.tables import read_flag, read_rows, read_table
from utils.errors import DatasetError


def write(folder, text):
    (folder / "t.csv").write_text(text, encoding="utf-8")
    return folder / "t.csv"


def test_cells_lose_blanks_and_empty_lines_go(tmp_path):
    table = write(tmp_path, ' a ,"b, c"\n\n1,2\n')
    assert read_rows(table) == [["a", "b, c"], ["1", "2"]]


def test_a_missing_table_lists_its_folder(tmp_path):
    (tmp_path / "other.csv").write_text("")
    with pytest.raises(DatasetError, match=r"there is no t.csv in .*; found other.csv"):
        read_rows(tmp_path / "t.csv")


@pytest.mark.parametrize("text", ["", "\n\n"])
def test_an_empty_table_is_refused(tmp_path, text):
    with pytest.raises(DatasetError, match=r"t.csv is empty"):
        read_rows(write(tmp_path, text))


def test_a_record_names_its_columns(tmp_path):
    table = write(tmp_path, "a,b,c\n1,2,3\n")
    assert read_table(table, ("a",)) == [{"a": "1", "b": "2", "c": "3"}]
    assert read_table(table, ("a",), ("b", "c")) == [{"a": "1", "b": "2", "c": "3"}]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,c\n", "has no column b; its columns are a, c"),
        ("a,b,d\n", "has an unknown column 'd'; known are a, b, c"),
        ("a,b,a\n", "names a column twice; its columns are a, b, a"),
        ("a,b\n1,2\n3\n", "line 3: 1 values where the header names 2"),
    ],
)
def test_a_bad_header_or_line_is_named(tmp_path, text, message):
    with pytest.raises(DatasetError, match=message):
        read_table(write(tmp_path, text), ("a", "b"), ("c",))


def test_a_flag_is_0_or_1(tmp_path):
    record = {"metal": "1", "cast": "0", "view": "yes"}
    assert read_flag(record, "metal", tmp_path, "a.png")
    assert not read_flag(record, "cast", tmp_path, "a.png")
    with pytest.raises(DatasetError, match="row a.png: view is 'yes' where 0 or 1 is expected"):
        read_flag(record, "view", tmp_path, "a.png")
