"""Folder of a training run: checkpoint, best weights and history.

``state.json`` (settings, origin and history), ``last.weights.h5`` (network, optimizer and random state after
the last epoch), ``best.weights.h5`` (the epoch of the best validation AUC), ``history.csv``, ``curves.png``,
``tensorboard/``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import keras

from utils.errors import SetupError
from utils.files import atomic_write, sha256_of
from utils.model.pretrained import IMAGENET, RANDOM
from utils.training.history import Epoch, draw_curves, write_csv, write_tensorboard


@dataclass(frozen=True)
class Origin:
    """Where the weights of a run come from, kept in its state.

    Args:
        weights_sha256: of the initial weight file; None without one.
        commits: versions of the code that trained it, in order; empty where unknown.
    """

    weights_sha256: str | None = None
    commits: tuple[str, ...] = ()

    def trained_by(self, commit: str) -> Origin:
        """Return the origin after an epoch by a version of the code, "" where it is unknown."""
        if not commit or self.commits[-1:] == (commit,):
            return self
        return replace(self, commits=(*self.commits, commit))


class RunFolder:
    """The files of one run.

    Args:
        path: of the folder; made by ``begin``.
        commit: version of the code that writes them, "" where it is not known.
    """

    def __init__(self, path: Path, commit: str = "") -> None:
        self.path, self.commit = path, commit
        self.origin = Origin()
        self.best, self.last = path / "best.weights.h5", path / "last.weights.h5"
        self._state = path / "state.json"

    def begin(self, weights: str) -> None:
        """Make the folder, and remove the checkpoint of an older run.

        Args:
            weights: as in the settings.
        """
        # First: they may be the older run's.
        self.origin = Origin(weights_sha256(weights))
        self.path.mkdir(parents=True, exist_ok=True)
        for file in (self._state, self.last, self.best):
            file.unlink(missing_ok=True)

    def read(self, identity: Mapping[str, Any]) -> list[Epoch]:
        """Return the history at the last checkpoint, and adopt its origin.

        Args:
            identity: settings that must be the same for the run to continue, by name.

        Raises:
            SetupError: there is no checkpoint, or it is another run's.
        """
        if not self._state.is_file():
            raise SetupError("training.no_run", path=self.path)
        state = json.loads(self._state.read_text())
        # Older runs had one seed for everything.
        before = {"split_seed": state["identity"].get("seed"), **state["identity"]}
        for name, now in identity.items():
            if before.get(name) != now:
                raise SetupError(
                    "training.other_run",
                    path=self.path,
                    name=name,
                    before=before.get(name),
                    now=now,
                )
        self.origin = _origin_of(state)
        return [Epoch(**row) for row in state["history"]]

    def write(
        self, identity: Mapping[str, Any], history: Sequence[Epoch], model: keras.Model
    ) -> None:
        """Write everything but the best weights; ``state.json`` comes last and validates the others."""
        self.origin = self.origin.trained_by(self.commit)
        save_weights(model, self.last)
        write_csv(self.path / "history.csv", history)
        write_tensorboard(self.path / "tensorboard", history)
        draw_curves(self.path / "curves.png", history)
        state = {
            "identity": identity,
            "origin": asdict(self.origin),
            "history": [asdict(row) for row in history],
        }
        with atomic_write(self._state) as part:
            part.write_text(json.dumps(state, indent=1))


def weights_sha256(weights: str) -> str | None:
    """Return the SHA-256 of the initial weight file, None without one."""
    if weights in (IMAGENET, RANDOM) or not Path(weights).is_file():
        return None
    return sha256_of(Path(weights))


def _origin_of(state: Mapping[str, Any]) -> Origin:
    """Return the origin in a state; older runs have none, and their weight file is hashed now."""
    if "origin" not in state:
        return Origin(weights_sha256(state["identity"]["weights"]))
    origin = state["origin"]
    return Origin(origin["weights_sha256"], tuple(origin["commits"]))


def save_weights(model: keras.Model, path: Path) -> None:
    """Write weights atomically: an interrupted write must not replace a whole checkpoint."""
    with atomic_write(path) as part:
        model.save_weights(part)
