"""What is measured and what is sent: the networks, and pictures drawn or given."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.bundles import tiny_bundle
from tests.pictures import draw_radiograph, encode
from utils.bundle import read_bundle
from utils.errors import InputError, SetupError
from utils.model_builder import FINE

log = logging.getLogger(__name__)

# The network that the bars are about.
BARRED = "densenet121"
SHIPPED = Path("models/best_model.h5")
# Where no model is shipped: what train.py makes by default.
DEFAULT_SIZE = 320
REGIONS = ("hand", "leg", "hip", "shoulder")
HEIGHT, WIDTH = 454, 373
LARGE_HEIGHT, LARGE_WIDTH = 2880, 2304


def settings_of(given: list[str]) -> dict[str, str]:
    """Return NAME=VALUE arguments as settings."""
    pairs = [one.split("=", 1) for one in given]
    if any(len(pair) != 2 or not pair[0].startswith("FRACTURE_") for pair in pairs):
        raise InputError("--set takes FRACTURE_NAME=VALUE")
    return dict(pairs)


def models(shipped: Path, folder: Path) -> list[Path]:
    """Return DenseNet121 at the shipped size first, and the shipped model where it is another network."""
    size = DEFAULT_SIZE
    if shipped.is_file():
        bundle = read_bundle(shipped)
        size = bundle.preprocess.image_size
        if bundle.architecture == BARRED:
            return [shipped.resolve()]
    log.info("making an untrained %s at %d pixels", BARRED, size)
    # In a process of its own, so that TensorFlow's threads and memory stay out of the benchmark.
    command = [sys.executable, __file__, str(folder / BARRED), str(size)]
    done = subprocess.run(command, check=False, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        raise SetupError(f"the untrained network could not be made: {done.stderr[-1000:]}")
    return [folder / BARRED / "best_model.h5", *([shipped.resolve()] if shipped.is_file() else [])]


def make_untrained(folder: Path, size: int) -> None:
    """Write the bundle; in a process of its own, so that TensorFlow's threads stay out of the benchmark."""
    folder.mkdir()
    tiny_bundle(folder, architecture=BARRED, image_size=size, regions=REGIONS, detail=FINE)


def make_pictures(folder: Path, given: Path | None) -> tuple[list[Path], Path]:
    """Return the pictures to send, given or drawn, and a large one."""
    drawn = folder / "drawn"
    drawn.mkdir()
    large = drawn / "large.jpg"
    large.write_bytes(
        encode(draw_radiograph(LARGE_HEIGHT, LARGE_WIDTH, seed=9), "JPEG", quality=90)
    )
    if given is not None:
        found = sorted(
            path for path in given.rglob("*") if path.suffix in (".jpg", ".jpeg", ".png")
        )
        if not found:
            raise InputError(f"there is no JPEG or PNG below {given}")
        return found[:: max(1, len(found) // 64)][:64], large
    for seed in range(8):
        content = encode(draw_radiograph(HEIGHT, WIDTH, seed=seed), "JPEG", quality=90)
        (drawn / f"{seed}.jpg").write_bytes(content)
    return sorted(drawn.glob("[0-9].jpg")), large


def describe(pictures: list[Path], given: Path | None) -> str:
    """Say in words what is sent."""
    size = sum(path.stat().st_size for path in pictures) / len(pictures) / 1000
    kind = f"drawn JPEGs of {WIDTH} x {HEIGHT} pixels" if given is None else "given pictures"
    return f"{len(pictures)} {kind}, {size:.0f} kB each on average"


if __name__ == "__main__":
    make_untrained(Path(sys.argv[1]), int(sys.argv[2]))
