"""Reference engine: a bundle's explained network as one TensorFlow graph."""

from __future__ import annotations

import importlib
import logging
from typing import Any

import numpy as np

from utils.errors import SetupError
from utils.gradcam import Outputs, explain
from utils.model.bundle import Bundle, load_network
from utils.preprocess import SCALINGS, scale

log = logging.getLogger(__name__)

INPUT = "fitted"


class TensorFlowEngine:
    """Runs the explained network with TensorFlow. Safe to share between threads.

    Args:
        bundle: a checked bundle.
        threads: of one forward pass; None for TensorFlow's default. TensorFlow fixes it once a process,
            at its first use.
    """

    kind = "tensorflow"
    precision = "float32"

    def __init__(self, bundle: Bundle, *, threads: int | None = None) -> None:
        tf = _tensorflow()
        if threads:
            try:
                tf.config.threading.set_intra_op_parallelism_threads(threads)
                tf.config.threading.set_inter_op_parallelism_threads(1)
            except RuntimeError:
                log.warning("TensorFlow is initialised already and keeps its number of threads")
        self.bundle = bundle
        self.threads = self.lone_threads = threads
        size = bundle.preprocess.image_size
        explained = explain(load_network(bundle))
        self._graph = tf.function(
            lambda inputs: explained(inputs, training=False),
            input_signature=[tf.TensorSpec((None, size, size, 3), tf.float32)],
        )

    def run(self, fitted: np.ndarray, *, alone: bool = False) -> Outputs:
        """Return the outputs for uint8 (n, size, size) as ``preprocess.fit`` returns them.

        ``alone`` changes nothing, since TensorFlow's threads are the process's.
        """
        return Outputs.of(self._graph(scale(fitted, self.bundle.preprocess.scaling)))


def frozen_graph(bundle: Bundle) -> bytes:
    """Return the explained network as a frozen graph, weights and scaling table inside.

    Returns:
        A serialised GraphDef: from uint8 (n, size, size) named "fitted" to tensors named as the fields
        of ``gradcam.Outputs``.

    Raises:
        BundleError: the weights do not fit the architecture.
    """
    tf = _tensorflow()
    convert = importlib.import_module("tensorflow.python.framework.convert_to_constants")
    size = bundle.preprocess.image_size
    explained = explain(load_network(bundle))
    table = tf.constant(SCALINGS[bundle.preprocess.scaling])

    def forward(fitted: Any) -> dict[str, Any]:
        outputs = explained(tf.gather(table, tf.cast(fitted, tf.int32)), training=False)
        return {name: tf.identity(value, name=name) for name, value in outputs.items()}

    signature = tf.TensorSpec((None, size, size), tf.uint8, name=INPUT)
    concrete = tf.function(forward, input_signature=[signature]).get_concrete_function()
    frozen = convert.convert_variables_to_constants_v2(concrete)
    return bytes(frozen.graph.as_graph_def().SerializeToString())


def _tensorflow() -> Any:
    """Import TensorFlow, with Keras on it.

    Raises:
        SetupError: it is not installed, or Keras runs on another backend.
    """
    try:
        import keras
        import tensorflow as tf
    except ImportError as fault:
        raise SetupError("inference.tensorflow_missing", reason=fault) from fault
    if keras.config.backend() != "tensorflow":
        raise SetupError("inference.wrong_backend", backend=keras.config.backend())
    return tf
