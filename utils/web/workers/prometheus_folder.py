"""Private folder in which all worker processes of a server keep their Prometheus counts.

``prometheus_client`` decides at its import, by an environment variable, whether counts live in this
process or in files; so the server's configuration calls ``create`` before the app is imported.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from utils.errors import SetupError

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
PREFIX = "fracture-metrics-"
# In memory: the counts are written at every request, and end with the server.
MEMORY = Path("/dev/shm")  # noqa: S108 - the folder below has a random name and mode 0700
# Between creating a folder and locking it, another server that starts must not take it for a leftover.
YOUNG_SECONDS = 60

_folder: Path | None = None


def create(parent: Path | None = None) -> Path:
    """Create this server's folder, lock it and name it in the environment; once a process.

    The folder is removed when the server ends; what a killed one left, the next start removes. The lock is
    held by the arbiter and the workers it forks, so it ends with the last of them.

    Raises:
        SetupError: no temporary folder can be written.
    """
    global _folder
    if _folder is not None:  # gunicorn reads its configuration again at a reload; the counts go on.
        return _folder
    import fcntl

    try:
        parent = parent or (MEMORY if os.access(MEMORY, os.W_OK) else Path(tempfile.gettempdir()))
        _remove_leftovers(parent)
        _folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
        fcntl.flock(os.open(_folder, os.O_RDONLY), fcntl.LOCK_EX)
    except OSError as error:
        raise SetupError("web.metrics_folder_unusable", reason=str(error)) from error
    os.environ[VARIABLE] = str(_folder)
    # For an arbiter that ends before it has begun; its forks leave the folder alone.
    creator = os.getpid()
    atexit.register(lambda: remove() if os.getpid() == creator else None)
    return _folder


def current() -> Path | None:
    """Return this server's folder; None where one process serves alone.

    A folder that the environment names and ``create`` did not make is ignored: it may be another
    server's, or hold the counts of an earlier one.
    """
    if _folder is None:
        os.environ.pop(VARIABLE, None)
    return _folder


def forget(pid: int) -> None:
    """Remove the gauges of a worker that has ended; its counters stay."""
    from prometheus_client.multiprocess import mark_process_dead

    if _folder is not None:
        mark_process_dead(pid, str(_folder))


def remove() -> None:
    """Remove this server's folder."""
    if _folder is not None:
        shutil.rmtree(_folder, ignore_errors=True)


def _remove_leftovers(parent: Path) -> None:
    """Remove the folders of servers that were killed: those that nobody holds a lock of."""
    import fcntl

    for leftover in parent.glob(f"{PREFIX}*"):
        with suppress(OSError):  # Another user's, in use, or gone already.
            descriptor = os.open(leftover, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                status = os.fstat(descriptor)
                if status.st_uid != os.geteuid() or time.time() - status.st_mtime < YOUNG_SECONDS:
                    continue
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(leftover, ignore_errors=True)
            finally:
                os.close(descriptor)
