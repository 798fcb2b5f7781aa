"""A training run's folder: the checkpoint that it goes on from, and what can be looked at meanwhile.

It holds ``state.json`` (plan and history), ``last.weights.h5`` (network, optimizer and random state after
the last epoch), ``best.weights.h5`` (the network of the best epoch by validation AUC), ``history.csv``,
``curves.png`` and the events for TensorBoard.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import keras

from utils.curves import Epoch, draw_curves, write_csv, write_tensorboard
from utils.errors import SetupError


class RunFolder:
    """The files of one run.

    Args:
        path: of the folder; made by ``empty``.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.best, self.last = path / "best.weights.h5", path / "last.weights.h5"
        self._state = path / "state.json"

    def empty(self) -> None:
        """Make the folder, without the checkpoint of an older run."""
        self.path.mkdir(parents=True, exist_ok=True)
        for file in (self._state, self.last, self.best):
            file.unlink(missing_ok=True)

    def read(self, identity: Mapping[str, Any]) -> list[Epoch]:
        """Return the history at the last checkpoint.

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
        for name, now in identity.items():
            if state["identity"].get(name) != now:
                raise SetupError(
                    f"the run in {self.path} had {name} {state['identity'].get(name)!r}, now it is "
                    f"{now!r}; resume with the same arguments, or start anew without --resume"
                )
        return [Epoch(**row) for row in state["history"]]

    def write(
        self, identity: Mapping[str, Any], history: Sequence[Epoch], model: keras.Model
    ) -> None:
        """Write all but the best weights; ``state.json`` comes last and makes the others count."""
        save_weights(model, self.last)
        write_csv(self.path / "history.csv", history)
        write_tensorboard(self.path / "tensorboard", history)
        draw_curves(self.path / "curves.png", history)
        state = {"identity": identity, "history": [asdict(row) for row in history]}
        part = self.path / "state.json.part"
        part.write_text(json.dumps(state, indent=1))
        os.replace(part, self._state)


def save_weights(model: keras.Model, path: Path) -> None:
    """Write weights under another name first: a checkpoint cut short must not replace a whole one."""
    part = path.with_name(f"part.{path.name}")
    model.save_weights(part)
    os.replace(part, path)
