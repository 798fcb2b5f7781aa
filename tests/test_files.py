"""Files: bounded reading, atomic writing, checksums, private folders."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from utils.errors import TooLarge, UnreadableImage
from utils.files import atomic_write, check_private_folder, read_file, sha256_of


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file of five bytes."""
    path = tmp_path / "file.txt"
    path.write_bytes(b"12345")
    return path


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_read_whole(file):
    assert read_file(file, 5) == b"12345"


def test_a_file_over_the_limit_is_refused(file):
    with pytest.raises(TooLarge, match="at most 0 MB"):
        read_file(file, 4)


def test_a_file_that_grows_is_bounded():
    # The kernel's files claim to have no bytes at all.
    with pytest.raises(TooLarge):
        read_file(Path("/proc/self/status"), 10)


@pytest.mark.parametrize("kind", ["folder", "pipe", "device"])
def test_what_is_no_regular_file_is_refused(tmp_path, kind):
    path = {"folder": tmp_path, "pipe": tmp_path / "pipe", "device": Path("/dev/zero")}[kind]
    if kind == "pipe":
        os.mkfifo(path)
    with pytest.raises(UnreadableImage, match="a folder, a pipe or a device"):
        read_file(path, 100)


def test_the_checksum_is_sha256(file):
    assert sha256_of(file) == hashlib.sha256(b"12345").hexdigest()


def test_a_write_replaces_the_file_at_its_end(file):
    with atomic_write(file) as part:
        part.write_bytes(b"new")
        assert file.read_bytes() == b"12345"
        assert (part.parent, part.suffix) == (file.parent, file.suffix)
    assert file.read_bytes() == b"new"
    assert names(file.parent) == ["file.txt"]


def test_a_failed_write_leaves_the_file_alone(file):
    def fail() -> None:
        with atomic_write(file) as part:
            part.write_bytes(b"half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert file.read_bytes() == b"12345"
    assert names(file.parent) == ["file.txt"]


def test_two_writes_at_once_do_not_meet(file):
    with atomic_write(file) as first, atomic_write(file) as second:
        assert first != second
        first.write_bytes(b"first")
        second.write_bytes(b"second")
    assert file.read_bytes() == b"first"


@pytest.mark.parametrize("umask, mode", [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_a_written_file_has_the_users_mode(file, umask, mode):
    before = os.umask(umask)
    try:
        with atomic_write(file) as part:
            part.write_bytes(b"new")
    finally:
        os.umask(before)
    assert file.stat().st_mode & 0o777 == mode


def test_a_write_into_a_missing_folder_fails(tmp_path):
    with pytest.raises(FileNotFoundError), atomic_write(tmp_path / "gone" / "file"):
        pass


def test_a_private_folder_is_made_for_its_owner(tmp_path):
    check_private_folder(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("mode", [0o777, 0o720, 0o702])
def test_a_folder_that_others_write_to_is_refused(tmp_path, mode):
    tmp_path.chmod(mode)
    with pytest.raises(PermissionError, match="chmod go-w"):
        check_private_folder(tmp_path)


def test_a_folder_that_others_read_is_private_enough(tmp_path):
    tmp_path.chmod(0o755)
    check_private_folder(tmp_path)


@pytest.mark.parametrize("link", [False, True])
def test_a_folder_of_another_user_is_refused(tmp_path, monkeypatch, link):
    folder = tmp_path / "folder"
    folder.mkdir(mode=0o700)
    if link:
        folder = tmp_path / "link"
        folder.symlink_to(tmp_path / "folder")
    if os.getuid() == 0:
        os.chown(folder, 12345, -1, follow_symlinks=False)
    else:  # who is not root cannot give a folder away
        monkeypatch.setattr(os, "getuid", lambda: 12345)
    with pytest.raises(PermissionError, match="belongs to another user"):
        check_private_folder(folder)
