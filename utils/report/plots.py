"""Plots of an evaluation: confusion matrix, ROC, precision-recall and reliability curves.

The palette is Okabe and Ito's, distinguishable by the colour-blind, and no meaning rests on colour alone.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from utils.evaluation.metrics import reliability
from utils.evaluation.report_schema import Figure
from utils.evaluation.scored_images import Evaluation
from utils.report.format import interval_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

BLUE, VERMILLION, GREY = "#0072B2", "#D55E00", "#6b6b6b"
STYLE = Path(__file__).with_suffix(".mplstyle")
DOTS_PER_INCH = 150


def draw_confusion(evaluation: Evaluation) -> bytes:
    """Draw the confusion matrix as counts and as shares of each label."""
    images, labels = evaluation.report.images, evaluation.bundle.labels
    outcomes = images.confusion
    matrix = np.array(
        [
            (outcomes.true_positive, outcomes.false_negative),
            (outcomes.false_positive, outcomes.true_negative),
        ]
    )
    totals = matrix.sum(axis=1, keepdims=True)
    shares = np.divide(matrix, totals, out=np.zeros((2, 2)), where=totals > 0)
    words = [["found", "missed"], ["false alarm", "rightly rejected"]]
    with canvas(6.4, 4.9) as (figure, axes):
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        for (row, column), share in np.ndenumerate(shares):
            style: dict[str, Any] = {"ha": "center", "color": "white" if share > 0.6 else "black"}
            count = f"{matrix[row, column]}"
            axes.text(column, row - 0.06, count, va="center", fontsize=18, **style)
            text = f"{share:.1%} {words[row][column]}"
            axes.text(column, row + 0.12, text, va="center", **style)
        axes.set_xticks([0, 1], [f"called\n{labels.positive}", f"called\n{labels.negative}"])
        positives, negatives = totals.ravel()
        axes.set_yticks([0, 1], [f"positive\n(n = {positives})", f"negative\n(n = {negatives})"])
        axes.set_xlabel(f"prediction (threshold {evaluation.bundle.threshold:.3f})")
        axes.set_ylabel("label in the data")
        axes.spines[:].set_visible(False)
        axes.tick_params(length=0)
        axes.set_title(
            f"Outcomes of {images.counts.n} images\n"
            f"sensitivity {interval_text(images.figures.sensitivity)}\n"
            f"specificity {interval_text(images.figures.specificity)}",
            fontsize=10,
            fontweight="normal",
        )
        return png_of(figure)


def draw_roc(evaluation: Evaluation) -> bytes:
    """Draw the ROC curve with the operating point."""
    from sklearn.metrics import roc_curve

    scored, figures = evaluation.scored, evaluation.report.images.figures
    with canvas(6.0, 5.6) as (figure, axes):
        if figures.roc_auc.value is None:
            _undefined(axes, figures.roc_auc)
        else:
            false_positive_rate, sensitivity, _ = roc_curve(scored.labels, scored.probability)
            label = f"model, area {interval_text(figures.roc_auc)}"
            axes.plot(false_positive_rate, sensitivity, color=BLUE, lw=2, label=label)
        axes.plot([0, 1], [0, 1], color=GREY, lw=1, ls="--", label="chance, area 0.5")
        _operating_point(axes, evaluation, figures.specificity, figures.sensitivity, mirror=True)
        axes.set_xlabel("1 - specificity (share of negatives called positive)")
        axes.set_ylabel("sensitivity (share of positives found)")
        _unit_square(axes)
        axes.set_title(_title("ROC curve", evaluation))
        axes.legend(loc="lower right")
        return png_of(figure)


def draw_precision_recall(evaluation: Evaluation) -> bytes:
    """Draw the precision-recall curve with the operating point."""
    from sklearn.metrics import precision_recall_curve

    scored, images = evaluation.scored, evaluation.report.images
    figures = images.figures
    with canvas(6.0, 5.6) as (figure, axes):
        if figures.average_precision.value is None:
            _undefined(axes, figures.average_precision)
        else:
            precision, recall, _ = precision_recall_curve(scored.labels, scored.probability)
            label = f"model, average {interval_text(figures.average_precision)}"
            axes.step(recall, precision, where="post", color=BLUE, lw=2, label=label)
        share = images.counts.positive / images.counts.n
        axes.axhline(share, color=GREY, lw=1, ls="--", label=f"chance, the prevalence {share:.3f}")
        _operating_point(axes, evaluation, figures.sensitivity, figures.precision)
        axes.set_xlabel("sensitivity (share of positives found)")
        axes.set_ylabel("precision (share of those called positive that are)")
        _unit_square(axes)
        axes.set_title(_title("Precision and recall", evaluation))
        axes.legend(loc="lower left")
        return png_of(figure)


def draw_reliability(evaluation: Evaluation) -> bytes:
    """Draw the reliability diagram above a histogram of the probabilities of each class."""
    from scipy.stats import binomtest

    scored, figures = evaluation.scored, evaluation.report.images.figures
    curve = reliability(scored.labels, scored.probability)
    positives = np.rint(curve.observed * curve.count).astype(int)
    intervals = [
        binomtest(int(hits), int(n)).proportion_ci(method="wilson")
        for hits, n in zip(positives, curve.count, strict=True)
    ]
    low = curve.observed - [max(0.0, interval.low) for interval in intervals]
    high = [min(1.0, interval.high) for interval in intervals] - curve.observed
    rows: dict[str, Any] = {"nrows": 2, "height_ratios": (3.4, 1), "sharex": True}
    sizes = " to ".join(map(str, sorted({curve.count.min(), curve.count.max()})))
    with canvas(6.0, 7.0, **rows) as (figure, (axes, histogram)):
        axes.plot([0, 1], [0, 1], color=GREY, lw=1, ls="--", label="ideal")
        axes.errorbar(
            curve.predicted,
            curve.observed,
            yerr=np.clip([low, high], 0.0, None),
            color=BLUE,
            marker="o",
            ms=5,
            lw=1.5,
            elinewidth=1,
            capsize=2,
            label=f"{curve.count.size} bins of {sizes} images,\n95 % Wilson intervals",
        )
        for place in (axes, histogram):
            place.axvline(evaluation.bundle.threshold, color=VERMILLION, lw=1.2, ls="-.")
            place.axvspan(*evaluation.bundle.doubt, color=VERMILLION, alpha=0.12, lw=0)
        axes.plot([], [], color=VERMILLION, lw=1.2, ls="-.", label="threshold")
        axes.fill([], [], color=VERMILLION, alpha=0.2, lw=0, label="answers called doubtful")
        axes.set_ylabel("share of positives observed")
        _unit_square(axes)
        axes.set_title(
            _title("Reliability of the probability", evaluation)
            + f"\ncalibration error {interval_text(figures.calibration_error)}"
            f"\nBrier score {interval_text(figures.brier)}",
            fontsize=10,
            fontweight="normal",
        )
        axes.legend(loc="upper left", frameon=True, framealpha=0.92, edgecolor="none")
        edges = np.linspace(0, 1, 26)
        filled = {"ec": BLUE, "fc": BLUE, "alpha": 0.45}
        hatched = {"ec": VERMILLION, "fc": "none", "hatch": "////"}
        for label, name, style in ((0, "negative", filled), (1, "positive", hatched)):
            chosen = scored.probability[scored.labels == label]
            name = f"{name} (n = {chosen.size})"
            histogram.hist(chosen, edges, histtype="stepfilled", label=name, **style)
        histogram.set_xlim(-0.02, 1.02)
        histogram.set_xlabel("predicted probability")
        histogram.set_ylabel("images")
        histogram.legend(loc="upper right")
        return png_of(figure)


PLOTS: dict[str, Callable[[Evaluation], bytes]] = {
    "confusion.png": draw_confusion,
    "roc.png": draw_roc,
    "precision_recall.png": draw_precision_recall,
    "reliability.png": draw_reliability,
}


def _operating_point(
    axes: Axes, evaluation: Evaluation, x: Figure, y: Figure, *, mirror: bool = False
) -> None:
    """Mark the threshold with the intervals of both figures; ``mirror`` draws 1 - x."""
    if x.value is None or y.value is None:
        return
    x_error = _error(x)
    axes.errorbar(
        [1.0 - x.value if mirror else x.value],
        [y.value],
        xerr=x_error[::-1] if mirror and x_error else x_error,
        yerr=_error(y),
        color=VERMILLION,
        marker="D",
        ms=6,
        capsize=3,
        lw=0,
        elinewidth=1.5,
        zorder=5,
        label=f"threshold {evaluation.bundle.threshold:.3f}, with intervals",
    )


def _error(figure: Figure) -> list[list[float]] | None:
    """Return how far the interval reaches below and above the value, None without an interval."""
    if figure.value is None or figure.low is None or figure.high is None:
        return None
    return [[max(0.0, figure.value - figure.low)], [max(0.0, figure.high - figure.value)]]


def _title(text: str, evaluation: Evaluation) -> str:
    """Append how many images a plot is of."""
    counts = evaluation.report.images.counts
    return f"{text}: {counts.n} images, {counts.positive} positive"


def _undefined(axes: Axes, figure: Figure) -> None:
    """Write into the plot why there is no curve."""
    axes.text(0.5, 0.5, f"not defined:\n{figure.reason}", ha="center", va="center", color=GREY)


def _unit_square(axes: Axes) -> None:
    """Give both axes the range of a share and a faint grid."""
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)
    axes.grid(color="#e3e3e3", lw=0.8)


@contextmanager
def canvas(width: float, height: float, **subplots: Any) -> Iterator[tuple[Canvas, Any]]:
    """Make a figure (inches) and its axes in this module's style, without pyplot's state."""
    import matplotlib
    from matplotlib.figure import Figure as NewCanvas

    with matplotlib.rc_context(fname=STYLE):
        figure = NewCanvas(figsize=(width, height), layout="constrained")
        yield figure, figure.subplots(**subplots)


def png_of(figure: Canvas) -> bytes:
    """Encode a figure as PNG, the same bytes for the same figure."""
    stream = io.BytesIO()
    figure.savefig(
        stream, format="png", dpi=DOTS_PER_INCH, bbox_inches="tight", metadata={"Software": None}
    )
    return stream.getvalue()
