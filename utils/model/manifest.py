"""Training manifest: the images that trained a model, by content."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True, eq=False)
class TrainingManifest:
    """The images that trained, calibrated or decided a model.

    Args:
        sha256: of the files, the first 16 hexadecimal digits.
        fingerprints: uint8 (n, 32), see ``datasets.duplicates.fingerprints``.
        local: the images of a later recalibration on other data; None without one.
    """

    sha256: frozenset[str]
    fingerprints: np.ndarray
    local: TrainingManifest | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the content of the manifest's file."""
        prints = np.unique(self.fingerprints, axis=0)
        content: dict[str, Any] = {
            "sha256": sorted(self.sha256),
            "fingerprints": [base64.b64encode(row.tobytes()).decode() for row in prints],
        }
        return content if self.local is None else {**content, "local": self.local.as_json()}

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> TrainingManifest:
        """Return the manifest that ``as_json`` wrote."""
        rows = [np.frombuffer(base64.b64decode(row), np.uint8) for row in content["fingerprints"]]
        return cls(
            frozenset(content["sha256"]),
            np.stack(rows) if rows else np.zeros((0, 32), np.uint8),
            cls.from_json(content["local"]) if "local" in content else None,
        )


def manifest_path(model: Path) -> Path:
    """Return the path of the training manifest of a ``.h5`` file."""
    return model.with_suffix(".seen.json")


def write_manifest(part: Path, manifest: TrainingManifest, model: Path) -> dict[str, Any]:
    """Write the partial file of a model's manifest; return the sidecar's ``training.seen``."""
    content = json.dumps(manifest.as_json(), indent=0).encode()
    part.write_bytes(content)
    checksum = hashlib.sha256(content).hexdigest()
    return {
        "file": manifest_path(model).name,
        "images": len(manifest.sha256),
        "sha256": checksum,
    }
