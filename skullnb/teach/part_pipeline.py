"""Checks of the exercises in the chapters on the pipeline's steps.

Each takes what the student wrote and the open chapter, and works on the chapter's own data.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from skullnb.chapter import Chapter
from skullnb.teach.answers import ONE_NUMBER, same, single_number
from skullnb.teach.verdict import UNANSWERED, Verdict, is_missing, right, wrong


def check_threshold(answer: Any, chapter: Chapter) -> Verdict:
    """Check the middle slice's threshold, turned back into an intensity.

    Parameters
    ----------
    answer : float
        In a.u. Anything within a level of the threshold holds, since decimals were cut off.
    chapter : Chapter

    Returns
    -------
    Verdict

    Examples
    --------
    >>> from skullnb.chapter import open_chapter
    >>> check_threshold(..., open_chapter("03-threshold"))
    No answer yet. Put yours in the place of the three dots and run this cell again.
    """
    if is_missing(answer):
        return UNANSWERED
    value = single_number(answer)
    if value is None:
        return wrong(ONE_NUMBER)
    image, trace = chapter.stack.images[chapter.middle], chapter.trace(chapter.middle)
    low, high = float(image.min()), float(image.max())
    level, step = trace.threshold, (high - low) / 255
    if low + (level - 0.5) * step <= value <= low + (level + 1.5) * step:
        return right(
            "A threshold is a fact about the slice and its brightest pixel; only intensities of "
            "one scan can be compared."
        )
    if value == level:
        return wrong(
            "That is the level itself, on the scale from 0 to 255. Which intensity became it?"
        )
    if same(value, level / 255):
        return wrong("That is a share of the slice's range. How long is the range, in a.u.?")
    if same(value, level * step):
        return wrong("That is how far the threshold lies above the minimum. Where is the minimum?")
    if same(value, low + level * (high - low)):
        return wrong("The scale of the levels does not end at 1; by what do you divide?")
    if not low <= value <= high:
        return wrong("No pixel of the middle slice is as bright or as dark as that.")
    return wrong(
        f"That would make {np.mean(image > value):.2%} of the slice's pixels bright; the "
        f"pipeline makes {np.mean(trace.binary):.2%} of them bright."
    )
