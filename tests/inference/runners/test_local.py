"""Local runner: files found, decoded ahead, and predicted in order."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from tests.support.picture_folders import COUNT, picture_folder
from tests.support.pictures import draw_radiograph, encode
from utils.errors import InputError, UnreadableImage
from utils.imaging.radiograph import Limits
from utils.inference.predictor import Predictor
from utils.inference.runners.local import find_files, overlay_name, predict_files


@pytest.fixture
def pictures(tmp_path) -> Path:
    return picture_folder(tmp_path)


@pytest.mark.slow
def test_any_batch_size_gives_the_same_results(predictor, pictures):
    files = find_files([pictures])
    logits = [
        [result.prediction.logit for result in predict_files(predictor, files, batch_size=size)]
        for size in (1, 2, 16)
    ]
    np.testing.assert_allclose(logits[1], logits[0], atol=1e-5)
    np.testing.assert_allclose(logits[2], logits[0], atol=1e-5)
    assert len(set(np.round(logits[0], 6))) == COUNT


@pytest.mark.parametrize(
    "path",
    [
        "../../etc/passwd",
        "/etc/passwd",
        "..",
        ".hidden",
        "a\\b",
        "ü" * 300,
        "-rf",
        "a b\n.png",
        "/",
    ],
)
def test_an_overlays_name_stays_in_its_folder(tmp_path, path):
    name = overlay_name(Path(path))
    assert (tmp_path / name).parent == tmp_path
    assert name.isascii()
    assert "/" not in name
    assert not name.startswith(".")
    assert len(name) < 120
    (tmp_path / name).write_bytes(b"")
    assert (tmp_path / name).is_file()


def test_a_folder_gives_its_images_sorted(tmp_path):
    png = encode(draw_radiograph())
    dicom = bytes(128) + b"DICM" + bytes(8)
    for name, content in {
        "b/10.png": png,
        "b/2.JPG": b"",
        "a": png,
        "c.txt": b"text",
        "README": b"text",
        "series/1.2.840.1": dicom,
        "photo.bin": png,
        ".hidden.png": png,
        ".git/x.png": png,
        "z.dcm": b"damaged",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    os.mkfifo(tmp_path / "pipe")
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "loop").symlink_to("loop")
    found = [path.relative_to(tmp_path).as_posix() for path in find_files([tmp_path])]
    assert found == ["a", "b/10.png", "b/2.JPG", "photo.bin", "series/1.2.840.1", "z.dcm"]


def test_a_named_file_is_always_taken(tmp_path):
    (tmp_path / "notes.txt").write_text("text")
    assert find_files([tmp_path / "notes.txt"]) == [tmp_path / "notes.txt"]


def test_a_folder_without_images_is_an_error(predictor, tmp_path):
    (tmp_path / "notes.txt").write_text("text")
    (result,) = predict_files(predictor, find_files([tmp_path]))
    assert result.path == tmp_path
    assert "no image in the folder" in str(result.error)


def test_a_file_over_the_limit_is_not_read(predictor, tmp_path):
    small = Predictor(predictor.engine, limits=Limits(max_bytes=100_000))
    big = tmp_path / "big.png"
    with big.open("wb") as stream:
        stream.truncate(5 * 2**40)
    (result,) = predict_files(small, [big])
    assert result.prediction is None
    assert result.error.code == "too_large"


def test_an_unreadable_file_is_an_error(predictor, tmp_path, monkeypatch):
    if os.geteuid() == 0:
        # Root may read everything but a loop of links.
        (tmp_path / "closed.png").symlink_to(tmp_path / "closed.png")
    else:
        (tmp_path / "closed.png").write_bytes(encode(draw_radiograph()))
        (tmp_path / "closed.png").chmod(0)
    (result,) = predict_files(predictor, [tmp_path / "closed.png"])
    assert isinstance(result.error, InputError)


@pytest.mark.parametrize("name", ["pipe.png", "/dev/zero"])
def test_a_pipe_or_device_is_never_read(predictor, tmp_path, name):
    path = tmp_path / name
    if not path.exists():
        os.mkfifo(path)
    (result,) = predict_files(predictor, [path])
    assert isinstance(result.error, UnreadableImage)


def test_results_come_before_later_files_are_read(predictor, pictures):
    taken = []

    def files():
        for path in find_files([pictures]) * 10:
            taken.append(path)
            yield path

    first = next(predict_files(predictor, files(), batch_size=2))
    assert first.prediction is not None
    assert len(taken) < 20
