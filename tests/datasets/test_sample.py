"""Samples and datasets."""

from __future__ import annotations

from pathlib import Path

from utils.datasets.sample import Dataset, Sample


def test_regions_are_those_that_occur_sorted():
    samples = [
        Sample(Path(name), name, 0, name, region=region)
        for name, region in (("a", "wrist"), ("b", None), ("c", "hand"), ("d", "wrist"))
    ]
    assert Dataset("folder", Path("root"), tuple(samples), "m.").regions == ("hand", "wrist")


def test_a_dataset_has_dropped_nothing_by_default():
    assert Dataset("folder", Path("root"), (), "m.").dropped == {}
