"""Every reader: detection, roots, regions and errors."""

from __future__ import annotations

import pytest

from tests.support.trees import folder_tree, fracatlas_tree, mura_tree
from utils.datasets.readers import READERS, read_dataset
from utils.errors import DatasetError, UnknownName

TREES = {"folder": folder_tree, "mura": mura_tree, "fracatlas": fracatlas_tree}


@pytest.fixture(scope="module")
def trees(tmp_path_factory):
    roots = {}
    for name, draw in TREES.items():
        roots[name] = tmp_path_factory.mktemp(name)
        draw(roots[name], size=(24, 18))
    return roots


@pytest.mark.parametrize("name", TREES)
def test_auto_recognises_each_layout(trees, name):
    assert read_dataset(trees[name]).name == name
    detected = [reader.name for reader in READERS.values() if reader.locate(trees[name])]
    assert detected[0] == name


@pytest.mark.parametrize("name", TREES)
def test_the_enclosing_folder_serves_as_root(trees, name, tmp_path):
    itself = read_dataset(read_dataset(trees[name]).root)
    (tmp_path / "unpacked").symlink_to(itself.root, target_is_directory=True)
    around = read_dataset(tmp_path)
    assert around.root == tmp_path / "unpacked"
    assert [sample.id for sample in around.samples] == [sample.id for sample in itself.samples]


@pytest.mark.parametrize("name", TREES)
def test_samples_are_sorted_and_of_both_labels(trees, name):
    dataset = read_dataset(trees[name])
    ids = [sample.id for sample in dataset.samples]
    assert ids == sorted(ids)
    assert len(set(ids)) == len(ids)
    assert all(sample.path == dataset.root / sample.id for sample in dataset.samples)
    assert all(sample.path.is_file() for sample in dataset.samples)
    assert {sample.label for sample in dataset.samples} == {0, 1}
    assert dataset.meaning.endswith(".")


def test_an_unknown_reader_lists_the_known_ones(tmp_path):
    with pytest.raises(UnknownName, match="'kaggle'.*mura, fracatlas, folder"):
        read_dataset(tmp_path, "kaggle")


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(DatasetError, match="there is no folder .*nowhere"):
        read_dataset(tmp_path / "nowhere")


def test_a_file_is_no_dataset(tmp_path):
    (tmp_path / "data").write_text("")
    with pytest.raises(DatasetError, match="is a file; give the folder"):
        read_dataset(tmp_path / "data")
    with pytest.raises(DatasetError, match="there is no folder"):
        read_dataset(tmp_path / "gone")


def test_an_empty_folder_lists_every_layout(tmp_path):
    with pytest.raises(DatasetError) as caught:
        read_dataset(tmp_path)
    message = str(caught.value)
    for part in ("train_image_paths.csv", "dataset.csv", "fractured and normal", "an empty folder"):
        assert part in message


def test_a_wrong_root_lists_its_first_entries(tmp_path):
    for number in range(12):
        (tmp_path / f"photo{number:02d}.jpg").write_bytes(b"")
    (tmp_path / ".hidden").write_bytes(b"")
    with pytest.raises(DatasetError) as caught:
        read_dataset(tmp_path)
    message = str(caught.value)
    assert "found photo00.jpg, " in message
    assert message.endswith("photo07.jpg and 4 more")


@pytest.mark.parametrize("name", TREES)
def test_a_named_reader_states_its_layout(tmp_path, name):
    (tmp_path / "pictures").mkdir()
    with pytest.raises(DatasetError, match=f"no '{name}' dataset: looked for .*; found pictures/"):
        read_dataset(tmp_path, name)


@pytest.mark.parametrize(
    ("name", "region", "choices"),
    [
        ("mura", "knee", "elbow, finger, forearm, hand, humerus, shoulder, wrist"),
        ("fracatlas", "wrist", "hand, leg, hip, shoulder, mixed"),
        ("folder", "hand", "its folders name no regions"),
    ],
)
def test_an_unknown_region_lists_the_known_ones(trees, name, region, choices):
    with pytest.raises(UnknownName, match=f"unknown region '{region}' of the {name}.*{choices}"):
        read_dataset(trees[name], name, [region])


def test_a_region_without_images_is_refused(trees):
    with pytest.raises(DatasetError, match="0 positive and 0 negative images of hip"):
        read_dataset(trees["fracatlas"], "auto", ["hip"])


@pytest.mark.parametrize(
    ("name", "regions", "kept"),
    [
        ("mura", ["wrist"], {"wrist"}),
        ("mura", ["XR_WRIST"], {"wrist"}),
        ("mura", ["wrist", "hand"], {"wrist", "hand"}),
        ("fracatlas", ["leg"], {"leg"}),
        ("fracatlas", ["Hand", "leg"], {"hand", "leg"}),
    ],
)
def test_regions_keep_just_their_images(trees, name, regions, kept):
    chosen, everything = read_dataset(trees[name], name, regions), read_dataset(trees[name], name)
    assert {sample.region for sample in chosen.samples} == kept
    assert list(chosen.samples) == [one for one in everything.samples if one.region in kept]
    assert set(chosen.regions) == kept
