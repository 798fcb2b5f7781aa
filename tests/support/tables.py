"""A table of out-of-fold predictions, drawn."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from utils.training.decision.out_of_fold import OutOfFold, OutOfFoldImage, write_table


def draw_table(folder: Path, *, count: int = 120, seed: int = 0, **identity: object) -> OutOfFold:
    """Draw a table whose logits rank hands worse than legs, two images a group."""
    random = np.random.default_rng(seed)
    images = []
    for number in range(count):
        label, region = number % 2, ("hand", "leg")[number // 2 % 2]
        logit = random.normal(0.0, 1.0) + label * (1.0 if region == "hand" else 3.0)
        images.append(
            OutOfFoldImage(
                path=f"{number:03d}.png",
                group=f"patient{number // 2}",
                fold=number // 2 % 3 + 1,
                label=label,
                region=region,
                predicted_region=region,
                logit=round(logit, 6),
                hit=bool(number % 4 == 1) if label else None,
                peak_x=number if number % 5 else None,
                peak_y=1 if number % 5 else None,
            )
        )
    return write_table(folder, images, folds=3, identity=dict(identity), commits=("a",))
