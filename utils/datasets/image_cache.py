"""Turns samples on disk into a memory-mapped cache of fitted images, decoding each file once.

A cache is a folder of three files: ``images.npy`` (what ``preprocess.fit`` gave), ``thumbnails.npy`` (the
same at 64 pixels, for the search for duplicates, so that it does not depend on the input size) and
``index.json`` (what was learned of each file). Its name is a hash of all it depends on (files, their
lengths and times, size, version), so that a change of any of them makes another cache.
"""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from utils.datasets.sample import Sample
from utils.errors import DatasetError, InputError
from utils.files import read_file
from utils.formats import decode
from utils.imaging.geometry import Rectangle
from utils.imaging.radiograph import Limits
from utils.preprocess import VERSION, letterbox, network_input

log = logging.getLogger(__name__)

# To be raised whenever decoding changes what a file's pixels are: caches made before are then made anew.
CACHE_VERSION = 5
THUMBNAIL = 64
DEFAULT_CACHE = Path("data/.cache")


@dataclass(frozen=True)
class FileFacts:
    """What one look at a file taught.

    Args:
        sha256: of the file's bytes, hexadecimal.
        height, width: of the picture, pixels.
        truncated: the file ends early and its picture was filled in.
        crop: content crop: the part of the picture that the network sees.
    """

    sha256: str
    height: int
    width: int
    truncated: bool
    crop: Rectangle

    @property
    def key(self) -> str:
        """What lists of images seen name the file by."""
        return self.sha256[:16]


@dataclass(frozen=True, eq=False)
class PreparedImages:
    """The readable samples of a dataset, decoded and fitted.

    Args:
        samples: those that could be read, in the order they were given in.
        images: uint8 (n, size, size), memory-mapped.
        thumbnails: uint8 (n, 64, 64).
        files: what is known of each file.
        unreadable: sample id to the reason why it is not in ``samples``.
    """

    samples: tuple[Sample, ...]
    images: np.ndarray
    thumbnails: np.ndarray
    files: tuple[FileFacts, ...]
    unreadable: dict[str, str]


def prepare_images(
    samples: Sequence[Sample],
    size: int,
    cache: Path = DEFAULT_CACHE,
    *,
    limits: Limits | None = None,
    progress: bool = False,
) -> PreparedImages:
    """Decode and fit every sample once, or open the cache where that was done before.

    Args:
        samples: what to read; truncated files are read too and flagged.
        size: side of the fitted images, pixels.
        cache: folder under which caches lie, one folder a set of samples and size.
        limits: of bytes and pixels a file may have.
        progress: show a bar on stderr.

    Returns:
        The readable samples.

    Raises:
        DatasetError: not one of the files could be read.
    """
    key = _key(samples, size)
    digest = hashlib.sha256(json.dumps(key).encode()).hexdigest()
    folder = cache / f"{size}-{digest[:16]}"
    if not (folder / "index.json").is_file():
        _fill(folder, samples, size, limits or Limits(), progress)
    return _open(folder, samples)


def _key(samples: Sequence[Sample], size: int) -> dict[str, object]:
    """Return all that a cache depends on: versions, size, and each file's path, length and time.

    For a file that cannot be read, the reason stands for both, so that it is looked at again once it can.
    """
    files: list[list[object]] = []
    for sample in samples:
        path = sample.path
        try:
            stat = path.stat()
            if not os.access(path, os.R_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
            files.append([str(path.resolve()), stat.st_size, stat.st_mtime_ns])
        except OSError as error:
            files.append([str(path.absolute()), error.strerror])
    return {"cache": CACHE_VERSION, "preprocess": VERSION, "size": size, "files": files}


def _look(
    sample: Sample, size: int, limits: Limits
) -> tuple[FileFacts, np.ndarray, np.ndarray] | str:
    """Return a file's facts, fitted image and thumbnail, or why it cannot be read."""
    try:
        content = read_file(sample.path, limits.max_bytes)
        radiograph = decode(content, limits=limits, allow_truncated=True)
    except OSError as error:
        return f"the file cannot be read: {error.strerror}"
    except InputError as error:
        return str(error)
    seen = network_input(radiograph, size)
    facts = FileFacts(
        sha256=hashlib.sha256(content).hexdigest(),
        height=radiograph.height,
        width=radiograph.width,
        truncated=radiograph.truncated,
        crop=seen.crop,
    )
    # Thumbnails show the whole picture: what is a duplicate of what does not hang on margins.
    return facts, seen.pixels, letterbox(radiograph.pixels, THUMBNAIL)


def _fill(
    folder: Path, samples: Sequence[Sample], size: int, limits: Limits, progress: bool
) -> None:
    """Write a cache beside its place and move it there in one step, so that half a cache is none."""
    from tqdm import tqdm

    folder.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f"{folder.name}.", suffix=".part", dir=folder.parent))
    try:
        shape = (len(samples), size, size)
        images = np.lib.format.open_memmap(work / "images.npy", "w+", np.uint8, shape)
        thumbnails = np.zeros((len(samples), THUMBNAIL, THUMBNAIL), np.uint8)
        index: list[dict[str, object]] = []
        readable = 0
        with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
            looks = pool.map(lambda sample: _look(sample, size, limits), samples)
            for look in tqdm(looks, "decoding", len(samples), unit="image", disable=not progress):
                if isinstance(look, str):
                    index.append({"error": look})
                    continue
                facts, images[readable], thumbnails[readable] = look
                index.append(asdict(facts))
                readable += 1
        images.flush()
        np.save(work / "thumbnails.npy", thumbnails[:readable])
        (work / "index.json").write_text(json.dumps(index))
        _move(work, folder)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _move(work: Path, folder: Path) -> None:
    """Give a finished cache its name, unless another process was first."""
    try:
        work.rename(folder)
    except OSError:
        if not (folder / "index.json").is_file():
            raise


def _open(folder: Path, samples: Sequence[Sample]) -> PreparedImages:
    """Open a cache; its rows are the readable files, in order."""
    index = json.loads((folder / "index.json").read_text())
    unreadable = {
        sample.id: entry["error"]
        for sample, entry in zip(samples, index, strict=True)
        if "error" in entry
    }
    readable = [row for row, entry in enumerate(index) if "error" not in entry]
    if not readable:
        reason = next(iter(unreadable.values()), "there are none")
        raise DatasetError(f"none of the {len(samples)} images could be read; the first: {reason}")
    if unreadable:
        log.warning("left out %d of %d images as unreadable", len(unreadable), len(samples))
    return PreparedImages(
        samples=tuple(samples[row] for row in readable),
        images=np.load(folder / "images.npy", mmap_mode="r")[: len(readable)],
        thumbnails=np.load(folder / "thumbnails.npy"),
        files=tuple(
            FileFacts(**{**index[row], "crop": Rectangle(**index[row]["crop"])}) for row in readable
        ),
        unreadable=unreadable,
    )
