"""Engines that wrap another one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tests.support.bundles import tiny_bundle
from utils.gradcam import Outputs
from utils.inference.engines.engine import Engine
from utils.inference.predictor import Predictor
from utils.model.bundle import Bundle, read_bundle
from utils.model.ood import OODDetector


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


def with_detector(
    predictor: Predictor, folder: Path, detector: OODDetector, **options: Any
) -> Predictor:
    """The same network in a bundle with this OOD detector; ``options`` as of ``tiny_bundle``."""
    path = tiny_bundle(folder, ood_detector=detector, **options)
    return Predictor(EngineOfBundle(predictor.engine, read_bundle(path)), prevalence=0.1)
