"""Recovery of the app from killed workers under load: seconds, and requests lost.

    python benchmarks/kill_worker.py [--kills 3] [--clients 8]

Every request has a connection of its own, as from many people. Only requests that the killed worker held
may fail. Exits with 1 when another one fails. A run of three kills
or more is written to benchmarks/results/kill.json and docs/performance.md.
"""

from __future__ import annotations

import json
import logging
import signal
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import psutil

from benchmarks import bars
from benchmarks.bars import BARS_FAILED, Bar, Row, as_text, failed
from benchmarks.load import OK
from benchmarks.performance import save
from benchmarks.servers import Server
from benchmarks.subjects import add_server_flags, make_pictures, serve_first
from tests.support.processes import ROOT, running
from utils.cli import DONE, Parser, run
from utils.errors import SetupError

log = logging.getLogger(__name__)

KILLS = 3
LOOK_SECONDS = 0.01
PATIENCE_SECONDS = 60.0
BETWEEN_SECONDS = 4.0
# The load client waits for all its answers before it reports.
LAST_ANSWER_SECONDS = 300.0
BACK = Bar("at most", 10.0, "10 s or less")
MEANWHILE = Bar("at least", 1.0, "at least 1")


def main() -> int:
    """Kill, print, write down."""
    make = Parser(__doc__)
    add = make.add_argument
    add("--kills", type=int, default=KILLS, help="workers to kill, one after the other")
    add("--clients", type=int, default=8, help="that send at the same time")
    add_server_flags(make)
    flags = make.parse_args()
    with tempfile.TemporaryDirectory(prefix="fracture-kill-") as place:
        folder = Path(place)
        pictures, _ = make_pictures(folder, None)
        with serve_first(flags, folder, pictures) as (server, results):
            kills, records = shoot(server, pictures, flags.clients, flags.kills)
    results |= {"clients": flags.clients} | digest(kills, records)
    rows = [Row.of(row) for row in results["rows"]]
    print(f"{results['requests']} requests, {len(kills)} workers killed\n\n{as_text(rows)}")
    if flags.kills >= KILLS:
        save("kill", results)
    return BARS_FAILED if failed(rows) else DONE


def shoot(
    server: Server, pictures: list[Path], clients: int, kills: int
) -> tuple[list[dict[str, Any]], list[list[Any]]]:
    """Load the server and kill one worker after the other; returns the kills and the requests."""
    options = [f"--clients={clients}", "--fresh", "--records", "--warm=0"]
    # It is stopped once the last worker is back.
    options += [f"--seconds={kills * (PATIENCE_SECONDS + BETWEEN_SECONDS)}"]
    command = server.load_command(pictures, *options)
    found = []
    with tempfile.TemporaryFile() as answer:
        client = running(
            command, seconds=LAST_ANSWER_SECONDS, stop_signal=signal.SIGINT, cwd=ROOT, stdout=answer
        )
        with client:
            for _ in range(kills):
                time.sleep(BETWEEN_SECONDS)
                found.append(_kill_one(server))
                log.info("killed: %s", found[-1])
            time.sleep(BETWEEN_SECONDS)
        answer.seek(0)
        return found, json.loads(answer.read())["records"]


def _kill_one(server: Server) -> dict[str, Any]:
    """Kill a worker that holds requests, and wait until its replacement holds some."""
    before = {worker.pid for worker in server.workers()}
    victim = max(server.workers(), key=_connections)
    # It is suspended while its connections are counted, so that the count is exact.
    victim.suspend()
    held = _connections(victim)
    victim.kill()
    killed = time.monotonic()
    started = None
    while time.monotonic() - killed < PATIENCE_SECONDS:
        fresh = [worker for worker in server.workers() if worker.pid not in before]
        if fresh and started is None:
            started = time.monotonic() - killed
        if any(_connections(worker) for worker in fresh):
            back = time.monotonic() - killed
            return {
                "killed": killed,
                "held": held,
                "started_seconds": round(started or back, 3),
                "back_seconds": round(back, 3),
            }
        time.sleep(LOOK_SECONDS)
    raise SetupError("benchmarks.no_worker", seconds=PATIENCE_SECONDS, log=server.log)


def _connections(worker: psutil.Process) -> int:
    """Count the clients' connections that a worker holds; 0 where it has ended."""
    try:
        return sum(bool(one.raddr) for one in worker.net_connections("tcp"))
    except psutil.NoSuchProcess:
        return 0


def digest(kills: list[dict[str, Any]], records: list[list[Any]]) -> dict[str, Any]:
    """Compare the failed requests with those that the killed workers held."""
    lost = [one for one in records if one[2] != OK]
    explained = 0
    gaps, meanwhile = [], []
    for kill in kills:
        moment, back = kill["killed"], kill["killed"] + kill["back_seconds"]
        during = [one for one in lost if one[0] <= moment <= one[1]]
        kill["failed"] = len(during)
        explained += min(len(during), kill["held"])
        ends = sorted(one[1] for one in records if one[2] == OK and moment <= one[1] <= back)
        meanwhile.append(len(ends))
        moments = [moment, *ends, back]
        gaps.append(max(b - a for a, b in pairwise(moments)))
    slowest = max(kill["back_seconds"] for kill in kills)
    held = sum(kill["held"] for kill in kills)
    rows = [
        Row(
            "killed worker replaced and taking requests",
            f"{slowest:.1f} s",
            "",
            slowest,
            f"{slowest:.1f} s",
            BACK,
        ),
        Row(
            "answered by the others meanwhile, fewest",
            str(min(meanwhile)),
            "",
            min(meanwhile),
            str(min(meanwhile)),
            MEANWHILE,
        ),
        Row(
            "longest time without any answer meanwhile",
            f"{max(gaps):.2f} s",
            "",
            max(gaps),
            f"{max(gaps):.2f} s",
        ),
        Row(
            "failed that no killed worker held",
            str(len(lost) - explained),
            f"{len(lost)} failed, {held} held",
            len(lost) - explained,
            str(len(lost) - explained),
            bars.NONE,
        ),
    ]
    return {
        "requests": len(records),
        "lost": [
            {
                "outcome": name,
                "seconds_from_kill": [round(t - kills[0]["killed"], 3) for t in times],
            }
            for *times, name in lost
        ],
        "kills": [
            {name: value for name, value in kill.items() if name != "killed"} for kill in kills
        ],
        "rows": [row.as_json() for row in rows],
    }


if __name__ == "__main__":
    run(main)
