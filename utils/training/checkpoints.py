"""Folder of a training run: checkpoint, best weights and history.

``state.json`` (settings, origin and history), ``last.weights.h5`` (network, optimizer and random state after
the last epoch), ``best.weights.h5`` (the epoch that is kept: of the best validation AUC, or the last),
``history.csv``, ``curves.png``, ``tensorboard/``.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from utils.datasets.training_set import TrainingSet
from utils.errors import SetupError
from utils.files import atomic_write, sha256_of
from utils.model.bundle import Bundle
from utils.model.pretrained import IMAGENET, RANDOM
from utils.training.config import TrainingConfig, training_settings


@dataclass(frozen=True)
class Epoch:
    """One row of a run's history.

    Args:
        epoch: counted from 1 over the whole run.
        phase: "head" or "fine-tuning".
        seconds: it took, validation included.
        learning_rate: at its end.
        loss: mean training loss, all heads, weighted.
        val_loss: mean cross-entropy of the fracture on the validation part, unweighted.
        val_auc: ROC AUC on the validation part.
        val_average_precision: likewise.
        val_pointing: share of pointing hits on the marked validation images; None where none is marked.
    """

    epoch: int
    phase: str
    seconds: float
    learning_rate: float
    loss: float
    val_loss: float
    val_auc: float
    val_average_precision: float
    val_pointing: float | None = None

    def __str__(self) -> str:
        pointing = "-" if self.val_pointing is None else f"{self.val_pointing:.3f}"
        return (
            f"loss {self.loss:.4f}, validation loss {self.val_loss:.4f}, AUC {self.val_auc:.4f}, "
            f"average precision {self.val_average_precision:.4f}, pointing {pointing} "
            f"({self.seconds:.0f} s)"
        )


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

    @property
    def begun(self) -> bool:
        """Whether there is a checkpoint to resume from."""
        return self._state.is_file()

    def begin(self, weights: str) -> None:
        """Make the folder, and remove the checkpoint of an older run.

        Args:
            weights: as in the settings.
        """
        # First: they may be the older run's.
        self.origin = Origin(weights_sha256(weights))
        self.path.mkdir(parents=True, exist_ok=True)
        self.clear()

    def clear(self) -> None:
        """Remove the checkpoint of a run."""
        for file in (self._state, self.last, self.best):
            file.unlink(missing_ok=True)

    def read(self, identity: Mapping[str, Any]) -> list[Epoch]:
        """Return the history at the last checkpoint, and adopt its origin.

        Args:
            identity: settings that must be the same for the run to continue, by name.

        Raises:
            SetupError: there is no checkpoint, or it is another run's.
        """
        if not self.begun:
            raise SetupError("training.no_run", path=self.path)
        state = json.loads(self._state.read_text())
        # A setting that older runs did not have was as its default is; their one seed was for everything.
        defaults = {setting.name: setting.default for setting in fields(TrainingConfig)}
        defaults["split_seed"] = state["identity"].get("seed")
        # They varied their images in another way.
        del defaults["augmentation"]
        before = {**defaults, **state["identity"]}
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


def run_identity(
    config: TrainingConfig, data: TrainingSet, parents: Sequence[Bundle]
) -> dict[str, Any]:
    """Return what a resumed run must have in common: settings but for the decision's, data, parents."""
    return {
        **training_settings(config),
        "images": data.report.model_dump()["used"],
        "built on": [bundle.sha256 for bundle in parents],
    }


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


def validation_scores(labels: np.ndarray, logits: np.ndarray) -> dict[str, float]:
    """Return an epoch's validation figures, by the names of ``Epoch``."""
    from sklearn.metrics import average_precision_score, roc_auc_score

    signs = np.where(labels == 1, 1.0, -1.0)
    return {
        "val_loss": float(np.mean(np.logaddexp(0.0, -signs * logits))),
        "val_auc": float(roc_auc_score(labels, logits)),
        "val_average_precision": float(average_precision_score(labels, logits)),
    }


def write_csv(path: Path, history: Sequence[Epoch]) -> None:
    """Write the history as CSV, a row an epoch."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Epoch)])
        writer.writeheader()
        writer.writerows(asdict(row) for row in history)


def write_tensorboard(folder: Path, history: Sequence[Epoch]) -> None:
    """Write the history as TensorBoard scalars, replacing what the folder held of this run.

    TensorBoard's own writer is used, so that no TensorFlow is needed on the jax and torch backends.
    """
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("events.out.tfevents.*"):
        old.unlink()
    writer = EventFileWriter(str(folder))
    for row in history:
        values = [
            Summary.Value(tag=f"epoch/{name}", simple_value=value)
            for name, value in asdict(row).items()
            if isinstance(value, float)
        ]
        writer.add_event(Event(step=row.epoch, summary=Summary(value=values)))
    writer.close()


def draw_curves(path: Path, history: Sequence[Epoch]) -> None:
    """Draw loss and validation figures over the epochs as PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    epochs = [row.epoch for row in history]
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    losses, ranking = figure.subplots(1, 2)
    lines = [
        (losses, "loss", "o-", "#0072b2", "training, all heads"),
        (losses, "val_loss", "s-", "#d55e00", "validation"),
        (ranking, "val_auc", "s-", "#d55e00", "ROC AUC"),
        (ranking, "val_average_precision", "^-", "#009e73", "average precision"),
        (ranking, "val_pointing", "d-", "#cc79a7", "map highest in the lesion"),
    ]
    for axes, name, style, colour, label in lines:
        values = [getattr(row, name) for row in history]
        if values[-1] is not None:
            axes.plot(epochs, values, style, color=colour, label=label)
    losses.set(xlabel="epoch", ylabel="cross-entropy (nats)", title="Loss")
    ranking.set(xlabel="epoch", ylabel="validation part", title="Ranking")
    best = max(history, key=lambda row: row.val_auc)
    ranking.axvline(
        best.epoch, color="0.6", linestyle=":", label=f"best epoch ({best.val_auc:.3f})"
    )
    tuned = next((row.epoch for row in history if row.phase != "head"), None)
    for axes in (losses, ranking):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
        if tuned and tuned > 1:
            axes.axvline(tuned - 0.5, color="0.8", linewidth=6, alpha=0.4, zorder=0)
        axes.legend(frameon=False, fontsize=9)
    FigureCanvasAgg(figure).print_png(path)
