"""View model of the result page, and the addresses of static files."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from flask import url_for

from utils import __version__
from utils.imaging.overlay import colours
from utils.inference.input_warnings import (
    DEFINITE,
    DOUBTED_FOR,
    DOUBTFUL,
    UNTESTED_BODY_PART,
    WITHHELD,
    WITHHELD_FOR,
    InputWarning,
)
from utils.inference.prediction import Prediction, data_uri
from utils.messages import sentence
from utils.model.ood import NOT_A_RADIOGRAPH, SEVERAL_RADIOGRAPHS, UNSUPPORTED_REGION

LEGEND_STEPS = 17
POSITIVE, NEGATIVE = "positive", "negative"
# Warnings that can decide an answer of each certainty.
REASONS = {DEFINITE: frozenset[str](), DOUBTFUL: DOUBTED_FOR, WITHHELD: WITHHELD_FOR}
# Headline of an answer, by its certainty and by its label or, withheld, by the code of its reason.
HEADLINES = {
    (DEFINITE, POSITIVE): "web.headline_positive",
    (DEFINITE, NEGATIVE): "web.headline_negative",
    (DOUBTFUL, POSITIVE): "web.headline_doubtful_positive",
    (DOUBTFUL, NEGATIVE): "web.headline_doubtful_negative",
    (WITHHELD, NOT_A_RADIOGRAPH): "web.headline_not_a_radiograph",
    (WITHHELD, SEVERAL_RADIOGRAPHS): "web.headline_several_radiographs",
    (WITHHELD, UNSUPPORTED_REGION): "web.headline_unsupported_region",
}


@dataclass(frozen=True)
class ResultPage:
    """What the template shows of a prediction.

    Args:
        tone: colour and sign of the verdict: positive, negative, doubtful or withheld.
        headline: the verdict in a few words; a doubtful or withheld one says so itself.
        certainty: what the certainty means, as a sentence.
        reason: the warning for which the answer is doubtful or withheld; None for a borderline one.
        notes: the other warnings.
        scope: what a negative label leaves open; None under another.
        caption: of the picture.
        radiograph, heatmap: data: URIs.
        doubt: limits of the doubtful range of probabilities.
        predictive_value, pointing_game: sentences; None without figures.
        mark_peak: whether the map's highest point is marked at first.
        answered: when, in UTC.
        product: name and version.
    """

    prediction: Prediction
    tone: str
    headline: str
    certainty: str
    reason: InputWarning | None
    notes: tuple[InputWarning, ...]
    scope: str | None
    caption: str
    radiograph: str | None
    heatmap: str | None
    doubt: tuple[float, float]
    predictive_value: str | None
    pointing_game: str | None
    mark_peak: bool
    answered: datetime
    product: str


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
    regions: Sequence[str] = (),
    test_metrics: Mapping[str, Any] | None = None,
    answered: datetime | None = None,
) -> ResultPage:
    """Return what the result page shows of a prediction.

    Args:
        prediction: made with ``page=True``.
        doubt: the bundle's doubtful range.
        positive: the bundle's label of a fracture.
        regions: body parts that the model supports, empty where the bundle names none.
        test_metrics: the bundle's metrics on its test part.
        answered: when, in UTC; now by default.
    """
    certainty = prediction.certainty
    label = POSITIVE if prediction.prediction == positive else NEGATIVE
    tone = label if certainty == DEFINITE else certainty
    reason = next((w for w in prediction.warnings if w.code in REASONS[certainty]), None)
    code = reason.code if reason else None
    return ResultPage(
        prediction=prediction,
        tone=tone,
        headline=_headline(certainty, code if certainty == WITHHELD else label, regions),
        certainty=_certainty(certainty, code),
        reason=reason,
        notes=tuple(warning for warning in prediction.warnings if warning is not reason),
        scope=_scope(prediction.prediction) if label == NEGATIVE else None,
        caption=sentence(
            "web.caption_picture" if certainty == WITHHELD else "web.caption_radiograph"
        ),
        radiograph=data_uri(prediction.radiograph, "image/jpeg"),
        heatmap=data_uri(prediction.heatmap, "image/png"),
        doubt=doubt,
        predictive_value=_predictive_value(prediction),
        pointing_game=_pointing_game((test_metrics or {}).get("localisation")),
        # Under a negative verdict it would point at nothing.
        mark_peak=prediction.peak is not None and tone != NEGATIVE,
        answered=answered or datetime.now(UTC),
        product=sentence("web.product", version=__version__),
    )


def _headline(certainty: str, case: str | None, regions: Sequence[str]) -> str:
    """Return the verdict in a few words.

    Args:
        certainty, case: a key of HEADLINES.
        regions: body parts that the model supports.
    """
    key = HEADLINES.get((certainty, case or ""))
    if key is None or (case == UNSUPPORTED_REGION and not regions):
        return sentence("web.headline_withheld")
    return sentence(key, regions=_one_of(regions))


def _certainty(certainty: str, code: str | None) -> str:
    """Return what the certainty means, given the code of the warning that decides it."""
    if certainty != DOUBTFUL:
        return sentence(f"web.certainty_{certainty}")
    if code is None:
        return sentence("web.certainty_borderline")
    # Doubted for the model's own figures: the picture is not at fault.
    untested = code == UNTESTED_BODY_PART
    return sentence("web.certainty_untested" if untested else "web.certainty_picture")


def _one_of(regions: Sequence[str]) -> str:
    """Return body parts as a choice with an article, "a hand, leg or hip"; nothing of none."""
    if not regions:
        return ""
    *others, last = regions
    choice = sentence("web.choice", others=", ".join(others), last=last) if others else last
    return sentence("web.article_an" if choice[0] in "aeiou" else "web.article_a", noun=choice)


def _scope(label: str | None) -> str | None:
    """Return what a negative label leaves open, None where no label is given."""
    return label and sentence("web.scope", label=label)


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
