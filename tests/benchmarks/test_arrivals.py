"""A fixed part of the battery of ways, on real radiographs; and what the battery sends."""

from __future__ import annotations

import csv
from argparse import ArgumentTypeError
from pathlib import Path

import numpy as np
import pytest

from benchmarks.arrivals import (
    BESIDE,
    LONGEST_SIDE,
    Radiographs,
    chosen,
    pattern_of,
    read_grey,
    send,
)
from benchmarks.outcomes import SILENT, Outcome, outcome, share
from benchmarks.ways import all_ways
from config import ROOT
from tests.support.bundles import tiny_bundle
from tests.support.pictures import draw_radiograph, encode
from utils.errors import InputError
from utils.inference.predictor import Predictor, load_predictor

PART = (
    *("grey levels / 8", "contrast 10 % around mid-grey", "12 bits in 16-bit PNG, one hot pixel"),
    *("12 bits in 16-bit TIFF, burnt-in marker", "gamma 2.5", "in the blue channel alone"),
    *("PNG with alpha 0 of 255", "WebP with alpha 8 of 255", "PNG with a shuffled palette"),
    *("turned by 90 degrees", "turned by 180 degrees", "JPEG with EXIF orientation 6"),
    *("border of faint noise, three times the size", "in a grey gradient", "on a page with text"),
    *("viewer's screenshot, dark", "beside a normal radiograph", "one of four on a sheet"),
    *("film on a light box, the box in view", "film that fills the frame"),
    *("twice as wide as it should be", "DICOM, window width 65536", "DICOM, flat VOI LUT"),
    *("DICOM, 16 bits, burnt-in marker", "DICOM, High Bit 15 of 12 bits", "DICOM, padding"),
)
DAMAGED = ("JPEG, restart intervals emptied", "TIFF, JPEG strip cut", "BMP, RLE that skips half")
FRACTURES = 6


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    """The shipped model."""
    return load_predictor(ROOT / "models" / "best_model.h5")


@pytest.fixture(scope="module")
def radiographs(predictor: Predictor, shared_data: Path) -> Radiographs:
    """Fractures and normal radiographs of the test part, as the evaluation names them."""
    with (ROOT / "docs" / "evaluation" / "predictions.csv").open(newline="") as lines:
        rows = [row for row in csv.DictReader(lines) if row["truncated"] == "0"]
    positive, negative = (
        [shared_data / "fracatlas" / row["path"] for row in rows if row["label"] == label]
        for label in ("1", "0")
    )
    return chosen(predictor, positive, negative, FRACTURES)


@pytest.mark.slow
@pytest.mark.real_data
def test_few_ways_hide_a_fracture(predictor, radiographs):
    ways = {way.name: way for way in all_ways(radiographs.beside)}
    battery = send(predictor, radiographs, [ways[name] for name in PART], "FracAtlas")
    silent = share([one.fractures for one in battery.results], Outcome.NORMAL)
    assert SILENT.holds(silent), battery.as_text()
    assert max(one.silent for one in battery.results) <= 2 / FRACTURES, battery.as_text()


@pytest.mark.slow
@pytest.mark.real_data
def test_damage_is_no_normal(predictor, radiographs):
    ways = {way.name: way for way in all_ways(radiographs.beside)}
    battery = send(predictor, radiographs, [ways[name] for name in DAMAGED], "FracAtlas")
    assert {one.name: one.silent for one in battery.results} == dict.fromkeys(DAMAGED, 0.0)


@pytest.mark.slow
@pytest.mark.real_data
def test_fractures_are_found_when_sent_plainly(predictor, radiographs):
    assert len(radiographs.fractures) == len(radiographs.normals) == FRACTURES
    assert len(radiographs.beside) == BESIDE
    plainly = [encode(grey / np.float32(255)) for grey in radiographs.fractures]
    assert {outcome(predictor, content) for content in plainly} == {Outcome.FRACTURE}


def test_large_radiographs_are_shrunk(tmp_path):
    for height, width, shape in ((1200, 600, (900, 450)), (300, 200, (300, 200))):
        file = tmp_path / "radiograph.png"
        file.write_bytes(encode(draw_radiograph(height, width)))
        grey = read_grey(file)
        assert (grey.shape, grey.dtype) == (shape, np.uint8)
        assert max(grey.shape) <= LONGEST_SIDE


def test_a_way_is_named_by_an_expression():
    with pytest.raises(ArgumentTypeError, match="no regular expression"):
        pattern_of("(")
    assert pattern_of("DICOM|PNG").search("8-bit PNG")


@pytest.mark.slow
def test_without_a_found_fracture_nothing_is_sent(tmp_path, radiograph_png):
    file = tmp_path / "radiograph.png"
    file.write_bytes(radiograph_png)
    untrained = load_predictor(tiny_bundle(tmp_path))
    with pytest.raises(InputError, match="0 fractures"):
        chosen(untrained, [file], [file], 1)


@pytest.mark.slow
def test_a_run_repeats_itself(tmp_path):
    untrained = load_predictor(tiny_bundle(tmp_path))
    greys = [
        np.rint(255 * draw_radiograph(200, 150, seed=seed)).astype(np.uint8) for seed in (0, 1)
    ]
    sent = Radiographs(greys, greys[:1], greys[1:])
    ways = [way for way in all_ways(greys) if way.kind in ("several radiographs", "photograph")]
    whole, part = (send(untrained, sent, some, "drawn") for some in (ways, ways[3:5]))
    assert part.results == whole.results[3:5]
    assert len(whole.results) == len(ways)
