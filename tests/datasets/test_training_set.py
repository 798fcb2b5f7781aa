"""A dataset ready to train on: parts, labels, regions and the report."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.support.pictures import draw_radiograph, encode
from tests.support.trees import folder_tree, fracatlas_tree
from utils.datasets.training_set import TrainingSet, read_training_set
from utils.errors import DatasetError, UnknownName


def read(root: Path, *, regions: tuple[str, ...] = (), seed: int = 0) -> TrainingSet:
    return read_training_set(
        root, dataset="auto", regions=regions, size=32, seed=seed, cache=root.parent / "cache"
    )


@pytest.fixture(scope="module")
def atlas(tmp_path_factory: pytest.TempPathFactory) -> TrainingSet:
    root = tmp_path_factory.mktemp("data") / "atlas"
    return read(fracatlas_tree(root, per_class=24, size=(48, 36)))


def test_every_row_has_its_samples_label(atlas: TrainingSet) -> None:
    assert atlas.labels.tolist() == [sample.label for sample in atlas.prepared.samples]
    assert sorted(np.concatenate(list(atlas.rows.values())).tolist()) == list(range(48))


def test_no_group_is_in_two_parts(atlas: TrainingSet) -> None:
    groups = [{atlas.groups[row] for row in rows} for rows in atlas.rows.values()]
    assert sum(map(len, groups)) == len(set().union(*groups))


def test_regions_index_the_samples_regions(atlas: TrainingSet) -> None:
    assert atlas.regions == ("hand", "leg")
    named = [atlas.regions[index] for index in atlas.region_index]
    assert named == [sample.region for sample in atlas.prepared.samples]


def test_mixed_and_unknown_regions_have_no_index(tmp_path: Path) -> None:
    root = folder_tree(tmp_path / "tree", per_class=2, size=(48, 36))
    lines = ["file,region", "train/fractured/1.png,mixed", "train/fractured/2.png,hand"]
    (root / "labels.csv").write_text("\n".join([*lines, "test/fractured/1.png,leg"]) + "\n")
    data = read(root)
    assert data.regions == ("hand", "leg")
    index = dict(zip((one.id for one in data.prepared.samples), data.region_index, strict=True))
    assert index["train/fractured/1.png"] == index["train/not fractured/1.png"] == -1
    assert (index["train/fractured/2.png"], index["test/fractured/1.png"]) == (0, 1)


def test_one_region_is_none_to_classify(tmp_path: Path) -> None:
    root = fracatlas_tree(tmp_path / "atlas", per_class=40, size=(48, 36))
    data = read(root, regions=("XR_HAND",))
    assert data.regions == ()
    assert set(data.region_index.tolist()) == {-1}
    assert data.chosen_regions == ("XR_HAND",)


def test_unreadable_and_truncated_files_are_counted(tmp_path: Path) -> None:
    root = folder_tree(tmp_path / "tree", per_class=6, size=(48, 36))
    (root / "train/fractured/1.png").write_bytes(b"nothing")
    whole = encode(draw_radiograph(200, 200, seed=7), "JPEG")
    (root / "train/fractured/cut.jpg").write_bytes(whole[: len(whole) * 2 // 3])
    data = read(root)
    assert (data.report.unreadable, data.report.truncated_left_out) == (1, 1)
    assert data.report.used["train"].model_dump() == {"images": 11, "positive": 5}
    cut = [row for row, facts in enumerate(data.prepared.files) if facts.truncated]
    assert len(cut) == 1
    assert not set(cut) & set(np.concatenate(list(data.rows.values())).tolist())


def test_the_report_extends_that_of_the_split(atlas: TrainingSet) -> None:
    report = atlas.report.model_dump()
    assert list(report)[-3:] == ["unreadable", "truncated_left_out", "used"]
    assert report["used"] == {
        part: {"images": len(rows), "positive": int(atlas.labels[rows].sum())}
        for part, rows in atlas.rows.items()
    }
    assert sum(part.positive + part.negative for part in atlas.report.parts.values()) == 48


def test_a_part_of_truncated_files_alone_is_refused(tmp_path: Path) -> None:
    root = folder_tree(tmp_path / "tree", per_class=2, size=(48, 36))
    (root / "val/fractured/1.png").unlink()
    whole = encode(draw_radiograph(200, 200, seed=7), "JPEG")
    (root / "val/fractured/cut.jpg").write_bytes(whole[: len(whole) * 2 // 3])
    with pytest.raises(DatasetError, match="validation part has 1 images, 0 of them positive"):
        read(root)


def test_an_unknown_region_is_refused(atlas: TrainingSet) -> None:
    with pytest.raises(UnknownName, match="unknown region 'knee'"):
        read(atlas.dataset.root, regions=("knee",))


def test_truncated_images_train_nothing(tmp_path: Path) -> None:
    root = fracatlas_tree(tmp_path / "atlas", per_class=40)
    for path in sorted((root / "images" / "Non_fractured").glob("*.jpg"))[:5]:
        path.write_bytes(path.read_bytes()[:-400])
    data = read_training_set(
        root, dataset="fracatlas", regions=(), size=32, seed=0, cache=tmp_path / "cache"
    )
    truncated = {i for i, facts in enumerate(data.prepared.files) if facts.truncated}
    assert len(truncated) == 5
    assert not truncated & set(np.concatenate(list(data.rows.values())))
    assert data.report.truncated_left_out == 5


def test_a_part_of_one_class_is_refused(tmp_path: Path) -> None:
    root = fracatlas_tree(tmp_path / "atlas", per_class=2)
    with pytest.raises(DatasetError):
        read_training_set(
            root, dataset="auto", regions=(), size=32, seed=0, cache=tmp_path / "cache"
        )


def test_the_split_depends_on_the_seed_alone(tmp_path: Path, atlas: TrainingSet) -> None:
    def parts(seed: int) -> dict[str, list[int]]:
        options = {"regions": (), "size": 32, "seed": seed, "cache": tmp_path}
        read = read_training_set(atlas.dataset.root, dataset="auto", **options)
        return {part: rows.tolist() for part, rows in read.rows.items()}

    assert parts(3) == parts(3) != parts(4)
