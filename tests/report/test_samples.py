"""utils.report.samples: the most confident answers of each outcome."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from tests.support.evaluations import with_answers
from utils.report.samples import FAILURES, SAMPLES, draw_failures, failures, most_confident


def test_samples_are_the_most_confident_one_a_group(evaluation):
    n = len(evaluation.scored.samples)
    groups = tuple(str(row // 2) for row in range(n))
    scored = replace(evaluation.scored, groups=groups)
    paired = replace(evaluation, scored=scored)
    called = scored.probability >= paired.bundle.threshold
    expected = {
        "found": (scored.labels == 1) & called,
        "missed": (scored.labels == 1) & ~called,
        "false alarm": (scored.labels == 0) & called,
        "rightly rejected": (scored.labels == 0) & ~called,
    }
    chosen = most_confident(paired, 3)
    assert chosen.keys() == expected.keys()
    for outcome, rows in chosen.items():
        assert rows
        assert expected[outcome][rows].all()
        assert len({row // 2 for row in rows}) == len(rows) <= 3
        logit = scored.logit[expected[outcome]]
        extreme = logit.max() if outcome in ("found", "false alarm") else logit.min()
        assert scored.logit[rows[0]] == extreme


def test_failures_are_the_wrong_answers(evaluation):
    assert failures(evaluation) == {
        outcome: most_confident(evaluation, 9)[outcome] for outcome in ("missed", "false alarm")
    }


def test_without_errors_there_is_no_gallery(evaluation):
    perfect = 8.0 * evaluation.scored.labels.astype(np.float32) - 4.0
    assert draw_failures(with_answers(evaluation, logit=perfect, resamples=0)) is None


@pytest.mark.slow
@pytest.mark.parametrize("name", [SAMPLES, FAILURES])
def test_a_gallery_is_a_png_with_content(output, name):
    picture = Image.open(output / name)
    assert picture.format == "PNG"
    assert min(picture.size) > 600
    assert np.asarray(picture.convert("L")).std() > 10
