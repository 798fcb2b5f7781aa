"""Labels with overconfident probabilities, and their figures by scikit-learn and scipy."""

from __future__ import annotations

import numpy as np
from sklearn import metrics as sk

THRESHOLD = 0.4


def scored(n: int = 240, seed: int = 0, groups: int = 90) -> tuple:
    """Labels, overconfident probabilities and group keys; some probabilities are equal."""
    rng = np.random.default_rng(seed)
    logits = np.round(rng.normal(-0.5, 2.0, n), 1)
    labels = (rng.random(n) < 1 / (1 + np.exp(-0.6 * logits - 0.3))).astype(int)
    return labels, 1 / (1 + np.exp(-logits)), [f"g{key}" for key in rng.integers(0, groups, n)]


def by_scikit_learn(labels: np.ndarray, probabilities: np.ndarray) -> dict[str, float]:
    called = probabilities >= THRESHOLD
    return {
        "accuracy": sk.accuracy_score(labels, called),
        "sensitivity": sk.recall_score(labels, called),
        "specificity": sk.recall_score(labels, called, pos_label=0),
        "precision": sk.precision_score(labels, called),
        "f1": sk.f1_score(labels, called),
        "roc_auc": sk.roc_auc_score(labels, probabilities),
        "average_precision": sk.average_precision_score(labels, probabilities),
        "cohen_kappa": sk.cohen_kappa_score(labels, called),
        "brier": sk.brier_score_loss(labels, probabilities),
    }


def lines_by_scipy(labels: np.ndarray, probabilities: np.ndarray) -> tuple[float, float]:
    """Slope of the free line and shift of the one with slope 1, by minimising the likelihood."""
    from scipy.optimize import minimize

    logits = np.log(probabilities / (1 - probabilities))

    def loss(line: np.ndarray) -> float:
        return float(np.sum(np.logaddexp(0, line) - labels * line))

    free = minimize(lambda p: loss(p[0] * logits + p[1]), [1.0, 0.0], tol=1e-12).x
    return float(free[0]), float(minimize(lambda p: loss(logits + p[0]), [0.0], tol=1e-12).x[0])
