"""Agreement and bare speed of engines and precisions: the tables of docs/engines.md.

    python benchmarks/engines.py agreement --data data/FracAtlas
    python benchmarks/engines.py speed
    python benchmarks/engines.py speed --untrained densenet121

Prints the tables as Markdown. The timings need an idle machine.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import psutil
from joblib import cpu_count

from benchmarks import machine
from benchmarks.subjects import DEFAULT_SIZE, SHIPPED, untrained
from config import read_settings
from tests.support.processes import ROOT
from utils.cli import DONE, Parser, run
from utils.model.bundle import Bundle, read_bundle
from utils.model_builder import COARSE

ENGINES = {
    "tensorflow float32": ("tensorflow", "float32"),
    "openvino float32": ("openvino", "float32"),
    "openvino bfloat16": ("openvino", "bfloat16"),
}
# Seconds that a process may take to load before all of them begin together.
LOADING = 4.0
TRIES = 4


def main() -> int:
    """Parse the flags and print one kind of table."""
    make = Parser(__doc__)
    add = make.add_argument
    add("what", choices=("agreement", "speed"))
    add("--model", type=Path, default=SHIPPED, help="the bundle")
    add("--untrained", metavar="ARCHITECTURE", help="measure an untrained network of this size")
    add("--data", type=Path, default=Path("data"), help="the dataset to agree on")
    add("--images", type=Path, default=Path("data/.cache"), help="where prepared images are kept")
    add("--seconds", type=float, default=6.0, help="of one measurement of speed")
    flags = make.parse_args()
    with tempfile.TemporaryDirectory(prefix="fracture-bench-") as place:
        model = flags.model
        if flags.untrained:
            size = read_bundle(model).preprocess.image_size if model.is_file() else DEFAULT_SIZE
            model = untrained(flags.untrained, size, COARSE, Path(place))
        print(machine.as_markdown(machine.facts()), end="\n\n")
        bundle = read_bundle(model)
        print(f"{bundle.architecture} at {bundle.preprocess.image_size} px\n")
        if flags.what == "agreement":
            agreement(model, flags.data, flags.images)
        else:
            speed(model, flags.seconds)
            variants(bundle)
    return DONE


def table(head: tuple[str, ...], rows: list[tuple[object, ...]]) -> None:
    """Print a Markdown table."""
    for row in (head, ("---",) * len(head), *rows):
        print("|", " | ".join(str(cell) for cell in row), "|")
    print(flush=True)


def agreement(model: Path, data: Path, images: Path) -> None:
    """Compare every engine's answers to the test part with the reference's."""
    from utils.datasets.image_cache import prepare_images
    from utils.datasets.readers import read_dataset
    from utils.evaluation.evaluate import evaluate
    from utils.inference.engines.engine import load_engine

    bundle = read_bundle(model)
    dataset = read_dataset(data, "auto", ())
    prepared = prepare_images(dataset.samples, bundle.preprocess.image_size, images)
    cache = read_settings().engine_cache
    reference: Answers | None = None
    rows: list[tuple[object, ...]] = []
    everywhere: dict[str, np.ndarray] = {}
    for name, (kind, precision) in ENGINES.items():
        engine = load_engine(model, kind, cache=cache, precision=precision)
        assert engine.kind == kind
        found = evaluate(engine, dataset, prepared, resamples=0)
        auc = found.report.images.figures.roc_auc.value
        ours = Answers(np.asarray(found.scored.probability), found.scored.maps, float(auc))
        reference = reference or ours
        alike = map(correlation, ours.maps, reference.maps)
        rows.append(
            (
                name,
                f"{np.abs(ours.probability - reference.probability).max():.1e}",
                f"{min(alike):.6f}",
                changed(ours.probability, reference.probability, bundle.threshold),
                f"{ours.auc:.5f}",
                f"{ours.auc - reference.auc:+.5f}",
            )
        )
        if kind == "openvino":
            batches = range(0, len(prepared.images), 32)
            logit = [bundle.logits(engine.run(prepared.images[row : row + 32])) for row in batches]
            everywhere[name] = np.asarray(bundle.calibration.probability(np.concatenate(logit)))
    head = ("engine", "largest difference in probability", "least correlation of maps")
    table((*head, "changed verdicts", "AUC", "difference"), rows)
    full, low = everywhere.values()
    print(f"All readable images, {' against '.join(everywhere)}: verdicts changed in", end=" ")
    print(
        f"{changed(full, low, bundle.threshold)}, probability by {np.abs(full - low).max():.1e}\n"
    )


@dataclass(frozen=True, eq=False)
class Answers:
    """One engine's answers to the test part."""

    probability: np.ndarray
    maps: np.ndarray
    auc: float


def changed(ours: np.ndarray, theirs: np.ndarray, threshold: float) -> str:
    """Count the verdicts that differ."""
    count = int(((ours >= threshold) != (theirs >= threshold)).sum())
    return f"{count} of {len(ours)} ({1000 * count / len(ours):.1f} in 1000)"


def correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Pearson's correlation of two maps."""
    return float(np.corrcoef(one.ravel(), other.ravel())[0, 1])


@dataclass(frozen=True)
class Setting:
    """Processes that run the engine, and the configuration of each."""

    processes: int
    threads: int
    streams: int
    callers: int
    batch: int = 1


