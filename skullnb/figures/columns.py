"""Tables given as columns, and published figures beside measured ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from IPython.display import Markdown

from skullnb.errors import ShapeMismatch
from skullnb.figures.tables import markdown_table
from skullnb.published import SOURCE


def columns_table(columns: Mapping[str, Any], formats: Mapping[str, str] | None = None) -> Markdown:
    """Set columns of values side by side.

    Parameters
    ----------
    columns : mapping of str to sequence
        Heading to values, all of one length.
    formats : mapping of str to str, optional
        Heading to number format. Without one, whole numbers get a thousands separator and other
        numbers four significant digits.

    Returns
    -------
    IPython.display.Markdown

    Raises
    ------
    ShapeMismatch
        If the columns differ in length.

    Examples
    --------
    >>> print(columns_table({"slice": [0, 1], "area": [1200, 980]}).data)
    | slice | area |
    | ---: | ---: |
    | 0 | 1,200 |
    | 1 | 980 |
    """
    lengths = {heading: len(values) for heading, values in columns.items()}
    if len(set(lengths.values())) > 1:
        raise ShapeMismatch(f"The columns of a table differ in length: {lengths}.")
    formats = {heading: _format(values) for heading, values in columns.items()} | dict(
        formats or {}
    )
    rows = list(zip(*columns.values(), strict=True))
    return markdown_table(list(columns), rows, [formats[heading] for heading in columns])


def published_beside_measured(rows: Mapping[str, tuple[Any, Any]], applies: bool) -> Markdown:
    """Set the article's figures beside the measured ones, each labelled as what it is.

    Parameters
    ----------
    rows : mapping of str to (published, measured)
        Numbers, texts, or sequences of numbers.
    applies : bool
        Whether the data is the built-in stack, to which the published figures belong.

    Returns
    -------
    IPython.display.Markdown
        The table with its source; one sentence when the figures do not apply.

    Examples
    --------
    >>> table = published_beside_measured({"threshold": (23, [23, 24])}, applies=True)
    >>> table.data.splitlines()[2]
    '| threshold | 23 | 23, 24 |'
    """
    if not applies:
        return Markdown(
            "The article's figures belong to other images, so none are set beside these."
        )
    table = markdown_table(
        ["", "published", "measured"],
        [
            [name, listed(published), listed(measured)]
            for name, (published, measured) in rows.items()
        ],
    )
    return Markdown(
        f"{table.data}\n\n{SOURCE[0].upper()}{SOURCE[1:]}. Measured: on the built-in stack, which "
        "is synthetic and calibrated to the published figures, so the agreement is by construction "
        "and is not evidence."
    )


def listed(value: Any) -> str:
    """Write a value, or the values of a sequence with commas between.

    Examples
    --------
    >>> listed([0, 0, 1]), listed(23)
    ('0, 0, 1', '23')
    """
    many = isinstance(value, Sequence | np.ndarray) and not isinstance(value, str)
    return ", ".join(listed(one) for one in value) if many else str(value)


def _format(values: Any) -> str:
    array = np.asarray(values)
    return {"i": ",d", "u": ",d", "f": ".4g"}.get(array.dtype.kind, "")
