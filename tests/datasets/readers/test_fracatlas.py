"""FracAtlas, drawn and real."""

from __future__ import annotations

import csv
from collections import Counter

import pytest
from PIL import Image

from tests.support.trees import fracatlas_tree
from utils.datasets.readers import read_dataset
from utils.datasets.readers.fracatlas import CONTRADICTION
from utils.errors import DatasetError
from utils.imaging.geometry import Box


@pytest.fixture
def atlas(tmp_path):
    return fracatlas_tree(tmp_path, per_class=6, size=(40, 30))


@pytest.fixture(scope="module")
def real(shared_data):
    return read_dataset(shared_data / "fracatlas")


def rewrite(root, image_id, **cells):
    """Change cells of one row of dataset.csv."""
    with (root / "dataset.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    for row in rows:
        if row["image_id"] == image_id:
            row.update(cells)
    with (root / "dataset.csv").open("w", newline="") as lines:
        writer = csv.DictWriter(lines, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)


def sample(root, name):
    return next(one for one in read_dataset(root).samples if one.path.stem == name)


def test_a_row_gives_every_field_of_a_sample(atlas):
    rewrite(atlas, "IMG0000000.jpg", hand="1", leg="0", frontal="1", lateral="1", hardware="1")
    one = sample(atlas, "IMG0000000")
    assert (one.id, one.label) == ("images/Fractured/IMG0000000.jpg", 1)
    assert (one.region, one.view, one.hardware) == ("hand", "frontal+lateral", True)
    assert one.boxes == (Box(x=6, y=10, width=18, height=20),)
    assert (one.group, one.study, one.part) == ("IMG0000000.jpg", None, None)
    plain = sample(atlas, "IMG0000001")
    assert (plain.label, plain.hardware, plain.boxes) == (0, False, ())


def test_several_marked_regions_are_mixed(atlas):
    rewrite(atlas, "IMG0000000.jpg", hand="1", leg="1", mixed="1")
    assert sample(atlas, "IMG0000000").region == "mixed"


def test_a_contradicting_row_is_dropped(atlas):
    rewrite(atlas, "IMG0000002.jpg", fractured="0")
    dataset = read_dataset(atlas)
    assert dict(dataset.dropped) == {CONTRADICTION: 1}
    assert len(dataset.samples) == 11


def test_unmatched_files_and_rows_are_counted(atlas):
    (atlas / "images/Fractured/IMG0000000.jpg").rename(atlas / "images/Fractured/new.jpg")
    assert dict(read_dataset(atlas).dropped) == {
        "listed in the source's table, but the file is missing": 1,
        "no row in the source's table": 1,
    }


def test_a_missing_image_folder_is_reported(atlas):
    for file in (atlas / "images").rglob("*.jpg"):
        file.unlink()
    with pytest.raises(DatasetError, match="0 positive and 0 negative.*12 dropped: listed"):
        read_dataset(atlas)


def test_a_missing_column_is_named(atlas):
    table = atlas / "dataset.csv"
    table.write_text(table.read_text().replace("hardware", "metal"))
    with pytest.raises(
        DatasetError, match="has no column hardware; its columns are image_id, .*metal"
    ):
        read_dataset(atlas)


def test_a_flag_must_be_0_or_1(atlas):
    rewrite(atlas, "IMG0000003.jpg", fractured="maybe")
    with pytest.raises(DatasetError, match="row IMG0000003.jpg: fractured is 'maybe'"):
        read_dataset(atlas)


def test_a_short_line_is_named_by_its_number(atlas):
    table = atlas / "dataset.csv"
    table.write_text(table.read_text() + "IMG9.jpg,1,0\n")
    with pytest.raises(DatasetError, match="line 14: 3 values where the header names 13"):
        read_dataset(atlas)


@pytest.mark.parametrize(
    "text", ["<annotation><object>", "<a><bndbox><xmin>left</xmin></bndbox></a>"]
)
def test_a_damaged_annotation_is_named(atlas, text):
    (atlas / "Annotations/PASCAL VOC/IMG0000000.xml").write_text(text)
    with pytest.raises(DatasetError, match="IMG0000000.xml cannot be read"):
        read_dataset(atlas)


def test_images_without_annotations_have_no_boxes(atlas):
    (atlas / "Annotations").rename(atlas / "elsewhere")
    assert all(one.boxes == () for one in read_dataset(atlas).samples)


def test_the_attribution_names_its_source(atlas):
    attribution = read_dataset(atlas).attribution
    for part in ("10.1038/s41597-023-02432-4", "10.6084/m9.figshare.22363012", "CC BY 4.0"):
        assert part in attribution


def test_the_real_set_has_its_published_counts(real):
    assert Counter(one.label for one in real.samples) == {1: 609, 0: 2862}
    assert dict(real.dropped) == {CONTRADICTION: 1}
    assert "IMG0003298.jpg" not in {one.group for one in real.samples}


def test_real_regions_agree_with_the_mixed_column(real, shared_data):
    with (shared_data / "fracatlas" / "dataset.csv").open(newline="") as lines:
        mixed = {row["image_id"] for row in csv.DictReader(lines) if row["mixed"] == "1"}
    assert {one.group for one in real.samples if one.region == "mixed"} == mixed - {
        "IMG0003298.jpg"
    }
    assert real.regions == ("hand", "hip", "leg", "mixed", "shoulder")


def test_real_boxes_agree_with_the_fracture_count(real, shared_data):
    with (shared_data / "fracatlas" / "dataset.csv").open(newline="") as lines:
        counted = {row["image_id"]: int(row["fracture_count"]) for row in csv.DictReader(lines)}
    assert {one.group: len(one.boxes) for one in real.samples} == {
        one.group: counted[one.group] for one in real.samples
    }


def upright_size(file):
    """Return width and height from the header, as shown once the EXIF rotation is applied."""
    with Image.open(file) as picture:
        width, height = picture.size
        rotated = picture.getexif().get(0x0112, 1) in (5, 6, 7, 8)
    return (height, width) if rotated else (width, height)


def test_real_boxes_agree_with_the_yolo_files(real, shared_data):
    folder = shared_data / "fracatlas" / "Annotations" / "YOLO"
    fractured = [one for one in real.samples if one.label]
    for one in fractured:
        width, height = upright_size(one.path)
        lines = (folder / f"{one.path.stem}.txt").read_text().splitlines()
        yolo = sorted(
            ((x - w / 2) * width, (y - h / 2) * height, w * width, h * height)
            for _, x, y, w, h in (map(float, line.split()) for line in lines)
        )
        boxes = sorted((box.x, box.y, box.width, box.height) for box in one.boxes)
        assert len(boxes) == len(yolo)
        for box, other in zip(boxes, yolo, strict=True):
            assert box == pytest.approx(other, abs=1.6), one.group
            x, y, w, h = box
            assert 0 <= x < x + w <= width, one.group
            assert 0 <= y < y + h <= height, one.group
