"""The measured servers: the app and the usual recipe behind gunicorn."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.load import OK, Load
from tests.support.processes import ROOT, app_environment, clean_environment, gunicorn
from utils.errors import SetupError

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
        """Name in the tables."""
        return f"{_count(self.workers, 'worker')}, {_count(self.threads, 'thread')}"

    @property
    def flags(self) -> tuple[str, ...]:
        """Gunicorn's flags; four workers that import TensorFlow on two cores need more than 30 s."""
        return ("-w", str(self.workers), "--threads", str(self.threads), "--timeout", "300")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


@dataclass(frozen=True)
class Server:
    """A running gunicorn; ``tells_timings``: its answers hold ``timing_ms``."""

    url: str
    process: subprocess.Popen[bytes]
    log: Path
    started: float
    tells_timings: bool

    @property
    def address(self) -> str:
        """URL of POST /predict."""
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

    def load_command(self, pictures: Sequence[Path], *flags: str) -> list[str]:
        """Return the load client's command for this server."""
        return [sys.executable, "benchmarks/load.py", self.address, *map(str, pictures), *flags]

    def first_answer(self, picture: bytes) -> float:
        """Return the seconds from the start of the process to the first successful prediction."""
        load = Load(self.address, [picture])
        while self.process.poll() is None and time.monotonic() - self.started < START_SECONDS:
            answered = load.once()
            if answered.outcome == OK:
                return answered.ended - self.started
            # Not listening yet, or not ready.
            time.sleep(0.01)
        raise SetupError("benchmarks.no_answer", log=self.log.read_text()[-2000:])


@contextmanager
def serve_app(
    model: Path,
    folder: Path,
    cache: Path,
    *,
    flags: Sequence[str] = (),
    changes: Mapping[str, str] | None = None,
) -> Iterator[Server]:
    """Run the app as documented: ``gunicorn -b ADDRESS app:app`` in the project's folder.

    Args:
        model: the bundle.
        folder: for uploads, the key and the log.
        cache: of the engine's compiled graphs.
        flags: more of gunicorn's.
        changes: more FRACTURE_* settings.
    """
    settings = {"FRACTURE_MODEL": str(model), **(changes or {})}
    environment = app_environment(folder, cache, settings)
    with _serve(APP, ROOT, flags, environment, folder / "app.log") as server:
        yield server


@contextmanager
def serve_recipe(model: Path, folder: Path, setting: Recipe) -> Iterator[Server]:
    """Run the usual recipe; in its own folder, so that gunicorn does not find the app's settings."""
    log = folder / f"recipe-{setting.workers}-{setting.threads}.log"
    environment = clean_environment() | {"RECIPE_MODEL": str(model)}
    with _serve("recipe:app", ROOT / "benchmarks", setting.flags, environment, log) as server:
        yield server


@contextmanager
def _serve(
    target: str, folder: Path, flags: Sequence[str], environment: Mapping[str, str], log: Path
) -> Iterator[Server]:
    started = time.monotonic()
    with gunicorn(target, flags, log, seconds=60, cwd=folder, env=environment) as (url, process):
        yield Server(url, process, log, started, target == APP)
