"""Starts the servers that are measured, as their users start them, and asks the system about them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.load import OK, Load
from utils.errors import SetupError

ROOT = Path(__file__).resolve().parents[1]
START_SECONDS = 120.0
APP = "app:app"
MIB = 2**20


@dataclass(frozen=True)
class Recipe:
    """One way to run gunicorn for the recipe."""

    workers: int
    threads: int

    @property
    def name(self) -> str:
        """What the tables call it."""
        return f"{_count(self.workers, 'worker')}, {_count(self.threads, 'thread')}"

    @property
    def flags(self) -> tuple[str, ...]:
        """Gunicorn's flags; four workers that import TensorFlow on two cores need more than 30 s."""
        return ("-w", str(self.workers), "--threads", str(self.threads), "--timeout", "300")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


@dataclass(frozen=True)
class Server:
    """A gunicorn that runs; the app's answers tell where their time went."""

    url: str
    process: subprocess.Popen[bytes]
    log: Path
    started: float
    tells_timings: bool

    @property
    def address(self) -> str:
        """Where radiographs are posted."""
        return f"{self.url}/predict"

    def workers(self) -> list[psutil.Process]:
        """Return the worker processes."""
        return psutil.Process(self.process.pid).children()

    def worker_mib(self) -> dict[int, float]:
        """Return each worker's resident memory, by process id."""
        found = {}
        for worker in self.workers():
            try:
                found[worker.pid] = worker.memory_info().rss / MIB
            except psutil.NoSuchProcess:
                continue  # It has ended since it was listed.
        return found

    def first_answer(self, picture: bytes) -> float:
        """Return the seconds from the start of the process to the first successful prediction."""
        load = Load(self.address, [picture])
        while self.process.poll() is None and time.monotonic() - self.started < START_SECONDS:
            answered = load.once()
            if answered.outcome == OK:
                return answered.ended - self.started
            # Not listening yet, or not ready.
            time.sleep(0.01)
        raise SetupError(f"the server gave no answer: {self.log.read_text()[-2000:]}")


@contextmanager
def serve_app(
    model: Path,
    folder: Path,
    cache: Path,
    *,
    flags: Sequence[str] = (),
    changes: Mapping[str, str] | None = None,
) -> Iterator[Server]:
    """Run the app as its documents say: ``gunicorn -b ADDRESS app:app`` in the project's folder.

    Args:
        model: the bundle.
        folder: for uploads, the key and the log.
        cache: where the engine keeps what it made of the model.
        flags: more of gunicorn's.
        changes: more FRACTURE_* settings.
    """
    settings = {
        "FRACTURE_MODEL": str(model),
        "FRACTURE_UPLOAD_FOLDER": str(folder / "uploads"),
        "FRACTURE_INSTANCE_FOLDER": str(folder / "instance"),
        **app_settings(cache, changes),
    }
    with _serve(APP, ROOT, flags, settings, folder / "app.log") as server:
        yield server


def app_settings(cache: Path, changes: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the settings that decide how the engine runs, for the server and for what it is held to."""
    return {"FRACTURE_CACHE_FOLDER": str(cache), **(changes or {})}


@contextmanager
def serve_recipe(model: Path, folder: Path, setting: Recipe) -> Iterator[Server]:
    """Run the usual recipe; in its own folder, so that gunicorn does not find the app's settings."""
    log = folder / f"recipe-{setting.workers}-{setting.threads}.log"
    with _serve(
        "recipe:app", ROOT / "benchmarks", setting.flags, {"RECIPE_MODEL": str(model)}, log
    ) as server:
        yield server


@contextmanager
def _serve(
    target: str, folder: Path, flags: Sequence[str], settings: Mapping[str, str], log: Path
) -> Iterator[Server]:
    address = f"127.0.0.1:{free_port()}"
    with log.open("wb") as stream:
        started = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", *flags, "-b", address, target],
            cwd=folder,
            env={**clean_environment(), **settings},
            stdout=stream,
            stderr=subprocess.STDOUT,
        )
    try:
        yield Server(f"http://{address}", process, log, started, target == APP)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def clean_environment() -> dict[str, str]:
    """Return this environment without the settings that its owner may have for another server."""
    return {name: value for name, value in os.environ.items() if not name.startswith("FRACTURE_")}


def free_port() -> int:
    """Return a port of loopback that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
