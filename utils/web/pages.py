"""Turns a reading into what the result page shows, and a static file's name into its address."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from flask import url_for

from utils.imaging.overlay import colours
from utils.inference.predictor import Prediction, data_uri

LEGEND_STEPS = 17

CERTAINTY = {
    "definite": "The probability is clear of the doubtful range.",
    "doubtful": "The probability is close to the threshold: read this result as undecided.",
    "warned": "The picture itself is in doubt, as the notes say: read this result as undecided.",
    "withheld": "No result is given for this picture; the notes say why.",
}


@dataclass(frozen=True)
class ResultPage:
    """A reading in words and addresses, as the template needs it."""

    reading: Prediction
    radiograph: str | None
    heatmap: str | None
    probability: str | None
    threshold: str
    doubt: tuple[float, float]
    region: str | None
    certainty: str
    tone: str
    worth: str | None
    pointing: str | None

    @property
    def mark_peak(self) -> bool:
        """Whether the map's highest point is marked at first: under "Normal" it would point at nothing."""
        return self.reading.peak is not None and self.tone != "negative"


def percent(share: float) -> str:
    """Say a share in percent: whole numbers, but never 0 or 100 where it is neither."""
    if 0 < share < 0.01:
        return "under 1 %"
    if 0.99 < share < 1:
        return "over 99 %"
    return f"{share * 100:.0f} %"


def of_hundred(share: float) -> str:
    """Say a share as so many of 100: whole numbers, but never 0 or 100 where it is neither."""
    return percent(share).removesuffix(" %")


def result_page(
    reading: Prediction,
    *,
    doubt: tuple[float, float],
    positive: str,
    tested: Mapping[str, Any] | None = None,
) -> ResultPage:
    """Put a reading into words.

    Args:
        reading: made with ``page=True``.
        doubt: the bundle's doubtful range.
        positive: the bundle's label of a fracture.
        tested: the figures of the bundle's test part.
    """
    tone = "withheld"
    low, high = doubt
    why = reading.certainty
    if why == "doubtful" and not low <= (reading.probability or 0.0) < high:
        why = "warned"
    if reading.certainty == "doubtful":
        tone = "doubtful"
    elif reading.prediction is not None:
        tone = "positive" if reading.prediction == positive else "negative"
    return ResultPage(
        reading=reading,
        radiograph=data_uri(reading.radiograph, "image/jpeg"),
        heatmap=data_uri(reading.heatmap, "image/png"),
        probability=None if reading.probability is None else percent(reading.probability),
        threshold=percent(reading.threshold),
        doubt=doubt,
        region=None if reading.region is None else percent(reading.region["probability"]),
        certainty=CERTAINTY[why],
        tone=tone,
        worth=_worth(reading),
        pointing=_pointing((tested or {}).get("localisation")),
    )


def _worth(reading: Prediction) -> str | None:
    """Say how often such an answer is right at the prevalence that the operator set."""
    told = reading.predictive_value
    if told is None or told["value"] is None or told["prevalence"] is None:
        return None
    return (
        f"Where {told['prevalence'] * 100:.3g} % of the radiographs show a fracture, "
        f"{of_hundred(told['value'])} of 100 answers “{reading.prediction}” are right{_interval(told)}: "
        "all such answers together, sure and doubtful ones."
    )


def _pointing(told: Mapping[str, Any] | None) -> str | None:
    """Say how often the map's highest point was right on the model's test radiographs."""
    game = (told or {}).get("pointing_game")
    if not told or not game or game["value"] is None:
        return None
    return (
        f"On {told['n']} test radiographs with a marked fracture the highest point of the map lay inside "
        f"it in {of_hundred(game['value'])} of 100{_interval(game)}."
    )


def _interval(figure: Mapping[str, Any]) -> str:
    """Say the interval of a share, nothing where it has none."""
    if figure.get("low") is None or figure.get("high") is None:
        return ""
    return f" (95 % interval {of_hundred(figure['low'])} to {of_hundred(figure['high'])})"


@cache
def legend() -> tuple[tuple[str, str], ...]:
    """Return the colour map as (offset in percent, colour) stops of a gradient."""
    table = colours()
    stops = []
    for number in range(LEGEND_STEPS):
        share = number / (LEGEND_STEPS - 1)
        red, green, blue = (int(level) for level in table[round(share * 255)])
        stops.append((f"{share * 100:g}%", f"#{red:02x}{green:02x}{blue:02x}"))
    return tuple(stops)


def asset(folder: Path, name: str) -> str:
    """Return the address of a static file, with a hash of its content so that it can be cached."""
    return url_for("static", filename=name, v=_digest(folder / name))


@cache
def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]
