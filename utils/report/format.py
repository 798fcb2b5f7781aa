"""Text formats of the report: figures with intervals, counts by reason, Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from utils.evaluation.report_schema import Figure


def interval_text(figure: Figure) -> str:
    """Write a figure as ``0.912 (0.881 to 0.939)``, or that it is not defined."""
    if figure.value is None:
        return "not defined"
    if figure.low is None or figure.high is None:
        return f"{figure.value:.3f}"
    return f"{figure.value:.3f} ({figure.low:.3f} to {figure.high:.3f})"


def reasons_text(*counts: Mapping[str, int | None]) -> str:
    """List how many images each reason left out, without those that left out none."""
    found = [(number, reason) for part in counts for reason, number in part.items() if number]
    return "; ".join(f"{number} ({reason})" for number, reason in found) or "none"


def any_of(codes: Iterable[str]) -> str:
    """List warning codes of which one suffices, sorted, as code."""
    return " or ".join(f"`{code}`" for code in sorted(codes))


def one_line(text: object) -> str:
    """Join the lines of a text by spaces."""
    return " ".join(str(text).split())


def escape_markdown(text: object) -> str:
    """Escape what Markdown would take for markup, so that names from a dataset stay names."""
    line = one_line(text)
    for mark in ("\\", "|", "<", "[", "*", "_", "`"):
        line = line.replace(mark, f"\\{mark}")
    return line


def markdown_rows(rows: Iterable[Iterable[str]]) -> str:
    """Write rows of a Markdown table, their cells escaped."""
    return "\n".join("| " + " | ".join(map(escape_markdown, row)) + " |" for row in rows)
