"""Engines that run a bundle's network: interface, loading, self-test, fallback."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from utils.errors import BundleError, SetupError
from utils.gradcam import Outputs
from utils.inference.engines.graph_cache import load_graph
from utils.inference.engines.openvino_engine import PRECISIONS, TOLERANCE_FACTOR, OpenVINOEngine
from utils.inference.engines.openvino_runtime import EngineUnavailable, import_openvino
from utils.inference.engines.tensorflow_engine import TensorFlowEngine
from utils.model.bundle import Bundle, read_bundle
from utils.model.self_test import check_self_test, self_test_input
from utils.registry import Registry

log = logging.getLogger(__name__)

DEFAULT_ENGINE = "openvino"
DEFAULT_PRECISION = "float32"


class Engine(Protocol):
    """A bundle's network, ready to run. Safe to share between threads.

    Attributes:
        bundle: of the network.
        kind: name in ENGINES; after a fallback it is not the requested one.
        precision: name in PRECISIONS.
        threads: of a forward pass; None for the default of the library.
        lone_threads: of a forward pass that is alone.
    """

    bundle: Bundle
    kind: str
    precision: str
    threads: int | None
    lone_threads: int | None

    def run(self, fitted: np.ndarray, *, alone: bool = False) -> Outputs:
        """Return the outputs for uint8 (n, size, size) as ``preprocess.fit`` returns them.

        ``alone``: this process computes nothing else, so that more threads may; it changes the time alone.
        """


def load_engine(
    path: Path,
    kind: str = DEFAULT_ENGINE,
    *,
    cache: Path | None = None,
    threads: int | None = None,
    lone_threads: int | None = None,
    streams: int | None = None,
    precision: str = DEFAULT_PRECISION,
) -> Engine:
    """Load a bundle into an engine that passes the self-test.

    Where OpenVINO itself is at fault (it is not installed, does not load or does not take the network),
    TensorFlow runs the network instead and a warning gives the reason. A faulty bundle has no fallback.

    Args:
        path: the ``.h5`` file.
        kind: name in ENGINES.
        cache: folder of OpenVINO's graphs; None for ``graph_cache.default_cache``.
        threads: of a forward pass; None for one a core.
        lone_threads: of a forward pass that is alone; None for ``threads``, and never fewer.
        streams: forward passes computed at a time, which share the threads; None for one.
        precision: name in PRECISIONS.

    Raises:
        ModelMissing, BundleError: the bundle is missing, damaged, or fails its self-test.
        SetupError: no engine can run here.
        UnknownName: no such engine or precision.
    """
    started = time.perf_counter()
    load = ENGINES[kind]
    PRECISIONS[precision]
    bundle = read_bundle(path)
    engine = load(bundle, cache, Options(threads, lone_threads, streams, precision))
    log.info(
        "%s engine ready: %s %s in %.1f s",
        engine.kind,
        bundle.architecture,
        bundle.sha256[:12],
        time.perf_counter() - started,
    )
    return engine


@dataclass(frozen=True)
class Options:
    """Options of one engine, see ``load_engine``."""

    threads: int | None
    lone_threads: int | None
    streams: int | None
    precision: str


Loader = Callable[[Bundle, Path | None, Options], Engine]


def _load_openvino(bundle: Bundle, cache: Path | None, options: Options) -> Engine:
    try:
        import_openvino()  # First: an export takes seconds.
        graph = load_graph(bundle, cache)
        while True:
            try:
                return _self_tested(OpenVINOEngine(bundle, graph, **asdict(options)))
            except SetupError as fault:
                if graph.fresh:
                    raise
                # An earlier version of this code may have exported it.
                log.warning("the cached graph fails its self-test (%s); exporting it again", fault)
                graph = load_graph(bundle, cache, anew=True)
    except EngineUnavailable as fault:
        log.warning("TensorFlow runs the network instead of OpenVINO, in float32: %s", fault)
        try:
            return _self_tested(TensorFlowEngine(bundle, threads=options.threads))
        except BundleError:
            raise
        except SetupError as other:
            raise SetupError("inference.no_engine", openvino=fault, tensorflow=other) from other


def _load_tensorflow(bundle: Bundle, cache: Path | None, options: Options) -> Engine:
    if options.precision != DEFAULT_PRECISION:
        raise SetupError("inference.tensorflow_precision", precision=options.precision)
    return _self_tested(TensorFlowEngine(bundle, threads=options.threads))


def _self_tested(engine: Engine) -> Engine:
    """Return an engine that passes its bundle's self-test, alone or not."""
    bundle = engine.bundle
    known = self_test_input(bundle.preprocess.image_size)
    for alone in (False, True) if engine.lone_threads != engine.threads else (False,):
        outputs = engine.run(known, alone=alone)
        factor = TOLERANCE_FACTOR[engine.precision]
        check_self_test(bundle.sidecar.self_test, outputs, factor=factor)
    return engine


ENGINES: Registry[Loader] = Registry(
    "engine", {"openvino": _load_openvino, "tensorflow": _load_tensorflow}
)
