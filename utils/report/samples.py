"""Galleries of the most confident answers of an evaluation, each radiograph beside its map."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from utils.datasets.sample import Sample
from utils.evaluation.scored_images import Evaluation, ScoredImages
from utils.formats import decode
from utils.imaging import geometry, overlay
from utils.report.plots import canvas, png_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SAMPLES, FAILURES = "samples.png", "failures.png"
# Samples of each outcome, and in a line of a gallery.
SAMPLES_A_LINE = 3
# Of each kind of wrong answer in the gallery; a whole number of lines.
FAILURES_A_KIND = 9
# Longest side of a radiograph, pixels.
SIDE = 384
# Characters of a file's name above its picture.
NAME_LENGTH = 30


def draw_samples(evaluation: Evaluation) -> bytes:
    """Draw the most confident right and wrong answers, each radiograph beside its map, lesions framed."""
    return _draw(evaluation, most_confident(evaluation, SAMPLES_A_LINE))


def draw_failures(evaluation: Evaluation) -> bytes | None:
    """Draw the most confident wrong answers in the same way, None where every answer is right."""
    rows = failures(evaluation)
    return _draw(evaluation, rows) if any(rows.values()) else None


def failures(evaluation: Evaluation) -> dict[str, list[int]]:
    """Return rows of the most confident misses and false alarms, at most one of a group each."""
    rows = most_confident(evaluation, FAILURES_A_KIND)
    return {outcome: rows[outcome] for outcome in ("missed", "false alarm")}


def most_confident(evaluation: Evaluation, count: int) -> dict[str, list[int]]:
    """Return ``count`` rows of the most confident answers of each outcome, at most one of a group each."""
    scored = evaluation.scored
    called = scored.probability >= evaluation.bundle.threshold
    truth = scored.labels == 1
    outcomes = {
        "found": (truth & called, -1),
        "missed": (truth & ~called, 1),
        "false alarm": (~truth & called, -1),
        "rightly rejected": (~truth & ~called, 1),
    }
    groups = np.array(scored.groups)
    rows: dict[str, list[int]] = {}
    for outcome, (members, direction) in outcomes.items():
        order = np.argsort(direction * scored.logit, kind="stable")
        order = order[members[order]]
        first_of_group = np.unique(groups[order], return_index=True)[1]
        rows[outcome] = order[np.sort(first_of_group)[:count]].tolist()
    return rows


def _draw(evaluation: Evaluation, rows: Mapping[str, Sequence[int]]) -> bytes:
    """Draw the rows of each outcome in lines of SAMPLES_A_LINE."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import ListedColormap, Normalize

    lines = [
        (outcome if start == 0 else "", some[start : start + SAMPLES_A_LINE])
        for outcome, some in rows.items()
        for start in range(0, len(some), SAMPLES_A_LINE)
    ]
    top = evaluation.bundle.scale_top
    columns = 2 * SAMPLES_A_LINE
    with canvas(
        2.0 * columns, 2.5 * len(lines) + 0.7, nrows=len(lines), ncols=columns, squeeze=False
    ) as (figure, grid):
        for axes in grid.flat:
            axes.set_xticks([])
            axes.set_yticks([])
            axes.spines[:].set_visible(False)
            axes.set_anchor("N")
        for line, (outcome, some) in zip(grid, lines, strict=True):
            line[0].set_ylabel(outcome, fontsize=10, fontweight="bold")
            for place, row in enumerate(some):
                left, right = line[2 * place : 2 * place + 2]
                _draw_sample(left, right, evaluation.scored, row, top)
        shades = ListedColormap(overlay.colours() / 255.0)
        figure.colorbar(
            ScalarMappable(Normalize(0, top), shades),
            ax=grid,
            orientation="horizontal",
            fraction=0.04,
            pad=0.02,
            aspect=60,
            panchor=False,
            label="evidence for a fracture a cell of the map, logits (above the top: as the top)",
        )
        return png_of(figure)


def _draw_sample(left: Axes, right: Axes, scored: ScoredImages, row: int, top: float) -> None:
    """Draw one radiograph and, beside it, its map over it."""
    from matplotlib.patches import Rectangle

    sample = scored.samples[row]
    radiograph = decode(sample.path.read_bytes(), allow_truncated=True)
    grey = overlay.grey_levels(radiograph.pixels, SIDE)
    activation = geometry.map_over_picture(
        scored.maps[row],
        radiograph.height,
        radiograph.width,
        scored.map_offset,
        scored.files[row].crop,
    )
    height, width = grey.shape
    blended = overlay.blend(grey, overlay.levels(activation, height, width, top))
    left.imshow(grey, cmap="gray", vmin=0, vmax=255)
    right.imshow(blended[..., ::-1])
    ratio = width / radiograph.width
    for box in sample.boxes:
        corner, size = (box.x * ratio, box.y * ratio), (box.width * ratio, box.height * ratio)
        for axes in (left, right):
            axes.add_patch(Rectangle(corner, *size, fill=False, ec="#56B4E9", lw=1.3, ls="--"))
    left.set_title(_caption(sample), fontsize=8.5, fontweight="normal")
    right.set_title(f"probability {scored.probability[row]:.3f}", fontsize=8.5, fontweight="normal")


def _caption(sample: Sample) -> str:
    """Return file name, label and body part in two lines."""
    words = ["positive" if sample.label else "negative", sample.region or ""]
    if sample.hardware:
        words.append("hardware")
    name = sample.path.name
    shown = name if len(name) <= NAME_LENGTH else f"{name[: NAME_LENGTH - 1]}…"
    return f"{shown}\n" + ", ".join(word for word in words if word)
