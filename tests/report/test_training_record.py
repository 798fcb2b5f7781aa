"""utils.report.training_record: the command line is the one that trained."""

from __future__ import annotations

import shlex

import pytest

from tests.support.evaluations import ARGS, training_args
from train import parser
from utils.report.training_record import TrainingRecord


def command(**args: object) -> str:
    return TrainingRecord(dataset="mura", args={**ARGS, **args}).command


def parsed(line: str) -> dict[str, object]:
    words = shlex.split(line.replace("\\\n", " "))
    assert words[:2] == ["python", "train.py"]
    parser().parse_args(words[2:])
    return training_args(*words[2:])


def test_the_command_gives_the_same_arguments():
    assert parsed(command()) == ARGS


@pytest.mark.parametrize("flags", [("--mixed_precision",), ("--learning_rate", "3e-4"), ()])
def test_a_flag_comes_back_as_it_was_given(flags):
    args = training_args("--model", "custom", *flags)
    assert parsed(command(**args)) == args


def test_a_split_without_a_seed_has_the_trainings():
    args = {name: value for name, value in ARGS.items() if name != "split_seed"}
    found = parsed(TrainingRecord(dataset="mura", args={**args, "seed": 3}).command)
    assert (found["seed"], found["split_seed"]) == (3, 3)


def test_body_parts_follow_their_flag():
    line = command(region=["wrist", "hand"])
    assert "--region wrist hand" in line.splitlines()[-1]
    words = shlex.split(line.replace("\\\n", " "))
    assert parser().parse_args(words[2:]).region == ["wrist", "hand"]
    assert "--region " not in command(region=[])


def test_a_file_is_named_without_its_folder():
    assert "--weights teacher.h5 " in command(weights="../else/where/teacher.h5")


def test_lines_break_before_flags_at_100_characters():
    first, *rest = TrainingRecord(dataset="mura", args=ARGS).command.splitlines()
    assert rest
    assert all(line.startswith("    --") for line in rest)
    assert max(len(line) for line in (first, *rest)) <= 100


def test_nothing_recorded_gives_no_command():
    assert TrainingRecord().command == ""
    assert TrainingRecord().weights == ""
