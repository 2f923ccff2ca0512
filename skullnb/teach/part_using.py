"""Checks of the exercises in the chapters on using the method."""

from __future__ import annotations

import numpy as np

from skullnb.chapter import Chapter
from skullnb.teach.answers import asks_for_a_number
from skullnb.teach.verdict import Verdict, right, wrong


@asks_for_a_number
def check_your_data(value: float, chapter: Chapter) -> Verdict:
    """Check which slice's mask differs most in area from the stack's median.

    By its number, as in the table; where several differ as much, any of them.

    Examples
    --------
    >>> from skullnb.chapter import open_chapter
    >>> check_your_data(77, open_chapter("15-your-data"))
    Not yet. No slice of this stack has the number 77.
    """
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
