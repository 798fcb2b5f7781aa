"""PyTorch checkpoints: strided tensors are read, everything but tensors is refused."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import numpy as np
import pytest

from tests.support.torch_files import write_checkpoint
from utils.errors import SetupError
from utils.model.pretrained.torch_weights import read_torch_weights

RANDOM = np.random.default_rng(0)
BASE = RANDOM.random((4, 5, 6)).astype(np.float32)
both_formats = pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])


class Command:
    """Runs a command when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self):
        return os.system, (f"touch '{self.marker}'",)


@both_formats
@pytest.mark.parametrize(
    "array",
    [
        BASE,
        np.asfortranarray(BASE),
        BASE.transpose(2, 0, 1),
        BASE[1:3, :, 2],
        np.array(7, np.int64),
        np.zeros((0, 3), np.float32),
        BASE.astype(np.float16),
    ],
    ids=["plain", "column major", "transposed", "slice", "scalar", "empty", "half"],
)
def test_strides_and_offset_are_respected(tmp_path: Path, zipped: bool, array: np.ndarray) -> None:
    path = write_checkpoint(tmp_path / "w.pth", {"other": BASE, "it": array}, zipped=zipped)
    found = read_torch_weights(path)
    assert np.array_equal(found["it"], array)
    assert found["it"].dtype == array.dtype
    assert np.array_equal(found["other"], BASE)


@both_formats
def test_a_pickle_that_runs_code_is_refused(tmp_path: Path, zipped: bool) -> None:
    marker = tmp_path / "ran"
    state = {"it": BASE, "more": Command(marker)}
    path = write_checkpoint(tmp_path / "w.pth", state, zipped=zipped)
    with pytest.raises(SetupError, match=r"system; .*nothing but tensors"):
        read_torch_weights(path)
    assert not marker.exists()


@both_formats
@pytest.mark.parametrize("other", [3, "text", [BASE.tolist()]])
def test_values_that_are_no_tensors_are_refused(
    tmp_path: Path, zipped: bool, other: object
) -> None:
    path = write_checkpoint(tmp_path / "w.pth", {"it": other}, zipped=zipped)
    with pytest.raises(SetupError, match="'it' is no tensor"):
        read_torch_weights(path)


def test_a_legacy_file_that_ends_early_is_refused(tmp_path: Path) -> None:
    path = write_checkpoint(tmp_path / "w.pth", {"it": BASE}, zipped=False)
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(SetupError, match="ends early"):
        read_torch_weights(path)


def test_a_damaged_zip_archive_is_refused(tmp_path: Path) -> None:
    path = write_checkpoint(tmp_path / "w.pth", {"it": BASE}, zipped=True)
    data = bytearray(path.read_bytes())
    data[data.index(BASE.tobytes()) + 9] ^= 1
    path.write_bytes(data)
    with pytest.raises(SetupError, match="no readable PyTorch checkpoint"):
        read_torch_weights(path)


def test_tensors_beyond_their_storage_are_refused(tmp_path: Path) -> None:
    """The storage of ten elements is exchanged for one of nine, with its length."""
    base = np.arange(10, dtype=np.float32)
    path = write_checkpoint(tmp_path / "w.pth", {"it": base[3:]}, zipped=True)
    with zipfile.ZipFile(path) as archive:
        pickled = archive.read("archive/data.pkl")
    assert pickled.count(b"K\x0atq") == 1
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickled.replace(b"K\x0atq", b"K\x09tq"))
        archive.writestr("archive/data/0", base[:9].tobytes())
    with pytest.raises(SetupError, match="buffer"):
        read_torch_weights(path)


def test_tensors_that_repeat_elements_are_refused(tmp_path: Path) -> None:
    """A few bytes must not unpack to gigabytes."""
    row = np.lib.stride_tricks.as_strided(BASE, (1 << 20, 1 << 20), (0, 0))
    path = tmp_path / "w.pth"
    write_checkpoint(path, {"it": _view_of(BASE, row)}, zipped=True)
    with pytest.raises(SetupError, match="larger than its storage"):
        read_torch_weights(path)


def _view_of(base: np.ndarray, view: np.ndarray) -> np.ndarray:
    """Return the view with the array itself as its base, which as_strided hides."""
    return np.ndarray(view.shape, view.dtype, base, 0, view.strides)


@pytest.mark.parametrize(
    "content", [b"", b"not a checkpoint", b"PK\x03\x04nor this", b"\x80\x02}."]
)
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "w.pth"
    path.write_bytes(content)
    with pytest.raises(SetupError, match="no readable PyTorch checkpoint"):
        read_torch_weights(path)
