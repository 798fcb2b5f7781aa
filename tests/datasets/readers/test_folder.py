"""Class folders: parts, classes, body parts, and files that are no images."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.dicoms import draw_dicom
from tests.support.pictures import draw_radiograph, encode
from utils.datasets.readers import read_dataset
from utils.errors import DatasetError

PNG = encode(draw_radiograph(24, 18))


def lay(root: Path, *names: str, content: bytes = PNG) -> Path:
    for name in names:
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    return root


def read(root: Path) -> dict[str, tuple[int, str | None]]:
    return {one.id: (one.label, one.part) for one in read_dataset(root, "folder").samples}


def test_folders_name_parts_and_classes(tmp_path):
    lay(
        tmp_path,
        *(
            f"{part}/{name}/a.png"
            for part in ("train", "validation", "test")
            for name in ("fractured", "normal")
        ),
    )
    assert read(tmp_path) == {
        "test/fractured/a.png": (1, "test"),
        "test/normal/a.png": (0, "test"),
        "train/fractured/a.png": (1, "train"),
        "train/normal/a.png": (0, "train"),
        "validation/fractured/a.png": (1, "validation"),
        "validation/normal/a.png": (0, "validation"),
    }


@pytest.mark.parametrize("name", ["val", "Valid", "VALIDATION", "validate"])
def test_the_validation_part_may_be_called(tmp_path, name):
    lay(tmp_path, f"{name}/fractured/a.png", f"{name}/normal/a.png", "train/normal/b.png")
    assert read(tmp_path)[f"{name}/normal/a.png"] == (0, "validation")


@pytest.mark.parametrize(
    "name", ["Fractured", "fracture", "FRACTURES", "positive", "Abnormal", "1"]
)
def test_the_positive_class_may_be_called(tmp_path, name):
    lay(tmp_path, f"{name}/a.png", "normal/a.png")
    assert read(tmp_path)[f"{name}/a.png"] == (1, None)


@pytest.mark.parametrize(
    "name",
    [
        "Normal",
        "not fractured",
        "not_fractured",
        "Non_fractured",
        "non-fractured",
        "NonFractured",
        "no_fracture",
        "No Fracture",
        "negative",
        "0",
    ],
)
def test_the_negative_class_may_be_called(tmp_path, name):
    lay(tmp_path, f"{name}/a.png", "fractured/a.png")
    assert read(tmp_path)[f"{name}/a.png"] == (0, None)


def test_the_kaggle_multi_region_set_is_read(tmp_path):
    outer = "Bone_Fracture_Binary_Classification/Bone_Fracture_Binary_Classification"
    lay(
        tmp_path,
        *(
            f"{outer}/{part}/{name}/1-rotated1-rotated2.jpg"
            for part in ("train", "val", "test")
            for name in ("fractured", "not fractured")
        ),
    )
    dataset = read_dataset(tmp_path)
    assert dataset.root == tmp_path / outer
    assert dataset.samples[0].id == "test/fractured/1-rotated1-rotated2.jpg"
    assert {one.part for one in dataset.samples} == {"train", "validation", "test"}
    assert dataset.regions == ()


def test_rotated_copies_are_one_group(tmp_path):
    lay(
        tmp_path,
        "train/fractured/12.jpg",
        "train/fractured/12-rotated1.jpg",
        "test/fractured/12-rotated3-rotated2.jpg",
        "test/fractured/13-rotated1.jpg",
        "train/normal/12-rotated1.jpg",
        "test/normal/7.jpg",
        "train/normal/7.jpg",
    )
    group = {one.id: one.group for one in read_dataset(tmp_path).samples}
    family = [
        group[name]
        for name in (
            "train/fractured/12.jpg",
            "train/fractured/12-rotated1.jpg",
            "test/fractured/12-rotated3-rotated2.jpg",
        )
    ]
    assert len(set(family)) == 1
    assert len(set(group.values())) == 5, "another number, another class or a plain name is another"
    assert group["test/normal/7.jpg"] != group["train/normal/7.jpg"]


def test_body_part_folders_give_the_region(tmp_path):
    lay(
        tmp_path,
        *(
            f"train/{region}/{name}/a.png"
            for region in ("Hand", "XR_WRIST")
            for name in ("fractured", "normal")
        ),
    )
    dataset = read_dataset(tmp_path)
    assert dataset.regions == ("hand", "wrist")
    assert {one.part for one in dataset.samples} == {"train"}
    assert len(read_dataset(tmp_path, "folder", ["wrist"]).samples) == 2


def test_body_part_folders_may_lie_above_the_parts(tmp_path):
    lay(
        tmp_path,
        *(
            f"{region}/{part}/{name}/a.png"
            for region in ("hand", "leg")
            for part in ("train", "test")
            for name in ("fractured", "normal")
        ),
    )
    samples = {one.id: one for one in read_dataset(tmp_path).samples}
    assert samples["leg/test/normal/a.png"].region == "leg"
    assert samples["leg/test/normal/a.png"].part == "test"


@pytest.mark.parametrize(
    "names",
    [
        ("train/fractured/a.png", "normal/a.png"),
        ("hand/fractured/a.png", "normal/a.png"),
        ("train/hand/fractured/a.png", "train/normal/a.png"),
        ("a/hand/fractured/a.png", "b/hand/normal/a.png"),
        ("train/test/fractured/a.png", "train/test/normal/a.png"),
    ],
)
def test_an_ambiguous_layout_is_refused(tmp_path, names):
    lay(tmp_path, *names)
    with pytest.raises(
        DatasetError, match="(found .*(fractured|normal)|lies below train and test)"
    ):
        read_dataset(tmp_path)


def test_images_below_a_class_folder_are_refused(tmp_path):
    lay(tmp_path, "fractured/patient1/a.png", "normal/a.png")
    with pytest.raises(DatasetError, match=r"patient1: images are expected in the class folder"):
        read_dataset(tmp_path)


def test_files_of_operating_systems_are_ignored(tmp_path):
    lay(
        tmp_path,
        "fractured/a.png",
        "fractured/._a.png",
        "fractured/Thumbs.db",
        "normal/a.png",
        "normal/.DS_Store",
        "normal/desktop.ini",
        "__MACOSX/normal/a.png",
        ".cache/normal/b.png",
    )
    dataset = read_dataset(tmp_path)
    assert [one.id for one in dataset.samples] == ["fractured/a.png", "normal/a.png"]
    assert not dataset.dropped


def test_suffix_or_first_bytes_identify_an_image(tmp_path):
    lay(tmp_path, "fractured/a.JPG", "fractured/b.dcm", "normal/plain", "normal/odd.bin")
    lay(tmp_path, "normal/dicom", content=b"\0" * 128 + b"DICM" + b"\0" * 20)
    lay(tmp_path, "normal/jpeg", content=b"\xff\xd8\xff\xe0rest")
    lay(tmp_path, "normal/notes.txt", "normal/empty", content=b"")
    dataset = read_dataset(tmp_path)
    assert [one.id for one in dataset.samples] == [
        "fractured/a.JPG",
        "fractured/b.dcm",
        "normal/dicom",
        "normal/jpeg",
        "normal/odd.bin",
        "normal/plain",
    ]
    assert dict(dataset.dropped) == {"no PNG, JPEG, DICOM, BMP, TIFF, WebP file": 2}


@pytest.mark.parametrize(
    ("only", "counts"), [("fractured", "1 positive and 0"), ("normal", "0 positive and 1")]
)
def test_an_empty_class_is_named_by_its_counts(tmp_path, only, counts):
    lay(tmp_path, f"{only}/a.png")
    with pytest.raises(DatasetError, match=f"{counts} negative images; both classes are needed"):
        read_dataset(tmp_path)


@pytest.mark.parametrize("format", ["PNG", "JPEG", "BMP", "TIFF", "WEBP"])
def test_raster_images_need_no_suffix(tmp_path, format):
    lay(tmp_path, "fractured/a", "normal/a", content=encode(draw_radiograph(24, 18), format))
    dataset = read_dataset(tmp_path)
    assert [one.id for one in dataset.samples] == ["fractured/a", "normal/a"]


def test_dicom_files_need_no_suffix_or_preamble(tmp_path):
    content = draw_dicom()
    bare = content[144 + int.from_bytes(content[140:144], "little") :]
    lay(tmp_path, "fractured/a", "normal/a", content=bare)
    assert len(read_dataset(tmp_path).samples) == 2


@pytest.mark.parametrize("name", ["scan", "scan.png"])
def test_a_broken_link_is_dropped_and_counted(tmp_path, name):
    lay(tmp_path, "fractured/a.png", "normal/a.png")
    (tmp_path / "normal" / name).symlink_to(tmp_path / "nowhere")
    dataset = read_dataset(tmp_path)
    assert [one.id for one in dataset.samples] == ["fractured/a.png", "normal/a.png"]
    assert dict(dataset.dropped) == {"a broken link, or a file that cannot be read": 1}


def test_a_pipe_named_like_an_image_is_no_image(tmp_path):
    lay(tmp_path, "fractured/a.png", "normal/a.png")
    os.mkfifo(tmp_path / "normal" / "b.png")
    dataset = read_dataset(tmp_path)
    assert len(dataset.samples) == 2
    assert sum(dataset.dropped.values()) == 1
