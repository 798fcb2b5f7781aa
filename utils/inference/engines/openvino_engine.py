"""Serving engine: a bundle's explained network as one OpenVINO graph on the processor."""

from __future__ import annotations

import queue
from collections import deque
from collections.abc import Sequence
from typing import Any

import numpy as np

from utils.gradcam import EMBEDDING, MAP, Outputs
from utils.inference.engines.graph_cache import Graph
from utils.inference.engines.openvino_runtime import EngineUnavailable, import_openvino
from utils.inference.engines.tensorflow_engine import INPUT
from utils.model.bundle import Bundle
from utils.model_builder import BOX, HEATMAP, LOGIT, REGION
from utils.registry import Registry

# OpenVINO's name of each precision. Always set: its default is bfloat16 where the processor has it.
PRECISIONS: Registry[str] = Registry("precision", {"float32": "f32", "bfloat16": "bf16"})
# Factor on the self-test's tolerance.
TOLERANCE_FACTOR = {"float32": 1.0, "bfloat16": 10.0}


class InferRequestPool:
    """Infer requests of a compiled network. Safe to share between threads.

    Args:
        compiled: OpenVINO's compiled model.
        streams: requests that it computes at the same time.
        names: of the outputs.
    """

    def __init__(self, compiled: Any, streams: int, names: Sequence[str]) -> None:
        self._names = names
        # One more than is computed at a time, so that the next one is ready when a stream becomes free.
        self._idle: queue.SimpleQueue[Any] = queue.SimpleQueue()
        for _ in range(streams + 1):
            self._idle.put(compiled.create_infer_request())

    def run(self, fitted: np.ndarray) -> Outputs:
        """Return the outputs for uint8 (n, size, size)."""
        fitted = np.ascontiguousarray(fitted)
        rows: dict[str, list[np.ndarray]] = {name: [] for name in self._names}
        running: deque[Any] = deque()
        try:
            for row in range(len(fitted)):
                if running and self._idle.empty():
                    self._collect(running, rows)
                running.append(self._idle.get())
                running[-1].start_async({INPUT: fitted[row : row + 1]}, share_inputs=True)
            while running:
                self._collect(running, rows)
        finally:
            # Only after a failure. Cancelling waits for them: they still read ``fitted``.
            for request in running:
                request.cancel()
                self._idle.put(request)
        return Outputs.of({name: np.concatenate(found) for name, found in rows.items()})

    def _collect(self, running: deque[Any], rows: dict[str, list[np.ndarray]]) -> None:
        """Wait for the oldest running request, copy its outputs and return it to the pool."""
        request = running[0]
        request.wait()
        for name, found in rows.items():
            found.append(request.get_tensor(name).data.copy())
        self._idle.put(running.popleft())


class OpenVINOEngine:
    """Runs the explained network with OpenVINO. Safe to share between threads.

    An infer request takes one radiograph. All threads share one pool of requests, of which as many are
    computed at a time as there are streams.

    Args:
        bundle: a checked bundle.
        graph: the bundle's, as ``graph_cache.load_graph`` returns it.
        threads, lone_threads, streams, precision: see ``engine.load_engine``. If ``lone_threads`` are more
            than ``threads``, the network is compiled a second time, since the number is fixed then.

    Raises:
        EngineUnavailable: OpenVINO does not run here.
    """

    kind = "openvino"

    def __init__(
        self,
        bundle: Bundle,
        graph: Graph,
        *,
        threads: int | None = None,
        lone_threads: int | None = None,
        streams: int | None = None,
        precision: str = "float32",
    ) -> None:
        from joblib import cpu_count

        self.bundle = bundle
        self.precision = precision
        self.threads: int | None = threads or cpu_count()
        self.lone_threads: int | None = max(lone_threads or 0, self.threads)
        names = [LOGIT, MAP, EMBEDDING, *([REGION] if bundle.regions else [])]
        names += [HEATMAP, BOX] if bundle.boxes else []
        variants = [(self.threads, min(streams or 1, self.threads))]
        if self.lone_threads > self.threads:
            variants.append((self.lone_threads, 1))
        pools = [
            InferRequestPool(compiled, streams, names)
            for compiled, (_, streams) in zip(self._compile(graph, variants), variants, strict=True)
        ]
        self._shared, self._lone = pools[0], pools[-1]

    def run(self, fitted: np.ndarray, *, alone: bool = False) -> Outputs:
        """Return the outputs for uint8 (n, size, size); see ``engine.Engine``."""
        return (self._lone if alone else self._shared).run(fitted)

    def _compile(self, graph: Graph, variants: Sequence[tuple[int, int]]) -> list[Any]:
        """Compile the graph for each number of threads and streams, which share the weights."""
        openvino = import_openvino()
        size = self.bundle.preprocess.image_size
        try:
            core = openvino.Core()
            # A copy that OpenVINO owns: the compiled graph keeps reading it.
            model = core.read_model(graph.xml, openvino.Tensor(graph.weights, shared_memory=False))
            model.reshape({INPUT: [1, size, size]})
            return [
                core.compile_model(model, "CPU", self._options(threads, streams))
                for threads, streams in variants
            ]
        except RuntimeError as fault:
            reason = " ".join(str(fault).split())
            raise EngineUnavailable("inference.cannot_compile", reason=reason) from fault

    def _options(self, threads: int, streams: int) -> dict[str, Any]:
        return {
            "INFERENCE_PRECISION_HINT": PRECISIONS[self.precision],
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": streams,
            # Pinned threads of several workers would share the first cores.
            "ENABLE_CPU_PINNING": False,
        }
