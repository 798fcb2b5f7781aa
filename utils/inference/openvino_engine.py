"""The engine that serves: a bundle's explained network as one OpenVINO graph on the processor."""

from __future__ import annotations

import queue
from collections import deque
from collections.abc import Sequence
from typing import Any

import numpy as np

from utils.gradcam import EMBEDDING, MAP, Outputs
from utils.inference.cores import usable_cores
from utils.inference.graph_cache import Graph
from utils.inference.openvino_runtime import EngineUnavailable, import_openvino
from utils.inference.tensorflow_engine import INPUT
from utils.model.bundle import Bundle
from utils.model_builder import LOGIT, REGION
from utils.registry import Registry

# Name here to name there. Said always: OpenVINO's own choice is bfloat16 where the processor has it.
PRECISIONS: Registry[str] = Registry("precision", {"float32": "f32", "bfloat16": "bf16"})
# How much wider than the bundle's own the golden example's tolerance is.
ROOM = {"float32": 1.0, "bfloat16": 10.0}


class Form:
    """The network compiled for some threads, and the requests that draw on them. Safe to share.

    Args:
        compiled: OpenVINO's.
        streams: requests that it computes at the same time.
        names: of the outputs.
    """

    def __init__(self, compiled: Any, streams: int, names: Sequence[str]) -> None:
        self._names = names
        # One more than is computed at a time, so that the next one is ready when a stream comes free.
        self._idle: queue.SimpleQueue[Any] = queue.SimpleQueue()
        for _ in range(streams + 1):
            self._idle.put(compiled.create_infer_request())

    def run(self, fitted: np.ndarray) -> Outputs:
        """Answer for uint8 (n, size, size)."""
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
            # Left only where something failed. They still read ``fitted``, so they are waited for.
            for request in running:
                request.cancel()
                self._idle.put(request)
        return Outputs.of({name: np.concatenate(found) for name, found in rows.items()})

    def _collect(self, running: deque[Any], rows: dict[str, list[np.ndarray]]) -> None:
        """Wait for the oldest running request, copy its outputs and give it back."""
        request = running[0]
        request.wait()
        for name, found in rows.items():
            found.append(request.get_tensor(name).data.copy())
        self._idle.put(running.popleft())


class OpenVINOEngine:
    """Runs the explained network with OpenVINO. Safe to share between threads.

    The graph takes one radiograph; several are several requests. Requests of all threads draw from one
    pool and are computed side by side, as many at a time as there are streams.

    Args:
        bundle: a checked bundle.
        graph: the bundle's, as ``graph_cache.load_graph`` gives it.
        threads: that compute in this process; None for one a core.
        lone_threads: that compute a request which is alone; None for ``threads``. Where they are more,
            the network is compiled a second time, for them: the number is fixed when that is done.
        streams: requests computed at the same time, each by ``threads / streams`` threads.
        precision: name in PRECISIONS.

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
        self.bundle = bundle
        self.precision = precision
        self.threads = threads or usable_cores()
        self.lone_threads = max(lone_threads or 0, self.threads)
        self.streams = min(streams or 1, self.threads)
        names = [LOGIT, MAP, EMBEDDING, *([REGION] if bundle.regions else [])]
        wanted = [(self.threads, self.streams)]
        if self.lone_threads > self.threads:
            wanted.append((self.lone_threads, 1))
        forms = [
            Form(compiled, streams, names)
            for compiled, (_, streams) in zip(self._compile(graph, wanted), wanted, strict=True)
        ]
        self._shared, self._lone = forms[0], forms[-1]

    def run(self, fitted: np.ndarray, *, alone: bool = False) -> Outputs:
        """Answer for uint8 (n, size, size) as ``preprocess.fit`` gives them; see ``engine.Engine``."""
        return (self._lone if alone else self._shared).run(fitted)

    def _compile(self, graph: Graph, wanted: Sequence[tuple[int, int]]) -> list[Any]:
        """Compile the graph for each number of threads and streams; the weights are held once."""
        openvino = import_openvino()
        size = self.bundle.preprocess.image_size
        try:
            core = openvino.Core()
            # A copy that OpenVINO owns: the compiled graph goes on reading it.
            model = core.read_model(graph.xml, openvino.Tensor(graph.weights, shared_memory=False))
            model.reshape({INPUT: [1, size, size]})
            return [
                core.compile_model(model, "CPU", self._options(threads, streams))
                for threads, streams in wanted
            ]
        except RuntimeError as fault:
            reason = " ".join(str(fault).split())
            raise EngineUnavailable(f"OpenVINO cannot compile the network: {reason}") from fault

    def _options(self, threads: int, streams: int) -> dict[str, Any]:
        return {
            "INFERENCE_PRECISION_HINT": PRECISIONS[self.precision],
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": streams,
            # Pinned threads of several workers would all sit on the first cores.
            "ENABLE_CPU_PINNING": False,
        }
