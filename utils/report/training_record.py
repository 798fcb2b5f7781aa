"""Training record of a bundle's sidecar, and the command line that repeats it."""

from __future__ import annotations

import shlex
import textwrap
from pathlib import PurePosixPath
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator

from utils.datasets.training_set import TrainingSetReport
from utils.evaluation.report_schema import Counts
from utils.model.bundle import Bundle

# Argument in the sidecar to the flag of train.py, where the names differ.
FLAGS = {"architecture": "model", "detail": "map"}
# Characters of a line of the command, without its backslash.
LINE = 96
NO_BREAK_SPACE = "\N{NO-BREAK SPACE}"


class LocalRecord(BaseModel, frozen=True):
    """Data of another place that the decision was fitted on."""

    name: str
    recalibrated: bool
    sensitivity: float | None
    fitting: Counts


class OutOfFoldRecord(BaseModel, frozen=True):
    """Cross-validation whose predictions the decision was fitted on."""

    folds: int
    table_sha256: str


class TrainingRecord(BaseModel, frozen=True):
    """The sidecar's section on the training, as far as report and card show it."""

    dataset: str = ""
    attribution: str | None = None
    args: dict[str, Any] = {}
    counts: Annotated[TrainingSetReport | None, BeforeValidator(lambda counts: counts or None)] = (
        None
    )
    built_on: tuple[str, ...] = ()
    outcome: str | None = None
    epochs: int | None = None
    minutes: float | None = None
    weights_sha256: str | None = None
    commit: str | None = None
    finished_commit: str | None = None
    note: str | None = None
    out_of_fold: OutOfFoldRecord | None = None
    local: LocalRecord | None = None

    @classmethod
    def of(cls, bundle: Bundle) -> TrainingRecord:
        """Read the record of a bundle."""
        return cls.model_validate(bundle.training)

    @property
    def weights(self) -> str:
        """Choice of weights that the training began with, or their file's name; empty if unknown."""
        return _file_name(self.args.get("weights", ""))

    @property
    def command(self) -> str:
        """The command line that trains with these arguments, empty where none are recorded.

        It is broken before flags into lines of less than a hundred characters.
        """
        if not self.args:
            return ""
        # The split of older bundles had no seed of its own.
        args = {**self.args, "split_seed": self.args.get("split_seed", self.args["seed"])}
        flags: list[tuple[str, ...]] = [
            ("--data", f"data/{self.dataset}"),
            ("--dataset", self.dataset),
        ]
        for name, value in args.items():
            if name == "augment":
                flags += [] if value else [("--no_augmentation",)]
            elif isinstance(value, bool):
                flags += [(f"--{name}",)] if value else []
            elif name == "region":
                flags += [("--region", *value)] if value else []
            elif value is not None:
                flags.append((f"--{FLAGS.get(name, name)}", _file_name(value)))
        words = ["python train.py", *map(shlex.join, flags)]
        unbroken = " ".join(word.replace(" ", NO_BREAK_SPACE) for word in words)
        lines = textwrap.wrap(
            unbroken, LINE, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False
        )
        return " \\\n".join(lines).replace(NO_BREAK_SPACE, " ")


def _file_name(value: object) -> str:
    """Return a value as text; of a path its last part, for its folder exists on one machine only."""
    return PurePosixPath(value).name if isinstance(value, str) else str(value)
