"""Measurements: parts of a request's latency."""

from __future__ import annotations

from benchmarks.measurements import parts


def test_latency_is_the_models_time_and_the_rest():
    timings = [{"decode": 1.0, "model": model} for model in (20.0, 30.0, 40.0)]
    runs = [
        {"timings_ms": timings[:1], "latencies_ms": [36.0]},
        {"timings_ms": timings[1:], "latencies_ms": [34.0, 35.0]},
    ]
    found = parts(runs)
    assert (found["p50_ms"], found["rest_ms"]) == (35.0, 5.0)
