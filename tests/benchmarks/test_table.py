"""Rows of the table of app and recipe."""

from __future__ import annotations

from benchmarks.bars import failed
from benchmarks.table import rows


def figures(**changes: object) -> dict[str, object]:
    """Figures that just reach every target."""

    def turn(app: float, recipe: float, rates: tuple[float, float]) -> dict[str, object]:
        return {
            name: {"p50_ms": p50, "p95_ms": p50, "requests_per_second": rate, "faults": 0}
            for name, p50, rate in (("app", app, rates[0]), ("recipe", recipe, rates[1]))
        }

    return {
        "levels": {"1": turn(10, 120, (1, 1)), "4": turn(1, 1, (1, 1)), "16": turn(1, 1, (24, 2))},
        "bare": {"images_per_second": 30.0},
        "memory_mib": {"app": [80.0, 100.0], "recipe": [200.0, 250.0]},
        "starts": {"app": [1.0, 9.0, 1.0], "app_without_cache": [9.0], "recipe": [3.0, 3.0, 3.0]},
        "folder": {"images": 100, "images_per_second": 25.5},
        "large": turn(10, 120, (1, 1)),
        "parts": {"rest_ms": 4.9, "timing_ms": {"model": 10.0}},
        **changes,
    }


def test_figures_are_compared_with_their_targets():
    made = rows(figures(), barred=True)
    assert [row.holds for row in made].count(True) == 9
    assert failed(made) == []
    slower = rows(figures(bare={"images_per_second": 30.1}), barred=True)
    assert [name.split()[0] for name in failed(slower)] == ["share", "predict.py"]
    assert all(row.holds is None for row in rows(figures(), barred=False))
