"""Measure what cutting frames off does: what is lost by it, and how a framed radiograph is answered.

    python benchmarks/frames.py --data data/FracAtlas

Counts the radiographs of which something is cut off, and the marked lesions that are not seen whole for it;
then reads every positive radiograph of the test part as it is and between the black bars of a phone's screen.
Prints one line of JSON.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from config import ROOT
from utils.cli import DONE, Parser, run
from utils.datasets.readers import READERS
from utils.datasets.training_set import read_training_set
from utils.formats import decode
from utils.imaging.geometry import Box, Rectangle
from utils.inference.predictor import Predictor, load_predictor
from utils.preprocess import fit

# Height by width of a phone's screen.
SCREEN = 2340 / 1080


def main() -> int:
    """Measure and print."""
    make = Parser(__doc__)
    make.add_dataset(READERS)
    make.add_argument("--model", type=Path, default=ROOT / "models" / "best_model.h5")
    make.add_argument("--cache", type=Path, default=Path("data/.cache"), help="prepared images")
    flags = make.parse_args()
    reader = load_predictor(flags.model)
    corpus = read_training_set(
        flags.data,
        dataset=flags.dataset,
        regions=flags.region,
        size=reader.bundle.preprocess.image_size,
        seed=int(reader.bundle.training["split"]["seed"]),
        cache=flags.cache,
    )
    samples, files = corpus.prepared.samples, corpus.prepared.files
    cut = [file.crop != Rectangle(0, 0, file.height, file.width) for file in files]
    lost = [
        not _whole(box, file.crop)
        for sample, file in zip(samples, files, strict=True)
        for box in sample.boxes
    ]
    shown = [
        decode(samples[row].path.read_bytes()).pixels
        for row in corpus.rows["test"]
        if corpus.labels[row]
    ]
    answer = {
        "radiographs": len(files),
        "cut": sum(cut),
        "lesions": len(lost),
        "lesions_not_seen_whole": sum(lost),
        "test_positives": len(shown),
        "sensitivity": _sensitivity(reader, shown),
        "sensitivity_between_bars": _sensitivity(reader, list(_between_bars(shown))),
    }
    print(json.dumps(answer))
    return DONE


def _whole(box: Box, view: Rectangle) -> bool:
    """Whether a lesion lies in what is seen, give or take two pixels."""
    beyond = (
        view.left - box.x,
        view.top - box.y,
        box.x + box.width - view.left - view.width,
        box.y + box.height - view.top - view.height,
    )
    return max(beyond) <= 2


def _between_bars(pictures: Sequence[np.ndarray]) -> Iterator[np.ndarray]:
    """Yield pictures, float32 (height, width), between black bars on a tall screen."""
    for picture in pictures:
        height, width = picture.shape
        bar = max(0, round(width * SCREEN) - height) // 2
        yield np.pad(picture, ((bar, bar), (0, 0)))


def _sensitivity(reader: Predictor, pictures: Sequence[np.ndarray]) -> float:
    """Return the share of pictures that are answered as positive."""
    bundle = reader.bundle
    fitted = [fit(picture, bundle.preprocess.image_size) for picture in pictures]
    logits = np.array([float(reader.engine.run(one[None]).logit[0]) for one in fitted])
    found = bundle.calibration.probability(logits) >= bundle.threshold
    return round(float(np.mean(found)), 4)


if __name__ == "__main__":
    run(main)
