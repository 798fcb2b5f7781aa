"""The split: no patient or copy in two parts, stable by hash, counted."""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.trees import draw_distinct
from utils.datasets.sample import Dataset, Sample
from utils.datasets.split import CONTRADICTORY, STRADDLES, part_of, split_dataset
from utils.errors import DatasetError
from utils.preprocess import fit

PARTS = ("train", "validation", "test")
NO_PART = ()  # for ``needed``: no part must hold both classes
# One thumbnail a picture number; drawn once, as every sample of that number shows the same picture.
PICTURES = np.stack([fit(draw_distinct(64, 64, seed=seed), 64) for seed in range(60)])
SHARES = {"train": 0.70, "validation": 0.15, "test": 0.15}


def sample(number, *, label=0, group=None, study=None, part=None):
    name = f"{number:05d}.png"
    return Sample(
        path=Path(name), id=name, label=label, group=group or name, study=study, part=part
    )


def dataset(samples, dropped=None):
    return Dataset("folder", Path("root"), tuple(samples), "m.", dropped=dropped or Counter())


def noise(count, seed=0):
    """Thumbnails none of which resembles another, quicker made than drawn."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(40, 255, (count, 16, 16), dtype=np.uint8)
    return coarse.repeat(4, axis=1).repeat(4, axis=2)


def by_group(split):
    parts = defaultdict(set)
    for group, part in zip(split.groups, split.parts, strict=True):
        if part is not None:
            parts[group].add(part)
    return parts


@st.composite
def sources(draw):
    """A dataset with patients, studies, shared pictures and prescribed parts, and its thumbnails."""
    count = draw(st.integers(1, 30))
    prescribes = draw(st.sampled_from([(None,), ("train", "test"), PARTS, ("train", "validation")]))
    samples, pictures = [], []
    for number in range(count):
        patient = draw(st.one_of(st.none(), st.integers(0, 8)))
        study = draw(st.one_of(st.none(), st.integers(0, 8)))
        samples.append(
            sample(
                number,
                label=draw(st.integers(0, 1)),
                group=None if patient is None else f"patient{patient}",
                study=None if study is None else f"study{study}",
                part=draw(st.sampled_from(prescribes)),
            )
        )
        pictures.append(draw(st.integers(0, len(PICTURES) - 1)))
    return dataset(samples), PICTURES[pictures], pictures


PROPERTY = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@pytest.mark.slow
@PROPERTY
@given(source=sources(), seed=st.integers(0, 1000))
def test_no_patient_or_picture_is_in_two_parts(source, seed):
    data, thumbnails, pictures = source
    split = split_dataset(data, thumbnails, seed=seed, needed=NO_PART)
    parts = defaultdict(set)
    for one, part, picture in zip(data.samples, split.parts, pictures, strict=True):
        if part is not None:
            for key in (("group", one.group), ("study", one.study), ("picture", picture)):
                if key[1] is not None:
                    parts[key].add(part)
    assert all(len(found) == 1 for found in parts.values())
    assert all(len(found) == 1 for found in by_group(split).values())


@pytest.mark.slow
@PROPERTY
@given(source=sources(), seed=st.integers(0, 1000))
def test_the_split_does_not_depend_on_the_order(source, seed):
    data, thumbnails, _ = source
    split = split_dataset(data, thumbnails, seed=seed, needed=NO_PART)
    reverse = split_dataset(
        dataset(data.samples[::-1]), thumbnails[::-1], seed=seed, needed=NO_PART
    )
    assert reverse.parts[::-1] == split.parts
    assert reverse.groups[::-1] == split.groups


@pytest.mark.slow
@PROPERTY
@given(source=sources(), seed=st.integers(0, 1000))
def test_every_image_is_in_a_part_or_dropped(source, seed):
    data, thumbnails, _ = source
    report = (split := split_dataset(data, thumbnails, seed=seed, needed=NO_PART)).report
    counts = Counter(part for part in split.parts if part)
    for part in PARTS:
        own = report.parts[part]
        assert own.positive + own.negative == counts[part]
    assert sum(report.dropped.values()) == split.parts.count(None)
    assert sum(split.parts.count(part) for part in PARTS) == sum(counts.values())


@pytest.mark.slow
@PROPERTY
@given(source=sources(), seed=st.integers(0, 1000))
def test_a_prescribed_test_part_gains_no_images(source, seed):
    data, thumbnails, _ = source
    prescribed = {one.part for one in data.samples}
    split = split_dataset(data, thumbnails, seed=seed, needed=NO_PART)
    if "test" in prescribed:
        for one, part in zip(data.samples, split.parts, strict=True):
            assert (part == "test") <= (one.part == "test")
            assert one.part != "test" or part in ("test", None)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), few=st.integers(30, 80))
def test_more_data_moves_no_group(seed, few):
    thumbnails = noise(160)
    samples = [sample(number, group=f"patient{number % 50}") for number in range(160)]
    before = split_dataset(dataset(samples[:few]), thumbnails[:few], seed=seed, needed=NO_PART)
    after = split_dataset(dataset(samples), thumbnails, seed=seed, needed=NO_PART)
    assert after.parts[:few] == before.parts


def test_a_new_copy_joins_its_original():
    thumbnails = PICTURES[[0, 1, 2, 3, 1]]
    samples = [sample(number) for number in range(4)]
    before = split_dataset(dataset(samples), thumbnails[:4], seed=5, needed=NO_PART)
    after = split_dataset(dataset([*samples, sample(9)]), thumbnails, seed=5, needed=NO_PART)
    assert after.parts[:4] == before.parts
    assert after.parts[4] == before.parts[1]
    assert after.groups[4] == "00001.png"


def test_another_seed_gives_another_split():
    data = dataset([sample(number) for number in range(100)])
    thumbnails = noise(100)
    splits = {split_dataset(data, thumbnails, seed=seed, needed=NO_PART).parts for seed in range(5)}
    assert len(splits) == 5


def test_the_part_follows_from_a_sha256():
    for number in range(200):
        digest = hashlib.sha256(f"7:group{number}".encode()).hexdigest()
        position = int(digest[:16], 16) / 16**16
        expected = "train" if position < 0.7 else "validation" if position < 0.85 else "test"
        assert part_of(f"group{number}", 7, SHARES) == expected


def test_the_fractions_hold_over_many_groups():
    counts = Counter(part_of(f"patient{number}", 3, SHARES) for number in range(20000))
    # Three standard deviations of a binomial count are 0.010 at most.
    for part, share in SHARES.items():
        assert counts[part] / 20000 == pytest.approx(share, abs=0.011)


def test_fractions_must_add_up_to_one():
    data, thumbnails = dataset([sample(number) for number in range(100)]), noise(100)
    split = split_dataset(data, thumbnails, seed=0, fractions=(0.2, 0.4, 0.4), needed=NO_PART)
    assert split.parts.count("train") < 40
    with pytest.raises(ValueError, match="add up to 1"):
        split_dataset(data, thumbnails, seed=0, fractions=(0.5, 0.5, 0.5))
    with pytest.raises(ValueError, match="100 samples but 99 thumbnails"):
        split_dataset(data, thumbnails[:99], seed=0)


def test_validation_is_carved_out_of_train():
    samples = [sample(number, group=f"patient{number // 3}", part="train") for number in range(300)]
    samples += [sample(number, part="test") for number in range(300, 340)]
    split = split_dataset(dataset(samples), noise(340), seed=1, needed=NO_PART)
    assert set(split.parts[300:]) == {"test"}
    assert set(split.parts[:300]) == {"train", "validation"}
    # Without test the shares of train and validation are 70 : 15.
    assert split.parts.count("validation") / 300 == pytest.approx(15 / 85, abs=0.08)
    assert all(len(parts) == 1 for parts in by_group(split).values())
    assert split.report.prescribed == ["train", "test"]


def test_three_prescribed_parts_stand():
    samples = [sample(number, part=PARTS[number % 3]) for number in range(30)]
    split = split_dataset(dataset(samples), noise(30), seed=1, needed=NO_PART)
    assert split.parts == tuple(one.part for one in samples)


def test_a_lone_train_part_is_split_in_three():
    plain = [sample(number) for number in range(60)]
    train = [sample(number, part="train") for number in range(60)]
    splits = [
        split_dataset(dataset(one), noise(60), seed=1, needed=NO_PART) for one in (plain, train)
    ]
    assert splits[0].parts == splits[1].parts
    assert set(splits[1].parts) == set(PARTS)


@pytest.mark.parametrize(
    ("given_parts", "kept"),
    [
        (("train", "test"), (None, "test")),
        (("validation", "test"), (None, "test")),
        (("train", "validation"), (None, "validation")),
    ],
)
def test_copies_leave_the_lesser_prescribed_part(given_parts, kept):
    # A picture in two parts, and one more in each of the three, so that all are prescribed.
    samples = [sample(number, part=part) for number, part in enumerate((*given_parts, *PARTS))]
    thumbnails = PICTURES[[0, 0, 1, 2, 3]]
    split = split_dataset(dataset(samples), thumbnails, seed=0, needed=NO_PART)
    assert split.parts == (*kept, "train", "validation", "test")
    assert split.report.dropped == {STRADDLES.format(part=kept[1]): 1}


def test_a_picture_in_both_classes_is_dropped():
    samples = [sample(0, label=1), sample(1, label=0), sample(2, label=1), sample(3, label=0)]
    split = split_dataset(dataset(samples), PICTURES[[0, 0, 1, 2]], seed=0, needed=NO_PART)
    assert split.parts[:2] == (None, None)
    assert None not in split.parts[2:]
    assert split.report.dropped == {CONTRADICTORY: 2}


def test_a_patient_may_have_both_labels():
    samples = [sample(0, label=1, group="p"), sample(1, label=0, group="p")]
    split = split_dataset(dataset(samples), PICTURES[[0, 1]], seed=0, needed=NO_PART)
    assert split.parts[0] == split.parts[1] is not None


def test_the_readers_drops_are_reported():
    data = dataset([sample(0), sample(1)], Counter({"its file is missing": 3}))
    split = split_dataset(data, PICTURES[[0, 1]], seed=0, needed=NO_PART)
    assert split.report.dropped == {"its file is missing": 3}


def test_the_report_is_json():
    samples = [sample(number, group="p" if number < 5 else None) for number in range(12)]
    split = split_dataset(dataset(samples), PICTURES[[*range(11), 10]], seed=0, needed=NO_PART)
    report = json.loads(split.report.model_dump_json())
    assert report["largest_group"] == 5
    assert report["duplicates"]["sizes"] == {"2": 1}
    assert report["seed"] == 0
    assert sum(part["groups"] for part in report["parts"].values()) == 7


def test_a_part_without_a_class_is_refused():
    samples = [sample(number, label=int(number == 0)) for number in range(40)]
    with pytest.raises(DatasetError) as caught:
        split_dataset(dataset(samples), noise(40), seed=0)
    message = str(caught.value)
    assert "without one of the classes" in message
    assert "1 positive and" in message
    assert "0 positive and" in message


def test_only_needed_parts_must_hold_both_classes():
    samples = [sample(number, label=number % 2, part="test") for number in range(6)]
    split = split_dataset(dataset(samples), PICTURES[:6], seed=0, needed=("test",))
    assert split.parts == ("test",) * 6
    with pytest.raises(DatasetError, match="leaves train and validation without"):
        split_dataset(dataset(samples), PICTURES[:6], seed=0)
