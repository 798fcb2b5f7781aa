"""Generated sections and figure of docs/performance.md, from the benchmarks' results.

    python benchmarks/performance.py    # from benchmarks/results

Only the text between the markers is written; the prose around it is by hand.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import machine
from benchmarks.bars import Row, as_markdown, failed
from benchmarks.figure import draw
from tests.support.processes import ROOT
from utils.cli import DONE, Parser, run

RESULTS = ROOT / "benchmarks" / "results"
DOCUMENT = ROOT / "docs" / "performance.md"
PICTURE = ROOT / "docs" / "performance.png"


def main() -> int:
    """Write the document anew."""
    Parser(__doc__).parse_args()
    write()
    return DONE


def save(name: str, results: dict[str, Any]) -> None:
    """Save a benchmark's results and update the document."""
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(results, indent=1) + "\n")
    write()


def write() -> None:
    """Fill the document's sections from the saved results."""
    text = DOCUMENT.read_text(encoding="utf-8")
    for name, section in SECTIONS.items():
        path = RESULTS / f"{name}.json"
        if path.is_file():
            text = filled(text, name, section(json.loads(path.read_text())))
    DOCUMENT.write_text(text, encoding="utf-8")


def filled(text: str, name: str, content: str) -> str:
    """Return a document with the text between a section's markers replaced.

    Raises:
        ValueError: the markers are missing.
    """
    begin, end = f"<!-- {name}: generated -->", f"<!-- {name}: end -->"
    pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    if not pattern.search(text):
        raise ValueError(f"the document has no section {begin}")
    return pattern.sub(lambda _: f"{begin}\n{content}\n{end}", text, count=1)


def serving(results: dict[str, Any]) -> str:
    """Describe the app beside the recipe."""
    draw(results, PICTURE)
    alt = "Latency, throughput, memory and start of the app beside the usual recipe"
    pieces = [
        f"![{alt}]({PICTURE.name})",
        machine.as_markdown(results["machine"]),
        f"Sent: {results['pictures']}.",
    ]
    if results["settings"]["flags"] or results["settings"]["changes"]:
        pieces.append(f"The app's settings beside the defaults: `{results['settings']}`.")
    for model in results["models"]:
        figures, rows = model["figures"], [Row.of(row) for row in model["rows"]]
        weights = "trained" if model["trained"] else "untrained weights, which time the same"
        pieces.append(f"### {model['name']}, {model['image_size']} pixels ({weights})")
        if any(row.bar for row in rows):
            lost = failed(rows)
            barred = sum(row.bar is not None for row in rows)
            pieces.append(
                f"{barred - len(lost)} of {barred} bars hold."
                + (f" **Not reached:** {', '.join(lost)}." if lost else "")
            )
        pieces += [
            as_markdown(rows),
            disturbance(figures),
            _remarks(figures),
            _recipes(figures),
            _bare(figures),
        ]
    if "training" in results:
        pieces.append(_training(results["training"]))
    return "\n\n".join(pieces)


def disturbance(figures: dict[str, Any]) -> str:
    """Describe how much other programs ran beside the measurements."""
    found = figures["disturbed"]
    if not found["disturbed"]:
        return (
            f"Undisturbed: other programs used at most {found['most_cores']:.2f} cores beside any of the "
            f"{found['measurements']} measurements."
        )
    return (
        f"DOUBTFUL: other programs used up to {found['most_cores']:.2f} cores beside "
        f"{found['disturbed']} of the {found['measurements']} measurements."
    )


