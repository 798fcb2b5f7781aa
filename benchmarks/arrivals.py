"""Silent Normals: radiographs sent in every everyday way, and how many fractures come back as Normal.

    python benchmarks/arrivals.py --data data/FracAtlas                   # ten minutes on two cores
    python benchmarks/arrivals.py --data data/FracAtlas --ways 'DICOM|PNG'  # some of the ways

Takes the fractures of the test part that the model finds for certain when they are sent plainly, and as
many normal radiographs of the test part. Sends each in every way of benchmarks/ways/ and prints a table of
the answers, and the totals with their targets. A run of all ways is written to
benchmarks/results/arrivals.json and docs/robustness.md. Exits with 1 when a target is missed.
"""

from __future__ import annotations

import re
import sys
import zlib
from argparse import ArgumentTypeError
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from tqdm import tqdm

from benchmarks.bars import BARS_FAILED, failed
from benchmarks.outcomes import Outcome, WayResult, outcome
from benchmarks.robustness import Battery, save, write_json
from benchmarks.ways import all_ways
from benchmarks.ways.files import png, to_bytes
from benchmarks.ways.way import Way, unchanged
from config import ROOT
from utils.cli import DONE, Parser, run, whole_number
from utils.datasets.image_cache import DEFAULT_CACHE
from utils.datasets.readers import READERS
from utils.datasets.training_set import read_training_set
from utils.errors import InputError
from utils.formats import decode
from utils.imaging.geometry import resize
from utils.inference.predictor import Predictor, load_predictor

UPRIGHT = Way("upright", "upright PNG", unchanged)
# Fractures at most, and normal radiographs that stand beside others in one picture.
LIMIT, BESIDE = 60, 20
# Larger radiographs are shrunk before they are sent: the battery is about ways, not about size.
LONGEST_SIDE = 900
WORKERS = 2


@dataclass(frozen=True, eq=False)
class Radiographs:
    """Radiographs that are sent, uint8 (height, width) each.

    Args:
        fractures: found for certain when sent plainly.
        normals: as many.
        beside: further normal ones, for the pictures of several.
    """

    fractures: Sequence[np.ndarray]
    normals: Sequence[np.ndarray]
    beside: Sequence[np.ndarray]


def main() -> int:
    """Send, print, save."""
    make = Parser(__doc__)
    make.add_dataset(READERS)
    add = make.add_argument
    add("--model", type=Path, default=ROOT / "models" / "best_model.h5", help="the bundle")
    add("--cache", type=Path, default=DEFAULT_CACHE, help="prepared images")
    add("--limit", type=whole_number(1), default=LIMIT, help="fractures at most")
    add("--ways", type=pattern_of, metavar="REGEX", help="ways whose name or kind it matches")
    add("--json", type=Path, metavar="FILE", help="also write the results into this file")
    flags = make.parse_args()
    predictor = load_predictor(flags.model, streams=WORKERS)
    positives, negatives = read_test_part(
        predictor, flags.data, dataset=flags.dataset, regions=flags.region, cache=flags.cache
    )
    radiographs = chosen(predictor, positives, negatives, flags.limit)
    ways = [way for way in all_ways(radiographs.beside) if _matches(way, flags.ways)]
    if not ways:
        raise InputError("benchmarks.no_such_way", pattern=flags.ways.pattern)
    battery = send(predictor, radiographs, ways, flags.data.name)
    print(battery.as_text())
    if flags.json:
        write_json(battery, flags.json)
    if flags.ways is None and flags.limit == LIMIT:
        save(battery)
    lost = failed(battery.rows)
    print(f"\n{len(lost)} targets missed: {', '.join(lost)}" if lost else "\nall targets reached")
    return BARS_FAILED if lost else DONE