def speed(model: Path, seconds: float) -> None:
    """Measure the bare forward pass by processes, threads, streams, callers and batch."""
    cores = cpu_count()
    settings = {
        "one request at a time": Setting(1, cores, 1, 1),
        "one request at a time, one thread": Setting(1, 1, 1, 1),
        f"one process, {cores} callers": Setting(1, cores, 1, cores),
        f"one process, {cores} streams, {cores + 1} callers": Setting(1, cores, cores, cores + 1),
        f"one process, {cores} streams, batches of 16": Setting(1, cores, cores, 1, 16),
        "one process, one stream, batches of 16": Setting(1, cores, 1, 1, 16),
        f"{cores} processes of one thread, 2 callers": Setting(cores, 1, 1, 2),
        f"{cores} processes of {cores} threads, 2 callers": Setting(cores, cores, 1, 2),
    }
    rows: list[tuple[object, ...]] = []
    for name, (kind, precision) in ENGINES.items():
        for what, setting in settings.items():
            if kind == "tensorflow" and (
                setting.streams > 1 or setting.processes > 1 or setting.callers > 1
            ):
                continue
            rate, call, others = measure(model, kind, precision, setting, seconds)
            rows.append((name, what, f"{rate:.1f}", f"{call:.1f}", f"{others:.2f}"))
    head = ("engine", "setting", "images a second", "median of a call, ms")
    table((*head, "cores others kept busy"), rows)


def measure(
    model: Path, kind: str, precision: str, setting: Setting, seconds: float
) -> tuple[float, float, float]:
    """Return images a second of all processes, the median call in ms, and the cores others kept busy.

    Where others were busy it is measured again, a few times; the calmest counts.
    """
    tried = []
    while len(tried) < TRIES and (not tried or tried[-1][2] > machine.DISTURBED):
        if tried:
            time.sleep(10 * len(tried))
        before, began = _busy_elsewhere(), time.monotonic()
        rate, call = _bare(model, kind, precision, setting, seconds)
        tried.append((rate, call, (_busy_elsewhere() - before) / (time.monotonic() - began)))
    return min(tried, key=lambda one: one[2])


def _busy_elsewhere() -> float:
    """Return the CPU seconds of all programs but this one and its children."""
    total = psutil.cpu_times()
    ours = sum(
        usage.ru_utime + usage.ru_stime
        for usage in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )
    return total.user + total.nice + total.system - ours


def _bare(
    model: Path, kind: str, precision: str, setting: Setting, seconds: float
) -> tuple[float, float]:
    """Run the bare forward pass in the setting's number of processes."""
    command = [sys.executable, str(ROOT / "benchmarks" / "bare.py"), "--model", str(model)]
    for name in ("threads", "streams", "callers", "batch"):
        command += [f"--{name}", str(getattr(setting, name))]
    # Several begin together, once all are loaded.
    if setting.processes > 1:
        command += ["--start", str(time.monotonic() + LOADING)]
    running = [
        subprocess.Popen(
            [*command, "--seconds", str(seconds)],
            env={**os.environ, "FRACTURE_ENGINE": kind, "FRACTURE_PRECISION": precision},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        for _ in range(setting.processes)
    ]
    answers = [json.loads(one.communicate()[0].splitlines()[-1]) for one in running]
    rate = sum(answer["images_per_second"] for answer in answers)
    return rate, float(np.median([answer["call_p50_ms"] for answer in answers]))


def variants(bundle: Bundle) -> None:
    """Measure the graph's design choices: its batch, and where grey levels are scaled."""
    from utils.inference.engines.graph_cache import load_graph
    from utils.inference.engines.openvino_engine import PRECISIONS
    from utils.inference.engines.openvino_runtime import import_openvino
    from utils.preprocess import scale

    openvino = import_openvino()
    graph = load_graph(bundle, read_settings().engine_cache)
    size = bundle.preprocess.image_size
    images = np.random.default_rng(0).integers(0, 256, (16, size, size), np.uint8)
    rows: list[tuple[object, ...]] = []
    for what, shape, count in (
        ("shape fixed at 1", 1, 1),
        ("shape left open, 1 image", -1, 1),
        ("shape fixed at 16", 16, 16),
        ("shape left open, 16 images", -1, 16),
    ):
        core = openvino.Core()
        weights = openvino.Tensor(graph.weights, shared_memory=False)
        network = core.read_model(graph.xml, weights)
        network.reshape([shape, size, size])
        options = {
            "INFERENCE_PRECISION_HINT": PRECISIONS["float32"],
            "INFERENCE_NUM_THREADS": cpu_count(),
            "NUM_STREAMS": 1,
            "ENABLE_CPU_PINNING": False,
            "PERF_COUNT": True,
        }
        request = core.compile_model(network, "CPU", options).create_infer_request()
        spent = _timed(lambda request=request, count=count: request.infer([images[:count]])) / count
        found = [one for one in request.profiling_info if one.node_type == "Gather"]
        gather = sum(one.real_time.total_seconds() for one in found) * 1000 / count
        rows.append((what, f"{spent:.1f}", f"{gather:.2f}"))
    table(("graph", "an image, ms", "of it: grey-level table, ms"), rows)
    spent = _timed(lambda: scale(images[:1], bundle.preprocess.scaling))
    print(f"the same look-up by numpy before the graph: {spent:.2f} ms an image\n")


def _timed(call: object, repeats: int = 15) -> float:
    """Return the median milliseconds of a call."""
    assert callable(call)
    spent = []
    for _ in range(repeats):
        began = time.perf_counter()
        call()
        spent.append(time.perf_counter() - began)
    return 1000.0 * float(np.median(spent[2:]))


if __name__ == "__main__":
    run(main)
