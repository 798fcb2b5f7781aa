"""Schema of metrics.json, the typed report of one evaluation; an alias is a field's name in the file."""

from __future__ import annotations

import json
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from utils.datasets.split import SplitReport
from utils.evaluation.bootstrap import BINS
from utils.model.sidecar import Labels

Label = Literal["positive", "negative"]


def absent(alias: str | None = None) -> Any:
    """Return a field that is None by default and then left out of the file."""
    return Field(None, alias=alias, exclude_if=lambda value: value is None)


class Record(BaseModel):
    """A part of the report."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        populate_by_name=True,
        serialize_by_alias=True,
    )


class Figure(Record):
    """A figure with its 95 % bootstrap interval, and the reason where one of them is None."""

    value: float | None
    low: float | None
    high: float | None
    reason: str | None = absent()


class Figures(Record):
    """Every figure of some images; the titles are the words of the report."""

    accuracy: Figure = Field(title="Accuracy")
    sensitivity: Figure = Field(title="Sensitivity (recall)")
    specificity: Figure = Field(title="Specificity")
    precision: Figure = Field(title="Precision")
    f1: Figure = Field(title="F1 score")
    roc_auc: Figure = Field(title="Area under the ROC curve")
    average_precision: Figure = Field(title="Average precision")
    cohen_kappa: Figure = Field(title="Cohen's kappa")
    brier: Figure = Field(title="Brier score")
    calibration_error: Figure = Field(title=f"Calibration error ({BINS} equal-mass bins)")
    calibration_slope: Figure = Field(title="Calibration slope (1 is ideal)")
    calibration_intercept: Figure = Field(title="Calibration intercept (0 is ideal)")


# Name of each figure to its title, in the order of the report.
FIGURES: dict[str, str] = {name: str(field.title) for name, field in Figures.model_fields.items()}


class Counts(Record):
    """Images (or studies) of each label, and the groups they form."""

    n: int
    positive: int
    negative: int
    groups: int


class Confusion(Record):
    """The four outcomes at the operating point."""

    true_positive: int
    false_positive: int
    false_negative: int
    true_negative: int


class Performance(Record):
    """Counts, outcomes and figures of some images; of studies also the ``rule`` of their probability."""

    rule: str | None = absent()
    counts: Counts
    confusion: Confusion
    figures: Figures


class CertaintyCounts(Record):
    """Answers of each certainty, see ``inference.input_warnings``."""

    definite: int
    doubtful: int
    withheld: int


class PredictiveValues(Record):
    """How often a positive and a negative answer are right at one prevalence."""

    prevalence: float
    positive: Figure
    negative: Figure


class LocalisationFigures(Record):
    """How some maps lie on the marked lesions; the titles are the words of the report."""

    n: int
    pointing_game: Figure = Field(title="peak inside a lesion")
    evidence_inside: Figure = Field(title="share of the evidence inside lesions")
    overlap: Figure = Field(title="overlap with the lesions")


# Name of each measure to its title.
MEASURES: dict[str, str] = {
    name: field.title for name, field in LocalisationFigures.model_fields.items() if field.title
}


class Chance(Record):
    """What a map without information reaches by every measure."""

    meaning: str
    value: float


class Localisation(Record):
    """Localisation on marked radiographs, all and those called positive; ``rules`` define the measures."""

    rules: dict[str, str]
    marked: LocalisationFigures
    marked_and_called_positive: LocalisationFigures
    chance: Chance


class RegionHead(Record):
    """Accuracy of the body part that the network names, on radiographs of the parts it knows."""

    labels: tuple[str, ...]
    n: int
    accuracy: Figure


class CountAndShare(Record):
    """Images that carry a warning, and their share; of all images also by label."""

    n: int
    share: Figure
    by_label: dict[Label, CountAndShare] | None = absent()


class InputWarnings(Record):
    """Images, those of each label, and those with each code of the out-of-distribution detector."""

    n: int
    labels: dict[Label, int]
    codes: dict[str, CountAndShare]


class ImageTables(Record):
    """Every table that is computed from scored images, and the strata by division and stratum."""

    images: Performance
    studies: Performance | None = absent()
    without_hardware: Performance | None = absent()
    without_truncated: Performance | None = absent()
    definite: Performance
    certainty: CertaintyCounts
    strata: dict[str, dict[str, Performance]] = Field(alias="by")
    predictive_values: tuple[PredictiveValues, ...]
    localisation: Localisation | None
    region_head: RegionHead | None
    input_warnings: InputWarnings | None = Field(alias="doubts")


class ModelRecord(Record):
    """What identifies a model and its decision."""

    sha256: str
    architecture: str
    image_size: int
    trained_on: str | None
    labels: Labels
    threshold: float
    doubt: tuple[float, float]
    chosen_by: str


class DatasetRecord(Record):
    """What was evaluated; ``part`` is "test" or "all"."""

    name: str
    meaning: str
    attribution: str
    part: str
    trained_on_these_data: bool
    split: SplitReport


class LeftOut(Record):
    """Images that were not evaluated, by reason; the first two are in the training manifest."""

    training_images: int = Field(alias="seen_by_the_model")
    near_duplicates: int = Field(alias="near_duplicates_of_seen")
    unreadable: int
    dropped: dict[str, int]
    other_parts: int
    not_named: int | None = absent()


class Bootstrap(Record):
    """How the intervals were drawn."""

    resamples: int
    seed: int
    level: float
    unit: Literal["group"] = "group"


class Division(Record):
    """How the groups were divided into a fitting part and the rest."""

    seed: int
    shares: dict[str, float]
    unit: Literal["group"] = "group"


class DecisionValues(Record):
    """Calibration, threshold and doubtful zone as plain numbers."""

    slope: float
    intercept: float
    threshold: float
    doubt: tuple[float, float]


class RecalibrationRecord(Record):
    """A fitted decision and the model's own; ``worse`` names the figures it degrades on the rest."""

    recalibrated: bool
    sensitivity: float | None
    split: Division
    fitting: Counts
    rest: Counts
    before: DecisionValues
    after: DecisionValues
    figures_on_the_fitting_part: Figures
    worse: tuple[str, ...]
    figures_before: Figures


class OODFolderRecord(Record):
    """Files of one folder of out-of-distribution samples, answered and refused with an error."""

    folder: str
    pictures: int
    refused: int
    certainty: CertaintyCounts
    warnings: dict[str, int]
    without_warning: int


class _Subject(Record):
    schema_version: Literal[1] = 1
    model: ModelRecord
    dataset: DatasetRecord
    left_out: LeftOut
    bootstrap: Bootstrap


# The fields of the last base come first in the file.
class EvaluationReport(ImageTables, _Subject):
    """Everything that metrics.json holds."""

    recalibration: RecalibrationRecord | None = absent("local_decision")
    ood_folders: tuple[OODFolderRecord, ...] | None = absent("strangers")

    def to_json(self) -> str:
        """Return the text of metrics.json."""
        content = self.model_dump(mode="json")
        return json.dumps(content, indent=2, allow_nan=False) + "\n"

    def summary(self) -> dict[str, Any]:
        """Return what evaluate.py prints: the main figures and what is optional, JSON-able."""
        content = self.model_dump(mode="json")
        return {
            **{name: content[name] for name in ("local_decision", "strangers") if name in content},
            "model": self.model.sha256,
            "dataset": self.dataset.name,
            "part": self.dataset.part,
            "counts": content["images"]["counts"],
            "left_out": content["left_out"],
            "figures": content["images"]["figures"],
        }
