"""Cache of prepared images: exact, made once, and made again when a file changes."""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from tests.support.pictures import draw_radiograph, encode
from utils.datasets.image_cache import prepare_images
from utils.datasets.sample import Sample
from utils.errors import DatasetError
from utils.formats import decode
from utils.imaging.geometry import Box
from utils.preprocess import fit


@pytest.fixture
def samples(tmp_path: Path) -> list[Sample]:
    """Five drawn radiographs on disk."""
    made = []
    for number in range(5):
        path = tmp_path / f"{number}.png"
        path.write_bytes(encode(draw_radiograph(90 + number, 70, seed=number)))
        made.append(Sample(path, path.name, number % 2, path.name))
    return made


def test_prepared_images_equal_the_serving_input(tmp_path: Path, samples: list[Sample]) -> None:
    prepared = prepare_images(samples, 48, tmp_path / "cache")
    for sample, image, thumbnail in zip(samples, prepared.images, prepared.thumbnails, strict=True):
        pixels = decode(sample.path.read_bytes()).pixels
        assert np.array_equal(image, fit(pixels, 48))
        assert np.array_equal(thumbnail, fit(pixels, 64))


def test_facts_of_a_file_are_kept(tmp_path: Path, samples: list[Sample]) -> None:
    facts = prepare_images(samples, 32, tmp_path / "cache").files[3]
    assert facts.sha256 == hashlib.sha256(samples[3].path.read_bytes()).hexdigest()
    assert (facts.height, facts.width, facts.truncated) == (93, 70, False)


def test_marked_boxes_lie_on_their_fitted_image(tmp_path: Path) -> None:
    """The mark and the place of a radiograph beside an uneven margin, in its fitted image."""
    picture = draw_radiograph(90, 60)
    picture[30:50, 20:40] = 1.0
    path = tmp_path / "marked.png"
    path.write_bytes(encode(picture))
    sample = Sample(path, path.name, 1, path.name, boxes=(Box(20, 30, 20, 20),))
    prepared = prepare_images([sample], 180, tmp_path / "cache")
    ((x, y, width, height),) = prepared.boxes(0)
    image = prepared.images[0]
    white = image > 250
    rows, columns = np.nonzero(white)
    assert [x, y, width, height] == pytest.approx(
        [columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1], abs=2
    )
    outside = np.ones(image.shape, bool)
    outside[prepared.place(0).inside] = False
    assert outside.any()
    assert not image[outside].any()


def test_images_are_memory_mapped(tmp_path: Path, samples: list[Sample]) -> None:
    assert isinstance(prepare_images(samples, 32, tmp_path / "cache").images, np.memmap)


def test_a_second_call_opens_the_same_cache(tmp_path: Path, samples: list[Sample]) -> None:
    prepare_images(samples, 32, tmp_path / "cache")
    (folder,) = (tmp_path / "cache").iterdir()
    before = (folder / "images.npy").stat().st_mtime_ns
    prepare_images(samples, 32, tmp_path / "cache")
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [folder.name]
    assert (folder / "images.npy").stat().st_mtime_ns == before


def test_a_changed_file_makes_another_cache(tmp_path: Path, samples: list[Sample]) -> None:
    first = prepare_images(samples, 32, tmp_path / "cache")
    samples[0].path.write_bytes(encode(draw_radiograph(seed=99)))
    os.utime(samples[0].path, ns=(1, 1))
    second = prepare_images(samples, 32, tmp_path / "cache")
    assert not np.array_equal(first.images[0], second.images[0])
    assert np.array_equal(first.images[1], second.images[1])


def test_an_unreadable_file_is_left_out(tmp_path: Path, samples: list[Sample]) -> None:
    samples[1].path.write_bytes(b"not an image at all")
    prepared = prepare_images(samples, 32, tmp_path / "cache")
    assert [sample.id for sample in prepared.samples] == ["0.png", "2.png", "3.png", "4.png"]
    assert list(prepared.unreadable) == ["1.png"]
    assert len(prepared.images) == len(prepared.thumbnails) == len(prepared.files) == 4
    expected = fit(decode(samples[4].path.read_bytes()).pixels, 32)
    assert np.array_equal(prepared.images[3], expected)


