"""Read what a student wrote, whatever its type."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from math import isclose
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skullnb.report.chapter import Chapter
from skullnb.teach.verdict import UNANSWERED, Verdict, is_missing, wrong

ONE_NUMBER = "One number is asked for; this is something else, or several."


def array_of(answer: Any) -> NDArray[Any]:
    """Give an answer as an array; lists of several lengths have no numbers in it.

    Examples
    --------
    >>> array_of([1, 2]).dtype.kind, array_of([[1, 2], [3]]).dtype.kind
    ('i', 'O')
    """
    try:
        return np.asarray(answer)
    except ValueError:
        return np.asarray(None)


def single_number(answer: Any) -> float | None:
    """Give the one number that an answer holds.

    Parameters
    ----------
    answer : object
        A number, or an array or sequence with a single one.

    Returns
    -------
    float or None
        None for a text, for several numbers, and for anything that is not finite.

    Examples
    --------
    >>> single_number(np.float32(0.5)), single_number([26]), single_number([1, 2])
    (0.5, 26.0, None)
    """
    value = array_of(answer)
    if value.dtype.kind not in "iufb" or value.size != 1 or not np.isfinite(value).all():
        return None
    return float(value.item())


def asks_for_a_number(
    check: Callable[[float, Chapter], Verdict],
) -> Callable[[Any, Chapter], Verdict]:
    """Let a check see finite numbers only, and answer for it to anything else.

    Parameters
    ----------
    check : callable
        Takes a number and the open chapter.

    Returns
    -------
    callable
        Takes whatever the student wrote, three dots included.

    Examples
    --------
    >>> check = asks_for_a_number(lambda value, chapter: wrong(f"Not {value:g}."))
    >>> check([7], None), check("seven", None)
    (Not yet. Not 7., Not yet. One number is asked for; this is something else, or several.)
    """

    @wraps(check)
    def checked(answer: Any, chapter: Chapter) -> Verdict:
        if is_missing(answer):
            return UNANSWERED
        value = single_number(answer)
        if value is None:
            return wrong(ONE_NUMBER)
        return check(value, chapter)

    return checked


def same(value: float, other: float, tolerance: float = 1e-3) -> bool:
    """Whether two numbers agree but for rounding.

    Parameters
    ----------
    value, other : float
    tolerance : float
        As a share of the larger one.

    Returns
    -------
    bool

    Examples
    --------
    >>> same(0.1234, 0.12345), same(23, 24)
    (True, False)
    """
    return isclose(value, other, rel_tol=tolerance)
