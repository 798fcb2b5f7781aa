"""How a run trains, as one frozen record that goes into the bundle's sidecar."""

from __future__ import annotations

from dataclasses import dataclass

from utils.model.architectures import ARCHITECTURES
from utils.model.pretrained import RANDOM
from utils.preprocess import PreprocessSpec

HEAD, TUNING = "head", "fine-tuning"


@dataclass(frozen=True)
class TrainingConfig:
    """How a run trains; stored in the bundle's sidecar.

    Args:
        architecture: name in ARCHITECTURES.
        image_size: side of the square input, pixels.
        weights: "imagenet", "none" or a path, see ``pretrained.load_pretrained``.
        epochs: of fine-tuning the whole network.
        head_epochs: before it, of the new heads alone; skipped with random weights.
        batch_size: images a step.
        learning_rate: highest of the fine-tuning.
        head_learning_rate: of the head's epochs.
        schedule: "cosine", "plateau" or "constant", see ``schedule.learning_rate_at``.
        patience: epochs without a better validation AUC after which a run stops.
        weight_decay: of AdamW.
        averaging: momentum of the running mean of the weights that is validated and kept; 0 keeps the
            last step's.
        dropout: before the heads.
        label_smoothing: of the fracture's cross-entropy.
        detail: of the activation map, "coarse" or "fine".
        location_weight: of the loss that tells the map where the marked fractures are.
        region_weight: of the body part's loss; 0 leaves the auxiliary head out.
        teacher: path of a bundle whose network teaches this one, None without.
        teacher_weight: of the loss that holds the two together.
        class_weight: "balanced" or "none".
        negatives: normal images an epoch shows for each positive one, drawn anew; 0 shows all.
        augment: vary the pictures.
        batch_norm: "hold" its statistics, "train" them, or "auto": hold pretrained ones.
        mixed_precision: compute in bfloat16, keep float32 weights.
        sensitivity: that the threshold is chosen for.
        seed: of weights, order and augmentation.
        split_seed: of the split alone.
    """

    architecture: str
    image_size: int
    weights: str
    epochs: int
    head_epochs: int
    batch_size: int
    learning_rate: float
    head_learning_rate: float
    schedule: str
    patience: int
    weight_decay: float
    averaging: float
    dropout: float
    label_smoothing: float
    detail: str
    location_weight: float
    region_weight: float
    teacher: str | None
    teacher_weight: float
    class_weight: str
    negatives: float
    augment: bool
    batch_norm: str
    mixed_precision: bool
    sensitivity: float
    seed: int
    split_seed: int

    @property
    def spec(self) -> PreprocessSpec:
        """What the network sees."""
        return PreprocessSpec(self.image_size, ARCHITECTURES[self.architecture].scaling)

    @property
    def holds_batch_norm(self) -> bool:
        """Whether the statistics of batch normalisation stay as they are."""
        return self.batch_norm == "hold" or (self.batch_norm == "auto" and self.weights != RANDOM)

    @property
    def phases(self) -> tuple[tuple[str, int, float], ...]:
        """Name, epochs and highest learning rate of each phase."""
        tuning = (TUNING, self.epochs, self.learning_rate)
        if self.weights == RANDOM or not self.head_epochs:
            return (tuning,)
        return ((HEAD, self.head_epochs, self.head_learning_rate), tuning)
