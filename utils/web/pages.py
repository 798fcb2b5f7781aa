"""View model of the result page, and the addresses of static files."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from flask import url_for

from utils.imaging.overlay import colours
from utils.inference.prediction import Prediction, data_uri
from utils.messages import sentence

LEGEND_STEPS = 17


@dataclass(frozen=True)
class ResultPage:
    """What the template shows of a prediction.

    Args:
        tone: colour and sign of the verdict: positive, negative, doubtful or withheld.
        radiograph, heatmap: data: URIs.
        doubt: limits of the doubtful range of probabilities.
        certainty, predictive_value, pointing_game: sentences; None without figures.
        mark_peak: whether the map's highest point is marked at first.
    """

    prediction: Prediction
    tone: str
    radiograph: str | None
    heatmap: str | None
    doubt: tuple[float, float]
    certainty: str
    predictive_value: str | None
    pointing_game: str | None
    mark_peak: bool


def percent(share: float) -> str:
    """Return a share in percent: whole numbers, but never 0 or 100 where it is neither."""
    if 0 < share < 0.01:
        return sentence("web.percent_under_1")
    if 0.99 < share < 1:
        return sentence("web.percent_over_99")
    return sentence("web.percent", percent=share * 100)


def result_page(
    prediction: Prediction,
    *,
    doubt: tuple[float, float],
    positive: str,
    test_metrics: Mapping[str, Any] | None = None,
) -> ResultPage:
    """Return what the result page shows of a prediction.

    Args:
        prediction: made with ``page=True``.
        doubt: the bundle's doubtful range.
        positive: the bundle's label of a fracture.
        test_metrics: the bundle's metrics on its test part.
    """
    tone = certainty = prediction.certainty
    if tone == "definite":
        tone = "positive" if prediction.prediction == positive else "negative"
    elif tone == "doubtful" and not doubt[0] <= (prediction.probability or 0.0) < doubt[1]:
        certainty = "input_warning"
    return ResultPage(
        prediction=prediction,
        tone=tone,
        radiograph=data_uri(prediction.radiograph, "image/jpeg"),
        heatmap=data_uri(prediction.heatmap, "image/png"),
        doubt=doubt,
        certainty=sentence(f"web.certainty_{certainty}"),
        predictive_value=_predictive_value(prediction),
        pointing_game=_pointing_game((test_metrics or {}).get("localisation")),
        # Under a negative verdict it would point at nothing.
        mark_peak=prediction.peak is not None and tone != "negative",
    )


def _predictive_value(prediction: Prediction) -> str | None:
    """Return how often such answers are right at the operator's prevalence, as a sentence."""
    figure = prediction.predictive_value
    if figure is None:
        return None
    return sentence(
        "web.predictive_value",
        prevalence=figure.prevalence * 100,
        percent=_of_hundred(figure.value),
        label=prediction.prediction,
        interval=_interval(figure.low, figure.high),
    )


def _pointing_game(localisation: Mapping[str, Any] | None) -> str | None:
    """Return the sentence on how often the map's highest point was right on the test radiographs."""
    game = (localisation or {}).get("pointing_game")
    if not localisation or not game or game["value"] is None:
        return None
    return sentence(
        "web.pointing_game",
        number=localisation["n"],
        percent=_of_hundred(game["value"]),
        interval=_interval(game.get("low"), game.get("high")),
    )


def _interval(low: float | None, high: float | None) -> str:
    """Return the confidence interval of a share in brackets, nothing where it has none."""
    if low is None or high is None:
        return ""
    return sentence("web.interval", low=_of_hundred(low), high=_of_hundred(high))


def _of_hundred(share: float) -> str:
    return percent(share).removesuffix(" %")


@cache
def legend() -> tuple[tuple[str, str], ...]:
    """Return the colour map as (offset in percent, colour) stops of a gradient."""
    shares = [number / (LEGEND_STEPS - 1) for number in range(LEGEND_STEPS)]
    table = colours()
    return tuple(
        (f"{share * 100:g}%", f"#{table[round(share * 255)].tobytes().hex()}") for share in shares
    )


def asset(folder: Path, name: str) -> str:
    """Return the address of a static file, with a hash of its content so that it can be cached."""
    return url_for("static", filename=name, v=_digest(folder / name))


@cache
def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]
