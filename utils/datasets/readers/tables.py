"""CSV files of a dataset, read strictly."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from utils.datasets.readers.dataset_reader import contents
from utils.errors import DatasetError


def read_rows(table: Path) -> list[list[str]]:
    """Read a CSV file into rows of text without surrounding blanks; empty lines are left out.

    Raises:
        DatasetError: the file is missing, empty or no CSV text.
    """
    try:
        with table.open(encoding="utf-8-sig", newline="") as lines:
            rows = [[cell.strip() for cell in row] for row in csv.reader(lines, strict=True) if row]
    except FileNotFoundError as error:
        folder = table.parent
        raise DatasetError(
            "datasets.no_table", table=table.name, folder=folder, found=contents(folder)
        ) from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetError("datasets.no_csv", table=table, reason=str(error)) from error
    if not rows:
        raise DatasetError("datasets.empty_table", table=table)
    return rows


def read_table(
    table: Path, columns: Sequence[str], optional: Sequence[str] | None = None
) -> list[dict[str, str]]:
    """Read a CSV file with a header line into records.

    Args:
        table: the file.
        columns: those that must be there.
        optional: those that may be there beside them; None for any.

    Raises:
        DatasetError: the file cannot be read, a column is missing, unknown or named twice, or a line is
            short or long.
    """
    header, *rows = read_rows(table)
    named = ", ".join(header)
    if missing := [column for column in columns if column not in header]:
        raise DatasetError(
            "datasets.missing_columns", table=table, missing=", ".join(missing), columns=named
        )
    known = [*columns, *(header if optional is None else optional)]
    if unknown := [column for column in header if column not in known]:
        raise DatasetError(
            "datasets.unknown_column", table=table, column=unknown[0], known=", ".join(known)
        )
    if len(set(header)) < len(header):
        raise DatasetError("datasets.repeated_column", table=table, columns=named)
    for number, row in enumerate(rows, start=2):
        if len(row) != len(header):
            raise DatasetError(
                "datasets.row_length",
                table=table,
                line=number,
                found=len(row),
                expected=len(header),
            )
    return [dict(zip(header, row, strict=True)) for row in rows]


def read_flag(record: Mapping[str, str], column: str, table: Path, row: str) -> bool:
    """Return a cell that must be 0 or 1; ``row`` names the record in a message.

    Raises:
        DatasetError: it is something else.
    """
    value = record[column]
    if value not in ("0", "1"):
        raise DatasetError("datasets.bad_flag", table=table, row=row, column=column, value=value)
    return value == "1"
