"""utils.report.plots: PNGs that show the figures."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from tests.support.evaluations import with_answers
from utils.report.plots import PLOTS

BLUE = [0, 114, 178]


@pytest.mark.slow
def test_an_evaluation_gives_the_same_bytes(evaluation, output):
    for name, draw in PLOTS.items():
        assert draw(evaluation) == (output / name).read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(PLOTS))
def test_a_plot_is_a_png_with_content(output, name):
    picture = Image.open(output / name)
    assert picture.format == "PNG"
    assert min(picture.size) > 600
    assert np.asarray(picture.convert("L")).std() > 10


def test_a_perfect_roc_curve_hugs_the_upper_left(evaluation):
    logit = np.where(evaluation.scored.labels == 1, 4, -4).astype(np.float32)
    png = PLOTS["roc.png"](with_answers(evaluation, logit=logit, resamples=0))
    picture = np.asarray(Image.open(io.BytesIO(png)).convert("RGB"), int)
    blue = np.argwhere((np.abs(picture - BLUE) < 40).all(axis=2))
    # Up the left edge and along the top; the key lies in the lower right quarter.
    height, width = picture.shape[:2]
    right_of_edge = (blue[:, 0] < height * 0.7) & (blue[:, 1] > width * 0.2)
    assert len(blue) > 500
    assert (blue[right_of_edge][:, 0] < height * 0.15).all()


@pytest.mark.slow
def test_one_class_gives_no_made_up_curve(evaluation):
    scored = evaluation.scored
    negatives = replace(evaluation, scored=scored.take(np.flatnonzero(scored.labels == 0)))
    one_class = with_answers(negatives, resamples=0)
    for draw in PLOTS.values():
        assert draw(one_class).startswith(b"\x89PNG")
    picture = Image.open(io.BytesIO(PLOTS["roc.png"](one_class))).convert("RGB")
    assert (np.abs(np.asarray(picture, int) - BLUE) < 20).all(axis=2).sum() == 0
