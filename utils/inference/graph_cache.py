"""Turns a bundle into its OpenVINO graph: from this user's cache, or by an export in a child process.

A graph is code that will be run, so it is taken only from a folder that nobody else can write to. An entry
is one file, moved into place whole: a header with its checksum, the weights, the graph. What is missing,
stale or damaged is exported anew; what cannot be kept is used by this process alone.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from utils.errors import BundleError
from utils.inference.graph_export import BUNDLE_FAULT, DONE, EXPORT_VERSION, GRAPH, WEIGHTS
from utils.inference.openvino_runtime import EngineUnavailable, installed_version
from utils.model.bundle import Bundle

log = logging.getLogger(__name__)

ROOT = Path(__file__).resolve().parents[2]
# A page: the weights behind it stay aligned.
_HEADER = 4096
# Takes some ten seconds on two idle cores; many workers starting on few busy cores take minutes.
_EXPORT_SECONDS = 300
_KEPT_ENTRIES = 8
_ABANDONED_SECONDS = 3600
_WORK = "export-"


@dataclass(frozen=True, eq=False)
class Graph:
    """A bundle's network in OpenVINO's form.

    Args:
        xml: the graph.
        weights: uint8 (bytes,), what the graph refers to.
        fresh: it was exported just now, so exporting it again would change nothing.
    """

    xml: bytes
    weights: np.ndarray
    fresh: bool


def default_cache() -> Path:
    """Return this user's folder for graphs below the system's folder for temporary files.

    It needs no home folder, which services often lack, and what is lost with a restart of the machine
    is made again in seconds.

    Raises:
        FileNotFoundError: there is no folder for temporary files that can be written.
    """
    owner = str(os.getuid()) if hasattr(os, "getuid") else "graphs"
    return Path(tempfile.gettempdir()) / f"fracture-detector-{owner}"


def load_graph(bundle: Bundle, cache: Path | None = None, *, anew: bool = False) -> Graph:
    """Return a bundle's graph from the cache; export it first where it is not there.

    Processes that need the same graph at once wait for the one that exports it. Its lock is the
    kernel's, so it ends with the process that holds it.

    Args:
        bundle: a checked bundle.
        cache: folder of the graphs; None for ``default_cache``.
        anew: do not use the entry that is there.

    Raises:
        BundleError: the network cannot be made of this bundle.
        EngineUnavailable: the export failed for another reason.
    """
    try:
        folder = cache or default_cache()
        _check_private(folder)
    except OSError as fault:
        log.warning("the engine's graph cannot be kept (%s); it is exported at every start", fault)
        return _export(bundle, None)
    path = folder / f"{_key(bundle)}.graph"
    graph = None if anew else _read(path)
    if graph is None:
        with _lock(path.with_suffix(".lock")):
            graph = None if anew else _read(path)
            if graph is None:
                graph = _export(bundle, folder)
                _keep(graph, path)
    return graph


def _key(bundle: Bundle) -> str:
    """Return a name that changes with all that a graph depends on."""
    parts = {
        "export": EXPORT_VERSION,
        "weights": bundle.sha256,
        "architecture": bundle.architecture,
        "regions": len(bundle.regions),
        "preprocess": bundle.preprocess.as_json(),
        "machine": platform.machine(),
        # TensorFlow's is not among them: a machine that only serves may lack it.
        "openvino": installed_version("openvino"),
    }
    digest = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
    return f"{bundle.architecture}-{digest[:32]}"


def _check_private(folder: Path) -> None:
    """Make a folder, or check that nobody but this user and root can put files into it.

    Raises:
        OSError: it cannot be made, or others can write to it.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not hasattr(os, "getuid"):
        return
    facts = folder.lstat() if folder.is_symlink() else folder.stat()
    if facts.st_uid not in (os.getuid(), 0) or folder.stat().st_uid not in (os.getuid(), 0):
        raise PermissionError(f"{folder} belongs to another user")
    if folder.stat().st_mode & 0o022:
        raise PermissionError(f"others can write to {folder}; run `chmod go-w {folder}`")


def _read(path: Path) -> Graph | None:
    """Read an entry; None where it is missing or damaged."""
    try:
        content = np.fromfile(path, np.uint8)
    except FileNotFoundError:
        return None
    except OSError as fault:
        log.warning("%s cannot be read (%s); exporting the graph anew", path.name, fault)
        return None
    try:
        header = json.loads(content[:_HEADER].tobytes())
        body, length = content[_HEADER:], int(header["weights"])
        whole = _checksum(length, body.data) == header["sha256"]
    except (ValueError, KeyError, TypeError):
        whole = False
    if not whole:
        log.warning("%s is damaged; exporting the graph anew", path.name)
        return None
    return Graph(body[length:].tobytes(), body[:length], fresh=False)


