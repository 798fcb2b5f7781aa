"""Predictions for files and folders, in order: decoded ahead by threads, computed in batches."""

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
from utils.formats import SUFFIXES, may_be_image
from utils.gradcam import Outputs
from utils.imaging.radiograph import MEGAPIXEL, Limits
from utils.inference.prediction import Prediction
from utils.inference.predictor import DecodedFile, Predictor

# Decoded pixels that wait for the network at once, beside those being decoded.
_HELD_PIXELS = 64 * MEGAPIXEL
_WORKERS = min(4, os.cpu_count() or 1)


@dataclass(frozen=True, eq=False)
class FileResult:
    """Result of one file: its prediction or its error."""

    path: Path
    prediction: Prediction | None = None
    error: InputError | None = None


# A file that cannot be decoded is an error already.
_File = tuple[Path, DecodedFile | InputError]
# Outputs of a batch and the milliseconds an image; None for a batch without an image.
_Computed = tuple[Outputs, float] | None


def find_files(paths: Sequence[Path]) -> list[Path]:
    """List files, and the images below folders.

    A file that is named is taken as it is, and so is a path that does not exist, for its error. Below a
    folder all files are taken, sorted, that may be images by their first bytes or their suffix. Hidden files
    and folders, and links to folders, are skipped. A folder without any image stands for itself.
    """
    found: list[Path] = []
    for path in paths:
        found += (_images_below(path) or [path]) if path.is_dir() else [path]
    return found


def predict_files(
    predictor: Predictor, files: Iterable[Path], *, batch_size: int = 16, overlay: bool = False
) -> Iterator[FileResult]:
    """Predict for files, in the order given.

    Args:
        predictor: the loaded model.
        files: as ``find_files`` lists them.
        batch_size: images a forward pass.
        overlay: draw the map and its blend over the radiograph.

    Yields:
        A result a file. The error of one file does not affect the others.
    """
    pool = ThreadPoolExecutor(_WORKERS, thread_name_prefix="decode")
    network = ThreadPoolExecutor(1, thread_name_prefix="network")
    try:
        # The network computes a batch while the results of the previous one are drawn.
        previous: tuple[list[_File], Future[_Computed]] | None = None
        for batch in _batches(_decode_ahead(pool, predictor, files, batch_size), batch_size):
            computed = network.submit(_compute, predictor, batch)
            if previous:
                yield from _results(predictor, previous[0], previous[1].result(), overlay)
            previous = batch, computed
        if previous:
            yield from _results(predictor, previous[0], previous[1].result(), overlay)
    finally:
        network.shutdown(cancel_futures=True)
        pool.shutdown(cancel_futures=True)


def overlay_name(path: Path) -> str:
    """Return the file name of a path's overlay: unique, without a separator, readable."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "_", path.stem)[:80].lstrip(".") or "image"
    return f"{plain}-{hashlib.sha256(os.fsencode(path)).hexdigest()[:12]}.jpg"


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
    """Return whether a file looks like an image; by its suffix alone where it cannot be read."""
    try:
        return may_be_image(path)
    except OSError:
        return path.suffix.lower() in SUFFIXES


def _decode_ahead(
    pool: ThreadPoolExecutor, predictor: Predictor, files: Iterable[Path], ahead: int
) -> Iterator[_File]:
    """Decode files in the pool, up to ``ahead`` of them in advance, and yield them in order."""
    window: deque[Future[_File]] = deque()
    remaining = iter(files)
    path = next(remaining, None)
    while path is not None or window:
        while path is not None and (
            len(window) < _WORKERS
            or (
                len(window) < ahead
                and _pixels(task.result() for task in window if task.done()) < _HELD_PIXELS
            )
        ):
            window.append(pool.submit(_decode, path, predictor))
            path = next(remaining, None)
        yield window.popleft().result()


def _decoded(files: Iterable[_File]) -> list[DecodedFile]:
    """Return those of the files that could be decoded."""
    return [file for _, file in files if isinstance(file, DecodedFile)]


def _pixels(files: Iterable[_File]) -> int:
    """Return the number of pixels of decoded files."""
    return sum(file.radiograph.pixels.size for file in _decoded(files))


def _decode(path: Path, predictor: Predictor) -> _File:
    """Read and decode one file, or return its error."""
    try:
        return path, predictor.decode(_content(path, predictor.limits))
    except InputError as error:
        return path, error


def _content(path: Path, limits: Limits) -> bytes:
    """Return a file's bytes.

    Raises:
        InputError: it cannot be read, or is a folder without an image.
    """
    if path.is_dir():
        raise InputError("inference.empty_folder", path=path)
    try:
        return read_file(path, limits.max_bytes)
    except FileNotFoundError:
        raise InputError("inference.no_such_file", path=path) from None
    except OSError as error:
        raise UnreadableImage("inference.unreadable_file", reason=error.strerror) from error


def _batches(files: Iterable[_File], size: int) -> Iterator[list[_File]]:
    """Group files into batches of ``size`` images, fewer where they are large."""
    batch: list[_File] = []
    for file in files:
        batch.append(file)
        if len(_decoded(batch)) >= size or _pixels(batch) >= _HELD_PIXELS:
            yield batch
            batch = []
    if batch:
        yield batch


def _compute(predictor: Predictor, batch: list[_File]) -> _Computed:
    """Run the network on a batch's images."""
    images = [file.fitted.pixels for file in _decoded(batch)]
    if not images:
        return None
    started = time.perf_counter()
    outputs = predictor.engine.run(np.stack(images))
    return outputs, 1000.0 * (time.perf_counter() - started) / len(images)


def _results(
    predictor: Predictor, batch: list[_File], computed: _Computed, overlay: bool
) -> Iterator[FileResult]:
    """Yield the result of every file of a batch, in order."""
    row = 0
    for path, file in batch:
        if isinstance(file, InputError):
            yield FileResult(path, error=file)
            continue
        assert computed is not None
        prediction = predictor.predict_outputs(
            file, computed[0], row, computed[1], overlay=overlay, pictures=overlay
        )
        row += 1
        yield FileResult(path, prediction)
