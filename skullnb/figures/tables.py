"""Numbers as Markdown tables, so that no cell of a table is typed by hand."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np
from IPython.display import Markdown

from skullnb.errors import InvalidSetting
from skullnb.text import escape

MISSING = "–"

# A table longer than this is not read.
MOST_ROWS = 40


def markdown_table(
    header: str | Sequence[str],
    rows: Iterable[Sequence[Any]],
    formats: Sequence[str] | None = None,
    of: tuple[int, str] | None = None,
) -> Markdown:
    """Set a table.

    Columns that hold numbers are set flush right.

    Parameters
    ----------
    header : str or sequence of str
        Titles of the columns; in one string they have " | " between them.
    rows : iterable of sequences
        One value a column. Texts are escaped; None and NaN are shown as a dash, infinity as ∞,
        truth values as yes and no.
    formats : sequence of str, optional
        A format for the numbers of each column, such as ".4f"; "" = as they are.
    of : (number, what), optional
        Of how many there could be a row, such as (300, "slices"); a line below the table says so
        when there is not one for each.

    Raises
    ------
    InvalidSetting
        If a row or `formats` has another length than the header.

    Examples
    --------
    >>> print(markdown_table(["slice", "IoU"], [[0, 0.97941], [1, None]], ["", ".3f"]).data)
    | slice | IoU |
    | ---: | ---: |
    | 0 | 0.979 |
    | 1 | – |
    """
    header = header.split(" | ") if isinstance(header, str) else header
    rows = [list(row) for row in rows]
    formats = list(formats) if formats is not None else [""] * len(header)
    for length in [len(formats), *map(len, rows)]:
        if length != len(header):
            raise InvalidSetting(
                f"A table with {len(header)} columns cannot hold a row of {length}; "
                "give one value and one format for each column."
            )
    numeric = [any(_is_number(row[column]) for row in rows) for column in range(len(header))]
    lines = [
        [escape(title) for title in header],
        ["---:" if right else ":---" for right in numeric],
        *([_cell(value, spec) for value, spec in zip(row, formats, strict=True)] for row in rows),
    ]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    if of and of[0] > len(rows):
        table += f"\n\nShown: {len(rows)} of {of[0]} {of[1]}."
    return Markdown(table)


def no_reference(what: str) -> Markdown:
    """Say that something cannot be computed because no reference mask was given.

    Parameters
    ----------
    what : str
        Names what is missing.

    Examples
    --------
    >>> no_reference("the scores").data
    '*No reference mask was given, so the scores cannot be computed.*'
    """
    return Markdown(f"*No reference mask was given, so {what} cannot be computed.*")


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool | np.bool_)


def _cell(value: Any, spec: str) -> str:
    if value is None:
        return MISSING
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if not _is_number(value):
        return escape(str(value))
    if isinstance(value, Integral):
        return format(int(value), spec)
    number = float(value)
    if math.isnan(number):
        return MISSING
    if math.isinf(number):
        return "∞" if number > 0 else "−∞"
    return format(number, spec)
