"""Checks of the exercises on using the pipeline."""

from __future__ import annotations

from math import ceil

from skullnb.batch import plan
from skullnb.chapter import Chapter
from skullnb.teach.answers import asks_for_a_number
from skullnb.teach.verdict import Verdict, right, wrong

GB_A_SECOND = 1.0


@asks_for_a_number
def check_workers(value: float, chapter: Chapter) -> Verdict:
    """Check how many workers it takes until a storage of 1 GB a second is the limit.

    Masks are packed to a bit a pixel; the chapter has recorded `rate_one_worker`, slices a second.
    """
    rate = chapter.results.value("rate_one_worker")
    height, width = chapter.stack.images.shape[1:]
    need = plan(1, (height, width), {"one": rate}, GB_A_SECOND, dtype=chapter.stack.images.dtype)
    busy = ceil(need.useful_rate["packed"] / rate)
    if value == busy:
        return right(
            "One worker more would find the storage busy already; a faster kernel would save "
            "electricity, and no time."
        )
    if value < 1:
        return wrong("Nobody would be at work.")
    if value != int(value):
        return wrong("Workers are counted: a whole number is asked for.")
    if value == ceil(need.useful_rate["npy"] / rate):
        return wrong("These masks take a byte a pixel; packed, they take an eighth of it.")
    if value < busy:
        return wrong("So many together compute fewer slices a second than the storage delivers.")
    return wrong(
        "Fewer would do. How many slices a second does the storage deliver, when every slice is "
        "read and its packed mask written?"
    )
