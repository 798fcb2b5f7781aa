"""Engines that wrap another one."""

from __future__ import annotations

import numpy as np

from utils.gradcam import Outputs
from utils.inference.engine import Engine


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
