"""Checks of the exercises in the chapters on what the method shows, and what it does not.

Each takes what the student wrote and the open chapter, and gives a `Verdict`; where the answer
depends on data, it is worked out on the chapter's own.
"""

from __future__ import annotations

from typing import Any

from skullnb.report.chapter import Chapter
from skullnb.evidence import build_ledger
from skullnb.pipeline import MAX_KERNEL_WIDTH, RULES, SkullMaskTrace, create_skull_mask, fill_holes
from skullnb.reach import kernel_reach, kernel_width_for
from skullnb.teach.answers import asks_for_a_number
from skullnb.teach.verdict import UNANSWERED, Verdict, is_missing, right, wrong
from skullnb.validation import zero_failure_bound

# A share read off a printout has two decimals.
ROUNDING = 0.005

# What the exercises of chapters 10 and 11 ask about.
FAILURE_RATE = 0.02
REACH_MM, PIXEL_MM = 7.0, 0.7


@asks_for_a_number
def check_journey(value: float, chapter: Chapter) -> Verdict:
    """Check which share of what v1 misses lies in the holes of its component.

    Examples
    --------
    >>> from skullnb.report.chapter import open_chapter
    >>> check_journey(2.6, open_chapter("08-journey"))
    Not yet. A share lies between 0 and 1; divide one count of pixels by the other.
    """
    if not 0 <= value <= 1:
        return wrong("A share lies between 0 and 1; divide one count of pixels by the other.")
    trace = chapter.trace(chapter.middle)
    n_mask, n_brain = int(trace.mask.sum()), int(trace.brain.sum())
    n_holes, n_missing = int(fill_holes(trace.brain).sum()) - n_brain, n_mask - n_brain
    share = n_holes / n_missing if n_missing else 0.0
    if abs(value - share) <= ROUNDING:
        return right(
            "The rest lies around the component, in folds that are open to the outside and in the "
            "bone; only the dilation gets there."
        )
    if abs(value - (1 - share)) <= ROUNDING:
        return wrong("That share lies outside the component. Which pixels would a filling add?")
    if n_mask and abs(value - n_holes / n_mask) <= ROUNDING:
        return wrong("That is a share of the whole mask; divide by what the component lacks.")
    if n_mask and abs(value - n_missing / n_mask) <= ROUNDING:
        return wrong("That is the share of the mask that is missing. How much of it is in holes?")
    return wrong(
        f"The mask has {n_missing:,d} pixels that the component lacks. Fill the holes of the "
        "component alone, without a dilation, and count what that adds."
    )


def check_evidence(answer: Any, chapter: Chapter) -> Verdict:
    """Check which rules could be struck, one at a time, without changing a mask.

    Examples
    --------
    >>> from skullnb.report.chapter import open_chapter
    >>> check_evidence(["brighten"], open_chapter("09-evidence"))
    Not yet. No rule is called 'brighten'; the rules are flat-image guard, threshold, drop
    edge-touching, choose largest, dilate, fill holes.
    """
    if is_missing(answer):
        return UNANSWERED
    if not isinstance(answer, (str, list, tuple, set, frozenset)):
        return wrong("A list of names is asked for, such as ['dilate'].")
    names = [answer] if isinstance(answer, str) else list(answer)
    if unknown := sorted(str(name) for name in names if name not in RULES):
        return wrong(f"No rule is called {unknown[0]!r}; the rules are {', '.join(RULES)}.")
    named = set(names)
    kept = chapter.results.values
    ledger = kept if "rules" in kept else build_ledger(chapter.stack, chapter.settings).values()
    rules = ledger["rules"]
    silent = {rule for rule in RULES if not rules[rule]["n_changed"]}
    if named == silent:
        return right(
            "These slices would not notice. They cannot say what the next slice would notice, nor "
            "what happens when two rules go together."
        )
    if named == set(RULES) - silent:
        return wrong("These are the rules that the masks need; asked are the others.")
    if too_many := sorted(named - silent):
        rule = too_many[0]
        n = rules[rule]["n_changed"]
        return wrong(f"Without {rule!r} the mask of {n} slice{'s' * (n != 1)} is another one.")
    if any(rules[rule]["n_fired"] for rule in silent - named):
        return wrong("One is missing that fired. Does every rule that fires change a mask?")
    return wrong("One is missing. What can a rule change whose condition never occurred?")


