"""From files and folders to readings, in order: decoded ahead by threads, answered in batches."""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from utils.errors import InputError, UnreadableImage
from utils.files import read_file
from utils.formats import SUFFIXES, decode, may_be_image
from utils.gradcam import Outputs
from utils.imaging.radiograph import MEGAPIXEL, Limits, Radiograph
from utils.inference.predictor import Prediction, Predictor
from utils.preprocess import NetworkInput, network_input

# Decoded pixels that wait for the network at once, beside those being decoded.
_HELD_PIXELS = 64 * MEGAPIXEL
_WORKERS = min(4, os.cpu_count() or 1)


@dataclass(frozen=True, eq=False)
class Answer:
    """What came of one file: a reading or the error, never both."""

    path: Path
    reading: Prediction | None
    error: InputError | None


@dataclass(frozen=True, eq=False)
class _Decoded:
    """A file that could be decoded, with the milliseconds it took."""

    radiograph: Radiograph
    seen: NetworkInput
    timing: dict[str, float]


Look = _Decoded | InputError
Batch = list[tuple[Path, Look]]
_Computed = tuple[Outputs, float] | None


def find_files(paths: Sequence[Path]) -> list[Path]:
    """List the files that are meant by files and folders.

    A file that is named is taken as it is, and so is a path that does not exist, to be answered with
    its error. Of a folder, all files below it are taken, sorted, that may be images: whose first bytes
    are of a format in FORMATS, or whose name ends as those of such files do. Hidden files and folders, and
    links to folders, are passed over.

    Args:
        paths: files and folders.

    Returns:
        Files in the order of ``paths``; a folder without any image stands for itself.
    """
    found: list[Path] = []
    for path in paths:
        found += (_images_below(path) or [path]) if path.is_dir() else [path]
    return found


def predict_files(
    reader: Predictor, files: Iterable[Path], *, batch_size: int = 16, overlay: bool = False
) -> Iterator[Answer]:
    """Answer files in the order given.

    Args:
        reader: the loaded model.
        files: as ``find_files`` lists them.
        batch_size: images a forward pass.
        overlay: draw the map and its blend over the radiograph.

    Yields:
        An answer a file. A file that cannot be read has its error; the others are not affected.
    """
    size, limits = reader.bundle.preprocess.image_size, reader.limits
    pool = ThreadPoolExecutor(_WORKERS, thread_name_prefix="decode")
    network = ThreadPoolExecutor(1, thread_name_prefix="network")
    try:
        decoded = _decoded_ahead(pool, files, size, limits, batch_size)
        # The network computes a batch while the answers of the one before are made and taken.
        before: tuple[Batch, Future[_Computed]] | None = None
        for batch in _batches(decoded, batch_size):
            computed = network.submit(_compute, reader, batch)
            if before:
                yield from _answers(reader, before[0], before[1].result(), overlay)
            before = batch, computed
        if before:
            yield from _answers(reader, before[0], before[1].result(), overlay)
    finally:
        network.shutdown(cancel_futures=True)
        pool.shutdown(cancel_futures=True)


def overlay_name(path: Path) -> str:
    """Return a file name for a file's overlay: one for every path, without a separator, readable."""
    given = os.fsencode(path)
    plain = re.sub(r"[^A-Za-z0-9._-]+", "_", path.stem)[:80].lstrip(".") or "image"
    return f"{plain}-{hashlib.sha256(given).hexdigest()[:12]}.jpg"


def _images_below(folder: Path) -> list[Path]:
    """List the files below a folder that may be images, sorted by path."""
    found = []
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            path = Path(place, name)
            if not name.startswith(".") and _may_be_image(path):
                found.append(path)
    return sorted(found)


def _may_be_image(path: Path) -> bool:
    """Whether a file is to be answered: named like an image, be it with an error, or begins like one."""
    try:
        return may_be_image(path)
    except OSError:
        # Nothing is to be seen of it, so that its name decides.
        return path.suffix.lower() in SUFFIXES


def _decoded_ahead(
    pool: ThreadPoolExecutor, files: Iterable[Path], size: int, limits: Limits, ahead: int
) -> Iterator[tuple[Path, Look]]:
    """Decode files in the pool and yield them in order, ``ahead`` of them before they are wanted."""
    window: deque[tuple[Path, Future[Look]]] = deque()
    left = iter(files)
    exhausted = False
    while True:
        while not exhausted and (
            len(window) < _WORKERS or (len(window) < ahead and _held(window) < _HELD_PIXELS)
        ):
            path = next(left, None)
            if path is None:
                exhausted = True
            else:
                window.append((path, pool.submit(_look, path, size, limits)))
        if not window:
            return
        path, future = window.popleft()
        yield path, future.result()


def _held(window: Iterable[tuple[Path, Future[Look]]]) -> int:
    """Count the pixels of what is decoded and waits."""
    done = [future.result() for _, future in window if future.done()]
    return sum(look.radiograph.pixels.size for look in done if isinstance(look, _Decoded))


def _look(path: Path, size: int, limits: Limits) -> Look:
    """Read, decode and fit one file, or return why it cannot be."""
    started = time.perf_counter()
    try:
        radiograph = decode(_content(path, limits), limits=limits)
    except InputError as error:
        return error
    decoded = time.perf_counter()
    seen = network_input(radiograph, size)
    timing = {"decode": decoded - started, "fit": time.perf_counter() - decoded}
    return _Decoded(radiograph, seen, {name: 1000.0 * spent for name, spent in timing.items()})


def _content(path: Path, limits: Limits) -> bytes:
    """Read a file's bytes, or raise the error that answers it."""
    if path.is_dir():
        raise InputError(f"there is no image in the folder {path}")
    try:
        return read_file(path, limits.max_bytes)
    except FileNotFoundError:
        raise InputError(f"there is no file or folder {path}") from None
    except OSError as error:
        raise UnreadableImage(f"the file cannot be read: {error.strerror}") from error


def _batches(decoded: Iterable[tuple[Path, Look]], size: int) -> Iterator[Batch]:
    """Gather what is decoded into batches of ``size`` images, fewer where they are large."""
    batch: Batch = []
    for path, look in decoded:
        batch.append((path, look))
        images = [done for _, done in batch if isinstance(done, _Decoded)]
        held = sum(image.radiograph.pixels.size for image in images)
        if len(images) >= size or held >= _HELD_PIXELS:
            yield batch
            batch = []
    if batch:
        yield batch


def _compute(reader: Predictor, batch: Batch) -> _Computed:
    """Run the network over a batch's images; return its outputs and the milliseconds an image."""
    images = [done.seen.pixels for _, done in batch if isinstance(done, _Decoded)]
    if not images:
        return None
    started = time.perf_counter()
    outputs = reader.engine.run(np.stack(images))
    return outputs, 1000.0 * (time.perf_counter() - started) / len(images)


def _answers(
    reader: Predictor, batch: Batch, computed: _Computed, overlay: bool
) -> Iterator[Answer]:
    """Answer every file of a batch, in order."""
    row = 0
    for path, done in batch:
        if isinstance(done, InputError) or computed is None:
            assert isinstance(done, InputError)
            yield Answer(path, None, done)
            continue
        outputs, spent = computed
        timing = {**done.timing, "model": spent}
        reading = reader.answer(
            done.radiograph, done.seen.crop, outputs, row, timing, overlay=overlay, pictures=overlay
        )
        row += 1
        yield Answer(path, reading, None)
