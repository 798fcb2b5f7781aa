"""Logits of a network whose classes overlap."""

from __future__ import annotations

import numpy as np


def overlapping_logits(n: int = 400, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Logits whose true calibration line is 0.7 * logit - 1.2."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0.5, 2.0, n)
    return logits, (rng.random(n) < 1 / (1 + np.exp(-(0.7 * logits - 1.2)))).astype(int)