def _keep(graph: Graph, path: Path) -> None:
    """Write an entry under a name of its own, move it into place, and remove what is old."""
    length = graph.weights.size
    header = {"weights": length, "sha256": _checksum(length, graph.weights.data, graph.xml)}
    part = path.with_name(f"{path.name}.{os.getpid()}.{time.monotonic_ns()}.part")
    try:
        try:
            with part.open("xb") as stream:
                stream.write(json.dumps(header).encode().ljust(_HEADER))
                stream.write(graph.weights.data)
                stream.write(graph.xml)
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(part, path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as fault:
        log.warning("the engine's graph cannot be kept (%s); it is exported at every start", fault)
        return
    _tidy(path.parent)


def _checksum(length: int, *body: bytes | memoryview) -> str:
    """Return the checksum of an entry's weights and graph, and of where the one ends."""
    digest = hashlib.sha256(str(length).encode())
    for part in body:
        digest.update(part)
    return digest.hexdigest()


def _tidy(folder: Path) -> None:
    """Remove the oldest entries, and what processes that were killed have left."""
    entries = sorted(folder.glob("*.graph"), key=_changed, reverse=True)
    abandoned = time.time() - _ABANDONED_SECONDS
    left = [
        path
        for pattern in ("*.part", f"{_WORK}*")
        for path in folder.glob(pattern)
        if _changed(path) < abandoned
    ]
    for path in [*entries[_KEPT_ENTRIES:], *left]:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with suppress(OSError):
                path.unlink()


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Hold a lock that other processes wait for; go on without one where files cannot be locked.

    Two exports at once are a waste and no fault: each writes files of its own.
    """
    with ExitStack() as held:
        try:
            import fcntl

            fcntl.flock(held.enter_context(path.open("ab")), fcntl.LOCK_EX)
        except (ImportError, OSError) as fault:
            log.debug("%s cannot be locked (%s)", path.name, fault)
        yield


def _export(bundle: Bundle, folder: Path | None) -> Graph:
    """Export in a child process, in a folder of its own that is gone afterwards."""
    started = time.perf_counter()
    with _work_folder(folder) as work:
        _run_child(bundle, work)
        graph = Graph(
            (work / GRAPH).read_bytes(), np.fromfile(work / WEIGHTS, np.uint8), fresh=True
        )
    log.info(
        "exported %s %s for OpenVINO in %.1f s",
        bundle.architecture,
        bundle.sha256[:12],
        time.perf_counter() - started,
    )
    return graph


@contextmanager
def _work_folder(folder: Path | None) -> Iterator[Path]:
    """Make a private folder in the cache, else among temporary files, else in shared memory."""
    fault: OSError | None = None
    for parent in (folder, None, Path("/dev/shm")):  # noqa: S108 -- mkdtemp makes it private
        try:
            work = Path(tempfile.mkdtemp(prefix=_WORK, dir=parent))
        except OSError as failed:
            fault = failed
            continue
        try:
            yield work
        finally:
            shutil.rmtree(work, ignore_errors=True)
        return
    raise EngineUnavailable(
        f"there is no folder to export the graph into ({fault}); make the cache folder writable"
    ) from fault


def _run_child(bundle: Bundle, work: Path) -> None:
    """Run ``utils.inference.graph_export`` and turn its failure into an error of this process."""
    search = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    command = [
        sys.executable,
        "-m",
        "utils.inference.graph_export",
        str(bundle.path.resolve()),
        bundle.sha256,
    ]
    try:
        done = subprocess.run(
            [*command, str(work)],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": search, "TF_CPP_MIN_LOG_LEVEL": "3"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            timeout=_EXPORT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as fault:
        raise EngineUnavailable(f"the export took over {_EXPORT_SECONDS} s") from fault
    except OSError as fault:
        raise EngineUnavailable(f"the export cannot be started ({fault})") from fault
    if done.returncode == DONE:
        return
    said = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    last = said[-1] if said else f"exit code {done.returncode}"
    if done.returncode == BUNDLE_FAULT:
        raise BundleError(last)
    raise EngineUnavailable(f"the export failed: {last}")
