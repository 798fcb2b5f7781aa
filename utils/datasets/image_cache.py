"""Memory-mapped cache of images fitted to the network's input, each file decoded once.

A cache is a folder of three files: ``images.npy`` (from ``preprocess.network_input``), ``thumbnails.npy``
(64 pixels, for the search for duplicates, so that it does not depend on the input size) and ``index.json``
(facts of each file, or the reason why it cannot be read). Its name is a hash of all it depends on (files,
their lengths and times, size, version), so that a change of any of them makes another cache.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import TypeAdapter

from utils.datasets.duplicates import THUMBNAIL_SIZE
from utils.datasets.sample import Sample
from utils.errors import DatasetError, InputError
from utils.files import PART, read_file
from utils.formats import decode
from utils.imaging.brightness import Brightness
from utils.imaging.geometry import Rectangle, fitted_boxes, placement
from utils.imaging.radiograph import Limits
from utils.messages import sentence
from utils.preprocess import VERSION, letterbox, network_input

log = logging.getLogger(__name__)

# To be raised whenever decoding changes a file's pixels: caches made before are then made anew.
CACHE_VERSION = 7
DEFAULT_CACHE = Path("data/.cache")

_INDEX = "index.json"
_LOGGED_REASONS = 5
_LOGGED_NAMES = 3  # for each reason


@dataclass(frozen=True)
class FileFacts:
    """Facts of one file, found while it was decoded.

    Args:
        sha256: of the file's bytes, hexadecimal.
        height, width: of the picture, pixels.
        truncated: the file ends early and its picture was filled in.
        crop: content crop, the part of the picture that the network sees.
        brightness: of the crop.
    """

    sha256: str
    height: int
    width: int
    truncated: bool
    crop: Rectangle
    brightness: Brightness

    @property
    def key(self) -> str:
        """Name of the file in training manifests."""
        return self.sha256[:16]


@dataclass(frozen=True, eq=False)
class PreparedImages:
    """The readable samples of a dataset, decoded and fitted.

    Args:
        samples: those that could be read, in the order they were given in.
        images: uint8 (n, size, size), memory-mapped.
        thumbnails: uint8 (n, 64, 64).
        files: facts of each file.
        unreadable: sample id to the reason why it is not in ``samples``.
    """

    samples: tuple[Sample, ...]
    images: np.ndarray
    thumbnails: np.ndarray
    files: tuple[FileFacts, ...]
    unreadable: dict[str, str]

    def place(self, row: int) -> Rectangle:
        """Return where the radiograph lies in its fitted image."""
        crop = self.files[row].crop
        return placement(crop.height, crop.width, self.images.shape[1])

    def boxes(self, row: int) -> np.ndarray:
        """Return the marked boxes in pixels of the fitted image, see ``geometry.fitted_boxes``."""
        return fitted_boxes(self.samples[row].boxes, self.files[row].crop, self.images.shape[1])


def prepare_images(
    samples: Sequence[Sample], size: int, cache: Path = DEFAULT_CACHE, *, progress: bool = False
) -> PreparedImages:
    """Decode and fit every sample once, or open the cache where that was done before.

    Args:
        samples: what to read; truncated files are read too and flagged.
        size: side of the fitted images, pixels.
        cache: folder under which caches lie, one folder a set of samples and size.
        progress: show a bar on stderr.

    Returns:
        The readable samples.

    Raises:
        DatasetError: not one of the files could be read.
    """
    digest = hashlib.sha256(json.dumps(_key(samples, size)).encode()).hexdigest()
    folder = cache / f"{size}-{digest[:16]}"
    if not (folder / _INDEX).is_file():
        _fill(folder, samples, size, progress)
    return _open(folder, samples)


def _key(samples: Sequence[Sample], size: int) -> dict[str, object]:
    """Return all that a cache depends on: versions, size, and each file's path, length, time and access."""
    files: list[list[object]] = []
    for sample in samples:
        path = sample.path
        try:
            stat, readable = path.stat(), os.access(path, os.R_OK)
            files.append([str(path.resolve()), stat.st_size, stat.st_mtime_ns, readable])
        except OSError as error:
            files.append([str(path.absolute()), error.strerror])
    return {"cache": CACHE_VERSION, "preprocess": VERSION, "size": size, "files": files}


