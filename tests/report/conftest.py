"""One evaluation of drawn bones for every test of the report, and what is written of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.evaluations import drawn_evaluation
from utils.evaluation.scored_images import Evaluation
from utils.report.write import write_report


@pytest.fixture(scope="session")
def evaluation(tmp_path_factory: pytest.TempPathFactory) -> Evaluation:
    """Answers of every outcome, by a bundle that records its training."""
    return drawn_evaluation(tmp_path_factory.mktemp("report"))


@pytest.fixture(scope="session")
def output(evaluation: Evaluation, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the written report."""
    folder = tmp_path_factory.mktemp("written") / "new" / "reports"
    write_report(evaluation, folder)
    return folder