def _remarks(figures: dict[str, Any]) -> str:
    last = figures["levels"][max(figures["levels"], key=int)]
    parts = ", ".join(
        f"{name} {spent:g} ms" for name, spent in figures["parts"]["timing_ms"].items()
    )
    app, recipe = last["app"], last["recipe"]
    return (
        f"At {max(figures['levels'], key=int)} clients the load client itself used "
        f"{app['cores']['client']:.2f} cores beside the app ({app['requests']} requests, of which the "
        f"app's processes used {app['cores']['server']:.2f} cores) and "
        f"{recipe['cores']['client']:.2f} beside the recipe; other programs used "
        f"{app['cores']['others']:.2f}. Requests a second of each turn: "
        f"{_listed(app['requests_per_second_by_turn'])} against "
        f"{_listed(recipe['requests_per_second_by_turn'])}. One client's request by the server's own "
        f"clock: {parts}. `predict.py` had written its first line after "
        f"{figures['folder']['seconds_to_first_line']:.1f} s."
    )


def _recipes(figures: dict[str, Any]) -> str:
    lines = [
        f"| {one['setting']} | {one['p50_ms']:.0f} ms | {one['requests_per_second']:.2f} | "
        f"{max(one['worker_mib']):.0f} MiB |"
        for one in figures["recipes"]
    ]
    head = (
        f"The recipe's settings; what counts is its best: {figures['recipe_quick']} for one client, "
        f"{figures['recipe_strong']} for many.\n\n"
        "| gunicorn | p50, 1 client | requests a second, 16 clients | memory a worker |\n|---|---|---|---|"
    )
    return "\n".join([head, *lines])


def _bare(figures: dict[str, Any]) -> str:
    lines = [
        f"| {one['processes']} | {one['threads']} | {one['streams']} | {one['callers']} | "
        f"{one['batch']} | {one['images_per_second']:.1f} |"
        for one in figures["bare"]["tried"]
    ]
    head = (
        "The bare forward pass, by the ways to keep it busy. The limit is the fastest of them or, "
        f"where that is more, the median of its repetitions ({_listed(figures['bare']['repeated'])}): "
        f"{figures['bare']['images_per_second']:.1f} images a second.\n\n"
        "| processes | threads | streams | callers | images a call | images a second |\n"
        "|---|---|---|---|---|---|"
    )
    return "\n".join([head, *lines])


def _training(answer: dict[str, Any]) -> str:
    return (
        f"### Training's input\n\n{answer['model']} at {answer['image_size']} pixels, images a second: "
        f"decoding and fitting into the cache (once a dataset) "
        f"{answer['decoding_images_per_second']:g}, feeding with augmentation "
        f"{answer['feeding_images_per_second']:g}, the bare training step "
        f"{answer['training_step_images_per_second']:g}: feeding is "
        f"{answer['feeding_times_training']:g} times as fast as what it feeds."
    )


def soak(results: dict[str, Any]) -> str:
    """Describe the soak."""
    rows = [Row.of(row) for row in results["rows"]]
    minutes = "; ".join(f"{one:.0f}" for one in results["p50_ms_by_minute"])
    return "\n\n".join(
        [
            machine.as_markdown(results["machine"]),
            f"{results['model']}, {results['minutes']:g} minutes, {results['clients']} clients, "
            f"{results['requests']} requests: {results['outcomes']}; "
            f"{results['requests_per_second']:.1f} a second.",
            as_markdown(rows),
            f"p50 of each minute, ms: {minutes}.",
        ]
    )


def kill(results: dict[str, Any]) -> str:
    """Describe the killed workers."""
    rows = [Row.of(row) for row in results["rows"]]
    back = _listed([one["back_seconds"] for one in results["kills"]])
    return "\n\n".join(
        [
            machine.as_markdown(results["machine"]),
            f"{results['model']}, {results['clients']} clients, each request on a connection of its "
            f"own, {results['requests']} requests, {len(results['kills'])} workers killed one after "
            f"the other; seconds until each was replaced and took requests: {back} (median "
            f"{median(one['back_seconds'] for one in results['kills']):.1f}).",
            as_markdown(rows),
        ]
    )


def _listed(values: list[float]) -> str:
    return ", ".join(f"{value:.1f}" for value in values)


SECTIONS: dict[str, Callable[[dict[str, Any]], str]] = {
    "serving": serving,
    "soak": soak,
    "kill": kill,
}


if __name__ == "__main__":
    run(main)
