"""utils.evaluation.strata: tables of a few images, counted by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.support.bundles import tiny_bundle
from tests.support.evaluations import facts_of
from utils.datasets.sample import Sample
from utils.evaluation.localisation import localise
from utils.evaluation.scored_images import ScoredImages
from utils.evaluation.strata import by_study, longest_side_bin, tables
from utils.imaging.geometry import Box
from utils.inference.input_warnings import ANSWER_CODES
from utils.model.bundle import Bundle, read_bundle


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> Bundle:
    return read_bundle(tiny_bundle(tmp_path_factory.mktemp("model"), regions=()))


def scored_by_hand(
    studies: list[str | None], labels: list[int], probability: list[float]
) -> ScoredImages:
    samples = tuple(
        Sample(Path(f"{row}.png"), f"{row}.png", label, f"g{row // 2}", study=study)
        for row, (study, label) in enumerate(zip(studies, labels, strict=True))
    )
    n = len(samples)
    return ScoredImages(
        samples=samples,
        files=(facts_of(80, 40),) * n,
        parts=("test",) * n,
        groups=tuple(sample.group for sample in samples),
        labels=np.array(labels),
        logit=np.zeros(n, np.float32),
        probability=np.array(probability),
        maps=np.zeros((n, 2, 2), np.float32),
        region=None,
        input_warnings=((),) * n,
    )


def test_input_warnings_are_counted_by_code(bundle):
    scored = scored_by_hand([None] * 4, [0, 1, 0, 1], [0.1, 0.9, 0.2, 0.8])
    options = {"resamples": 0, "seed": 0}
    none = tables(scored, bundle, **options).input_warnings
    assert {of.n for of in none.codes.values()} == {0}
    codes = (("unsupported_region", "inverted"), (), ("unsupported_region",), ())
    found = tables(replace(scored, input_warnings=codes), bundle, **options).input_warnings
    assert found.n == 4
    expected = {**dict.fromkeys(ANSWER_CODES, 0), "unsupported_region": 2, "inverted": 1}
    assert {code: of.n for code, of in found.codes.items()} == expected
    assert found.codes["unsupported_region"].share.value == 0.5
    # The two with a warning are both negative.
    assert found.labels == {"positive": 2, "negative": 2}
    by_label = found.codes["unsupported_region"].by_label
    assert [by_label[label].n for label in ("positive", "negative")] == [0, 2]
    assert by_label["negative"].share.value == 1.0
    assert found.codes["inverted"].by_label["negative"].share.value == 0.5


def test_a_study_joins_its_images():
    scored = scored_by_hand(["b", "b", "a", None, "a"], [0, 1, 0, 1, 0], [0.2, 0.6, 0.1, 0.9, 0.5])
    labels, probability, groups = by_study(scored)
    assert labels.tolist() == [0, 1]
    np.testing.assert_allclose(probability, [0.3, 0.4])
    assert groups == ("g1", "g0")


def test_images_without_studies_have_no_table():
    assert by_study(scored_by_hand([None, None], [0, 1], [0.2, 0.8])) is None


def test_an_empty_map_misses_the_lesion(bundle):
    scored = scored_by_hand([None] * 4, [1, 1, 0, 0], [0.9, 0.8, 0.2, 0.1])
    boxed = tuple(
        replace(sample, boxes=(Box(0, 0, 40, 40),)) if sample.label else sample
        for sample in scored.samples
    )
    maps = scored.maps.copy()
    # 80 by 40 pixels in a square of 2 by 2 cells: the upper half of the picture.
    maps[0, 0, :] = 1.0
    found = tables(replace(scored, samples=boxed, maps=maps), bundle, resamples=0, seed=0)
    assert localise(maps[1], boxed[1], scored.files[1]).peak is None
    assert found.localisation.marked.pointing_game.value == 0.5
    assert found.localisation.chance.value == 0.5


@pytest.mark.parametrize(
    ("height", "width", "name"),
    [
        (512, 100, "up to 512 px"),
        (100, 513, "513 to 1024 px"),
        (1024, 1024, "513 to 1024 px"),
        (2048, 3, "1025 to 2048 px"),
        (2049, 3, "over 2048 px"),
    ],
)
def test_sizes_are_binned_by_the_longest_side(height, width, name):
    assert longest_side_bin(facts_of(height, width)) == name
