"""Measurements of the app beside the usual recipe with one model, under load in turns."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from joblib import cpu_count

from benchmarks.load import OK, with_comment
from benchmarks.machine import DISTURBED
from benchmarks.plan import LEVELS, Plan
from benchmarks.quiet import Quiet
from benchmarks.servers import Recipe, Server, serve_app, serve_recipe
from tests.support.processes import ROOT, app_environment
from utils.errors import SetupError

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Bench:
    """One model's measurements.

    Args:
        model: the bundle.
        pictures: radiographs to send.
        large: a large one.
        folder: for all files that are written.
        plan: durations.
        flags: more flags for the app's gunicorn.
        changes: more FRACTURE_* settings of the app and of the bare forward pass.
        quiet: repeats measurements that other programs disturb.
    """

    model: Path
    pictures: Sequence[Path]
    large: Path
    folder: Path
    plan: Plan
    flags: Sequence[str] = ()
    changes: Mapping[str, str] = field(default_factory=dict)
    quiet: Quiet = field(default_factory=Quiet)

    @property
    def cache(self) -> Path:
        """Folder of the engine's compiled graphs."""
        return self.folder / "cache"

    def measure(self) -> dict[str, Any]:
        """Measure everything; the keys name the figures."""
        starts = self.starts()
        pilot = self.pilot()
        # Of several alike, the first: it has the fewest processes.
        quick = min(pilot, key=lambda one: one["p50_ms"])["setting"]
        strong = max(pilot, key=lambda one: one["requests_per_second"])["setting"]
        tried = self.try_bare()
        best = max(tried, key=lambda one: one["images_per_second"])
        figures = {"starts": starts, "recipes": [_named(one) for one in pilot]}
        figures |= {"recipe_quick": quick.name, "recipe_strong": strong.name}
        with ExitStack() as stack:
            app = stack.enter_context(self.app())
            recipe = {name: stack.enter_context(self.recipe(name)) for name in {quick, strong}}
            for server in (app, *recipe.values()):
                _warm(server, self.pictures)
            turns, bare = self.turns(app, recipe[quick], recipe[strong], best)
            figures["levels"] = {str(level): _pooled(turns[level]) for level in LEVELS}
            figures["memory_mib"] = {
                "app": _rounded(app.worker_mib().values()),
                "recipe": _rounded(recipe[strong].worker_mib().values()),
            }
            large = self.large_turns(app, recipe[quick])
            figures["large"] = _pooled(large)
            figures["parts"] = parts(turns[1]["app"])
            figures["parts_large"] = parts(large["app"])
        folder = self.folder_rate(best, bare)
        # The highest rate is the limit, so that the server's share of it is not overstated.
        figures["bare"] = {
            "tried": tried,
            "setting": best,
            "repeated": bare,
            "images_per_second": max(median(bare), best["images_per_second"]),
        }
        disturbed = [one for one in self.quiet.disturbance if one > DISTURBED]
        figures["disturbed"] = {
            "measurements": len(self.quiet.disturbance),
            "disturbed": len(disturbed),
            "most_cores": max(self.quiet.disturbance),
        }
        return figures | {"folder": folder}

    @contextmanager
    def app(self) -> Iterator[Server]:
        """Run the app."""
        with serve_app(
            self.model, self.folder, self.cache, flags=self.flags, changes=self.changes
        ) as server:
            yield server

    @contextmanager
    def recipe(self, setting: Recipe) -> Iterator[Server]:
        """Run the recipe."""
        with serve_recipe(self.model, self.folder, setting) as server:
            yield server

    def starts(self) -> dict[str, list[float]]:
        """Time from the start of a server's process to its first prediction, in turns."""
        picture = self.pictures[0].read_bytes()
        seconds: dict[str, list[float]] = {"app_without_cache": [], "app": [], "recipe": []}
        with self.app() as server:
            seconds["app_without_cache"].append(server.first_answer(picture))

        def app() -> float:
            with self.app() as server:
                return server.first_answer(picture)

        def recipe() -> float:
            with self.recipe(self.plan.recipes[0]) as server:
                return server.first_answer(picture)

        for _ in range(self.plan.starts):
            seconds["recipe"].append(self.quiet.measure(recipe))
            seconds["app"].append(self.quiet.measure(app))
        log.info("seconds to the first answer: %s", seconds)
        return {name: _rounded(values, 3) for name, values in seconds.items()}

    def pilot(self) -> list[dict[str, Any]]:
        """Try the recipe's settings."""
        found = []
        for setting in self.plan.recipes:
            with self.recipe(setting) as server:
                _warm(server, self.pictures)
                one = self.load(server, self.pictures, 1, self.plan.pilot / 2)
                many = self.load(server, self.pictures, LEVELS[-1], self.plan.pilot)
                found.append(
                    {
                        "setting": setting,
                        "p50_ms": _p(one, 50),
                        "requests_per_second": round(many["answered"] / many["seconds"], 3),
                        "worker_mib": _rounded(server.worker_mib().values()),
                    }
                )
            log.info("recipe: %s", found[-1])
        return found

    def try_bare(self) -> list[dict[str, Any]]:
        """Measure the bare forward pass by processes, threads, streams, callers and batch."""
        cores = cpu_count()
        names = ("processes", "threads", "streams", "callers", "batch")
        tried = []
        for values in (
            (1, cores, 1, 1, 1),
            (1, cores, 1, 2, 1),
            (1, cores, cores, cores + 1, 1),
            (1, cores, cores, 1, 16),
            (cores, 1, 1, 1, 1),
            (cores, 1, 1, 2, 1),
        ):
            way = dict(zip(names, values, strict=True))
            tried.append(way | {"images_per_second": self.bare(way)})
            log.info("bare: %s", tried[-1])
        return tried

    def load(
        self, server: Server, pictures: Sequence[Path], clients: int, seconds: float
    ) -> dict[str, Any]:
        """Send pictures to a server; keep the answers' ``timing_ms`` where it is one client."""
        timings = clients == 1 and server.tells_timings
        return self.quiet.measure(
            lambda: _load(server, pictures, clients, seconds, timings=timings)
        )

    def bare(self, way: Mapping[str, Any]) -> float:
        """Return the images a second of the bare forward pass, of all processes together."""
        return self.quiet.measure(lambda: self._bare(way))

    def _bare(self, way: Mapping[str, Any]) -> float:
        command = [sys.executable, "benchmarks/bare.py", "--model", str(self.model)]
        command += [f"--{name}={way[name]}" for name in ("threads", "streams", "callers", "batch")]
        # Far enough ahead for all processes to have loaded.
        command += [f"--seconds={self.plan.bare}", f"--start={time.monotonic() + 4.0}"]
        running = [
            subprocess.Popen(command, cwd=ROOT, env=self._environment(), stdout=subprocess.PIPE)
            for _ in range(way["processes"])
        ]
        answers = [json.loads(one.communicate()[0] or b"null") for one in running]
        if not all(answers):
            raise SetupError("benchmarks.no_forward_pass")
        return round(sum(answer["images_per_second"] for answer in answers), 2)

    def turns(
        self, app: Server, quick: Server, strong: Server, way: Mapping[str, Any]
    ) -> tuple[dict[int, dict[str, list[Any]]], list[float]]:
        """Load app and recipe in turns, and measure the bare forward pass between them."""
        found: dict[int, dict[str, list[Any]]] = {
            level: {"app": [], "recipe": []} for level in LEVELS
        }
        bare = []
        for number in range(self.plan.rounds):
            for level in LEVELS:
                pair = [
                    ("app", app, self.plan.app),
                    ("recipe", quick if level == 1 else strong, self.plan.recipe),
                ]
                for name, server, seconds in pair if number % 2 == 0 else reversed(pair):
                    found[level][name].append(self.load(server, self.pictures, level, seconds))
            bare.append(self.bare(way))
            log.info("round %d of %d; bare %.2f images/s", number + 1, self.plan.rounds, bare[-1])
        return found, bare

    def large_turns(self, app: Server, recipe: Server) -> dict[str, list[Any]]:
        """Send the large picture to both, in turns."""
        found: dict[str, list[Any]] = {"app": [], "recipe": []}
        for _ in range(max(1, self.plan.rounds - 1)):
            for name, server in (("app", app), ("recipe", recipe)):
                found[name].append(self.load(server, [self.large], 1, self.plan.large))
        return found

    def folder_rate(self, way: Mapping[str, Any], bare: list[float]) -> dict[str, Any]:
        """Score a folder by ``predict.py``, and measure the bare forward pass once more."""
        count = max(64, round(self.plan.folder * median(bare)))
        folder = self.folder / "pictures"
        folder.mkdir()
        for number in range(count):
            picture = self.pictures[number % len(self.pictures)].read_bytes()
            content = with_comment(picture, f"{number}".encode())
            (folder / f"{number:05d}.jpg").write_bytes(content)
        scored = self.quiet.measure(lambda: self._score(folder, count))
        bare.append(self.bare(way))
        return scored

    def _score(self, folder: Path, count: int) -> dict[str, Any]:
        command = [sys.executable, "predict.py", "--model", str(self.model), str(folder)]
        began = time.monotonic()
        with subprocess.Popen(
            command, cwd=ROOT, env=self._environment(), stdout=subprocess.PIPE
        ) as run:
            assert run.stdout
            moments = [time.monotonic() for _ in run.stdout]
        if run.returncode or len(moments) != count:
            raise SetupError("benchmarks.predict_incomplete", answered=len(moments), files=count)
        spent = time.monotonic() - began
        return {
            "images": count,
            "seconds": round(spent, 2),
            "seconds_to_first_line": round(moments[0] - began, 2),
            "images_per_second": round(count / spent, 2),
        }

    def _environment(self) -> dict[str, str]:
        return app_environment(self.folder, self.cache, self.changes)


