"""Cache of a bundle's OpenVINO graph; a child process exports what is missing.

A graph is code that will run, so it is read only from a folder that nobody else can write to. An entry is one
file: a header with a checksum, the weights, the graph. A missing, stale or damaged entry is exported again; a
graph that cannot be stored is used by this process alone.
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
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from utils.errors import BundleError
from utils.files import atomic_write, check_private_folder
from utils.inference.graph_export import BUNDLE_FAULT, DONE, EXPORT_VERSION, GRAPH, WEIGHTS
from utils.inference.openvino_runtime import EngineUnavailable, installed_version
from utils.model.bundle import Bundle

log = logging.getLogger(__name__)

ROOT = Path(__file__).resolve().parents[2]
# A page, so that the weights behind it stay aligned.
_HEADER = 4096
# An export takes some ten seconds on two idle cores, minutes when many workers start on few busy ones.
_EXPORT_SECONDS = 300
_KEPT_ENTRIES = 8
_ABANDONED_SECONDS = 3600
_WORK = "export-"


@dataclass(frozen=True, eq=False)
class Graph:
    """A bundle's network as an OpenVINO graph.

    Args:
        xml: the graph.
        weights: uint8 (bytes,), to which the graph refers.
        fresh: exported just now, so that another export would change nothing.
    """

    xml: bytes
    weights: np.ndarray
    fresh: bool


def default_cache() -> Path:
    """Return this user's folder for graphs below the system's folder for temporary files.

    It needs no home folder, which services often lack.

    Raises:
        FileNotFoundError: there is no folder for temporary files that can be written.
    """
    owner = str(os.getuid()) if hasattr(os, "getuid") else "graphs"
    return Path(tempfile.gettempdir()) / f"fracture-detector-{owner}"


def load_graph(bundle: Bundle, cache: Path | None = None, *, anew: bool = False) -> Graph:
    """Return a bundle's graph from the cache, exporting it first where it is not there.

    Processes that need the same graph at once wait for the one that exports it. The lock is the kernel's, so
    it ends with the process that holds it.

    Args:
        bundle: a checked bundle.
        cache: folder of the graphs; None for ``default_cache``.
        anew: export even if there is an entry.

    Raises:
        BundleError: the network cannot be made of this bundle.
        EngineUnavailable: the export failed for another reason.
    """
    try:
        folder = cache or default_cache()
        check_private_folder(folder)
    except OSError as fault:
        log.warning("the graph cannot be cached (%s); it is exported at every start", fault)
        return _export(bundle, None)
    path = folder / f"{_key(bundle)}.graph"
    graph = None if anew else _read(path)
    if graph is None:
        with _lock(path.with_suffix(".lock")):
            graph = None if anew else _read(path)
            if graph is None:
                graph = _export(bundle, folder)
                _store(graph, path)
    return graph


def _key(bundle: Bundle) -> str:
    """Return a name that changes with everything that a graph depends on."""
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


def _read(path: Path) -> Graph | None:
    """Read an entry; None where it is missing or damaged."""
    try:
        content = np.fromfile(path, np.uint8)
        header = json.loads(content[:_HEADER].tobytes())
        body, length = content[_HEADER:], int(header["weights"])
        whole = _checksum(length, body.data) == header["sha256"]
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError):
        whole = False
    if not whole:
        log.warning("%s is damaged; exporting the graph again", path.name)
        return None
    return Graph(body[length:].tobytes(), body[:length], fresh=False)


def _store(graph: Graph, path: Path) -> None:
    """Write an entry and remove old ones."""
    length = graph.weights.size
    header = {"weights": length, "sha256": _checksum(length, graph.weights.data, graph.xml)}
    try:
        with atomic_write(path) as part, part.open("wb") as stream:
            stream.write(json.dumps(header).encode().ljust(_HEADER))
            stream.write(graph.weights.data)
            stream.write(graph.xml)
    except OSError as fault:
        log.warning("the graph cannot be cached (%s); it is exported at every start", fault)
        return
    with suppress(OSError):  # Another process may remove the same files.
        entries = sorted(path.parent.glob("*.graph"), key=lambda entry: entry.stat().st_mtime)
        for entry in entries[:-_KEPT_ENTRIES]:
            entry.unlink()
        for work in path.parent.glob(f"{_WORK}*"):
            if work.stat().st_mtime < time.time() - _ABANDONED_SECONDS:
                shutil.rmtree(work, ignore_errors=True)


def _checksum(length: int, *body: bytes | memoryview) -> str:
    """Return the checksum of an entry's weights and graph, and of the weights' length."""
    digest = hashlib.sha256(str(length).encode())
    for part in body:
        digest.update(part)
    return digest.hexdigest()


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Hold a lock between processes, or none where files cannot be locked.

    Two exports at once are a waste and no fault: each writes files of its own.
    """
    try:
        import fcntl

        stream = path.open("ab")
    except (ImportError, OSError):
        yield
        return
    with stream:
        with suppress(OSError):
            fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def _export(bundle: Bundle, folder: Path | None) -> Graph:
    """Export in a child process, into a temporary folder in the cache or the system's."""
    started = time.perf_counter()
    with _work_folder(folder) as work:
        _run_child(bundle, work)
        xml, weights = Path(work, GRAPH).read_bytes(), np.fromfile(Path(work, WEIGHTS), np.uint8)
    seconds = time.perf_counter() - started
    log.info(
        "exported %s %s for OpenVINO in %.1f s", bundle.architecture, bundle.sha256[:12], seconds
    )
    return Graph(xml, weights, fresh=True)


def _work_folder(folder: Path | None) -> tempfile.TemporaryDirectory[str]:
    """Make a private folder in the cache, else among the system's temporary files."""
    for parent in (folder, None):
        try:
            return tempfile.TemporaryDirectory(prefix=_WORK, dir=parent, ignore_cleanup_errors=True)
        except OSError as fault:
            reason = str(fault)
    raise EngineUnavailable("inference.no_export_folder", reason=reason)


def _run_child(bundle: Bundle, work: str) -> None:
    """Run ``utils.inference.graph_export``; raise the error that it reports."""
    module = "utils.inference.graph_export"
    try:
        done = subprocess.run(
            [sys.executable, "-m", module, str(bundle.path.resolve()), bundle.sha256, work],
            cwd=ROOT,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            timeout=_EXPORT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as fault:
        raise EngineUnavailable("inference.export_timeout", seconds=_EXPORT_SECONDS) from fault
    except OSError as fault:
        raise EngineUnavailable("inference.export_not_started", reason=str(fault)) from fault
    if done.returncode == DONE:
        return
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    reason = lines[-1] if lines else f"exit code {done.returncode}"
    if done.returncode == BUNDLE_FAULT:
        raise BundleError("inference.export_bundle_error", reason=reason)
    raise EngineUnavailable("inference.export_failed", reason=reason)
