"""Numbers into sentences, and texts from outside into pages, safely."""

from __future__ import annotations

import re
import string
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from skullnb.errors import InvalidSetting


class _Filler(string.Formatter):
    """Fills fields from results: None reads "not available", texts are escaped."""

    def get_value(self, key: int | str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        if key not in kwargs:
            raise InvalidSetting(f"Nothing was recorded under {key!r}; record it before saying it.")
        return kwargs[str(key)]

    def format_field(self, value: Any, format_spec: str) -> str:
        if value is None:
            return "not available"
        if isinstance(value, str):
            return escape(value)
        if isinstance(value, list):
            return ", ".join(self.format_field(one, format_spec) for one in value)
        return str(format(value, format_spec))


def fill(text: str, values: Mapping[str, Any]) -> str:
    """Fill recorded values into a text.

    Parameters
    ----------
    text : str
        Markdown with fields in braces.
    values : mapping
        Recorded results, by name.

    Returns
    -------
    str

    Raises
    ------
    InvalidSetting
        If a field was not recorded.

    Examples
    --------
    >>> fill("Otsu chose **{threshold}**; IoU {iou:.3f}.", {"threshold": [23, 24], "iou": 0.97941})
    'Otsu chose **23, 24**; IoU 0.979.'
    """
    return _Filler().format(text, **values)


def escape(text: str) -> str:
    """Make a text from outside (a file name, a group) harmless in Markdown and HTML.

    Parameters
    ----------
    text : str

    Returns
    -------
    str

    Examples
    --------
    >>> escape("<b>*scan*</b>")
    '&#60;b&#62;&#42;scan&#42;&#60;/b&#62;'
    """
    flat = " ".join(text.split())
    return re.sub(r"""[&<>"'\\`*_{}\[\]()#!|~$]""", lambda found: f"&#{ord(found[0])};", flat)


def for_spreadsheet(value: Any) -> Any:
    """Keep a spreadsheet from running a text from outside as a formula.

    Parameters
    ----------
    value : object
        For a cell of a CSV file.

    Returns
    -------
    object
        A text that would be a formula with an apostrophe before it; anything else, and a number
        that is written as a text ("-inf"), as it is.

    Examples
    --------
    >>> [for_spreadsheet(value) for value in ("=1+1", "-inf", -0.5, "a=b")]
    ["'=1+1", '-inf', -0.5, 'a=b']
    """
    if not isinstance(value, str) or not value.startswith(("=", "+", "-", "@", "\t", "\r")):
        return value
    with suppress(ValueError):
        float(value)
        return value
    return f"'{value}"
