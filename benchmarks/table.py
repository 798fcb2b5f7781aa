"""Rows of the table of app and recipe."""

from __future__ import annotations

from typing import Any

from benchmarks import bars
from benchmarks.bars import Row
from benchmarks.plan import LEVELS
from benchmarks.subjects import LARGE_HEIGHT, LARGE_WIDTH


def rows(figures: dict[str, Any], *, barred: bool) -> list[Row]:
    """Return the table's rows; without targets unless ``barred``."""
    levels, bare = figures["levels"], figures["bare"]["images_per_second"]
    found = []
    for level in LEVELS:
        app, recipe = levels[str(level)]["app"], levels[str(level)]["recipe"]
        clients = f"{level} client{'s' if level > 1 else ''}"
        for name, key in (("p50", "p50_ms"), ("p95", "p95_ms")):
            ratio = app[key] / recipe[key]
            bar = bars.P50 if (level, name) == (1, "p50") else None
            found.append(
                Row(
                    f"{name} of POST /predict, {clients}",
                    f"{app[key]:.1f} ms",
                    f"{recipe[key]:.0f} ms",
                    ratio,
                    bars.fraction(ratio),
                    bar,
                )
            )
        app_rate, rate = app["requests_per_second"], recipe["requests_per_second"]
        found.append(
            Row(
                f"requests a second, {clients}",
                f"{app_rate:.1f}",
                f"{rate:.2f}",
                app_rate / rate,
                bars.times(app_rate / rate),
                bars.THROUGHPUT if level == LEVELS[-1] else None,
            )
        )
    most = levels[str(LEVELS[-1])]["app"]["requests_per_second"]
    found.append(
        Row(
            "share of the bare forward pass at saturation",
            f"{most:.1f}/s",
            f"{bare:.1f}/s bare",
            most / bare,
            bars.percent(most / bare),
            bars.SHARE,
        )
    )
    app_mib, recipe_mib = (max(figures["memory_mib"][name]) for name in ("app", "recipe"))
    found.append(
        Row(
            "memory of a serving worker (RSS)",
            f"{app_mib:.0f} MiB",
            f"{recipe_mib:.0f} MiB",
            app_mib / recipe_mib,
            bars.fraction(app_mib / recipe_mib),
            bars.MEMORY,
        )
    )
    found += _start_rows(figures["starts"])
    folder = figures["folder"]
    found.append(
        Row(
            f"predict.py on a folder of {folder['images']}, start included",
            f"{folder['images_per_second']:.1f}/s",
            f"{bare:.1f}/s bare",
            folder["images_per_second"] / bare,
            bars.percent(folder["images_per_second"] / bare),
            bars.FOLDER,
        )
    )
    large = figures["large"]
    ratio = large["app"]["p50_ms"] / large["recipe"]["p50_ms"]
    found.append(
        Row(
            f"{LARGE_WIDTH} x {LARGE_HEIGHT} JPEG, p50, 1 client",
            f"{large['app']['p50_ms']:.1f} ms",
            f"{large['recipe']['p50_ms']:.0f} ms",
            ratio,
            bars.fraction(ratio),
            bars.LARGE,
        )
    )
    rest, model = figures["parts"]["rest_ms"], figures["parts"]["timing_ms"]["model"]
    found.append(
        Row(
            "rest of the request beside the model, 1 client",
            f"{rest:.1f} ms",
            f"{model:.1f} ms model",
            rest / model,
            bars.percent(rest / model),
            bars.REST,
        )
    )
    faults = sum(levels[str(level)]["app"]["faults"] for level in LEVELS)
    found.append(
        Row("requests of the app that failed", str(faults), "", faults, str(faults), bars.ERRORS)
    )
    if barred:
        return found
    return [Row(r.figure, r.app, r.against, r.value, r.shown) for r in found]


def _start_rows(starts: dict[str, list[float]]) -> list[Row]:
    """Time to the first answer: with the engine's cache in place, and for the first time ever."""
    middle = {name: sorted(values)[len(values) // 2] for name, values in starts.items()}
    named = (
        ("start to first answer", "app", bars.START),
        ("the same without the engine's cache", "app_without_cache", None),
    )
    return [
        Row(
            figure,
            f"{middle[name]:.2f} s",
            f"{middle['recipe']:.2f} s",
            middle[name] / middle["recipe"],
            bars.fraction(middle[name] / middle["recipe"]),
            bar,
        )
        for figure, name, bar in named
    ]
