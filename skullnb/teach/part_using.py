"""Checks of the exercises on using the pipeline."""

from __future__ import annotations

from math import ceil
from typing import Any

from skullnb.batch import plan
from skullnb.chapter import Chapter
from skullnb.teach.verdict import UNANSWERED, Verdict, is_missing, right, wrong

GB_A_SECOND = 1.0


def check_workers(answer: Any, chapter: Chapter) -> Verdict:
    """Check how many workers it takes until a storage of 1 GB a second is the limit.

    Parameters
    ----------
    answer : int
        Workers; masks are packed to a bit a pixel.
    chapter : Chapter
        With `rate_one_worker` recorded, in slices a second.

    Returns
    -------
    Verdict
    """
    if is_missing(answer):
        return UNANSWERED
    if isinstance(answer, bool) or not isinstance(answer, int | float) or answer != int(answer):
        return wrong("Workers are counted: a whole number is asked for.")
    rate = chapter.results.value("rate_one_worker")
    height, width = chapter.stack.images.shape[1:]
    need = plan(1, (height, width), {"one": rate}, GB_A_SECOND, dtype=chapter.stack.images.dtype)
    busy = ceil(need.useful_rate["packed"] / rate)
    if answer == busy:
        return right(
            "One worker more would find the storage busy already; a faster kernel would save "
            "electricity, and no time."
        )
    if answer < 1:
        return wrong("Nobody would be at work.")
    if answer == ceil(need.useful_rate["npy"] / rate):
        return wrong("These masks take a byte a pixel; packed, they take an eighth of it.")
    if answer < busy:
        return wrong("So many together compute fewer slices a second than the storage delivers.")
    return wrong(
        "Fewer would do. How many slices a second does the storage deliver, when every slice is "
        "read and its packed mask written?"
    )
