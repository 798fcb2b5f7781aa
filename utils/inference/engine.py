"""Turns a bundle into something that answers: fitted radiographs in, one forward pass, outputs out."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np

from utils.errors import BundleError, SetupError
from utils.gradcam import Outputs
from utils.inference.graph_cache import load_graph
from utils.inference.openvino_engine import PRECISIONS, ROOM, OpenVINOEngine
from utils.inference.openvino_runtime import EngineUnavailable, import_openvino
from utils.inference.tensorflow_engine import TensorFlowEngine
from utils.model.bundle import Bundle, read_bundle
from utils.model.self_test import check_self_test, self_test_input
from utils.registry import Registry

log = logging.getLogger(__name__)

DEFAULT_ENGINE = "openvino"
DEFAULT_PRECISION = "float32"


class Engine(Protocol):
    """What runs a bundle's network. Safe to share between threads.

    Attributes:
        bundle: the bundle that answers.
        kind: name in ENGINES of what runs it, which is not what was asked for after a fallback.
        precision: name in PRECISIONS of what it computes in.
    """

    bundle: Bundle
    kind: str
    precision: str

    @property
    def threads(self) -> int | None:
        """How many compute a forward pass; None where that is left to what runs it."""
        ...

    @property
    def lone_threads(self) -> int | None:
        """How many compute one that is alone."""
        ...

    def run(self, fitted: np.ndarray, *, alone: bool = False) -> Outputs:
        """Answer for uint8 (n, size, size) as ``preprocess.fit`` gives them.

        Args:
            fitted: radiographs.
            alone: nothing else is under way in this process, so that more threads may compute. It
                changes the time it takes; being wrong about it costs time, nothing else.
        """
        ...


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
    """Load a bundle into an engine and hold it against the golden example before it may answer.

    Where OpenVINO itself is at fault (it is not installed, does not load or does not take the network),
    TensorFlow runs the network instead and a warning says why. A bundle at fault is never mended so.

    Args:
        path: the ``.h5`` file.
        kind: name in ENGINES.
        cache: folder of the graphs that OpenVINO runs; None for ``graph_cache.default_cache``.
        threads: that compute a forward pass; None for one a core.
        lone_threads: that compute one which is alone; None for ``threads``, and never fewer.
        streams: forward passes computed side by side, which share the threads; None for one.
        precision: name in PRECISIONS.

    Raises:
        ModelMissing, BundleError: the bundle is missing, damaged, or does not compute what it should.
        SetupError: no engine can run here.
        UnknownName: no such engine or precision.
    """
    started = time.perf_counter()
    maker = ENGINES[kind]
    PRECISIONS[precision]
    bundle = read_bundle(path)
    engine = maker(bundle, cache, Threads(threads, lone_threads, streams), precision)
    log.info(
        "%s engine ready: %s %s in %.1f s",
        engine.kind,
        bundle.architecture,
        bundle.sha256[:12],
        time.perf_counter() - started,
    )
    return engine


@dataclass(frozen=True)
class Threads:
    """Of one engine; ``load_engine`` says what each means."""

    threads: int | None
    lone_threads: int | None
    streams: int | None


Maker = Callable[[Bundle, Path | None, Threads, str], Engine]


def _openvino(bundle: Bundle, cache: Path | None, chosen: Threads, precision: str) -> Engine:
    try:
        import_openvino()  # Asked first: an export takes seconds.
        graph = load_graph(bundle, cache)
        make = partial(
            OpenVINOEngine,
            threads=chosen.threads,
            lone_threads=chosen.lone_threads,
            streams=chosen.streams,
            precision=precision,
        )
        try:
            return _checked(make(bundle, graph))
        except SetupError as fault:
            if graph.fresh:
                raise
            # Exported by an earlier state of this code, perhaps: the bundle itself decides.
            log.warning("the kept graph does not answer as it should (%s); exporting anew", fault)
            return _checked(make(bundle, load_graph(bundle, cache, anew=True)))
    except EngineUnavailable as fault:
        log.warning("TensorFlow runs the network instead of OpenVINO, in float32: %s", fault)
        try:
            return _checked(TensorFlowEngine(bundle, threads=chosen.threads))
        except BundleError:
            raise
        except SetupError as other:
            raise SetupError(f"no engine can run here: {fault}; {other}") from other


def _tensorflow(bundle: Bundle, cache: Path | None, chosen: Threads, precision: str) -> Engine:
    if precision != DEFAULT_PRECISION:
        raise SetupError(
            f"the tensorflow engine computes in {DEFAULT_PRECISION}, not in {precision}"
        )
    return _checked(TensorFlowEngine(bundle, threads=chosen.threads))


def _checked(engine: Engine) -> Engine:
    """Return an engine that answers the golden example as its bundle says, alone or not."""
    bundle = engine.bundle
    example = self_test_input(bundle.preprocess.image_size)
    for alone in (False, True) if engine.lone_threads != engine.threads else (False,):
        outputs = engine.run(example, alone=alone)
        check_self_test(bundle.sidecar.self_test, outputs, factor=ROOM[engine.precision])
    return engine


ENGINES: Registry[Maker] = Registry("engine", {"openvino": _openvino, "tensorflow": _tensorflow})
