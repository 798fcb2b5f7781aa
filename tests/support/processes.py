"""Child processes of tests and benchmarks: clean environment, stopped when their block ends."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


def stop(process: subprocess.Popen[Any], seconds: float, stop_signal: int = signal.SIGTERM) -> None:
    """End a process that may have ended already: send the signal, wait so long, then kill it."""
    process.send_signal(stop_signal)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@contextmanager
def running(
    command: Sequence[str | Path],
    *,
    seconds: float = 10.0,
    stop_signal: int = signal.SIGTERM,
    **options: Any,
) -> Iterator[subprocess.Popen[Any]]:
    """Run a program until the block ends, however it ends; then it is stopped.

    Args:
        command: the program and its arguments.
        seconds, stop_signal: see ``stop``.
        options: of ``subprocess.Popen``.
    """
    with subprocess.Popen(command, preexec_fn=_restore_ctrl_c, **options) as process:
        try:
            yield process
        finally:
            stop(process, seconds, stop_signal)


def _restore_ctrl_c() -> None:
    """Let SIGINT end the child: a background shell (``nohup ... &``) starts its jobs ignoring it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@contextmanager
def gunicorn(
    target: str, flags: Sequence[str], log: Path, *, seconds: float, **options: Any
) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Run gunicorn on a free port of loopback until the block ends; yields its URL and process.

    Args:
        target: module and name of the app.
        flags: of gunicorn.
        log: file for its output.
        seconds: it may take to stop.
        options: of ``subprocess.Popen``.
    """
    address = f"127.0.0.1:{_free_port()}"
    command = [sys.executable, "-m", "gunicorn", *flags, "-b", address, target]
    with (
        log.open("wb") as output,
        running(
            command, seconds=seconds, stdout=output, stderr=subprocess.STDOUT, **options
        ) as process,
    ):
        yield f"http://{address}", process


def _free_port() -> int:
    """Return an unused port of loopback."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def clean_environment() -> dict[str, str]:
    """Return this environment without its FRACTURE_* settings."""
    return {name: value for name, value in os.environ.items() if not name.startswith("FRACTURE_")}


def app_environment(folder: Path, cache: Path, changes: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of an app whose files all lie in a folder.

    Args:
        folder: for uploads and the key.
        cache: of the engine's compiled graphs.
        changes: more FRACTURE_* settings.
    """
    return clean_environment() | {
        "FRACTURE_UPLOAD_FOLDER": str(folder / "uploads"),
        "FRACTURE_INSTANCE_FOLDER": str(folder / "instance"),
        "FRACTURE_CACHE_FOLDER": str(cache),
        **changes,
    }


def until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    """Wait until a condition holds; fail after ``seconds``."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "the condition did not hold in time"
        time.sleep(0.01)
