"""Turns the path of a regular file into its bytes, never more of them than are read."""

from __future__ import annotations

import stat
from pathlib import Path

from utils.errors import UnreadableImage
from utils.formats.radiograph import Limits


def read_file(path: Path, limits: Limits) -> bytes:
    """Read a file whole.

    Args:
        path: of the file.
        limits: ``max_bytes`` bounds what is read, whatever length the file claims to have.

    Returns:
        Its bytes.

    Raises:
        TooLarge: it is longer than the limit.
        UnreadableImage: it is no regular file (a pipe gives bytes without end, or none for ever).
        OSError: it cannot be opened or read.
    """
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise UnreadableImage("this is no file but a folder, a pipe or a device")
    limits.check_bytes(status.st_size)
    with path.open("rb") as stream:
        # One more than allowed shows that there is more.
        content = stream.read(limits.max_bytes + 1)
    limits.check_bytes(len(content))
    return content
