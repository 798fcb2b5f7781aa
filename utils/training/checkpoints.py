"""A training run's folder: the checkpoint that it goes on from, and what can be looked at meanwhile.

It holds ``state.json`` (plan, origin and history), ``last.weights.h5`` (network, optimizer and random
state after the last epoch), ``best.weights.h5`` (the network of the best epoch by validation AUC),
``history.csv``, ``curves.png`` and the events for TensorBoard.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import keras

from utils.errors import SetupError
from utils.files import sha256_of
from utils.model.pretrained import IMAGENET, RANDOM
from utils.training.history import Epoch, draw_curves, write_csv, write_tensorboard


@dataclass(frozen=True)
class Origin:
    """What a run's weights come from, kept in its state because neither file nor code need stay.

    Args:
        weights_sha256: of the weight file that the run began with; None where it began with none,
            or where an older run's is gone.
        commits: versions of the code that trained it, in order; none where they are not known.
    """

    weights_sha256: str | None = None
    commits: tuple[str, ...] = ()

    def trained_by(self, commit: str) -> Origin:
        """Return the origin after an epoch of a version of the code, "" for one not known."""
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
        """Make the folder, without the checkpoint of an older run.

        Args:
            weights: what the run begins with, as its plan has it.
        """
        # First, for they may be the older run's.
        self.origin = Origin(weights_sha256(weights))
        self.path.mkdir(parents=True, exist_ok=True)
        for file in (self._state, self.last, self.best):
            file.unlink(missing_ok=True)

    def read(self, identity: Mapping[str, Any]) -> list[Epoch]:
        """Return the history at the last checkpoint, and take over the origin that it was written with.

        Args:
            identity: what must be as it was for the run to go on, by name.

        Raises:
            SetupError: there is no checkpoint, or it is another run's.
        """
        if not self._state.is_file():
            raise SetupError(
                f"there is no run to resume in {self.path}; start one without --resume"
            )
        state = json.loads(self._state.read_text())
        # The split of older runs had no seed of its own: one seed decided everything.
        was = {"split_seed": state["identity"].get("seed"), **state["identity"]}
        for name, now in identity.items():
            if was.get(name) != now:
                raise SetupError(
                    f"the run in {self.path} had {name} {was.get(name)!r}, now it is "
                    f"{now!r}; resume with the same arguments, or start anew without --resume"
                )
        self.origin = _origin_of(state)
        return [Epoch(**row) for row in state["history"]]

    def write(
        self, identity: Mapping[str, Any], history: Sequence[Epoch], model: keras.Model
    ) -> None:
        """Write all but the best weights; ``state.json`` comes last and makes the others count."""
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
        part = self.path / "state.json.part"
        part.write_text(json.dumps(state, indent=1))
        os.replace(part, self._state)


def weights_sha256(weights: str) -> str | None:
    """Return the SHA-256 of the file that a plan's weights name, None where they name no file there is."""
    if weights in (IMAGENET, RANDOM) or not Path(weights).is_file():
        return None
    return sha256_of(Path(weights))


def _origin_of(state: Mapping[str, Any]) -> Origin:
    """Read a state's origin; one of an older run has none, so its weight file is looked at now."""
    if "origin" not in state:
        return Origin(weights_sha256(state["identity"]["weights"]))
    told = state["origin"]
    return Origin(told["weights_sha256"], tuple(told["commits"]))


def save_weights(model: keras.Model, path: Path) -> None:
    """Write weights under another name first: a checkpoint cut short must not replace a whole one."""
    part = path.with_name(f"part.{path.name}")
    model.save_weights(part)
    os.replace(part, path)
