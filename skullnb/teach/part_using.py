"""Checks of the exercises on using the pipeline."""

from __future__ import annotations

from math import ceil
from typing import Any

import numpy as np

from skullnb.batch import plan
from skullnb.report.chapter import Chapter
from skullnb.pipeline import (
    Mask,
    SkullMaskTrace,
    binarise,
    choose_brain,
    component_mask,
    label_components,
)
from skullnb.teach.answers import asks_for_a_number, single_number
from skullnb.teach.verdict import UNANSWERED, Verdict, is_missing, right, wrong

GB_A_SECOND = 1.0
SLICES_A_SECOND = 150


@asks_for_a_number
def check_workers(value: float, chapter: Chapter) -> Verdict:
    """Check how many workers it takes until a storage of 1 GB a second is the limit.

    Masks are packed to a bit a pixel, and each worker computes 150 slices a second.

    Examples
    --------
    >>> from skullnb.report.chapter import open_chapter
    >>> check_workers(0, open_chapter("13-timing"))
    Not yet. Nobody would be at work.
    """
    rate = SLICES_A_SECOND
    height, width = chapter.stack.images.shape[1:]
    need = plan(
        100_000, (height, width), {"one": rate}, GB_A_SECOND, dtype=chapter.stack.images.dtype
    )
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


def check_explore(answer: Any, chapter: Chapter) -> Verdict:
    """Check the lowest level above Otsu's that leaves less than half of the middle slice's brain.

    Parameters
    ----------
    answer : int or None
        A level from 0 to 255; None where the explorer opens without a brain.
    chapter : Chapter

    Returns
    -------
    Verdict

    Examples
    --------
    >>> from skullnb.report.chapter import open_chapter
    >>> check_explore(25.5, open_chapter("14-explore"))
    Not yet. A threshold is a whole number from 0 to 255.
    """
    if is_missing(answer):
        return UNANSWERED
    opened = chapter.trace(chapter.middle)
    half = np.count_nonzero(opened.brain) / 2
    if not half:
        nothing = "As the explorer opens, nothing on this slice is taken for the brain"
        if answer is None:
            return right(f"{nothing}, so no level can halve it.")
        return wrong(f"{nothing}; write None, or choose other data.")
    if answer is None:
        return wrong("There is such a level: above 254 no pixel can be bright, and no brain left.")
    value = single_number(answer)
    if value is None or value not in range(256):
        return wrong("A threshold is a whole number from 0 to 255.")
    level = int(value)
    if level <= opened.threshold:
        return wrong(f"Otsu's level is {opened.threshold}; untick Otsu and go up from there.")
    if any(
        np.count_nonzero(_brain_at(opened, lower)) < half
        for lower in range(opened.threshold + 1, level)
    ):
        return wrong("A lower level leaves less than half of it already; go down step by step.")
    brain = _brain_at(opened, level)
    left = np.count_nonzero(brain)
    if left >= half:
        return wrong(
            f"At level {level} the brain still has {left / (2 * half):.0%} of the pixels it opened "
            "with; go on upwards."
        )
    return right(_what_is_left(brain, opened.brain))


def _brain_at(opened: SkullMaskTrace, level: int) -> Mask:
    """Steps 2 and 3 at another level; normalising is not done again."""
    settings = opened.settings
    bright = binarise(opened.normalised, level)
    labels, components = label_components(bright, settings.connectivity)
    return component_mask(labels, choose_brain(components, settings.drop_edge_touching))


def _what_is_left(brain: Mask, opened: Mask) -> str:
    if not brain.any():
        return "Nothing at all is left to be taken for the brain, and the mask is empty."
    share = np.count_nonzero(brain & opened) / np.count_nonzero(brain)
    if share < 0.5:
        return (
            "And what is taken for the brain now is another piece of tissue: only "
            f"{share:.0%} of it lies in the brain of before. Its mask may still look like a head."
        )
    return "The brain fell apart, and its largest piece is left to make the mask alone."


@asks_for_a_number
def check_your_data(value: float, chapter: Chapter) -> Verdict:
    """Check which slice's mask differs most in area from the stack's median.

    By its number, as in the table; where several differ as much, any of them.

    Examples
    --------
    >>> from skullnb.report.chapter import open_chapter
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
