"""Settings of a training: the one table that flags, defaults and the sidecar are made from."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from utils.cli import number, whole_number
from utils.errors import InputError, UnknownName
from utils.model.architectures import ARCHITECTURES, DEFAULT_ARCHITECTURE
from utils.model.pretrained import IMAGENET, RANDOM
from utils.model_builder import COARSE, FINE
from utils.preprocess import LARGEST, SMALLEST, PreprocessSpec
from utils.training.augmentation.variation import NONE, VARIATIONS
from utils.training.epochs.schedule import SCHEDULES

HEAD, TUNING = "head", "fine-tuning"
BEST, LAST = "best", "last"
ALL, BY_REGION = "all", "region"
NETWORK, TRAINING, DECISION = "network", "training", "decision"

_positive = number(1e-12, 1e6, "a positive number")
_not_negative = number(0.0, 1e6, "a number of at least 0")
_share = number(0.0, 0.999, "a share from 0 to below 1")


def _setting(
    default: Any,
    help: str,
    convert: Callable[[str], Any] | None = None,
    *,
    flag: str = "",
    group: str = TRAINING,
    **options: Any,
) -> Any:
    """Describe one setting and its flag.

    Args:
        default: of both.
        help: for ``--help``.
        convert: argparse type of the flag's value.
        flag: name of the flag where it is not the setting's.
        group: heading in ``--help``.
        options: further arguments of ``add_argument``.
    """
    if convert is not None:
        options["type"] = convert
    return field(
        default=default, metadata={"flag": flag, "group": group, "help": help, "options": options}
    )


@dataclass(frozen=True)
class TrainingConfig:
    """Settings of a training, as they go into the sidecar.

    Raises:
        UnknownName: an architecture or an image size that a bundle cannot have.
        InputError: settings that contradict each other.
    """

    architecture: str = _setting(
        DEFAULT_ARCHITECTURE,
        f"one of {', '.join(ARCHITECTURES)}",
        flag="model",
        group=NETWORK,
    )
    image_size: int = _setting(
        320, "side of the square input, pixels", whole_number(1), group=NETWORK
    )
    weights: str = _setting(
        "",
        f"{IMAGENET}, {RANDOM} or a path (.npz, .h5) (default: {IMAGENET}; {RANDOM} for custom)",
        group=NETWORK,
    )
    epochs: int = _setting(20, "of fine-tuning the whole network", whole_number(1))
    head_epochs: int = _setting(1, "before it, of the new heads alone", whole_number(0))
    batch_size: int = _setting(32, "images a step", whole_number(1))
    learning_rate: float = _setting(1e-4, "highest, of fine-tuning", _positive)
    head_learning_rate: float = _setting(1e-3, "of the heads alone", _positive)
    schedule: str = _setting("cosine", "of the learning rate", choices=tuple(SCHEDULES))
    patience: int = _setting(8, "epochs without a better validation AUC", whole_number(1))
    weight_decay: float = _setting(1e-4, "of AdamW", _not_negative)
    averaging: float = _setting(
        0.0,
        "momentum of the running mean of the weights that is kept; 0: the last step's",
        _share,
    )
    dropout: float = _setting(0.3, "of the pooled features", _share, group=NETWORK)
    label_smoothing: float = _setting(0.0, "of the fracture's loss", _share)
    detail: str = _setting(
        FINE, "detail of the activation map", flag="map", group=NETWORK, choices=(COARSE, FINE)
    )
    location_weight: float = _setting(
        0.3, "of the loss of the map at marked fractures", _not_negative
    )
    boxes_weight: float = _setting(
        0.3,
        "of the loss of boxes around marked fractures, by the fine map; 0: no boxes",
        _not_negative,
    )
    region_weight: float = _setting(0.2, "of the body part's loss; 0: no such head", _not_negative)
    teacher: str | None = _setting(
        None, "a bundle (.h5) whose network's features and logit are further targets"
    )
    teacher_weight: float = _setting(1.0, "of the distillation loss", _not_negative)
    class_weight: str = _setting("balanced", "of the classes", choices=("balanced", "none"))
    negatives: float = _setting(
        0.0,
        "normal images an epoch shows for each fractured one, drawn anew; 0: all of them",
        _not_negative,
    )
    augmentation: str = _setting("plain", "variation of the images", choices=tuple(VARIATIONS))
    batch_norm: str = _setting(
        "auto", "its statistics", group=NETWORK, choices=("auto", "hold", "train")
    )
    mixed_precision: bool = _setting(False, "compute in bfloat16", action="store_true")
    keep: str = _setting(
        BEST,
        "the epoch that is kept: of the best validation AUC, or the last, with no patience",
        choices=(BEST, LAST),
    )
    sensitivity: float = _setting(0.90, "that the threshold is chosen for", _share, group=DECISION)
    rule_out_sensitivity: float = _setting(
        0.95, "of the sensitive operating point: below it no fracture", _share, group=DECISION
    )
    rule_in_specificity: float = _setting(
        0.95, "of the specific operating point: from it on a fracture", _share, group=DECISION
    )
    calibrate_by: str = _setting(
        ALL,
        "fit one calibration, or another for each predicted body part before it",
        choices=(ALL, BY_REGION),
        group=DECISION,
    )
    seed: int = _setting(0, "of weights, order and augmentation", whole_number(0))
    split_seed: int = _setting(0, "of the split alone", whole_number(0))

    def __post_init__(self) -> None:
        published = ARCHITECTURES[self.architecture].backbone
        if not self.weights:
            object.__setattr__(self, "weights", IMAGENET if published else RANDOM)
        if not SMALLEST <= self.image_size <= LARGEST:
            raise UnknownName(
                "training.image_size", size=self.image_size, least=SMALLEST, largest=LARGEST
            )
        if self.averaging and not self.holds_batch_norm:
            raise InputError("training.averaging")

    @property
    def spec(self) -> PreprocessSpec:
        """The network's input."""
        return PreprocessSpec(self.image_size, ARCHITECTURES[self.architecture].scaling)

    @property
    def holds_batch_norm(self) -> bool:
        """Whether the statistics of batch normalisation are frozen; "auto" freezes pretrained ones."""
        return self.batch_norm == "hold" or (self.batch_norm == "auto" and self.weights != RANDOM)

    @property
    def phases(self) -> tuple[tuple[str, int, float], ...]:
        """Name, epochs and highest learning rate of each phase."""
        tuning = (TUNING, self.epochs, self.learning_rate)
        if self.weights == RANDOM or not self.head_epochs:
            return (tuning,)
        return ((HEAD, self.head_epochs, self.head_learning_rate), tuning)


