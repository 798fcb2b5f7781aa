"""Errors, memory growth and latency of the app, saturated for ten minutes.

    python benchmarks/soak.py [--minutes 10] [--clients 16]

Pictures of several sizes, so that memory is allocated in blocks of several sizes. Exits with 1 when a
target is missed. A run of ten minutes or more is written to benchmarks/results/soak.json and
docs/performance.md.
"""

from __future__ import annotations

import json
import logging
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from benchmarks import bars
from benchmarks.bars import BARS_FAILED, Row, as_text, failed
from benchmarks.load import OK
from benchmarks.performance import save
from benchmarks.servers import Server
from benchmarks.subjects import add_server_flags, serve_first
from tests.support.pictures import draw_radiograph, encode
from tests.support.processes import ROOT, running
from utils.cli import DONE, Parser, run

log = logging.getLogger(__name__)

REFUSED = "503"
SAMPLE_SECONDS = 2.0
# Memory that the first requests allocate (scratch space of every thread) is no growth.
SETTLE_SECONDS = 60.0
WINDOW_SECONDS = 30.0
SIZES = ((454, 373), (454, 373), (454, 373), (373, 454), (600, 500), (908, 746))


def main() -> int:
    """Run, print, save."""
    make = Parser(__doc__)
    add = make.add_argument
    add("--minutes", type=float, default=10.0, help="at saturation, after a minute of warm-up")
    add("--clients", type=int, default=16, help="that send at the same time")
    add_server_flags(make)
    flags = make.parse_args()
    with tempfile.TemporaryDirectory(prefix="fracture-soak-") as place:
        folder = Path(place)
        pictures = []
        for seed, (height, width) in enumerate(SIZES):
            pictures.append(folder / f"{seed}.jpg")
            drawn = encode(draw_radiograph(height, width, seed=seed), "JPEG", quality=90)
            pictures[-1].write_bytes(drawn)
        with serve_first(flags, folder, pictures) as (server, results):
            run_, memory = soak(server, pictures, flags.clients, flags.minutes * 60)
    results |= {"minutes": flags.minutes, "clients": flags.clients} | digest(run_, memory)
    rows = [Row.of(row) for row in results["rows"]]
    print(f"{results['requests']} requests: {results['outcomes']}\n\n{as_text(rows)}")
    if flags.minutes >= 10:
        save("soak", results)
    return BARS_FAILED if failed(rows) else DONE


def soak(
    server: Server, pictures: list[Path], clients: int, seconds: float
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Load the server and sample its workers' memory meanwhile."""
    options = [f"--clients={clients}", f"--warm={SETTLE_SECONDS}", f"--seconds={seconds}"]
    options += ["--records", f"--server={server.process.pid}"]
    command = server.load_command(pictures, *options)
    memory = []
    with tempfile.TemporaryFile() as answer:
        with running(command, cwd=ROOT, stdout=answer) as client:
            began = time.monotonic()
            while client.poll() is None:
                workers = server.worker_mib()
                memory.append({"second": time.monotonic() - began, "workers_mib": workers})
                if len(memory) % 30 == 0:
                    log.info("%4.0f s: %s MiB", memory[-1]["second"], list(workers.values()))
                time.sleep(SAMPLE_SECONDS)
        answer.seek(0)
        return json.loads(answer.read()), memory


def digest(answered: dict[str, Any], memory: list[dict[str, Any]]) -> dict[str, Any]:
    """Return figures and rows of the records."""
    latencies = np.array(answered["latencies_ms"])
    p50, p95, p99 = (float(one) for one in np.percentile(latencies, (50, 95, 99)))
    outcomes = answered["outcomes"]
    faults = sum(count for name, count in outcomes.items() if name not in (OK, REFUSED))
    end = memory[-1]["second"]
    first = [one for one in memory if 0 <= one["second"] - SETTLE_SECONDS < WINDOW_SECONDS]
    last = [one for one in memory if one["second"] >= end - WINDOW_SECONDS]
    before, after = (
        median(sum(one["workers_mib"].values()) for one in part) for part in (first, last)
    )
    ended = len(
        {pid for one in memory for pid in one["workers_mib"]} - set(last[-1]["workers_mib"])
    )
    growth = after / before - 1.0
    rows = [
        Row("errors but the intended 503", str(faults), "", faults, str(faults), bars.ERRORS),
        Row("workers that ended meanwhile", str(ended), "", ended, str(ended), bars.NONE),
        Row(
            "memory of all workers, after a minute and at the end",
            f"{after:.0f} MiB",
            f"{before:.0f} MiB",
            growth,
            bars.percent(growth),
            bars.GROWTH,
        ),
        Row(
            "p99 against p50",
            f"{p99:.0f} ms",
            f"{p50:.0f} ms",
            p99 / p50,
            bars.times(p99 / p50),
            bars.TAIL,
        ),
    ]
    records = [one for one in answered["records"] if one[2] == OK]
    origin = min(one[0] for one in records)
    minutes: dict[int, list[float]] = {}
    for began, ended, _ in records:
        minutes.setdefault(int((ended - origin) // 60), []).append((ended - began) * 1000)
    return {
        "requests": answered["sent"],
        "outcomes": outcomes,
        "requests_per_second": round(answered["answered"] / answered["seconds"], 2),
        "p50_ms": round(p50, 1),
        "p95_ms": round(p95, 1),
        "p99_ms": round(p99, 1),
        "max_ms": round(float(latencies.max()), 1),
        "cores": answered["cores"],
        "memory_mib": [round(sum(one["workers_mib"].values()), 1) for one in memory[::15]],
        "p50_ms_by_minute": [round(median(one), 1) for _, one in sorted(minutes.items())],
        "rows": [row.as_json() for row in rows],
    }


if __name__ == "__main__":
    run(main)