def _load(
    server: Server,
    pictures: Sequence[Path],
    clients: int,
    seconds: float,
    *,
    warm: float = 1.0,
    timings: bool = False,
) -> dict[str, Any]:
    """Send pictures to a server by the load client, a separate process."""
    flags = [f"--clients={clients}", f"--seconds={seconds}", f"--warm={warm}"]
    flags += [f"--server={server.process.pid}", *(["--timings"] if timings else [])]
    command = server.load_command(pictures, *flags)
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True)
    answer: dict[str, Any] = json.loads(done.stdout)
    if seconds and not answer["answered"]:
        raise SetupError(
            "benchmarks.no_answer_in_time",
            outcomes=answer["outcomes"],
            log=server.log.read_text()[-1000:],
        )
    return answer


def _warm(server: Server, pictures: Sequence[Path]) -> None:
    """Send enough requests that every worker has answered and done its first-time work."""
    server.first_answer(pictures[0].read_bytes())
    # Untimed; it ends with the last answer.
    _load(server, pictures, LEVELS[-1], 0.0, warm=3.0)


def _pooled(turns: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, Any]:
    """Pool the turns of each server."""
    pooled = {}
    for name, runs in turns.items():
        latencies = [one for run in runs for one in run["latencies_ms"]]
        seconds = sum(run["seconds"] for run in runs)
        outcomes = [name for run in runs for name, n in run["outcomes"].items() for _ in range(n)]
        pooled[name] = {
            "requests": len(outcomes),
            "faults": sum(outcome != OK for outcome in outcomes),
            "p50_ms": round(float(np.percentile(latencies, 50)), 2),
            "p95_ms": round(float(np.percentile(latencies, 95)), 2),
            "requests_per_second": round(len(latencies) / seconds, 3),
            "p50_ms_by_turn": [_p(run, 50) for run in runs],
            "requests_per_second_by_turn": [
                round(run["answered"] / run["seconds"], 3) for run in runs
            ],
            "cores": {
                who: round(median(run["cores"][who] for run in runs), 3)
                for who in ("client", "server", "others")
            },
        }
    return pooled


def parts(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Split one client's latency into the model's time and the rest of the request."""
    timings = [one for run in runs for one in run["timings_ms"]]
    named = {name: round(median(one[name] for one in timings), 2) for name in timings[0]}
    p50 = round(median(one for run in runs for one in run["latencies_ms"]), 2)
    return {"timing_ms": named, "p50_ms": p50, "rest_ms": round(p50 - named["model"], 2)}


def _p(run: Mapping[str, Any], percentile: float) -> float:
    return round(float(np.percentile(run["latencies_ms"], percentile)), 2)


def _named(tried: Mapping[str, Any]) -> dict[str, Any]:
    return {**tried, "setting": tried["setting"].name}


def _rounded(values: Iterable[float], digits: int = 1) -> list[float]:
    return [round(value, digits) for value in values]
