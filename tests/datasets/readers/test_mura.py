"""MURA-v1.1, drawn."""

from __future__ import annotations

import pytest

from tests.support.trees import mura_tree
from utils.datasets.readers import read_dataset
from utils.errors import DatasetError


@pytest.fixture
def mura(tmp_path):
    return mura_tree(tmp_path, patients=8, size=(24, 18))


def append(table, line):
    table.write_text(table.read_text() + line + "\n")


def test_the_tables_give_every_field_of_a_sample(mura):
    samples = {one.id: one for one in read_dataset(mura).samples}
    assert len(samples) == 24
    first = samples["train/XR_WRIST/patient00001/study1_positive/image1.png"]
    assert (first.label, first.group, first.region, first.part) == (
        1,
        "patient00001",
        "wrist",
        "train",
    )
    assert first.study == "train/XR_WRIST/patient00001/study1_positive"
    second = samples["train/XR_WRIST/patient00002/study1_negative/image2.png"]
    assert (second.label, second.group) == (0, "patient00002")


def test_the_official_valid_set_is_the_test_part(mura):
    parts = {one.id.split("/")[0]: one.part for one in read_dataset(mura).samples}
    assert parts == {"train": "train", "valid": "test"}


def test_the_table_of_studies_gives_the_label(mura):
    table = mura / "train_labeled_studies.csv"
    study = "MURA-v1.1/train/XR_WRIST/patient00001/study1"
    (mura / "train/XR_WRIST/patient00001/study1_positive").rename(mura.parent / study)
    for file in (table, mura / "train_image_paths.csv"):
        file.write_text(file.read_text().replace(f"{study}_positive", study))
    table.write_text(table.read_text().replace(f"{study}/,1", f"{study}/,0"))
    labels = {one.id: one.label for one in read_dataset(mura).samples}
    assert labels["train/XR_WRIST/patient00001/study1/image1.png"] == 0


def test_a_contradicting_label_is_dropped(mura):
    table = mura / "train_labeled_studies.csv"
    table.write_text(table.read_text().replace("study1_positive/,1", "study1_positive/,0", 1))
    dataset = read_dataset(mura)
    assert dict(dataset.dropped) == {"the table's label contradicts the study's folder": 2}
    assert not [one for one in dataset.samples if one.group == "patient00001"]


def test_a_study_without_a_label_is_dropped(mura):
    table = mura / "train_labeled_studies.csv"
    table.write_text("".join(table.read_text().splitlines(keepends=True)[1:]))
    assert dict(read_dataset(mura).dropped) == {"its study has no label in the source's table": 2}


def test_macos_companions_in_the_list_are_ignored(mura):
    listed = "MURA-v1.1/train/XR_WRIST/patient00001/study1_positive/._image1.png"
    (mura.parent / listed).write_bytes(b"\0\5\26\7")
    append(mura / "train_image_paths.csv", listed)
    dataset = read_dataset(mura)
    assert len(dataset.samples) == 24
    assert not dataset.dropped


def test_missing_files_are_dropped_and_counted(mura):
    (mura / "valid/XR_WRIST/patient00009/study1_positive/image1.png").unlink()
    dataset = read_dataset(mura)
    assert len(dataset.samples) == 23
    assert dict(dataset.dropped) == {"listed in the source's table, but the file is missing": 1}


def test_a_part_without_its_files_is_refused(mura):
    (mura / "valid").rename(mura / "elsewhere")
    with pytest.raises(
        DatasetError, match="none of the 8 images that .*valid_image_paths.csv lists"
    ):
        read_dataset(mura)


def test_a_missing_table_is_named(mura):
    (mura / "valid_labeled_studies.csv").unlink()
    with pytest.raises(DatasetError, match="no valid_labeled_studies.csv in .*found train/"):
        read_dataset(mura)


@pytest.mark.parametrize(
    "line",
    [
        "MURA-v1.1/train/XR_WRIST/patient00001/study1_positive/",
        "MURA-v1.1/train/XR_WRIST/patient00001/study1_positive/,yes",
    ],
)
def test_a_bad_row_of_studies_names_its_line(mura, line):
    append(mura / "train_labeled_studies.csv", line)
    with pytest.raises(DatasetError, match="line 9: a study's path and 0 or 1 are expected"):
        read_dataset(mura)


def test_a_bad_path_is_refused_with_an_example(mura):
    append(mura / "train_image_paths.csv", "pictures/cat.png")
    with pytest.raises(DatasetError, match="'pictures/cat.png' is no path like MURA-v1.1/train"):
        read_dataset(mura)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00bad\x81", b'"open quote'])
def test_a_table_must_be_csv_text(mura, content):
    (mura / "train_image_paths.csv").write_bytes(content)
    with pytest.raises(DatasetError, match="train_image_paths.csv"):
        read_dataset(mura)


def test_a_patient_keeps_one_group_across_regions(mura):
    study = "MURA-v1.1/train/XR_ELBOW/patient00001/study1_negative"
    (mura.parent / study).mkdir(parents=True)
    (mura.parent / study / "image1.png").write_bytes(b"anything")
    append(mura / "train_image_paths.csv", f"{study}/image1.png")
    append(mura / "train_labeled_studies.csv", f"{study}/,0")
    patient = [one for one in read_dataset(mura).samples if one.group == "patient00001"]
    assert {one.region for one in patient} == {"elbow", "wrist"}
    assert {one.label for one in patient} == {0, 1}


def test_meaning_and_attribution_are_muras(mura):
    dataset = read_dataset(mura)
    assert "abnormal" in dataset.meaning
    assert "hardware" in dataset.meaning
    assert "1712.06957" in dataset.attribution
