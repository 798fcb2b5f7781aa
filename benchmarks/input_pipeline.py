"""Throughput of the training's input pipeline beside the training step that it feeds.

    python benchmarks/input_pipeline.py --model mobilenetv2 --image_size 320

Three rates, images a second, one after the other on this machine: decoding and fitting drawn radiographs
into a fresh cache (done once a dataset), feeding batches from the cache through augmentation and scaling
(done every epoch), and the bare training step on a prepared batch. Prints one line of JSON.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import keras
import numpy as np

from tests.support.pictures import draw_radiograph, encode
from utils.cli import DONE, Parser, run
from utils.datasets.image_cache import prepare_images
from utils.datasets.sample import Sample
from utils.imaging.geometry import Box, Rectangle, fitted_boxes
from utils.model.architectures import ARCHITECTURES
from utils.model.fused_batch_norm import with_fused_batch_norm
from utils.model_builder import FINE, LOGIT, batch_norms, build_model
from utils.preprocess import PreprocessSpec
from utils.training.augmentation.variation import VARIATIONS
from utils.training.batches import FITTED, Batches
from utils.training.graph import Scale

IMAGES = 256
SECONDS = 8.0
# Of the drawn radiographs: the size that most of FracAtlas has, pixels, and a lesion of usual size.
HEIGHT, WIDTH = 454, 373
CROP = Rectangle(0, 0, HEIGHT, WIDTH)
LESION = Box(180.0, 220.0, 24.0, 30.0)


def main() -> int:
    """Measure and print."""
    make = Parser(__doc__)
    make.add_argument("--model", default="mobilenetv2", help=", ".join(ARCHITECTURES))
    make.add_argument("--image_size", type=int, default=320, help="pixels")
    make.add_argument(
        "--augmentation",
        default="strong",
        choices=tuple(VARIATIONS),
        help="variation of the images",
    )
    make.add_argument("--batch_size", type=int, default=32, help="images a step")
    make.add_argument(
        "--batch_norm", choices=("hold", "train"), default="hold", help="its statistics"
    )
    make.add_argument("--plain_norm", action="store_true", help="Keras's own batch normalisation")
    make.add_argument("--mixed_precision", action="store_true", help="compute in bfloat16")
    flags = make.parse_args()
    spec = PreprocessSpec(flags.image_size, ARCHITECTURES[flags.model].scaling)
    with tempfile.TemporaryDirectory() as folder:
        samples = draw(Path(folder))
        started = time.perf_counter()
        prepared = prepare_images(samples, flags.image_size, Path(folder) / "cache")
        decoding = IMAGES / (time.perf_counter() - started)
        labels = np.array([sample.label for sample in samples])
        boxes = fitted_boxes([LESION], CROP, flags.image_size)
        batches = Batches(
            prepared.images,
            range(IMAGES),
            labels,
            regions=None,
            boxes=lambda row: boxes if labels[row] else boxes[:0],
            places=prepared.place,
            location=True,
            variation=VARIATIONS[flags.augmentation],
            batch_size=flags.batch_size,
        )
        feeding = flags.batch_size * rate(feeder(batches, spec))
    if flags.mixed_precision:
        keras.config.set_dtype_policy("mixed_bfloat16")
    step = trainer(
        flags.model,
        spec,
        flags.batch_size,
        holds=flags.batch_norm == "hold",
        plain=flags.plain_norm,
    )
    training = flags.batch_size * rate(step)
    answer = {
        "model": flags.model,
        "image_size": flags.image_size,
        "augmentation": flags.augmentation,
        "backend": keras.config.backend(),
        "batch_norm": f"{flags.batch_norm}, {'plain' if flags.plain_norm else 'fused'}",
        "precision": "bfloat16" if flags.mixed_precision else "float32",
        "decoding_images_per_second": round(decoding, 1),
        "feeding_images_per_second": round(feeding, 1),
        "training_step_images_per_second": round(training, 1),
        "feeding_times_training": round(feeding / training, 1),
    }
    print(json.dumps(answer))
    return DONE


def draw(folder: Path) -> list[Sample]:
    """Write drawn radiographs of the size that most of FracAtlas has."""
    samples = []
    for number in range(IMAGES):
        path = folder / f"{number}.jpg"
        path.write_bytes(encode(draw_radiograph(HEIGHT, WIDTH, seed=number), "JPEG"))
        samples.append(Sample(path, path.name, number % 2, path.name))
    return samples


def feeder(batches: Batches, spec: PreprocessSpec) -> Callable[[], object]:
    """Return a function that makes the network's next input batch."""
    size = spec.image_size
    fitted = keras.Input((size, size, 1), dtype="uint8")
    model = keras.Model(fitted, Scale(spec.scaling)(fitted))
    position = iter(range(10**9))

    def feed() -> object:
        inputs, _, _ = batches[next(position) % len(batches)]
        return model.predict_on_batch(inputs[FITTED])

    return feed


def trainer(
    architecture: str, spec: PreprocessSpec, batch_size: int, *, holds: bool, plain: bool
) -> Callable[[], object]:
    """Return a function that takes one training step on a batch that is already scaled."""
    network = build_model(architecture, spec.image_size, detail=FINE)
    network = network if plain else with_fused_batch_norm(network)
    for layer in batch_norms(network):
        layer.trainable = not holds
    loss = {LOGIT: keras.losses.BinaryCrossentropy(from_logits=True)}
    network.compile(keras.optimizers.AdamW(1e-4), loss)
    random = np.random.default_rng(0)
    inputs = random.normal(size=(batch_size, spec.image_size, spec.image_size, 3)).astype(
        np.float32
    )
    targets = {LOGIT: random.integers(0, 2, (batch_size, 1)).astype(np.float32)}
    return lambda: network.train_on_batch(inputs, targets)


def rate(step: Callable[[], object]) -> float:
    """Return the steps a second, after two that warm it up."""
    step(), step()
    started, done = time.perf_counter(), 0
    while time.perf_counter() - started < SECONDS:
        step()
        done += 1
    return done / (time.perf_counter() - started)


if __name__ == "__main__":
    run(main)