def test_a_truncated_file_is_kept_and_flagged(tmp_path: Path, samples: list[Sample]) -> None:
    content = encode(draw_radiograph(200, 200), "JPEG")
    samples[2].path.write_bytes(content[: len(content) * 2 // 3])
    flags = [facts.truncated for facts in prepare_images(samples, 32, tmp_path / "cache").files]
    assert flags == [False, False, True, False, False]


def test_a_truncated_png_is_unreadable(tmp_path: Path, samples: list[Sample]) -> None:
    content = samples[2].path.read_bytes()
    samples[2].path.write_bytes(content[: len(content) * 2 // 3])
    prepared = prepare_images(samples, 32, tmp_path / "cache")
    assert list(prepared.unreadable) == ["2.png"]
    assert [facts.truncated for facts in prepared.files] == [False] * 4


def test_a_dataset_needs_a_readable_file(tmp_path: Path, samples: list[Sample]) -> None:
    for sample in samples:
        sample.path.write_bytes(b"nothing")
    with pytest.raises(DatasetError, match="none of the 5 images could be read"):
        prepare_images(samples, 32, tmp_path / "cache")


def test_a_missing_file_is_read_once_it_is_back(tmp_path: Path, samples: list[Sample]) -> None:
    content = samples[0].path.read_bytes()
    samples[0].path.unlink()
    prepared = prepare_images(samples, 32, tmp_path / "cache")
    assert prepared.unreadable == {"0.png": "the file cannot be read: No such file or directory"}
    assert [sample.id for sample in prepared.samples] == ["1.png", "2.png", "3.png", "4.png"]
    samples[0].path.write_bytes(content)
    assert not prepare_images(samples, 32, tmp_path / "cache").unreadable


def test_a_forbidden_file_is_unreadable(tmp_path: Path, samples: list[Sample]) -> None:
    samples[1].path.unlink()
    samples[2].path.chmod(0)
    # Root may read everything but a loop of links.
    closed = samples[2] if os.geteuid() else samples[1]
    samples[1].path.symlink_to(samples[1].path)
    prepared = prepare_images(samples, 32, tmp_path / "cache")
    assert prepared.unreadable[closed.id].startswith("the file cannot be read: ")


def test_a_pipe_is_unreadable(tmp_path: Path, samples: list[Sample]) -> None:
    samples[4].path.unlink()
    os.mkfifo(samples[4].path)
    unreadable = prepare_images(samples, 32, tmp_path / "cache").unreadable
    assert list(unreadable) == ["4.png"]
    assert "a pipe" in unreadable["4.png"]


def test_an_interrupted_cache_leaves_nothing(
    tmp_path: Path, samples: list[Sample], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(np, "save", fail)
        with pytest.raises(KeyboardInterrupt):
            prepare_images(samples, 32, tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []
    assert len(prepare_images(samples, 32, tmp_path / "cache").images) == 5


def test_unreadable_files_are_logged_by_reason(
    tmp_path: Path, samples: list[Sample], caplog: pytest.LogCaptureFixture
) -> None:
    for sample in samples[:2]:
        sample.path.write_bytes(b"")
    samples[4].path.unlink()
    prepare_images(samples, 32, tmp_path / "cache")
    message = caplog.messages[-1]
    assert message.startswith("left out 3 of 5 images as unreadable: 2 x the file is empty")
    assert "(0.png, 1.png); 1 x the file cannot be read" in message
    assert message.endswith("(4.png)")
    assert str(tmp_path) not in message


def test_the_log_names_the_first_files_alone(
    tmp_path: Path, samples: list[Sample], caplog: pytest.LogCaptureFixture
) -> None:
    for sample in samples[:4]:
        sample.path.write_bytes(b"")
    prepare_images(samples, 32, tmp_path / "cache")
    assert caplog.messages[-1].endswith("(0.png, 1.png, 2.png, ...)")


def test_a_cache_of_another_process_is_kept(tmp_path: Path, samples: list[Sample]) -> None:
    with ThreadPoolExecutor(2) as pool:
        cache = tmp_path / "cache"
        both = list(pool.map(lambda _: prepare_images(samples, 32, cache), range(2)))
    assert np.array_equal(both[0].images, both[1].images)
    assert len(list(cache.iterdir())) == 1
