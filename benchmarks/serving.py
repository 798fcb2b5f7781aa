"""Speed of the app beside the usual recipe, compared with the targets.

    python benchmarks/serving.py            # about twelve minutes on two cores
    python benchmarks/serving.py --quick    # about two; saves nothing

Both servers run at the same time and take turns under the load, with the same weights, input size and
pictures. The load client, a separate process, shares the machine with them; its CPU time is reported. A
full run is written to benchmarks/results/serving.json and docs/performance.md. Exits with 1 when a target
is missed.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import machine, performance
from benchmarks.bars import BARS_FAILED, Row, as_text, failed
from benchmarks.measurements import Bench
from benchmarks.performance import RESULTS, save
from benchmarks.plan import FULL, LEVELS, QUICK, SECOND
from benchmarks.quiet import Quiet
from benchmarks.subjects import (
    BARRED,
    DEFAULT_SIZE,
    add_server_flags,
    describe,
    make_pictures,
    models,
    settings_of,
)
from benchmarks.table import rows
from tests.support.processes import ROOT
from utils.cli import DONE, Parser, run
from utils.model.bundle import read_bundle


def main() -> int:
    """Measure, print, save."""
    make = Parser(__doc__)
    add = make.add_argument
    add("--quick", action="store_true", help="a short run of the first model; nothing is saved")
    add("--pictures", type=Path, help="folder of JPEGs or PNGs to send instead of drawn ones")
    add_server_flags(make, model="the shipped model")
    add("--training", action="store_true", help="also the training's input pipeline, some minutes")
    add("--patience", type=float, default=300.0, help="seconds to wait for other programs, in all")
    flags = make.parse_args()
    changes = settings_of(flags.set)
    with tempfile.TemporaryDirectory(prefix="fracture-bench-") as place:
        folder = Path(place)
        results: dict[str, Any] = {
            "machine": machine.facts(),
            "settings": {"flags": flags.flags, "changes": changes},
        }
        pictures, large = make_pictures(folder, flags.pictures)
        results["pictures"] = describe(pictures, flags.pictures)
        plans = [QUICK] if flags.quick else [FULL, SECOND]
        results["models"] = []
        for plan, model in zip(plans, models(flags.model, folder), strict=False):
            work = folder / f"work-{len(results['models'])}"
            work.mkdir()
            options = {"flags": flags.flags.split(), "changes": changes}
            bench = Bench(
                model, pictures, large, work, plan, **options, quiet=Quiet(flags.patience)
            )
            results["models"].append(measure(bench))
    if flags.training:
        results["training"] = training(results["models"][-1]["name"], flags.model)
    for one in results["models"]:
        print(f"\n{title(one)}\n\n{as_text([Row.of(row) for row in one['rows']])}")
    print_remarks(results)
    if not flags.quick:
        save("serving", results)
        print(f"\nwritten to {RESULTS.relative_to(ROOT)}/serving.json and docs/performance.md")
    lost = failed([Row.of(row) for one in results["models"] for row in one["rows"]])
    print(f"\n{len(lost)} bars fail: {', '.join(lost)}" if lost else "\nall bars hold")
    return BARS_FAILED if lost else DONE


def measure(bench: Bench) -> dict[str, Any]:
    """Measure one model and make its rows."""
    bundle = read_bundle(bench.model)
    figures = bench.measure()
    barred = bundle.architecture == BARRED
    return {
        "name": bundle.architecture,
        "image_size": bundle.preprocess.image_size,
        "trained": bundle.training["dataset"] != "drawn",
        "figures": figures,
        "rows": [row.as_json() for row in rows(figures, barred=barred)],
    }


def title(model: dict[str, Any]) -> str:
    """Return a line that names a model."""
    weights = "trained" if model["trained"] else "untrained"
    return f"{model['name']}, {weights}, {model['image_size']} x {model['image_size']} pixels"


def training(architecture: str, shipped: Path) -> dict[str, Any]:
    """Run the benchmark of the training's input pipeline with the shipped network."""
    size = read_bundle(shipped).preprocess.image_size if shipped.is_file() else DEFAULT_SIZE
    command = [sys.executable, "benchmarks/input_pipeline.py", "--model", architecture]
    command += ["--image_size", str(size), "--batch_size", "16"]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True)
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def print_remarks(results: dict[str, Any]) -> None:
    """Print the conditions of the measurements."""
    for one in results["models"]:
        figures = one["figures"]
        cores = figures["levels"][str(LEVELS[-1])]["app"]["cores"]
        print(
            f"\n{one['name']}: the recipe's best of {len(figures['recipes'])} settings: "
            f"{figures['recipe_quick']} (latency), {figures['recipe_strong']} (throughput). At "
            f"{LEVELS[-1]} clients the load client used {cores['client']:.2f} cores, the app's "
            f"workers {cores['server']:.2f}."
        )
        print(performance.disturbance(figures))
    if "training" in results:
        print(f"\ntraining: {json.dumps(results['training'])}")


if __name__ == "__main__":
    run(main)
