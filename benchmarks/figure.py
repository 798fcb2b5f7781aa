"""Figure of docs/performance.md: latency, throughput, memory and start of app and recipe."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

APP, RECIPE, LIMIT = "#1b6e8c", "#c9752f", "#4a4a4a"
GRID = "#d9d9d9"


def draw(results: dict[str, Any], path: Path) -> None:
    """Draw the first model's figures: latency, throughput, memory, start."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    model = results["models"][0]
    figures = model["figures"]
    figure = Figure(figsize=(11, 7.2), dpi=130, layout="constrained")
    FigureCanvasAgg(figure)
    latency, throughput, memory, start = figure.subplots(2, 2).flat
    levels = list(figures["levels"])
    names = [f"{level} client{'s' if level != '1' else ''}" for level in levels]

    rows = [figures["levels"][level] for level in levels] + [figures["large"]]
    _pairs(
        latency,
        [*names, "1 client,\n2304 x 2880"],
        [row["app"]["p50_ms"] for row in rows],
        [row["recipe"]["p50_ms"] for row in rows],
        "{:.0f}",
    )
    latency.set_yscale("log")
    latency.yaxis.set_major_formatter("{x:.0f}")
    latency.set_ylabel("ms, logarithmic")
    latency.set_title("Half of the requests are answered within", loc="left")

    bare = figures["bare"]["images_per_second"]
    _pairs(
        throughput,
        names,
        [figures["levels"][level]["app"]["requests_per_second"] for level in levels],
        [figures["levels"][level]["recipe"]["requests_per_second"] for level in levels],
        "{:.1f}",
    )
    throughput.axhline(bare, color=LIMIT, linestyle="--", linewidth=1.2)
    throughput.annotate(
        f"bare forward pass: {bare:.1f}",
        (0, bare),
        (4, 3),
        xycoords=("axes fraction", "data"),
        textcoords="offset points",
        color=LIMIT,
        fontsize=9,
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
    )
    throughput.set_ylim(0, bare * 1.16)
    throughput.set_ylabel("requests a second")
    throughput.set_title("Throughput", loc="left")

    _pairs(
        memory,
        ["a worker under load"],
        [max(figures["memory_mib"]["app"])],
        [max(figures["memory_mib"]["recipe"])],
        "{:.0f}",
    )
    memory.set_ylabel("MiB resident")
    memory.set_title("Memory", loc="left")

    starts = {name: sorted(values)[len(values) // 2] for name, values in figures["starts"].items()}
    _pairs(start, ["start to first answer"], [starts["app"]], [starts["recipe"]], "{:.1f}")
    start.set_ylabel("seconds")
    start.set_title("Start, the engine's cache in place", loc="left")

    for axes in (memory, start):
        axes.set_xlim(-1, 1)
    handles, labels = latency.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False)
    machine = results["machine"]
    figure.suptitle(
        f"{model['name']} at {model['image_size']} pixels on {machine['cores']} cores, same weights, "
        f"same run ({machine['when']})",
        fontsize=12,
    )
    figure.savefig(path, metadata={"Software": None})


def _pairs(
    axes: Any, names: Sequence[str], app: Sequence[float], recipe: Sequence[float], shown: str
) -> None:
    """Draw the app's and the recipe's bars beside each other, with their values on them."""
    width = 0.36
    for offset, values, colour, label in (
        (-width / 2, app, APP, "this app"),
        (width / 2, recipe, RECIPE, "the usual recipe"),
    ):
        places = [place + offset for place in range(len(names))]
        bars = axes.bar(places, values, width * 0.94, color=colour, label=label, zorder=2)
        axes.bar_label(bars, [shown.format(value) for value in values], padding=2, fontsize=9)
    axes.set_xticks(range(len(names)), names)
    axes.grid(axis="y", color=GRID, linewidth=0.8, zorder=0)
    axes.tick_params(axis="both", length=0)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.margins(y=0.16)
