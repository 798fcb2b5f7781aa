"""Engines that wrap another one."""

from __future__ import annotations

import numpy as np

from utils.gradcam import Outputs
from utils.inference.engine import Engine
from utils.model.bundle import Bundle


class RecordingEngine:
    """An engine that records the ``alone`` argument of every forward pass."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.alone: list[bool] = []
        self.bundle, self.kind, self.precision = engine.bundle, engine.kind, engine.precision
        self.threads, self.lone_threads = engine.threads, engine.lone_threads

    def run(self, fitted: np.ndarray, *, alone: bool = False) -> Outputs:
        self.alone.append(alone)
        return self.engine.run(fitted, alone=alone)


class EngineOfBundle(RecordingEngine):
    """An engine that runs another one's network for a bundle of the same architecture."""

    def __init__(self, engine: Engine, bundle: Bundle) -> None:
        super().__init__(engine)
        self.bundle = bundle
