"""Draws the surest right and wrong answers of an evaluation, each radiograph beside its map."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from utils.datasets.sample import Sample
from utils.evaluation.evaluate import Evaluation
from utils.evaluation.strata import ScoredImages
from utils.formats import decode
from utils.imaging import geometry, overlay
from utils.report.plots import canvas, png_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SAMPLES, FAILURES = "samples.png", "failures.png"
SAMPLES_A_KIND = 3
# Of each kind of wrong answer in the gallery; a whole number of lines.
FAILURES_A_KIND = 9
_SIDE = 384
# Characters of a file's name above its picture.
_NAME = 30


def draw_samples(evaluation: Evaluation) -> bytes:
    """Draw the surest right and wrong answers: each radiograph beside its map, lesions framed."""
    return _draw(evaluation, surest(evaluation))


def draw_failures(evaluation: Evaluation) -> bytes | None:
    """Draw the surest wrong answers in the same way, None where every answer is right."""
    chosen = failures(evaluation)
    return _draw(evaluation, chosen) if any(chosen.values()) else None


def failures(evaluation: Evaluation, count: int = FAILURES_A_KIND) -> dict[str, list[int]]:
    """Choose rows of the surest wrong answers, at most one of a group each: missed, and false alarms."""
    chosen = surest(evaluation, count)
    return {name: chosen[name] for name in ("missed", "false alarm")}


def _draw(evaluation: Evaluation, chosen: Mapping[str, Sequence[int]]) -> bytes:
    """Draw the rows of each kind in lines of SAMPLES_A_KIND."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import ListedColormap, Normalize

    lines = [
        (name if start == 0 else "", rows[start : start + SAMPLES_A_KIND])
        for name, rows in chosen.items()
        for start in range(0, len(rows), SAMPLES_A_KIND)
    ]
    top = evaluation.bundle.scale_top
    size = (4.0 * SAMPLES_A_KIND, 2.5 * len(lines) + 0.7)
    grid_of = {"nrows": len(lines), "ncols": 2 * SAMPLES_A_KIND, "squeeze": False}
    with canvas(*size, **grid_of) as (figure, grid):
        for line, (name, rows) in zip(grid, lines, strict=True):
            line[0].set_ylabel(name, fontsize=10, fontweight="bold")
            for place in range(SAMPLES_A_KIND):
                left, right = line[2 * place : 2 * place + 2]
                for axes in (left, right):
                    axes.set_xticks([])
                    axes.set_yticks([])
                    axes.spines[:].set_visible(False)
                    axes.set_anchor("N")
                if place < len(rows):
                    _draw_sample(left, right, evaluation.scored, rows[place], top)
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


def surest(evaluation: Evaluation, count: int = SAMPLES_A_KIND) -> dict[str, list[int]]:
    """Choose rows of the surest answers of each outcome, at most one of a group each."""
    scored = evaluation.scored
    called = scored.probability >= evaluation.bundle.threshold
    truth = scored.labels == 1
    kinds = {
        "found": (truth & called, -1),
        "missed": (truth & ~called, 1),
        "false alarm": (~truth & called, -1),
        "rightly rejected": (~truth & ~called, 1),
    }
    chosen: dict[str, list[int]] = {}
    for name, (of_kind, direction) in kinds.items():
        order = np.argsort(direction * scored.logit, kind="stable")
        by_group: dict[str, int] = {}
        for row in order[of_kind[order]]:
            by_group.setdefault(scored.groups[row], int(row))
        chosen[name] = list(by_group.values())[:count]
    return chosen


def _draw_sample(left: Axes, right: Axes, scored: ScoredImages, row: int, top: float) -> None:
    """Draw one radiograph and, beside it, its map over it."""
    from matplotlib.patches import Rectangle

    sample = scored.samples[row]
    radiograph = decode(sample.path.read_bytes(), allow_truncated=True)
    grey = overlay.grey_levels(radiograph.pixels, _SIDE)
    activation = geometry.map_over_picture(
        scored.maps[row],
        radiograph.height,
        radiograph.width,
        scored.map_offset,
        scored.files[row].crop,
    )
    height, width = grey.shape
    mixed = overlay.blend(grey, overlay.levels(activation, height, width, top))
    left.imshow(grey, cmap="gray", vmin=0, vmax=255)
    right.imshow(mixed[..., ::-1])
    ratio = grey.shape[1] / radiograph.width
    for box in sample.boxes:
        frame = (box.x * ratio, box.y * ratio)
        for axes in (left, right):
            size = (box.width * ratio, box.height * ratio)
            axes.add_patch(Rectangle(frame, *size, fill=False, ec="#56B4E9", lw=1.3, ls="--"))
    left.set_title(_caption(sample), fontsize=8.5, fontweight="normal")
    right.set_title(f"probability {scored.probability[row]:.3f}", fontsize=8.5, fontweight="normal")


def _caption(sample: Sample) -> str:
    """Say which sample it is, and what, in a few words."""
    words = ["positive" if sample.label else "negative", sample.region or ""]
    if sample.hardware:
        words.append("hardware")
    name = sample.path.name
    shown = name if len(name) <= _NAME else f"{name[: _NAME - 1]}…"
    return f"{shown}\n" + ", ".join(word for word in words if word)
