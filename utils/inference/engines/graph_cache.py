"""Cache of a bundle's OpenVINO graph; a child process exports what is missing.

A graph is code that will run, so it is read only from a folder that nobody else can write to. An entry is one
file: a checksum, the length of the weights, the weights, the graph. A missing, stale or damaged entry is
exported again; a graph that cannot be stored is used by this process alone.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np

from utils.errors import BundleError
from utils.files import atomic_write, check_private_folder
from utils.inference.engines.graph_export import BUNDLE_FAULT, DONE, EXPORT_VERSION, GRAPH, WEIGHTS
from utils.inference.engines.openvino_runtime import EngineUnavailable
from utils.model.bundle import Bundle

log = logging.getLogger(__name__)

ROOT = Path(__file__).resolve().parents[3]
# Bytes of an entry's SHA-256 and of the length of its weights.
_DIGEST, _LENGTH = 32, 8
# An export takes some ten seconds on two idle cores, minutes when many workers start on few busy ones.
_EXPORT_SECONDS = 300
_KEPT_ENTRIES = 8


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

    It needs no home folder, which services often lack. Raises FileNotFoundError where no folder for
    temporary files can be written.
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
        return _export(bundle)
    path = folder / f"{_key(bundle)}.graph"
    graph = None if anew else _read(path)
    if graph is None:
        with _lock(path.with_suffix(".lock")):
            graph = None if anew else _read(path)
            if graph is None:
                graph = _export(bundle)
                _store(graph, path)
    return graph


def _key(bundle: Bundle) -> str:
    """Return a name that changes with everything that a graph depends on."""
    parts = {
        "export": EXPORT_VERSION,
        "weights": bundle.sha256,
        "architecture": bundle.architecture,
        "regions": len(bundle.regions),
        "preprocess": asdict(bundle.preprocess),
        "machine": platform.machine(),
        # TensorFlow's is not among them: a machine that only serves may lack it.
        "openvino": version("openvino"),
    }
    digest = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
    return f"{bundle.architecture}-{digest[:32]}"


def _read(path: Path) -> Graph | None:
    """Read an entry; None where it is missing or damaged."""
    try:
        content = np.fromfile(path, np.uint8)
    except FileNotFoundError:
        return None
    except OSError as fault:
        log.warning("%s cannot be read (%s); exporting the graph again", path.name, fault)
        return None
    digest, body = content[:_DIGEST].tobytes(), content[_DIGEST:]
    if hashlib.sha256(body.data).digest() != digest:
        log.warning("%s is damaged; exporting the graph again", path.name)
        return None
    end = _LENGTH + int.from_bytes(body[:_LENGTH].tobytes())
    return Graph(body[end:].tobytes(), body[_LENGTH:end], fresh=False)


def _store(graph: Graph, path: Path) -> None:
    """Write an entry, and remove all but the newest."""
    body = graph.weights.size.to_bytes(_LENGTH) + graph.weights.tobytes() + graph.xml
    try:
        with atomic_write(path) as part:
            part.write_bytes(hashlib.sha256(body).digest() + body)
    except OSError as fault:
        log.warning("the graph cannot be cached (%s); it is exported at every start", fault)
        return
    with suppress(OSError):  # Another process may remove the same entries.
        entries = sorted(path.parent.glob("*.graph"), key=lambda entry: entry.stat().st_mtime)
        for entry in entries[:-_KEPT_ENTRIES]:
            entry.unlink()


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


def _export(bundle: Bundle) -> Graph:
    """Export in a child process, into a private temporary folder."""
    started = time.perf_counter()
    try:
        with tempfile.TemporaryDirectory(prefix="fracture-export-") as work:
            _run_child(bundle, work)
            weights = np.fromfile(Path(work, WEIGHTS), np.uint8)
            graph = Graph(Path(work, GRAPH).read_bytes(), weights, fresh=True)
    except OSError as fault:
        raise EngineUnavailable("inference.no_export_folder", reason=fault) from fault
    seconds = time.perf_counter() - started
    log.info(
        "exported %s %s for OpenVINO in %.1f s", bundle.architecture, bundle.sha256[:12], seconds
    )
    return graph


def _run_child(bundle: Bundle, work: str) -> None:
    """Run ``utils.inference.engines.graph_export``; raise the error that it reports."""
    module = "utils.inference.engines.graph_export"
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
    if done.returncode == DONE:
        return
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    reason = lines[-1] if lines else f"exit code {done.returncode}"
    if done.returncode == BUNDLE_FAULT:
        raise BundleError("inference.export_bundle_error", reason=reason)
    raise EngineUnavailable("inference.export_failed", reason=reason)