def _prepare(path: Path, size: int) -> tuple[FileFacts, np.ndarray, np.ndarray] | str:
    """Return a file's facts, fitted image and thumbnail, or the reason why it cannot be read."""
    limits = Limits()
    try:
        content = read_file(path, limits.max_bytes)
        radiograph = decode(content, limits=limits, allow_truncated=True)
    except OSError as error:
        return sentence("datasets.file_unreadable", reason=error.strerror)
    except InputError as error:
        return str(error)
    fitted = network_input(radiograph, size)
    facts = FileFacts(
        sha256=hashlib.sha256(content).hexdigest(),
        height=radiograph.height,
        width=radiograph.width,
        truncated=radiograph.truncated,
        crop=fitted.crop,
        brightness=fitted.brightness,
    )
    # Thumbnails show the whole picture: whether two are duplicates does not depend on their margins.
    return facts, fitted.pixels, letterbox(radiograph.pixels, THUMBNAIL_SIZE)


def _fill(folder: Path, samples: Sequence[Sample], size: int, progress: bool) -> None:
    """Write a cache beside its place and move it there in one step, so that half a cache is none."""
    from joblib import cpu_count
    from tqdm import tqdm

    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(PART, f"{folder.name}.", folder.parent) as name:
        part = Path(name)
        shape = (len(samples), size, size)
        images = np.lib.format.open_memmap(part / "images.npy", "w+", np.uint8, shape)
        thumbnails = np.zeros((len(samples), THUMBNAIL_SIZE, THUMBNAIL_SIZE), np.uint8)
        index: list[FileFacts | str] = []
        readable = 0
        with ThreadPoolExecutor(max_workers=cpu_count()) as pool:
            prepared = pool.map(lambda sample: _prepare(sample.path, size), samples)
            for one in tqdm(prepared, "decoding", len(samples), unit="image", disable=not progress):
                if isinstance(one, str):
                    index.append(one)
                    continue
                facts, images[readable], thumbnails[readable] = one
                index.append(facts)
                readable += 1
        images.flush()
        np.save(part / "thumbnails.npy", thumbnails[:readable])
        (part / _INDEX).write_bytes(TypeAdapter(list[FileFacts | str]).dump_json(index))
        try:
            part.rename(folder)
        except OSError:
            # Another process may have been first.
            if not (folder / _INDEX).is_file():
                raise


def _open(folder: Path, samples: Sequence[Sample]) -> PreparedImages:
    """Open a cache; its rows are the readable files, in order."""
    content = (folder / _INDEX).read_bytes()
    index = TypeAdapter(list[FileFacts | str]).validate_json(content)
    entries = list(zip(samples, index, strict=True))
    unreadable = {sample.id: entry for sample, entry in entries if isinstance(entry, str)}
    readable = [(sample, entry) for sample, entry in entries if isinstance(entry, FileFacts)]
    if not readable:
        reason = next(iter(unreadable.values()), sentence("datasets.no_samples"))
        raise DatasetError("datasets.none_readable", count=len(samples), reason=reason)
    if unreadable:
        left_out = f"{len(unreadable)} of {len(samples)}"
        log.warning("left out %s images as unreadable: %s", left_out, _by_reason(unreadable))
    return PreparedImages(
        samples=tuple(sample for sample, _ in readable),
        images=np.load(folder / "images.npy", mmap_mode="r")[: len(readable)],
        thumbnails=np.load(folder / "thumbnails.npy"),
        files=tuple(facts for _, facts in readable),
        unreadable=unreadable,
    )


def _by_reason(unreadable: Mapping[str, str]) -> str:
    """Return the most frequent reasons with their counts and the first ids of each."""
    ids_of: defaultdict[str, list[str]] = defaultdict(list)
    for sample_id, reason in unreadable.items():
        ids_of[reason].append(sample_id)
    frequent = sorted(ids_of.items(), key=lambda item: -len(item[1]))
    return "; ".join(
        f"{len(ids)} x {reason} ({', '.join(ids[:_LOGGED_NAMES])}{', ...' * (len(ids) > _LOGGED_NAMES)})"
        for reason, ids in frequent[:_LOGGED_REASONS]
    )
