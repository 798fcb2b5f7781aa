"""Effect of the content crop: lesions that it cuts, and sensitivity with and without added borders.

    python benchmarks/borders.py --data data/FracAtlas

Counts the radiographs that are cropped, and the marked lesions that the crop does not hold whole; then
predicts every positive radiograph of the test part as it is and between the black bars of a phone's screen.
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
from utils.datasets.image_cache import DEFAULT_CACHE
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
    parser = Parser(__doc__)
    parser.add_dataset(READERS)
    parser.add_argument("--model", type=Path, default=ROOT / "models" / "best_model.h5")
    parser.add_argument("--cache", type=Path, default=DEFAULT_CACHE, help="prepared images")
    flags = parser.parse_args()
    predictor = load_predictor(flags.model)
    data = read_training_set(
        flags.data,
        dataset=flags.dataset,
        regions=flags.region,
        size=predictor.bundle.preprocess.image_size,
        seed=int(predictor.bundle.training["split"]["seed"]),
        cache=flags.cache,
    )
    samples, files = data.prepared.samples, data.prepared.files
    cropped = [file.crop != Rectangle(0, 0, file.height, file.width) for file in files]
    cut = [
        not _holds(file.crop, box)
        for sample, file in zip(samples, files, strict=True)
        for box in sample.boxes
    ]
    positives = [
        decode(samples[row].path.read_bytes()).pixels
        for row in data.rows["test"]
        if data.labels[row]
    ]
    figures = {
        "radiographs": len(files),
        "cropped": sum(cropped),
        "lesions": len(cut),
        "lesions_cut": sum(cut),
        "test_positives": len(positives),
        "sensitivity": _sensitivity(predictor, positives),
        "sensitivity_between_bars": _sensitivity(predictor, list(_between_bars(positives))),
    }
    print(json.dumps(figures))
    return DONE


def _holds(crop: Rectangle, box: Box) -> bool:
    """Return whether a lesion lies in the content crop, give or take two pixels."""
    beyond = (
        crop.left - box.x,
        crop.top - box.y,
        box.x + box.width - crop.left - crop.width,
        box.y + box.height - crop.top - crop.height,
    )
    return max(beyond) <= 2


def _between_bars(pictures: Sequence[np.ndarray]) -> Iterator[np.ndarray]:
    """Yield pictures, float32 (height, width), between black bars on a tall screen."""
    for picture in pictures:
        height, width = picture.shape
        bar = max(0, round(width * SCREEN) - height) // 2
        yield np.pad(picture, ((bar, bar), (0, 0)))


def _sensitivity(predictor: Predictor, pictures: Sequence[np.ndarray]) -> float:
    """Return the share of pictures that are predicted positive."""
    bundle = predictor.bundle
    fitted = [fit(picture, bundle.preprocess.image_size) for picture in pictures]
    logits = np.array([bundle.logits(predictor.engine.run(one[None]))[0] for one in fitted])
    found = bundle.calibration.probability(logits) >= bundle.threshold
    return round(float(np.mean(found)), 4)


if __name__ == "__main__":
    run(main)