@asks_for_a_number
def check_validation(value: float, chapter: Chapter) -> Verdict:
    """Check how many volumes without a failure rule out a failure rate of 2%.

    Examples
    --------
    >>> from skullnb.report.chapter import open_chapter
    >>> check_validation(5, open_chapter("10-validation"))
    Not yet. 5 volumes without a failure leave a rate of up to 45.1% possible: still above 2%.
    """
    if value < 1 or value != int(value):
        return wrong("Volumes are counted: a whole number, at least 1.")
    n = int(value)
    bound = zero_failure_bound(n)
    if bound > FAILURE_RATE:
        return wrong(
            f"{n:,d} volumes without a failure leave a rate of up to {bound:.1%} possible: still "
            f"above {FAILURE_RATE:.0%}."
        )
    if n == round(3 / FAILURE_RATE):
        return wrong("The rule of three is an approximation; ask for the exact bound.")
    if zero_failure_bound(n - 1) <= FAILURE_RATE:
        return wrong("That many are enough, and fewer are too. Where does it just hold?")
    here = len(set(chapter.stack.groups or ("one",)))
    return right(
        f"Volumes, not slices. The stack at hand counts for {here}, and would have to be right on "
        "every one."
    )


@asks_for_a_number
def check_reach(value: float, chapter: Chapter) -> Verdict:
    """Check the odd kernel width that reaches 7 mm where a pixel measures 0.7 mm.

    Examples
    --------
    >>> from skullnb.report.chapter import open_chapter
    >>> check_reach(10, open_chapter("11-reach"))
    Not yet. That is how many pixels the mask shall grow by on each side; how wide is the kernel
    that does it?
    """
    if value < 1 or value != int(value):
        return wrong("A kernel has a whole number of pixels, at least 1.")
    if value > MAX_KERNEL_WIDTH:
        return wrong("That kernel would be wider than most slices.")
    width, wanted = int(value), kernel_width_for(REACH_MM, PIXEL_MM)
    if width == wanted:
        return right("Twice the reach in pixels, and the pixel in the middle.")
    if width == round(REACH_MM / PIXEL_MM):
        return wrong(
            "That is how many pixels the mask shall grow by on each side; how wide is the kernel "
            "that does it?"
        )
    if width in (REACH_MM, 2 * REACH_MM, 2 * REACH_MM + 1):
        return wrong("That takes a millimetre for a pixel. How many pixels are 7 mm here?")
    if width == chapter.settings.kernel_width:
        return wrong("That width was chosen for other pixels.")
    if width % 2 == 0:
        low, high = sorted({*kernel_reach(width)})
        return wrong(f"An even kernel reaches {high} px one way and {low} px the other.")
    reached = kernel_reach(width).left * PIXEL_MM
    return wrong(f"A kernel of {width} px reaches {reached:.1f} mm here.")


@asks_for_a_number
def check_real_heads(value: float, chapter: Chapter) -> Verdict:
    """Check how much of the middle slice's mask is left after the tightest crop.

    Examples
    --------
    >>> from skullnb.report.chapter import open_chapter
    >>> check_real_heads(1.0, open_chapter("12-real-heads"))
    Not yet. Look at the new mask. The crop leaves the component no pixel of air on any side; which
    rule looks at that?
    """
    if not 0 <= value <= 1:
        return wrong("A share lies between 0 and 1: of the old mask, what is in the new one too.")
    trace = chapter.trace(chapter.middle)
    box = tightest_box(trace)
    old = trace.mask[box]
    cropped = chapter.stack.images[chapter.middle][box]
    new = create_skull_mask(cropped, chapter.settings.kernel_width)
    share = int((new & old).sum()) / max(int(old.sum()), 1)
    if abs(value - share) <= ROUNDING:
        return right(
            f"The crop keeps {share:.1%} of the mask, though no pixel of the component is missing: "
            "where the frame lies decides what is dropped."
        )
    if value == 1:
        return wrong(
            "Look at the new mask. The crop leaves the component no pixel of air on any side; "
            "which rule looks at that?"
        )
    if abs(value - (1 - share)) <= ROUNDING:
        return wrong("That is what was lost; asked is what is left.")
    return wrong("Crop the old mask by the same rows and columns, and count what both masks have.")


def tightest_box(trace: SkullMaskTrace) -> tuple[slice, slice]:
    """Find the smallest frame that holds the chosen component.

    Parameters
    ----------
    trace : SkullMaskTrace

    Returns
    -------
    rows, columns : slice
        The whole slice where no component was chosen.

    Examples
    --------
    >>> import numpy as np
    >>> from skullnb.pipeline import trace_skull_mask
    >>> image = np.zeros((9, 9))
    >>> image[2:5, 3:7] = 1
    >>> tightest_box(trace_skull_mask(image))
    (slice(2, 5, None), slice(3, 7, None))
    """
    for one in trace.components[trace.components["label"] == trace.chosen]:
        top, left = int(one["top"]), int(one["left"])
        return slice(top, top + int(one["height"])), slice(left, left + int(one["width"]))
    return slice(None), slice(None)
