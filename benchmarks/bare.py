"""Throughput of the engine's bare forward pass: the upper limit of the server's.

    python benchmarks/bare.py --model models/best_model.h5 --callers 2

Threads of one process run prepared batches, one after the other, as fast as the engine takes them: no
file, no decoding, no overlay, no HTTP. The engine is configured by the FRACTURE_* settings, so that network
and precision are the server's. Prints one line of JSON.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import psutil

from config import read_settings
from utils.cli import DONE, Parser, run
from utils.inference.engines.engine import load_engine


def main() -> int:
    """Load, warm up, measure and print."""
    make = Parser(__doc__)
    add = make.add_argument
    add("--model", type=Path, default=Path("models/best_model.h5"), help="the bundle")
    add("--threads", type=int, help="of the engine; without it as many as cores")
    add("--lone_threads", type=int, help="of a lone pass; every call then counts as one")
    add("--streams", type=int, help="of the engine; without it one")
    add("--callers", type=int, default=1, help="threads that call it at the same time")
    add("--batch", type=int, default=1, help="images a call")
    add("--seconds", type=float, default=5.0, help="to measure for")
    add("--start", type=float, help="monotonic second to begin at, to begin together with others")
    flags = make.parse_args()
    settings = read_settings()
    engine = load_engine(
        flags.model,
        settings.engine,
        cache=settings.engine_cache,
        precision=settings.precision,
        threads=flags.threads,
        lone_threads=flags.lone_threads,
        streams=flags.streams,
    )
    size = engine.bundle.preprocess.image_size
    images = np.random.default_rng(0).integers(0, 256, (flags.batch, size, size), np.uint8)
    alone = flags.lone_threads is not None
    for _ in range(3):
        engine.run(images)
        engine.run(images, alone=alone)
    if flags.start is not None:
        time.sleep(max(0.0, flags.start - time.monotonic()))
    began, ended = [], []
    for calls in _call(lambda: engine.run(images, alone=alone), flags.callers, flags.seconds):
        began += [start for start, _ in calls]
        ended += [end for _, end in calls]
    # Until the last call has ended, so that every counted call is timed.
    spent = max(ended) - min(began)
    answer = {
        "images_per_second": round(flags.batch * len(ended) / spent, 3),
        "call_p50_ms": round(1000.0 * float(np.median(np.subtract(ended, began))), 2),
        "engine": settings.engine,
        "precision": settings.precision,
        "image_size": size,
        "resident_mib": round(psutil.Process().memory_info().rss / 2**20, 1),
    }
    print(json.dumps(answer))
    return DONE


def _call(
    call: Callable[[], object], callers: int, seconds: float
) -> list[list[tuple[float, float]]]:
    """Return when each call of each caller began and ended."""
    until = time.monotonic() + seconds
    calls: list[list[tuple[float, float]]] = [[] for _ in range(callers)]

    def work(mine: list[tuple[float, float]]) -> None:
        while not mine or mine[-1][1] < until:
            began = time.monotonic()
            call()
            mine.append((began, time.monotonic()))

    threads = [threading.Thread(target=work, args=(mine,)) for mine in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return calls


if __name__ == "__main__":
    run(main)