def read_test_part(
    predictor: Predictor, root: Path, *, dataset: str, regions: Sequence[str], cache: Path
) -> tuple[list[Path], list[Path]]:
    """Return the whole files of the test part that the model's sidecar records.

    Returns:
        Positive and negative ones, in an order that the names do not decide.
    """
    bundle = predictor.bundle
    data = read_training_set(
        root,
        dataset=dataset,
        regions=regions,
        size=bundle.preprocess.image_size,
        seed=int(bundle.training["split"]["seed"]),
        cache=cache,
        progress=True,
    )
    rows = np.random.default_rng(0).permutation(data.rows["test"])
    samples = [data.prepared.samples[row] for row in rows]
    positive, negative = ([s.path for s in samples if s.label == label] for label in (1, 0))
    return positive, negative


def chosen(
    predictor: Predictor, positives: Sequence[Path], negatives: Sequence[Path], limit: int
) -> Radiographs:
    """Return the radiographs to send: fractures found when sent plainly, and as many normal ones.

    The normal ones are not chosen by their answer, so that those of the ways can be compared with the
    answers to the same radiographs sent plainly.

    Raises:
        InputError: no fracture is found, or there are too few normal ones.
    """
    fractures: list[np.ndarray] = []
    for path in positives:
        grey = read_grey(path)
        if outcome(predictor, png(grey)) is Outcome.FRACTURE:
            fractures.append(grey)
        if len(fractures) == limit:
            break
    count = len(fractures)
    normals = [read_grey(path) for path in negatives[: count + BESIDE]]
    if not count or len(normals) <= count:
        raise InputError("benchmarks.too_few_radiographs", found=count, normals=len(normals))
    return Radiographs(fractures, normals[:count], normals[count:])


def read_grey(path: Path) -> np.ndarray:
    """Read a radiograph, uint8 (height, width), no longer than LONGEST_SIDE."""
    pixels = decode(path.read_bytes()).pixels
    ratio = min(1.0, LONGEST_SIDE / max(pixels.shape))
    if ratio < 1:
        pixels = resize(pixels, *(round(side * ratio) for side in pixels.shape))
    return to_bytes(255 * pixels)


def send(predictor: Predictor, radiographs: Radiographs, ways: Sequence[Way], data: str) -> Battery:
    """Send every radiograph in every way, and plainly."""
    results = []
    with ThreadPoolExecutor(WORKERS) as pool:
        for way in tqdm([UPRIGHT, *ways], unit="way"):
            answers = [
                # The files are made by this thread: not every encoder may run in two.
                list(pool.map(partial(outcome, predictor), _files(way, group)))
                for group in (radiographs.fractures, radiographs.normals)
            ]
            results.append(WayResult.of(way, *answers))
    upright, *rest = results
    fractures, normals = len(radiographs.fractures), len(radiographs.normals)
    bundle = predictor.bundle
    facts = (
        f"{datetime.now(UTC):%Y-%m-%d}, {bundle.architecture} {bundle.sha256[:12]}, {data}: "
        f"{fractures} fractures of the test part that are found when sent plainly, {normals} normal "
        f"radiographs, {len(rest)} ways."
    )
    return Battery(facts, upright, rest)


def _files(way: Way, greys: Sequence[np.ndarray]) -> Iterator[bytes]:
    """Yield radiographs sent in one way; the random numbers depend on the way's name and the place."""
    for number, grey in enumerate(greys):
        yield way.send(grey, np.random.default_rng([zlib.crc32(way.name.encode()), number]))


def pattern_of(text: str) -> re.Pattern[str]:
    """Return the argparse type of a regular expression."""
    try:
        return re.compile(text)
    except re.error as fault:
        raise ArgumentTypeError(f"{text!r} is no regular expression: {fault}") from fault


def _matches(way: Way, pattern: re.Pattern[str] | None) -> bool:
    """Return whether a pattern matches a way's name or kind."""
    return pattern is None or any(map(pattern.search, (way.name, way.kind)))


if __name__ == "__main__":
    run(main)
