"""Draws an evaluation: confusion matrix, ROC, precision-recall and reliability curves.

Colours are Okabe and Ito's, which the colour-blind can tell apart, and nothing is said by colour alone.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from utils.evaluation.evaluate import Evaluation
from utils.evaluation.metrics import Figure, reliability

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

BLUE, VERMILLION, GREY = "#0072B2", "#D55E00", "#6b6b6b"
_DPI = 150
_STYLE: dict[Any, Any] = {
    "font.size": 10,
    "axes.titlesize": 12,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "savefig.facecolor": "white",
}


def interval_text(figure: Figure) -> str:
    """Write a figure as ``0.912 (0.881 to 0.939)``, or that it is not defined."""
    value, low, high = (figure[name] for name in ("value", "low", "high"))
    if value is None:
        return "not defined"
    if low is None or high is None:
        return f"{value:.3f}"
    return f"{value:.3f} ({low:.3f} to {high:.3f})"


def draw_confusion(evaluation: Evaluation) -> bytes:
    """Draw the four outcomes as counts and as shares of what the label says."""
    table = evaluation.report["images"]
    counts, labels = table["confusion"], evaluation.bundle.labels
    matrix = np.array(
        [
            [counts["true_positive"], counts["false_negative"]],
            [counts["false_positive"], counts["true_negative"]],
        ]
    )
    totals = matrix.sum(axis=1, keepdims=True)
    shares = np.divide(matrix, totals, out=np.zeros((2, 2)), where=totals > 0)
    words = [["found", "missed"], ["false alarm", "rightly rejected"]]
    with canvas(6.4, 4.9) as (figure, axes):
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        for row in range(2):
            for column in range(2):
                style: dict[str, Any] = {
                    "ha": "center",
                    "color": "white" if shares[row, column] > 0.6 else "black",
                }
                count = f"{matrix[row, column]}"
                axes.text(column, row - 0.06, count, va="center", fontsize=18, **style)
                share = f"{shares[row, column]:.1%} {words[row][column]}"
                axes.text(column, row + 0.12, share, va="center", **style)
        axes.set_xticks([0, 1], [f"called\n{labels.positive}", f"called\n{labels.negative}"])
        axes.set_yticks(
            [0, 1], [f"positive\n(n = {totals[0, 0]})", f"negative\n(n = {totals[1, 0]})"]
        )
        axes.set_xlabel(f"prediction (threshold {evaluation.bundle.threshold:.3f})")
        axes.set_ylabel("label in the data")
        axes.spines[:].set_visible(False)
        axes.tick_params(length=0)
        figures = table["figures"]
        axes.set_title(
            f"Outcomes of {table['counts']['n']} images\n"
            f"sensitivity {interval_text(figures['sensitivity'])}\n"
            f"specificity {interval_text(figures['specificity'])}",
            fontsize=10,
            fontweight="normal",
        )
        return png_of(figure)


def draw_roc(evaluation: Evaluation) -> bytes:
    """Draw sensitivity against false alarms over all thresholds, with the operating point."""
    from sklearn.metrics import roc_curve

    scored, figures = evaluation.scored, evaluation.report["images"]["figures"]
    with canvas(6.0, 5.6) as (figure, axes):
        if figures["roc_auc"]["value"] is None:
            _undefined(axes, figures["roc_auc"])
        else:
            alarms, found, _ = roc_curve(scored.labels, scored.probability)
            area = interval_text(figures["roc_auc"])
            axes.plot(alarms, found, color=BLUE, lw=2, label=f"model, area {area}")
        axes.plot([0, 1], [0, 1], color=GREY, lw=1, ls="--", label="chance, area 0.5")
        _operating_point(
            axes, evaluation, figures["specificity"], figures["sensitivity"], mirror=True
        )
        axes.set_xlabel("1 - specificity (share of negatives called positive)")
        axes.set_ylabel("sensitivity (share of positives found)")
        _unit_square(axes)
        axes.set_title(_title("ROC curve", evaluation))
        axes.legend(loc="lower right")
        return png_of(figure)


def draw_precision_recall(evaluation: Evaluation) -> bytes:
    """Draw precision against sensitivity over all thresholds, with the operating point."""
    from sklearn.metrics import precision_recall_curve

    scored, table = evaluation.scored, evaluation.report["images"]
    figures, counts = table["figures"], table["counts"]
    with canvas(6.0, 5.6) as (figure, axes):
        if figures["average_precision"]["value"] is None:
            _undefined(axes, figures["average_precision"])
        else:
            precision, found, _ = precision_recall_curve(scored.labels, scored.probability)
            area = interval_text(figures["average_precision"])
            axes.step(
                found, precision, where="post", color=BLUE, lw=2, label=f"model, average {area}"
            )
        share = counts["positive"] / counts["n"]
        axes.axhline(share, color=GREY, lw=1, ls="--", label=f"chance, the prevalence {share:.3f}")
        _operating_point(
            axes, evaluation, figures["sensitivity"], figures["precision"], mirror=False
        )
        axes.set_xlabel("sensitivity (share of positives found)")
        axes.set_ylabel("precision (share of those called positive that are)")
        _unit_square(axes)
        axes.set_title(_title("Precision and recall", evaluation))
        axes.legend(loc="lower left")
        return png_of(figure)


def draw_reliability(evaluation: Evaluation) -> bytes:
    """Draw what was observed against what was predicted, and how probabilities are spread."""
    from scipy.stats import binomtest

    scored, figures = evaluation.scored, evaluation.report["images"]["figures"]
    curve = reliability(scored.labels, scored.probability)
    hits = np.rint(curve.observed * curve.count).astype(int)
    ranges = [
        binomtest(int(hit), int(n)).proportion_ci(method="wilson")
        for hit, n in zip(hits, curve.count, strict=True)
    ]
    low = curve.observed - [max(0.0, bounds.low) for bounds in ranges]
    high = [min(1.0, bounds.high) for bounds in ranges] - curve.observed
    with canvas(6.0, 7.0, nrows=2, height_ratios=(3.4, 1), sharex=True) as (figure, (axes, spread)):
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
            label=f"{curve.count.size} bins of {_span(curve.count)} images,\n95 % Wilson intervals",
        )
        for place in (axes, spread):
            place.axvline(evaluation.bundle.threshold, color=VERMILLION, lw=1.2, ls="-.")
            place.axvspan(*evaluation.bundle.doubt, color=VERMILLION, alpha=0.12, lw=0)
        axes.plot([], [], color=VERMILLION, lw=1.2, ls="-.", label="threshold")
        axes.fill([], [], color=VERMILLION, alpha=0.2, lw=0, label="answers called doubtful")
        axes.set_ylabel("share of positives observed")
        _unit_square(axes)
        axes.set_title(
            _title("Reliability of the probability", evaluation)
            + f"\ncalibration error {interval_text(figures['calibration_error'])}"
            f"\nBrier score {interval_text(figures['brier'])}",
            fontsize=10,
            fontweight="normal",
        )
        axes.legend(loc="upper left", frameon=True, framealpha=0.92, edgecolor="none")
        edges = np.linspace(0, 1, 26)
        for label, name, colour, hatch in (
            (0, "negative", BLUE, ""),
            (1, "positive", VERMILLION, "////"),
        ):
            chosen = scored.probability[scored.labels == label]
            style: dict[str, Any] = {"histtype": "stepfilled", "facecolor": "none", "hatch": hatch}
            if not hatch:
                style = {"histtype": "stepfilled", "facecolor": colour, "alpha": 0.45}
            spread.hist(
                chosen, edges, edgecolor=colour, label=f"{name} (n = {chosen.size})", **style
            )
        spread.set_xlim(-0.02, 1.02)
        spread.set_xlabel("predicted probability")
        spread.set_ylabel("images")
        spread.legend(loc="upper right")
        return png_of(figure)


PLOTS: dict[str, Callable[[Evaluation], bytes]] = {
    "confusion.png": draw_confusion,
    "roc.png": draw_roc,
    "precision_recall.png": draw_precision_recall,
    "reliability.png": draw_reliability,
}


def _span(counts: np.ndarray) -> str:
    """Say between which numbers counts lie, in as few words as will do."""
    low, high = counts.min(), counts.max()
    return f"{low}" if low == high else f"{low} to {high}"


def _operating_point(
    axes: Axes, evaluation: Evaluation, across: Figure, upward: Figure, *, mirror: bool
) -> None:
    """Mark where the model decides, with the intervals of both figures as a cross."""
    if across["value"] is None or upward["value"] is None:
        return

    def span(figure: Figure) -> list[list[float]] | None:
        value, low, high = (figure[name] for name in ("value", "low", "high"))
        if low is None or high is None:
            return None
        return [[max(0.0, float(value) - float(low))], [max(0.0, float(high) - float(value))]]  # type: ignore[arg-type]

    x, width = float(across["value"]), span(across)
    if mirror:
        x, width = 1.0 - x, width and width[::-1]
    axes.errorbar(
        [x],
        [float(upward["value"])],
        xerr=width,
        yerr=span(upward),
        color=VERMILLION,
        marker="D",
        ms=6,
        capsize=3,
        lw=0,
        elinewidth=1.5,
        zorder=5,
        label=f"threshold {evaluation.bundle.threshold:.3f}, with intervals",
    )


def _title(text: str, evaluation: Evaluation) -> str:
    """Add how many images and groups a plot speaks of."""
    counts = evaluation.report["images"]["counts"]
    return f"{text}: {counts['n']} images, {counts['positive']} positive"


def _undefined(axes: Axes, figure: Figure) -> None:
    """Say in the plot's middle why there is no curve."""
    axes.text(0.5, 0.5, f"not defined:\n{figure['reason']}", ha="center", va="center", color=GREY)


def _unit_square(axes: Axes) -> None:
    """Give both axes the range of a share and a faint grid."""
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)
    axes.grid(color="#e3e3e3", lw=0.8)


@contextmanager
def canvas(width: float, height: float, **subplots: Any) -> Iterator[tuple[Canvas, Any]]:
    """Give a figure of so many inches and its axes, in this module's style, without pyplot's state."""
    import matplotlib
    from matplotlib.figure import Figure as NewCanvas

    with matplotlib.rc_context(_STYLE):
        figure = NewCanvas(figsize=(width, height), layout="constrained")
        yield figure, figure.subplots(**subplots)


def png_of(figure: Canvas) -> bytes:
    """Draw a figure as PNG, the same bytes for the same figure."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=_DPI, bbox_inches="tight", metadata={"Software": None})
    return stream.getvalue()
