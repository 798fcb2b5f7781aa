"""Files: bounded reading, atomic writing, checksums, private folders."""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from utils.errors import TooLarge, UnreadableImage

PART = ".part"


def read_file(path: Path, max_bytes: int) -> bytes:
    """Read a regular file whole, never more than ``max_bytes`` whatever length it claims to have.

    Raises:
        TooLarge: it is longer than the limit.
        UnreadableImage: it is no regular file (a pipe gives bytes without end, or none for ever).
        OSError: it cannot be opened or read.
    """
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise UnreadableImage("base.no_regular_file")
    check_length(status.st_size, max_bytes)
    with path.open("rb") as stream:
        # One byte more than allowed shows that there is more.
        content = stream.read(max_bytes + 1)
    check_length(len(content), max_bytes)
    return content


def check_length(length: int, max_bytes: int) -> None:
    """Raise TooLarge where ``length`` bytes are over the limit."""
    if length > max_bytes:
        raise TooLarge("base.file_too_long", megabytes=length / 2**20, limit=max_bytes / 2**20)


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield the path of a partial file beside ``path``; it replaces ``path`` when the block ends.

    The partial file has a name of its own, so that processes may write the same file at once, and keeps
    the suffixes, which some writers insist on. It is flushed to the disk before it takes the name, and
    removed where the block raises.

    Raises:
        OSError: it cannot be written.
    """
    suffixes = "".join(path.suffixes)
    descriptor, name = tempfile.mkstemp(
        prefix=f"{path.name.removesuffix(suffixes)}.", suffix=f"{PART}{suffixes}", dir=path.parent
    )
    os.close(descriptor)
    part = Path(name)
    try:
        yield part
        with part.open("rb") as written:
            os.fsync(written.fileno())
        part.chmod(0o666 & ~_umask())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def check_private_folder(folder: Path) -> None:
    """Make a folder, or check that nobody but this user and root can put files into it.

    Raises:
        OSError: it cannot be made, or others can write to it.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not hasattr(os, "getuid"):
        return
    if {folder.lstat().st_uid, folder.stat().st_uid} - {os.getuid(), 0}:
        raise PermissionError(f"{folder} belongs to another user")
    if folder.stat().st_mode & 0o022:
        raise PermissionError(f"others can write to {folder}; run `chmod go-w {folder}`")


def _umask() -> int:
    """Return this process's file mode mask."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
