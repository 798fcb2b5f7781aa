"""Training manifests of saved bundles."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

from tests.support.bundles import altered_sidecar
from utils.datasets.duplicates import fingerprints
from utils.datasets.image_cache import PreparedImages


def record_training_images(
    model: Path, prepared: PreparedImages, rows: Iterable[int], *, split: dict | None = None
) -> None:
    """Record in a bundle that it was trained and calibrated on these rows, and by which split."""
    rows = list(rows)
    prints = fingerprints(prepared.thumbnails[rows])
    text = json.dumps(
        {
            "sha256": sorted({prepared.files[row].sha256[:16] for row in rows}),
            "fingerprints": [base64.b64encode(line.tobytes()).decode() for line in prints],
        }
    )
    model.with_suffix(".seen.json").write_text(text)
    with altered_sidecar(model) as sidecar:
        sidecar["training"]["seen"]["sha256"] = hashlib.sha256(text.encode()).hexdigest()
        if split:
            sidecar["training"]["split"] = split
