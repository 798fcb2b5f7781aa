"""The list of images that a model has seen, by content: its record, and the file that holds it."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True, eq=False)
class TrainingManifest:
    """The images that trained, chose or calibrated a model.

    Args:
        sha256: of the files, the first 16 hexadecimal digits.
        fingerprints: uint8 (n, 32), see ``datasets.duplicates.fingerprints``.
        local: those on which a decision of its own was fitted later, on other data than it was trained
            on; None where none was.
    """

    sha256: frozenset[str]
    fingerprints: np.ndarray
    local: TrainingManifest | None = None


def manifest_path(model: Path) -> Path:
    """Return where the list of images that a ``.h5`` file has seen lies."""
    return model.with_suffix(".seen.json")


def manifest_text(seen: TrainingManifest) -> str:
    """Write a list as the text of its file."""
    return json.dumps(_as_json(seen), indent=0)


def manifest_from_text(text: str | bytes) -> TrainingManifest:
    """Read the text of a list's file, whose checksum has been held."""
    return _from_json(json.loads(text))


def _as_json(seen: TrainingManifest) -> dict[str, Any]:
    listed: dict[str, Any] = {
        "sha256": sorted(seen.sha256),
        "fingerprints": [
            base64.b64encode(row.tobytes()).decode() for row in np.unique(seen.fingerprints, axis=0)
        ],
    }
    return listed if seen.local is None else {**listed, "local": _as_json(seen.local)}


def _from_json(listed: dict[str, Any]) -> TrainingManifest:
    rows = [np.frombuffer(base64.b64decode(row), np.uint8) for row in listed["fingerprints"]]
    return TrainingManifest(
        frozenset(listed["sha256"]),
        np.stack(rows) if rows else np.zeros((0, 32), np.uint8),
        _from_json(listed["local"]) if "local" in listed else None,
    )
