"""Models and pictures of the benchmarks: shipped or untrained networks, drawn or given files."""

from __future__ import annotations

import logging
import subprocess
import sys
from argparse import Namespace
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import machine
from benchmarks.servers import Server, serve_app
from tests.support.bundles import tiny_bundle
from tests.support.pictures import draw_radiograph, encode
from utils.cli import Parser
from utils.errors import InputError, SetupError
from utils.model.bundle import read_bundle
from utils.model_builder import FINE

log = logging.getLogger(__name__)

# The network that the targets are for.
BARRED = "densenet121"
SHIPPED = Path("models/best_model.h5")
# Without a shipped model: train.py's default.
DEFAULT_SIZE = 320
REGIONS = ("hand", "leg", "hip", "shoulder")
HEIGHT, WIDTH = 454, 373
LARGE_HEIGHT, LARGE_WIDTH = 2880, 2304


def add_server_flags(make: Parser, *, model: str = "the shipped model, for its input size") -> None:
    """Add the flags of the served app; ``model`` is the help text of the first."""
    add = make.add_argument
    add("--model", type=Path, default=SHIPPED, help=model)
    add("--flags", default="", help='more of the app\'s gunicorn flags, as in "-w 4"')
    add("--set", nargs="*", default=[], metavar="FRACTURE_NAME=VALUE", help="more of its settings")


@contextmanager
def serve_first(
    flags: Namespace, folder: Path, pictures: Sequence[Path]
) -> Iterator[tuple[Server, dict[str, Any]]]:
    """Run the app with the first of the models until the block ends, after its first answer.

    Yields:
        The server, and the results' description of machine and model.
    """
    model = models(flags.model, folder)[0]
    bundle = read_bundle(model)
    size = bundle.preprocess.image_size
    description = {"machine": machine.facts(), "model": f"{bundle.architecture} at {size} pixels"}
    more, changes = flags.flags.split(), settings_of(flags.set)
    with serve_app(model, folder, folder / "cache", flags=more, changes=changes) as server:
        server.first_answer(pictures[0].read_bytes())
        yield server, description


def settings_of(given: list[str]) -> dict[str, str]:
    """Return NAME=VALUE arguments as settings."""
    pairs = [one.split("=", 1) for one in given]
    if any(len(pair) != 2 or not pair[0].startswith("FRACTURE_") for pair in pairs):
        raise InputError("benchmarks.set")
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
    model = untrained(BARRED, size, FINE, folder)
    return [model, *([shipped.resolve()] if shipped.is_file() else [])]


def untrained(architecture: str, size: int, detail: str, folder: Path) -> Path:
    """Make a bundle with random weights in ``folder``, and return its model file."""
    # In a separate process, which keeps TensorFlow's threads and memory out of the benchmark.
    command = [sys.executable, __file__, architecture, str(size), detail, str(folder)]
    done = subprocess.run(command, check=False, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        raise SetupError("benchmarks.no_untrained_network", log=done.stderr[-1000:])
    return folder / "best_model.h5"


def _write(architecture: str, size: str, detail: str, folder: str) -> None:
    shape: dict[str, Any] = {"image_size": int(size), "detail": detail, "regions": REGIONS}
    tiny_bundle(Path(folder), architecture=architecture, **shape)


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
            raise InputError("benchmarks.no_pictures", folder=given)
        return found[:: max(1, len(found) // 64)][:64], large
    for seed in range(8):
        content = encode(draw_radiograph(HEIGHT, WIDTH, seed=seed), "JPEG", quality=90)
        (drawn / f"{seed}.jpg").write_bytes(content)
    return sorted(drawn.glob("[0-9].jpg")), large


def describe(pictures: list[Path], given: Path | None) -> str:
    """Return a description of the pictures."""
    size = sum(path.stat().st_size for path in pictures) / len(pictures) / 1000
    kind = f"drawn JPEGs of {WIDTH} x {HEIGHT} pixels" if given is None else "given pictures"
    return f"{len(pictures)} {kind}, {size:.0f} kB each on average"


if __name__ == "__main__":
    _write(*sys.argv[1:])
