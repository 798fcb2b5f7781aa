"""The table labels.csv: what it adds to samples, and its errors."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from tests.support.pictures import draw_radiograph, encode
from tests.support.trees import folder_tree
from utils.datasets.image_cache import prepare_images
from utils.datasets.readers import read_dataset
from utils.datasets.sample import Sample
from utils.datasets.split import split_dataset
from utils.errors import DatasetError, UnknownName
from utils.imaging.geometry import Box

ROOT = Path(__file__).resolve().parents[3]
PNG = encode(draw_radiograph(24, 18))
BOXED = "file,patient,view,x,y,width,height"


def lay(root: Path, *files: str) -> Path:
    for name in ("fractured/a.png", "fractured/b.png", "normal/c.png", "normal/d.png", *files):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(PNG)
    return root


def state(root: Path, *lines: str) -> None:
    (root / "labels.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def read(root: Path) -> dict[str, Sample]:
    return {one.id: one for one in read_dataset(root).samples}


def test_a_row_gives_everything_but_the_label(tmp_path):
    state(
        lay(tmp_path),
        "file,patient,study,region,view,hardware,x,y,width,height",
        "fractured/a.png,p1,s1,XR_WRIST,Lateral,1,3,4.5,6,7",
        "normal/c.png,p2,s2,hand,frontal+oblique,0,,,,",
    )
    samples = read(tmp_path)
    assert samples["fractured/a.png"] == Sample(
        path=tmp_path / "fractured/a.png",
        id="fractured/a.png",
        label=1,
        group="patient/p1",
        study="s1",
        region="wrist",
        view="lateral",
        hardware=True,
        boxes=(Box(3, 4.5, 6, 7),),
    )
    normal = samples["normal/c.png"]
    assert (normal.label, normal.region, normal.view) == (0, "hand", "frontal+oblique")
    assert (normal.hardware, normal.boxes) == (False, ())


def test_the_example_of_the_documents_reads(tmp_path):
    text = (ROOT / "docs" / "datasets.md").read_text()
    (example,) = re.findall(r"```csv\n(.+?)```", text, re.DOTALL)
    for name in ("train/fractured/a.png", "train/fractured/b.png", "test/normal/c.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(PNG)
    (tmp_path / "labels.csv").write_text(example)
    samples = read(tmp_path)
    assert [len(one.boxes) for one in samples.values()] == [0, 2, 0]
    assert [one.group for one in samples.values()] == ["patient/p2", "patient/p1", "patient/p1"]


def test_empty_cells_and_missing_rows_add_nothing(tmp_path):
    before = read(lay(tmp_path))
    state(
        tmp_path,
        "file,patient,study,region,view,hardware,x,y,width,height",
        "fractured/a.png,,,,,,,,,",
    )
    assert read(tmp_path) == before


def test_tables_of_windows_spreadsheets_are_read(tmp_path):
    lay(tmp_path)
    (tmp_path / "labels.csv").write_bytes(
        b'\xef\xbb\xbfpatient,file\r\n" p1 ","fractured\\a.png"\r\np1,./normal/c.png\r\n'
    )
    samples = read(tmp_path)
    assert samples["fractured/a.png"].group == samples["normal/c.png"].group == "patient/p1"


def test_the_group_is_patient_study_or_file(tmp_path):
    state(
        lay(tmp_path),
        "file,patient,study",
        "fractured/a.png,7,1",
        "fractured/b.png,,7",
        "normal/c.png,7,2",
    )
    groups = {name: one.group for name, one in read(tmp_path).items()}
    assert groups["fractured/a.png"] == groups["normal/c.png"]
    assert len(set(groups.values())) == 3, "patient 7 is not study 7"
    assert groups["normal/d.png"] == "normal/d.png"


def test_several_rows_give_several_boxes(tmp_path):
    state(lay(tmp_path), BOXED, "fractured/a.png,p1,,1,2,3,4", "fractured/a.png,,frontal,5,6,7,8")
    one = read(tmp_path)["fractured/a.png"]
    assert one.boxes == (Box(1, 2, 3, 4), Box(5, 6, 7, 8))
    assert (one.group, one.view) == ("patient/p1", "frontal")


def test_a_rotated_copy_keeps_its_patient(tmp_path):
    lay(tmp_path, "fractured/12.png", "fractured/12-rotated1.png")
    state(tmp_path, "file,patient,region", "fractured/12.png,p1,hand", "normal/c.png,p1,hand")
    samples = read(tmp_path)
    assert samples["fractured/12-rotated1.png"].group == "patient/p1"
    assert samples["fractured/12.png"].group == samples["normal/c.png"].group == "patient/p1"


def test_one_row_names_the_patient_of_a_study(tmp_path):
    state(lay(tmp_path), "file,patient,study", "fractured/a.png,p1,s1", "normal/c.png,,s1")
    samples = read(tmp_path)
    assert samples["fractured/a.png"].group == samples["normal/c.png"].group == "patient/p1"


def test_copies_of_two_patients_are_refused(tmp_path):
    lay(tmp_path, "fractured/12.png", "fractured/12-rotated1.png")
    state(tmp_path, "file,patient", "fractured/12.png,p1", "fractured/12-rotated1.png,p2")
    with pytest.raises(DatasetError, match="another copy of this picture is another patient's"):
        read(tmp_path)


def test_regions_of_the_table_can_be_chosen(tmp_path):
    state(
        lay(tmp_path),
        "file,region",
        *("fractured/a.png,hand", "normal/c.png,hand", "fractured/b.png,knee"),
    )
    chosen = read_dataset(tmp_path, "folder", ["hand"])
    assert [one.id for one in chosen.samples] == ["fractured/a.png", "normal/c.png"]
    with pytest.raises(UnknownName, match="'hip' of the folder dataset; choose from: hand, knee"):
        read_dataset(tmp_path, "folder", ["hip"])


def test_rows_of_other_regions_are_ignored(tmp_path):
    for region in ("hand", "knee"):
        lay(tmp_path / region)
        (tmp_path / region / "normal" / "notes.txt").write_text("")
    state(tmp_path, "file,patient", "hand/normal/c.png,p1", "knee/normal/c.png,p2")
    chosen = read_dataset(tmp_path, "folder", ["knee"])
    assert {one.region for one in chosen.samples} == {"knee"}
    assert sum(chosen.dropped.values()) == 1


def test_a_patient_in_several_parts_stays_in_test(tmp_path):
    folder_tree(tmp_path, per_class=6)
    state(
        tmp_path,
        "file,patient",
        *("train/fractured/1.png,p1", "val/fractured/1.png,p1", "test/fractured/1.png,p1"),
        *("train/not fractured/2.png,p2", "train/fractured/2.png,p2"),
    )
    dataset = read_dataset(tmp_path)
    thumbnails = prepare_images(dataset.samples, 64, tmp_path / "cache").thumbnails
    split = split_dataset(dataset, thumbnails, seed=0)
    part = dict(zip((one.id for one in dataset.samples), split.parts, strict=True))
    assert part["test/fractured/1.png"] == "test"
    assert Counter(split.parts)[None] == 2
    assert part["train/fractured/1.png"] is part["val/fractured/1.png"] is None
    assert split.report.dropped == {
        "of the same patient, study or picture as an image of the test part": 2
    }


def test_free_splits_keep_a_patient_on_one_side(tmp_path):
    names = [f"{folder}/{n}.png" for folder in ("fractured", "normal") for n in range(30)]
    lay(tmp_path, *names)
    state(tmp_path, "file,patient", *(f"{name},p{i % 20}" for i, name in enumerate(names)))
    dataset = read_dataset(tmp_path)
    # Noise, so that the pixels join nothing.
    thumbnails = np.random.default_rng(0).integers(
        0, 256, (len(dataset.samples), 64, 64), dtype=np.uint8
    )
    split = split_dataset(dataset, thumbnails, seed=0, needed=())
    placed = zip(dataset.samples, split.parts, strict=True)
    sides = {(one.group, part) for one, part in placed if one.id in names}
    assert len(sides) == 20
    assert len({part for _, part in sides}) == 3


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["file,label", "fractured/a.png,1"], "unknown column 'label'; known are file, patient, "),
        (["patient", "p1"], "has no column file; its columns are patient"),
        (["file,view,view", "fractured/a.png,a,b"], "names a column twice"),
        (["file,view", "fractured/a.png"], "line 2: 1 values where the header names 2"),
        (["file,view", ",frontal"], "a row names no file, found ',frontal'"),
        (["file", "fractured/z.png"], "row fractured/z.png: there is no such image"),
        (["file", "labels.csv"], "row labels.csv: there is no such image"),
        (["file", "../a.png"], r"row ../a.png: a path below .* is expected"),
        (["file", "/fractured/a.png"], "row /fractured/a.png: a path below .* is expected"),
        (["file", "..\\a.png"], r"row ..\\a.png: a path below .* is expected"),
        (["file,hardware", "normal/c.png,yes"], "row normal/c.png: hardware is 'yes' where 0 or 1"),
        ([BOXED, "fractured/a.png,,,1,2,three,4"], "a.png: x, y, width, height must be four num"),
        ([BOXED, "fractured/a.png,,,1,2,inf,4"], "a.png: x, y, width, height must be four numbers"),
        ([BOXED, "fractured/a.png,,,nan,2,3,4"], "a.png: x, y, width, height must be four numbers"),
        ([BOXED, "fractured/a.png,,,1,2,,4"], "must be four numbers, found .'1', '2', '', '4'."),
        (["file,x,y", "fractured/a.png,1,2"], "must be four numbers, found .'1', '2', '', ''."),
        ([BOXED, "fractured/a.png,,,1,2,0,4"], "row fractured/a.png: a lesion of 0 x 4 pixels"),
        ([BOXED, "fractured/a.png,,,1,2,3,-4"], "row fractured/a.png: a lesion of 3 x -4 pixels"),
        ([BOXED, "fractured/a.png,,,.5,.5,.2,.1"], "a lesion of 0.2 x 0.1 pixels; at least one"),
        ([BOXED, "normal/c.png,,,1,2,3,4"], "row normal/c.png: a lesion is marked on .* normal"),
        (
            [BOXED, "fractured/a.png,p1,,1,2,3,4", "fractured/a.png,p2,,5,6,7,8"],
            "row fractured/a.png: the rows of this file contradict each other in patient",
        ),
        (
            [BOXED, "fractured/a.png,p1,lateral,,,,", "fractured/a.png,p1,frontal,,,,"],
            "contradict each other in view",
        ),
        (
            ["file,patient,study", "fractured/a.png,p1,1", "normal/c.png,p2,1"],
            "row normal/c.png: its study is another patient's in a row above",
        ),
    ],
)
def test_an_error_names_table_and_row(tmp_path, lines, message):
    state(lay(tmp_path), *lines)
    with pytest.raises(DatasetError, match=message) as caught:
        read_dataset(tmp_path)
    assert str(caught.value).startswith(str(tmp_path / "labels.csv"))
    assert "\n" not in str(caught.value)


def test_a_region_must_match_its_folder(tmp_path):
    for region in ("hand", "knee"):
        lay(tmp_path / region)
    state(tmp_path, "file,region", "hand/normal/c.png,Hand")
    assert read(tmp_path)["hand/normal/c.png"].region == "hand"
    state(tmp_path, "file,region", "hand/normal/c.png,knee")
    with pytest.raises(
        DatasetError, match="row hand/normal/c.png: region is 'knee', its folder's is 'hand'"
    ):
        read_dataset(tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        "file,patient\nfractured/a.png,Müller\n".encode("latin-1"),
        b'file,patient\nfractured/a.png,"p1',
        encode(draw_radiograph(24, 18)),
    ],
)
def test_a_table_must_be_utf_8_csv(tmp_path, content):
    (lay(tmp_path) / "labels.csv").write_bytes(content)
    with pytest.raises(DatasetError, match=r"labels.csv cannot be read as CSV"):
        read_dataset(tmp_path)


def test_a_broken_link_to_a_table_is_refused(tmp_path):
    (lay(tmp_path) / "labels.csv").symlink_to(tmp_path / "nowhere.csv")
    with pytest.raises(DatasetError, match=r"there is no labels.csv"):
        read_dataset(tmp_path)


@pytest.mark.parametrize("place", ["", "archive/train"])
def test_a_misplaced_table_is_refused(tmp_path, place):
    folder_tree(tmp_path / "archive", per_class=1, size=(24, 18))
    state(tmp_path / place, "file")
    with pytest.raises(DatasetError, match=f"is not read there; its place is {tmp_path}/archive,"):
        read_dataset(tmp_path)
    (tmp_path / place / "labels.csv").rename(tmp_path / "archive/labels.csv")
    assert len(read_dataset(tmp_path).samples) == 6