def training_settings(config: TrainingConfig) -> dict[str, Any]:
    """Return the settings by name, but for those that act after the training alone."""
    values = asdict(config)
    for setting in fields(TrainingConfig):
        if setting.metadata["group"] == DECISION:
            del values[setting.name]
    return values


def add_flags(parser: ArgumentParser) -> None:
    """Add a flag for every setting."""
    groups = {name: parser.add_argument_group(name) for name in (NETWORK, TRAINING, DECISION)}
    for setting in fields(TrainingConfig):
        flag, options = setting.metadata, dict(setting.metadata["options"])
        if "action" not in options:
            # The formatter of --help shows no default that is None.
            options["default"] = None if setting.default == "" else setting.default
        groups[flag["group"]].add_argument(
            f"--{flag['flag'] or setting.name}", help=flag["help"], **options
        )
    groups[TRAINING].add_argument(
        "--no_augmentation",
        dest="augmentation",
        action="store_const",
        const=NONE,
        help=f"the same as --augmentation {NONE}",
    )


def config_of(flags: Namespace) -> TrainingConfig:
    """Return the settings that parsed flags give.

    Raises:
        UnknownName, InputError: see ``TrainingConfig``.
    """
    values = {
        setting.name: getattr(flags, setting.metadata["flag"] or setting.name)
        for setting in fields(TrainingConfig)
    }
    return TrainingConfig(**{**values, "weights": values["weights"] or ""})
