"""Keep the app saturated for ten minutes: does it fail, grow, or slow down?

    python benchmarks/soak.py [--minutes 10] [--clients 16]

Pictures of several sizes, so that the memory is asked for pieces of several sizes. Exits with 1 when a
bar fails. A run of ten minutes or more is written to benchmarks/results/soak.json and
docs/performance.md.
"""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from benchmarks import bars, machine
from benchmarks.bars import Row, as_text, failed
from benchmarks.load import OK
from benchmarks.performance import save
from benchmarks.servers import ROOT, Server, serve_app
from benchmarks.subjects import SHIPPED, models, settings_of
from tests.pictures import draw_radiograph, encode
from utils.bundle import read_bundle
from utils.command_line import DONE, Parser, run

log = logging.getLogger(__name__)

BARS_FAILED = 1
REFUSED = "503"
SAMPLE_SECONDS = 2.0
# What the first requests leave behind (scratch space of every thread) is no growth.
SETTLE_SECONDS = 60.0
WINDOW_SECONDS = 30.0
SIZES = ((454, 373), (454, 373), (454, 373), (373, 454), (600, 500), (908, 746))


def main() -> int:
    """Soak, print, write down."""
    make = Parser(__doc__)
    add = make.add_argument
    add("--minutes", type=float, default=10.0, help="at saturation, after a minute that settles it")
    add("--clients", type=int, default=16, help="that send at the same time")
    add("--model", type=Path, default=SHIPPED, help="the shipped model, for its input size")
    add("--flags", default="", help='more of the app\'s gunicorn flags, as in "-w 4"')
    add("--set", nargs="*", default=[], metavar="FRACTURE_NAME=VALUE", help="more of its settings")
    flags = make.parse_args()
    with tempfile.TemporaryDirectory(prefix="fracture-soak-") as place:
        folder = Path(place)
        model = models(flags.model, folder)[0]
        pictures = []
        for seed, (height, width) in enumerate(SIZES):
            pictures.append(folder / f"{seed}.jpg")
            drawn = encode(draw_radiograph(height, width, seed=seed), "JPEG", quality=90)
            pictures[-1].write_bytes(drawn)
        results: dict[str, Any] = {"machine": machine.facts()}
        with serve_app(
            model,
            folder,
            folder / "cache",
            flags=flags.flags.split(),
            changes=settings_of(flags.set),
        ) as server:
            server.first_answer(pictures[0].read_bytes())
            run_, memory = soak(server, pictures, flags.clients, flags.minutes * 60)
        bundle = read_bundle(model)
    size = bundle.preprocess.image_size
    results |= {
        "model": f"{bundle.architecture} at {size} pixels",
        "minutes": flags.minutes,
        "clients": flags.clients,
    }
    results |= digest(run_, memory)
    rows = [Row.of(row) for row in results["rows"]]
    print(f"{results['requests']} requests: {results['outcomes']}\n\n{as_text(rows)}")
    if flags.minutes >= 10:
        save("soak", results)
    return BARS_FAILED if failed(rows) else DONE


def soak(
    server: Server, pictures: list[Path], clients: int, seconds: float
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Load the server and look at its workers' memory meanwhile."""
    command = [sys.executable, "benchmarks/load.py", server.address, *map(str, pictures)]
    command += [f"--clients={clients}", f"--warm={SETTLE_SECONDS}", f"--seconds={seconds}"]
    command += ["--records", f"--server={server.process.pid}"]
    memory = []
    with tempfile.TemporaryFile() as answer:
        client = subprocess.Popen(command, cwd=ROOT, stdout=answer)
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
    """Turn the records into figures and rows."""
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
