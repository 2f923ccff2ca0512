"""Checks of the exercises in the chapters on the pipeline's steps.

Each takes what the student wrote and the open chapter, and works on that chapter's own data, its
middle slice where one slice has to do. All give a `Verdict`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from skullnb import metrics
from skullnb.report.chapter import Chapter
from skullnb.pipeline import dilate, fill_holes, normalise
from skullnb.reach import kernel_reach
from skullnb.teach.answers import array_of, asks_for_a_number, same
from skullnb.teach.verdict import UNANSWERED, Verdict, is_missing, right, wrong

OTHER_WIDTH = 10  # px; narrow enough to leave holes to the fill


@asks_for_a_number
def check_data(value: float, chapter: Chapter) -> Verdict:
    """Check the share of the middle slice's pixels that lie in the upper half of its range.

    Examples
    --------
    >>> from skullnb.report.chapter import open_chapter
    >>> check_data(50, open_chapter("01-data"))
    Not yet. A share lies between 0 and 1.
    """
    image = chapter.stack.images[chapter.middle]
    share = float(np.mean(image > _half(image)))
    if same(value, share, tolerance=0.02):
        return right(
            "So few pixels own half of the scale. What the next step divides by is decided by them."
        )
    if value == share * image.size:
        return wrong("That is a number of pixels. What share of the slice is it?")
    if same(value, 100 * share, tolerance=0.02):
        return wrong("That reads as per cent. A share lies between 0 and 1.")
    if not 0 <= value <= 1:
        return wrong("A share lies between 0 and 1.")
    if same(value, 1 - share):
        return wrong("That is the share in the lower half.")
    if same(value, float(np.mean(image > np.median(image))), tolerance=0.02):
        return wrong(
            "Half of the pixels lie above the median by definition. The middle of the *range* is "
            "halfway between the smallest and the largest intensity."
        )
    if same(value, float(np.mean(image > image.max() / 2))):
        return wrong("Half of the maximum is the middle of the range only if the minimum is 0.")
    everywhere = np.mean([np.mean(one > _half(one)) for one in chapter.stack.images])
    if same(value, float(everywhere)):
        return wrong("That is the share over all slices. Take the middle one alone.")
    return wrong(
        f"That would be {value * image.size:,.0f} of the slice's {image.size:,} pixels. Count "
        "those above the level halfway between its smallest and its largest intensity."
    )


def check_normalise(answer: Any, chapter: Chapter) -> Verdict:
    """Check the middle slice, normalised by hand.

    Examples
    --------
    >>> from skullnb.report.chapter import open_chapter
    >>> check_normalise([[0, 255]], open_chapter("02-normalise"))
    Not yet. The answer has the shape (1, 2); the slice has 768 x 624 pixels.
    """
    if is_missing(answer):
        return UNANSWERED
    image = chapter.stack.images[chapter.middle]
    given = array_of(answer)
    if given.dtype.kind not in "iuf":
        return wrong("The answer should be an array of numbers.")
    levels = normalise(image)
    if given.shape != image.shape:
        size = " x ".join(str(side) for side in image.shape)
        return wrong(f"The answer has the shape {given.shape}; the slice has {size} pixels.")
    exact = 255 * _shares(image, float(image.min()), float(image.max()))
    if _agree(given, levels):
        if given.dtype != np.uint8:
            return wrong(
                f"The levels are right, but stored as {given.dtype}; the next step wants 8 bits "
                "without a sign, `uint8`."
            )
        return right("One bright pixel more, and every level here would be another.")
    if given.max() <= 1 < levels.max():
        return wrong("The brightest pixel is at 1 or below; the scale should end at 255.")
    if _agree(given, exact, 1e-3):
        return wrong("The levels still have decimals. Cut them off.")
    if _agree(given, np.rint(exact)):
        return wrong("You rounded. The brackets of the formula cut decimals off.")
    images = chapter.stack.images
    if _agree(given, np.floor(255 * _shares(image, float(images.min()), float(images.max())))):
        return wrong("That is the range of the whole stack. Each slice has its own.")
    if not (given[levels == 255] == 255).all():
        return wrong("The brightest pixel should become 255, neither more nor less.")
    if given[levels == 0].max() > 0:
        return wrong("The darkest pixels should become 0. Subtract the minimum first.")
    row, column = np.argwhere(given != levels)[0]
    return wrong(
        f"{np.mean(given != levels):.1%} of the pixels have another level. Work one out by hand, "
        f"say the first of them, in row {row} and column {column}."
    )


@asks_for_a_number
def check_threshold(value: float, chapter: Chapter) -> Verdict:
    """Check the middle slice's threshold as an intensity, in a.u.; one level either way holds.

    Examples
    --------
    >>> from skullnb.report.chapter import open_chapter
    >>> check_threshold(23, open_chapter("03-threshold"))
    Not yet. That is the level itself, on the scale from 0 to 255. Which intensity became it?
    """
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


@asks_for_a_number
def check_components(value: float, chapter: Chapter) -> Verdict:
    """Check how many columns a narrower frame would lack for the edge rule to drop the brain.

    Examples
    --------
    >>> from skullnb.report.chapter import open_chapter
    >>> check_components(0, open_chapter("04-components"))
    Not yet. With so many columns gone, the component still is an inner one.
    """
    trace = chapter.trace(chapter.middle)
    if not trace.chosen:
        return wrong("No component was chosen on the middle slice; open the chapter on other data.")
    chosen = trace.components[trace.chosen - 1]
    left = int(chosen["left"])
    if value == left:
        return right(
            "At that frame the rule drops the brain, although nothing about the brain has "
            "changed. What touches the frame depends on who framed the picture."
        )
    if value == left + 1:
        return wrong("One less would do: columns count from 0, and touching is enough.")
    if value == chosen["width"]:
        return wrong("That is how wide the component is. Where does it begin?")
    if value == left + chosen["width"]:
        return wrong("That is where the component ends on the right. Where does it begin?")
    if value == chosen["top"]:
        return wrong("That counts rows. The frame comes closer from the left.")
    if value in trace.components["left"]:
        return wrong("That is where another component begins. Which one was taken for the brain?")
    if value < left:
        return wrong("With so many columns gone, the component still is an inner one.")
    return wrong("The rule drops the component before that many columns are gone.")


@asks_for_a_number
def check_dilation(value: float, chapter: Chapter) -> Verdict:
    """Check the kernel width, in px, that reaches as far on pixels half as large.

    Examples
    --------
    >>> from skullnb.report.chapter import open_chapter
    >>> check_dilation(26, open_chapter("05-dilation"))
    Not yet. The same number of smaller pixels is a smaller distance.
    """
    width = chapter.settings.kernel_width
    if value == 2 * width - 1:
        return right(
            "It is odd, so it even has a middle pixel and reaches equally far to all sides."
        )
    if value == width:
        return wrong("The same number of smaller pixels is a smaller distance.")
    if value != int(value) or not 0 < value <= 4 * width:
        return wrong("A kernel width is a whole number of pixels, and one of this order.")
    if value < width:
        return wrong("Smaller pixels: more of them fit into a millimetre, not fewer.")
    reach, wanted = (sum(kernel_reach(int(one))) / 4 for one in (value, width))
    return wrong(
        f"A kernel {value:g} px wide reaches {reach:g} px on average. In these pixels the old one "
        f"reaches {2 * wanted:g} px. Mind that a kernel's middle pixel reaches nowhere."
    )


@asks_for_a_number
def check_holes(value: float, chapter: Chapter) -> Verdict:
    """Check on how many pixels filling before and after the dilation differ, at another width.

    Examples
    --------
    >>> from skullnb.report.chapter import open_chapter
    >>> check_holes(-1, open_chapter("06-holes"))
    Not yet. A count of pixels is a whole number from 0 up.
    """
    trace = chapter.trace(chapter.middle)
    grown = dilate(trace.brain, OTHER_WIDTH)
    after, before = fill_holes(grown), dilate(fill_holes(trace.brain), OTHER_WIDTH)
    if value == np.count_nonzero(after != before):
        return right(
            "The dilation closes the mouth of a bay and so makes a hole of it; only a fill that "
            "comes later can close that. The order of the steps is part of the method."
        )
    if value < 0 or value != int(value):
        return wrong("A count of pixels is a whole number from 0 up.")
    if value in (np.count_nonzero(after), np.count_nonzero(before), np.count_nonzero(grown)):
        return wrong("That is the size of one mask. On how many pixels do two masks differ?")
    if value == np.count_nonzero(grown != before):
        return wrong("One of your two masks is dilated and never filled.")
    if value == np.count_nonzero(grown != after):
        return wrong("You compared a mask with and without the fill, not the two orders.")
    if value == np.count_nonzero(after != trace.mask):
        return wrong(f"`trace.mask` was grown by the chapter's own kernel; grow by {OTHER_WIDTH}.")
    width = chapter.settings.kernel_width
    swapped = dilate(fill_holes(trace.brain), width)
    if value == np.count_nonzero(fill_holes(dilate(trace.brain, width)) != swapped):
        return wrong(f"That holds at the chapter's own width; take {OTHER_WIDTH} px.")
    return wrong("Make both masks from `trace.brain`, then count where they differ with `!=`.")


def check_metrics(answer: Any, chapter: Chapter) -> Verdict:
    """Check a mask of the right size whose IoU with the chapter's larger square is one third.

    Examples
    --------
    >>> check_metrics(np.zeros((14, 14)), None)
    Not yet. Your mask has 0 pixels, so its volume difference is -1; it should be 0.
    """
    if is_missing(answer):
        return UNANSWERED
    mask = array_of(answer)
    square = np.zeros((14, 14), dtype=np.uint8)
    square[5:9, 5:9] = 1
    if mask.shape != square.shape or mask.dtype.kind not in "biuf":
        return wrong("The answer should be a mask of 14 x 14 pixels, like `outer`.")
    if not np.isin(mask, (0, 1)).all():
        return wrong("A mask holds zeros and ones, nothing else.")
    found = metrics.score(mask.astype(np.uint8), square)
    if found.volume_difference != 0:
        return wrong(
            f"Your mask has {np.count_nonzero(mask)} pixels, so its volume difference is "
            f"{found.volume_difference:g}; it should be 0."
        )
    if same(found.iou, 1 / 3):
        return right(
            "A mask of exactly the right size, and half of it lies elsewhere. A volume alone "
            "says nothing about where."
        )
    if found.iou == 0:
        return wrong("The size is right, but the two share no pixel: IoU 0.")
    if found.iou == 1:
        return wrong("That is the reference itself: IoU 1. The size may stay; the place may not.")
    shared = np.count_nonzero(mask * square)
    return wrong(
        f"The size is right. The two share {shared} pixels and cover "
        f"{2 * square.sum() - shared} together: IoU {found.iou:.3f}."
    )


def _half(image: Any) -> float:
    return (float(image.min()) + float(image.max())) / 2


def _shares(image: Any, low: float, high: float) -> Any:
    """Where the intensities lie in a range, from 0 to 1."""
    return (image.astype(np.float64) - low) / (high - low or 1.0)


def _agree(given: Any, expected: Any, step: float = 0.0) -> bool:
    """Whether nearly all pixels agree; a rare one may fall on the other side of a level."""
    return float(np.mean(np.abs(given.astype(np.float64) - expected) <= step)) > 0.999
