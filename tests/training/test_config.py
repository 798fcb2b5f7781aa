"""utils.training.config: one table of settings, flags and defaults."""

from __future__ import annotations

from argparse import ArgumentParser
from dataclasses import fields

import pytest

from utils.errors import InputError, UnknownName
from utils.training.config import HEAD, TUNING, TrainingConfig, add_flags, config_of


def parsed(*flags: str) -> TrainingConfig:
    parser = ArgumentParser()
    add_flags(parser)
    return config_of(parser.parse_args(flags))


def test_the_flags_have_the_defaults() -> None:
    assert parsed() == TrainingConfig()


def test_every_setting_has_one_flag() -> None:
    parser = ArgumentParser()
    add_flags(parser)
    flags = {option for action in parser._actions for option in action.option_strings}
    names = {setting.name for setting in fields(TrainingConfig)}
    others = {"architecture", "detail"}
    assert flags - {"-h", "--help"} == {f"--{name}" for name in names - others} | {
        "--model",
        "--map",
        "--no_augmentation",
    }


def test_flags_of_other_names_set_their_fields() -> None:
    config = parsed("--model", "mobilenetv2", "--map", "coarse", "--no_augmentation")
    assert (config.architecture, config.detail) == ("mobilenetv2", "coarse")
    assert config.augmentation == "none"


@pytest.mark.parametrize(("model", "weights"), [("custom", "none"), ("densenet121", "imagenet")])
def test_weights_default_to_published_ones(model: str, weights: str) -> None:
    assert parsed("--model", model).weights == weights
    assert parsed("--model", model, "--weights", "mine.npz").weights == "mine.npz"


@pytest.mark.parametrize("size", [0, 31, 1025])
def test_an_image_size_out_of_bounds_is_an_error(size: int) -> None:
    with pytest.raises(UnknownName, match="32 to 1024"):
        TrainingConfig(image_size=size)


def test_an_unknown_architecture_is_an_error() -> None:
    with pytest.raises(UnknownName, match="choose one of"):
        TrainingConfig(architecture="alexnet")


def test_averaging_needs_frozen_batch_norm() -> None:
    with pytest.raises(InputError, match="--batch_norm hold"):
        TrainingConfig(weights="none", averaging=0.9)
    assert TrainingConfig(weights="none", averaging=0.9, batch_norm="hold").holds_batch_norm


def test_random_weights_have_no_head_phase() -> None:
    assert [name for name, _, _ in TrainingConfig(weights="none").phases] == [TUNING]
    assert [name for name, _, _ in TrainingConfig(weights="imagenet").phases] == [HEAD, TUNING]
    assert [name for name, _, _ in TrainingConfig(head_epochs=0).phases] == [TUNING]
