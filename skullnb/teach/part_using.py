"""Checks of the exercises in the chapters on using the method."""

from __future__ import annotations

from typing import Any

import numpy as np

from skullnb.chapter import Chapter
from skullnb.teach.answers import ONE_NUMBER, single_number
from skullnb.teach.verdict import UNANSWERED, Verdict, is_missing, right, wrong


def check_your_data(answer: Any, chapter: Chapter) -> Verdict:
    """Check which slice's mask differs most in area from the stack's median.

    Parameters
    ----------
    answer : int
        The slice's number, as in the table; where several differ as much, any of them.
    chapter : Chapter

    Returns
    -------
    Verdict

    Examples
    --------
    >>> from skullnb.chapter import open_chapter
    >>> check_your_data(77, open_chapter("15-your-data"))
    Not yet. No slice of this stack has the number 77.
    """
    if is_missing(answer):
        return UNANSWERED
    value = single_number(answer)
    if value is None:
        return wrong(ONE_NUMBER)
    numbers, areas = list(chapter.stack.slice_numbers), chapter.summary["mask_px"]
    if value not in numbers:
        return wrong(f"No slice of this stack has the number {value:g}.")
    off = np.abs(areas - np.median(areas))
    index = numbers.index(int(value))
    if off[index] == off.max():
        return right(
            "That is where to look first, not what is wrong: a slice near the end of a head has a "
            "small mask, and rightly so."
        )
    if areas[index] == areas.max():
        return wrong("That mask is the largest one. Large or small, which lies farthest away?")
    return wrong(
        f"The mask of slice {value:g} differs from the median by {off[index]:,.0f} px; another "
        "one differs by more."
    )
