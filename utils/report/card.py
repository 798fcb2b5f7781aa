"""Model card of a bundle, as Markdown."""

from __future__ import annotations

from utils.evaluation.report_schema import FIGURES, Figures
from utils.evaluation.scored_images import Evaluation
from utils.model.architectures import DEFAULT_ARCHITECTURE
from utils.report.pages import render
from utils.report.samples import failures


def card_page(evaluation: Evaluation) -> str:
    """Render the model card.

    Args:
        evaluation: of the model, best on its own test part.

    Returns:
        Markdown. The same evaluation gives the same text; it shows no picture.

    Source:
        Mitchell et al., Model cards for model reporting, arXiv:1810.03993.
    """
    return render(
        "model_card.md",
        evaluation,
        default_architecture=DEFAULT_ARCHITECTURE,
        figure_names=FIGURES,
        fitted=_figures_where_fitted(evaluation),
        scored=evaluation.scored,
        failures=failures(evaluation),
    )


def _figures_where_fitted(evaluation: Evaluation) -> Figures | None:
    """Return the figures of the part that the decision was fitted on, None where they are unknown."""
    if local := evaluation.report.recalibration:
        return local.figures_on_the_fitting_part
    found = evaluation.bundle.metrics.get("validation")
    return Figures.model_validate({name: found[name] for name in FIGURES}) if found else None
