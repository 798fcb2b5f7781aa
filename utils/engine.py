"""Turns a bundle into something that answers: fitted radiographs in, one forward pass, outputs out."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Protocol

import numpy as np

from utils.bundle import Bundle, load_network, read_bundle
from utils.errors import SetupError
from utils.golden import check_golden, golden_input
from utils.gradcam import Outputs, explain
from utils.preprocess import scale
from utils.registry import Registry

log = logging.getLogger(__name__)

DEFAULT_ENGINE = "tensorflow"


class Engine(Protocol):
    """What runs a bundle's network. Safe to share between threads."""

    bundle: Bundle

    def run(self, fitted: np.ndarray) -> Outputs:
        """Answer for uint8 (n, size, size) as ``preprocess.fit`` gives them."""
        ...


class TensorFlowEngine:
    """The reference: the explained network as one TensorFlow graph."""

    def __init__(self, bundle: Bundle) -> None:
        import keras

        if keras.config.backend() != "tensorflow":
            raise SetupError(
                f"this engine needs KERAS_BACKEND=tensorflow, not {keras.config.backend()}"
            )
        import tensorflow as tf

        self.bundle = bundle
        size = bundle.preprocess.image_size
        explained = explain(load_network(bundle))
        self._graph = tf.function(
            lambda inputs: explained(inputs, training=False),
            input_signature=[tf.TensorSpec((None, size, size, 3), tf.float32)],
        )

    def run(self, fitted: np.ndarray) -> Outputs:
        """Answer for uint8 (n, size, size) as ``preprocess.fit`` gives them."""
        return Outputs.of(self._graph(scale(fitted, self.bundle.preprocess.scaling)))


ENGINES: Registry[type[TensorFlowEngine]] = Registry("engine", {"tensorflow": TensorFlowEngine})


def load_engine(path: Path, kind: str = DEFAULT_ENGINE) -> Engine:
    """Load a bundle into an engine and hold it against the golden example before it may answer.

    Args:
        path: the ``.h5`` file.
        kind: name in ENGINES.

    Raises:
        ModelMissing, BundleError: the bundle is missing, damaged, or does not compute what it should.
        UnknownName: no such engine.
    """
    started = time.perf_counter()
    maker = ENGINES[kind]
    bundle = read_bundle(path)
    engine = maker(bundle)
    check_golden(bundle.sidecar.golden, engine.run(golden_input(bundle.preprocess.image_size)))
    log.info(
        "%s engine ready: %s %s in %.1f s",
        kind,
        bundle.architecture,
        bundle.sha256[:12],
        time.perf_counter() - started,
    )
    return engine
