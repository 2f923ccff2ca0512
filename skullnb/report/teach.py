"""Exercises that answer: what is right, and for each likely mistake a hint that says where to look.

A check is data: pairs of a condition on the answer and a sentence, worked out on the slices at
hand. The first pair is what is right; of the others the first that holds is given, and the last
sentence where none does. A condition is the value itself or a `When`, so that the book's pages can
ask it too: the cell of an exercise that nobody has answered carries its pairs along while a report
is made. No hint gives the answer away.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import wraps
from html import escape
from math import ceil, isclose
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skullnb import metrics
from skullnb.evidence import build_ledger, summarise
from skullnb.pipeline import (
    MAX_KERNEL_WIDTH,
    RULES,
    Mask,
    SkullMaskTrace,
    binarise,
    choose_brain,
    component_mask,
    dilate,
    fill_holes,
    label_components,
    normalise,
    trace_skull_mask,
)
from skullnb.reach import kernel_reach, kernel_width_for
from skullnb.report.chapter import SVG, Chapter
from skullnb.study.validation import zero_failure_bound

MIME = "application/vnd.skullnb.exercise+json"
UNANSWERED = "No answer yet. Put yours in the place of the three dots and run this cell again."
ROUNDING = 0.005  # a share read off a printout has two decimals

# What the exercises ask about, where the slices do not say.
HOLES_WIDTH = 10  # px; narrow enough to leave holes to the fill
FAILURE_RATE = 0.02
REACH_MM, PIXEL_MM = 7.0, 0.7
BYTES_A_SECOND, SLICES_A_SECOND = 1e9, 150


# --- the engine ---


@dataclass(frozen=True)
class Verdict:
    """What a check found; a notebook shows it as its last line."""

    right: bool
    text: str
    page: dict[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        """Speak as a sentence, not as code."""
        return self.text

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        opening, rest = self.text.partition(". ")[::2]
        shown: dict[str, Any] = {"text/plain": self.text, "text/markdown": f"**{opening}.** {rest}"}
        return shown | ({MIME: self.page} if self.page else {})


@dataclass(frozen=True)
class When:
    """A condition that Python and the pages' script decide alike: a verb of `VERBS`, its values."""

    verb: str
    values: tuple[Any, ...] = ()
    off: float = 0.0

    def __call__(self, answer: Any) -> bool:
        """Whether it holds for an answer."""
        return bool(VERBS[self.verb](answer, self.values, self.off))


VERBS: dict[str, Callable[[Any, tuple[Any, ...], float], bool]] = {
    "is": lambda answer, values, off: any(
        isclose(answer, one, rel_tol=1e-9, abs_tol=off) for one in values
    ),
    "between": lambda answer, ends, off: ends[0] - off <= answer <= ends[1] + off,
    "outside": lambda answer, ends, off: not ends[0] - off <= answer <= ends[1] + off,
    "fraction": lambda answer, values, off: answer != int(answer),
    "even": lambda answer, values, off: answer % 2 == 0,
    "exactly": lambda answer, values, off: set(answer) == set(values),
    "names": lambda answer, values, off: bool(set(answer) & set(values)),
    "lacks": lambda answer, values, off: not set(values) <= set(answer),
    "always": lambda answer, values, off: True,
}

Condition = float | When | Callable[[Any], bool]
Pair = tuple[Condition, str]
NOT_WHOLE, OTHERWISE = When("fraction"), When("always")


def about(value: float, share: float = 1e-3) -> When:
    """Hold for numbers that differ from a value by rounding, at most by a share of it."""
    return When("is", (float(value),), abs(float(value)) * share)


def judge(answer: Any, pairs: Iterator[Pair]) -> Verdict:
    """Give the sentence of the first pair that holds.

    Examples
    --------
    >>> judge(4, iter([(3, "A triangle."), (When("even"), "Odd."), (OTHERWISE, "Count.")]))
    Not yet. Odd.
    """
    for place, (condition, text) in enumerate(pairs):
        if condition(answer) if callable(condition) else When("is", (condition,))(answer):
            return Verdict(place == 0, ("Not yet. " if place else "Right. ") + text)
    return Verdict(False, "Not yet. Look at the question again.")


def exercise(
    reads: Callable[[Any], Any],
) -> Callable[[Callable[[Chapter], Iterator[Pair]]], Callable[[Any, Chapter], Verdict]]:
    """Make a check of a chapter's pairs; `reads` turns what was written into what they look at."""

    def made(pairs: Callable[[Chapter], Iterator[Pair]]) -> Callable[[Any, Chapter], Verdict]:
        @wraps(pairs)
        def check(answer: Any, chapter: Chapter) -> Verdict:
            if answer is ...:
                return Verdict(False, UNANSWERED, _for_the_page(reads, pairs, chapter))
            try:
                read = reads(answer)
            except ValueError as error:
                return Verdict(False, f"Not yet. {error}")
            return judge(read, pairs(chapter))

        return check

    return made


def _for_the_page(reads: Any, pairs: Any, chapter: Chapter) -> dict[str, Any]:
    """The pairs as the page's script reads them; nothing outside a report."""
    if os.environ.get(SVG) != "1" or reads not in (number, rules):
        return {}
    listed = [
        (one if isinstance(one, When) else When("is", (one,)), text) for one, text in pairs(chapter)
    ]
    choices = list(RULES) if reads is rules else []
    return {
        "choices": choices,
        "pairs": [[one.verb, list(one.values), one.off, text] for one, text in listed],
    }


def publish(notebook: Any) -> None:
    """Make the exercises of an executed notebook answer on the page, in place."""
    import nbformat

    for cell in notebook.cells:
        for place, output in enumerate(cell.get("outputs", [])):
            page = output.get("data", {}).pop(MIME, None)
            if page:
                data = {"text/html": exercise_html(page)}
                cell.outputs[place] = nbformat.v4.new_output("display_data", data=data)


def exercise_html(page: Mapping[str, Any]) -> str:
    """Write the element that `book/assets/exercise.js` makes answer."""
    said = "<p>Run this notebook to check an answer.</p>"
    return f'<form class="exercise" data-exercise="{escape(json.dumps(page))}">{said}</form>'


def number(answer: Any) -> float:
    """Read the one finite number that an answer holds."""
    value = array(answer)
    if value.dtype.kind not in "iufb" or value.size != 1 or not np.isfinite(value).all():
        raise ValueError("One number is asked for; this is something else, or several.")
    return float(value.item())


def array(answer: Any) -> NDArray[Any]:
    """Read an answer as an array; lists of several lengths have no numbers in it."""
    try:
        return np.asarray(answer)
    except ValueError:
        return np.asarray(None)


def rules(answer: Any) -> set[str]:
    """Read names of the pipeline's rules."""
    if not isinstance(answer, str | list | tuple | set | frozenset):
        raise ValueError("A list of names is asked for, such as ['dilate'].")
    names = {answer} if isinstance(answer, str) else {str(one) for one in answer}
    if unknown := sorted(names - set(RULES)):
        raise ValueError(f"No rule is called {unknown[0]!r}; the rules are {', '.join(RULES)}.")
    return names


def level_or_none(answer: Any) -> float | None:
    """Read a number, or None as an answer of its own."""
    return None if answer is None else number(answer)


# --- the steps ---


@exercise(number)
def check_data(chapter: Chapter) -> Iterator[Pair]:
    """Which share of the middle slice's pixels lies in the upper half of its range."""
    image, share = chapter.image, _upper_half(chapter.image)
    yield (
        about(share, 0.02),
        "So few pixels own half of the scale. What the next step divides by is decided by them.",
    )
    yield share * image.size, "That is a number of pixels. What share of the slice is it?"
    yield about(100 * share, 0.02), "That reads as per cent. A share lies between 0 and 1."
    yield When("outside", (0, 1)), "A share lies between 0 and 1."
    yield about(1 - share), "That is the share in the lower half."
    yield (
        about(float(np.mean(image > np.median(image))), 0.02),
        "Half of the pixels lie above the median by definition. The middle of the *range* is "
        "halfway between the smallest and the largest intensity.",
    )
    yield (
        about(float(np.mean(image > image.max() / 2))),
        "Half of the maximum is the middle of the range only if the minimum is 0.",
    )
    everywhere = np.mean([_upper_half(chapter.images[index]) for index in chapter.shown])
    yield about(float(everywhere)), "That is the share over several slices. Take the middle one."
    few = "fewer" if share < 0.5 else "more"
    yield (
        OTHERWISE,
        f"Of the slice's {image.size:,} pixels, count those above the level halfway between its "
        f"smallest and its largest intensity. They are {few} than half of them.",
    )


@exercise(array)
def check_normalise(chapter: Chapter) -> Iterator[Pair]:
    """The middle slice, normalised by hand."""
    image, levels = chapter.image, normalise(chapter.image)
    lowest, highest = float(image.min()), float(image.max())
    exact = 255 * (image.astype(np.float64) - lowest) / (highest - lowest or 1.0)
    yield (
        lambda given: (
            given.dtype == np.uint8 and given.shape == levels.shape and _agree(given, levels)
        ),
        "One bright pixel more, and every level here would be another.",
    )
    yield lambda given: given.dtype.kind not in "iuf", "The answer should be an array of numbers."
    yield (
        lambda given: given.shape != image.shape,
        f"The answer should have the shape of the slice, {image.shape}.",
    )
    yield (
        lambda given: _agree(given, levels),
        "The levels are right, but stored as another type; the next step wants 8 bits without a "
        "sign, `uint8`.",
    )
    yield (
        lambda given: given.max() <= 1 < levels.max(),
        "The brightest pixel is at 1 or below; the scale should end at 255.",
    )
    yield (
        lambda given: _agree(given, exact, 1e-3),
        "The levels still have decimals. Cut them off.",
    )
    yield (
        lambda given: _agree(given, np.rint(exact)),
        "You rounded. The brackets of the formula cut decimals off.",
    )
    least = min(float(chapter.images[index].min()) for index in chapter.shown)
    most = max(float(chapter.images[index].max()) for index in chapter.shown)
    spread = 255 * (image.astype(np.float64) - least) / (most - least or 1.0)
    yield (
        lambda given: _agree(given, np.floor(spread)),
        "That is the range of several slices. Each slice has its own.",
    )
    yield (
        lambda given: bool((given[levels == 255] != 255).any()),
        "The brightest pixel should become 255, neither more nor less.",
    )
    yield (
        lambda given: given[levels == 0].max() > 0,
        "The darkest pixels should become 0. Subtract the minimum first.",
    )
    row, column = np.unravel_index(np.argmax(image), image.shape)
    yield (
        OTHERWISE,
        f"Not all levels are those of the formula. Work some out by hand: the brightest pixel is "
        f"in row {row} and column {column}; take its neighbours.",
    )


@exercise(number)
def check_threshold(chapter: Chapter) -> Iterator[Pair]:
    """The middle slice's threshold as an intensity; one level either way holds."""
    low, high = float(chapter.image.min()), float(chapter.image.max())
    level, step = chapter.trace().threshold, (high - low) / 255
    yield (
        When("between", (low + (level - 0.5) * step, low + (level + 1.5) * step)),
        "A threshold is a fact about the slice and its brightest pixel; only intensities of one "
        "scan can be compared.",
    )
    yield level, "That is the level itself, on the scale from 0 to 255. Which intensity became it?"
    yield about(level / 255), "That is a share of the slice's range. How long is the range?"
    yield (
        about(level * step),
        "That is how far the threshold lies above the minimum. Where is the minimum?",
    )
    yield (
        about(low + level * (high - low)),
        "The scale of the levels does not end at 1; by what do you divide?",
    )
    yield When("outside", (low, high)), "No pixel of the middle slice is as bright or as dark."
    yield (
        When("between", (low, low + level * step)),
        "Too low: more pixels than the pipeline's bright ones lie above that.",
    )
    yield OTHERWISE, "Too high: some of the pipeline's bright pixels lie below that."


@exercise(number)
def check_components(chapter: Chapter) -> Iterator[Pair]:
    """How many columns a narrower frame would lack for the edge rule to drop the brain."""
    trace = chapter.trace()
    if not trace.chosen:
        yield When("between", (1, 0)), ""
        yield (
            OTHERWISE,
            "No component was chosen on the middle slice; open the chapter on other data.",
        )
        return
    chosen = trace.components[trace.chosen - 1]
    left, width = int(chosen["left"]), int(chosen["width"])
    yield (
        left,
        "At that frame the rule drops the brain, although nothing about the brain has changed. "
        "What touches the frame depends on who framed the picture.",
    )
    yield left + 1, "One less would do: columns count from 0, and touching is enough."
    yield width, "That is how wide the component is. Where does it begin?"
    yield left + width, "That is where the component ends on the right. Where does it begin?"
    yield int(chosen["top"]), "That counts rows. The frame comes closer from the left."
    others = sorted({int(one) for one in trace.components["left"]} - {left})[:100]
    yield (
        When("is", tuple(others)),
        "That is where another component begins. Which one was taken for the brain?",
    )
    yield (
        When("between", (-1e9, left)),
        "With so many columns gone, the component still is an inner one.",
    )
    yield OTHERWISE, "The rule drops the component before that many columns are gone."


@exercise(number)
def check_dilation(chapter: Chapter) -> Iterator[Pair]:
    """The kernel width, in px, that reaches as far on pixels half as large."""
    width = chapter.settings.kernel_width
    yield (
        2 * width - 1,
        "It is odd, so it even has a middle pixel and reaches equally far to all sides.",
    )
    yield width, "The same number of smaller pixels is a smaller distance."
    whole = "A kernel width is a whole number of pixels, and one of this order."
    yield NOT_WHOLE, whole
    yield When("outside", (1, 4 * width)), whole
    yield (
        When("between", (1, width)),
        "Smaller pixels: more of them fit into a millimetre, not fewer.",
    )
    reach = sum(kernel_reach(width)) / 4
    yield (
        OTHERWISE,
        f"A kernel w px wide reaches (w - 1) / 2 px on average, for its middle pixel reaches "
        f"nowhere. The one here reaches {reach:g} px. How many smaller pixels are that?",
    )


@exercise(number)
def check_holes(chapter: Chapter) -> Iterator[Pair]:
    """On how many pixels filling before and after the dilation differ, at another width."""
    trace, width = chapter.trace(), chapter.settings.kernel_width
    grown, filled = dilate(trace.brain, HOLES_WIDTH), fill_holes(trace.brain)
    after, before = fill_holes(grown), dilate(filled, HOLES_WIDTH)
    yield (
        _differing(after, before),
        "The dilation closes the mouth of a bay and so makes a hole of it; only a fill that comes "
        "later can close that. The order of the steps is part of the method.",
    )
    count = "A count of pixels is a whole number from 0 up."
    yield NOT_WHOLE, count
    yield When("between", (-1e18, -1)), count
    yield (
        When("is", tuple(int(np.count_nonzero(one)) for one in (after, before, grown))),
        "That is the size of one mask. On how many pixels do two masks differ?",
    )
    yield _differing(grown, before), "One of your two masks is dilated and never filled."
    yield (
        _differing(grown, after),
        "You compared a mask with and without the fill, not the two orders.",
    )
    yield (
        _differing(after, trace.mask),
        f"`trace.mask` was grown by the chapter's own kernel; grow by {HOLES_WIDTH}.",
    )
    own = fill_holes(dilate(trace.brain, width))
    yield (
        _differing(own, dilate(filled, width)),
        f"That holds at the chapter's own width; take {HOLES_WIDTH} px.",
    )
    yield OTHERWISE, "Make both masks from `trace.brain`, then count where they differ with `!=`."


@exercise(array)
def check_metrics(_: Chapter) -> Iterator[Pair]:
    """A mask of the right size whose IoU with a square of 4 x 4 pixels is one third."""
    square = np.zeros((14, 14), dtype=np.uint8)
    square[5:9, 5:9] = 1

    def is_mask(mask: Any) -> bool:
        plain = mask.shape == square.shape and mask.dtype.kind in "biuf"
        return bool(plain and np.isin(mask, (0, 1)).all())

    def is_as_large(mask: Any) -> bool:
        return is_mask(mask) and np.count_nonzero(mask) == np.count_nonzero(square)

    def overlap(mask: Any) -> float:
        return metrics.iou(mask.astype(np.uint8), square)

    yield (
        lambda mask: is_as_large(mask) and isclose(overlap(mask), 1 / 3),
        "A mask of exactly the right size, and half of it lies elsewhere. A volume alone says "
        "nothing about where.",
    )
    yield (
        lambda mask: mask.shape != square.shape or mask.dtype.kind not in "biuf",
        "The answer should be a mask of 14 x 14 pixels, like the square.",
    )
    yield lambda mask: not is_mask(mask), "A mask holds zeros and ones, nothing else."
    yield (
        lambda mask: np.count_nonzero(mask) < square.sum(),
        "Your mask is smaller than the square; its volume difference is below 0.",
    )
    yield (
        lambda mask: np.count_nonzero(mask) > square.sum(),
        "Your mask is larger than the square; its volume difference is above 0.",
    )
    yield lambda mask: overlap(mask) == 0, "The size is right, but the two share no pixel: IoU 0."
    yield (
        lambda mask: overlap(mask) == 1,
        "That is the reference itself: IoU 1. The size may stay; the place may not.",
    )
    yield (
        lambda mask: overlap(mask) > 1 / 3,
        "The size is right. The two share too many pixels: the IoU is above one third.",
    )
    yield OTHERWISE, "The size is right. The two share too few pixels: the IoU is below one third."


# --- what the method shows ---


@exercise(number)
def check_five_slices(chapter: Chapter) -> Iterator[Pair]:
    """Which share of what the largest component misses of the mask lies in its holes."""
    trace = chapter.trace()
    n_mask, n_brain = int(trace.mask.sum()), int(trace.brain.sum())
    n_holes, n_missing = int(fill_holes(trace.brain).sum()) - n_brain, n_mask - n_brain
    share = n_holes / max(n_missing, 1)
    yield (
        When("is", (share,), ROUNDING),
        "The rest lies around the component, in folds that are open to the outside and in the "
        "bone; only the dilation gets there.",
    )
    yield (
        When("outside", (0, 1)),
        "A share lies between 0 and 1; divide one count of pixels by the other.",
    )
    yield (
        When("is", (1 - share,), ROUNDING),
        "That share lies outside the component. Which pixels would a filling add?",
    )
    yield (
        When("is", (n_holes / max(n_mask, 1),), ROUNDING),
        "That is a share of the whole mask; divide by what the component lacks.",
    )
    yield (
        When("is", (n_missing / max(n_mask, 1),), ROUNDING),
        "That is the share of the mask that is missing. How much of it is in holes?",
    )
    yield (
        OTHERWISE,
        f"The mask has {n_missing:,d} pixels that the component lacks. Fill the holes of the "
        "component alone, without a dilation, and count what that adds.",
    )


@exercise(rules)
def check_evidence(chapter: Chapter) -> Iterator[Pair]:
    """Which rules could be struck, one at a time, without changing a mask."""
    table = summarise(build_ledger(chapter.stack, chapter.settings)).set_index("rule")
    changed = table["n_changed"].astype(int).to_dict()
    silent = [rule for rule in RULES if not changed.get(rule)]
    needed = [rule for rule in RULES if rule not in silent]
    fired = [rule for rule in silent if rule in table.index and table.loc[rule, "n_fired"]]
    yield (
        When("exactly", tuple(silent)),
        "These slices would not notice. They cannot say what the next slice would notice, nor what "
        "happens when two rules go together.",
    )
    yield (
        When("exactly", tuple(needed)),
        "These are the rules that the masks need; asked are the others.",
    )
    for rule in needed:
        slices = f"{changed[rule]} slice{'s' * (changed[rule] != 1)}"
        yield (
            When("names", (rule,)),
            f"Without {rule!r} the mask of {slices} is another one.",
        )
    yield (
        When("lacks", tuple(fired)),
        "One is missing that fired. Does every rule that fires change a mask?",
    )
    yield OTHERWISE, "One is missing. What can a rule change whose condition never occurred?"


@exercise(number)
def check_validation(chapter: Chapter) -> Iterator[Pair]:
    """How many volumes without a failure rule out a failure rate of 2%."""
    enough = next(n for n in range(1, 10_000) if zero_failure_bound(n) <= FAILURE_RATE)
    here = len(set(chapter.stack.groups or ("one",)))
    yield (
        enough,
        f"Volumes, not slices. The stack at hand counts for {here}, and would have to be right on "
        "every one.",
    )
    counted = "Volumes are counted: a whole number, at least 1."
    yield NOT_WHOLE, counted
    yield When("between", (-1e18, 0)), counted
    yield (
        round(3 / FAILURE_RATE),
        "The rule of three is an approximation; ask for the exact bound.",
    )
    yield (
        When("between", (1, enough)),
        "So few volumes without a failure leave a rate possible that is still above "
        f"{FAILURE_RATE:.0%}.",
    )
    yield OTHERWISE, "That many are enough, and fewer are too. Where does it just hold?"


@exercise(number)
def check_reach(chapter: Chapter) -> Iterator[Pair]:
    """The odd kernel width that reaches 7 mm where a pixel measures 0.7 mm."""
    wanted, half = kernel_width_for(REACH_MM, PIXEL_MM), round(REACH_MM / PIXEL_MM)
    yield wanted, "Twice the reach in pixels, and the pixel in the middle."
    whole = "A kernel has a whole number of pixels, at least 1."
    yield NOT_WHOLE, whole
    yield When("between", (-1e18, 0)), whole
    yield (
        When("between", (MAX_KERNEL_WIDTH + 1, 1e18)),
        "That kernel would be wider than most slices.",
    )
    yield (
        half,
        "That is how many pixels the mask shall grow by on each side; how wide is the kernel that "
        "does it?",
    )
    yield (
        When("is", (REACH_MM, 2 * REACH_MM, 2 * REACH_MM + 1)),
        "That takes a millimetre for a pixel. How many pixels are 7 mm here?",
    )
    yield chapter.settings.kernel_width, "That width was chosen for other pixels."
    yield When("even"), "An even kernel reaches a pixel further one way than the other."
    yield When("between", (1, wanted)), "A kernel of that width reaches less than 7 mm here."
    yield OTHERWISE, "A kernel of that width reaches further than 7 mm here."


@exercise(number)
def check_other_heads(chapter: Chapter) -> Iterator[Pair]:
    """How much of the middle slice's mask is left after the tightest crop."""
    trace = chapter.trace()
    box = tightest_box(trace)
    old = trace.mask[box]
    new = trace_skull_mask(chapter.image[box], chapter.settings).mask
    share = int((new & old).sum()) / max(int(old.sum()), 1)
    yield (
        When("is", (share,), ROUNDING),
        f"The crop keeps {share:.1%} of the mask, though no pixel of the component is missing: "
        "where the frame lies decides what is dropped.",
    )
    yield (
        When("outside", (0, 1)),
        "A share lies between 0 and 1: of the old mask, what is in the new one too.",
    )
    yield (
        1,
        "Look at the new mask. The crop leaves the component no pixel of air on any side; which "
        "rule looks at that?",
    )
    yield When("is", (1 - share,), ROUNDING), "That is what was lost; asked is what is left."
    yield OTHERWISE, "Crop the old mask by the same rows and columns; count what both masks have."


# --- using the pipeline ---


@exercise(number)
def check_timing(chapter: Chapter) -> Iterator[Pair]:
    """How many workers it takes until a storage of 1 GB a second is the limit, masks packed."""
    pixels, item = chapter.image.size, chapter.image.dtype.itemsize
    packed = ceil(BYTES_A_SECOND / (pixels * (item + 1 / 8)) / SLICES_A_SECOND)
    bytewise = ceil(BYTES_A_SECOND / (pixels * (item + 1)) / SLICES_A_SECOND)
    yield (
        packed,
        "One worker more would find the storage busy already; a faster kernel would save "
        "electricity, and no time.",
    )
    yield When("between", (-1e18, 0)), "Nobody would be at work."
    yield NOT_WHOLE, "Workers are counted: a whole number is asked for."
    yield bytewise, "These masks take a byte a pixel; packed, they take an eighth of it."
    yield (
        When("between", (0, packed)),
        "So many together compute fewer slices a second than the storage delivers.",
    )
    yield (
        OTHERWISE,
        "Fewer would do. How many slices a second does the storage deliver, when every slice is "
        "read and its packed mask written?",
    )


@exercise(level_or_none)
def check_explore(chapter: Chapter) -> Iterator[Pair]:
    """The lowest level above Otsu's that leaves less than half of the middle slice's brain."""
    trace = chapter.trace()
    half = np.count_nonzero(trace.brain) / 2
    if not half:
        nothing = "As the explorer opens, nothing on this slice is taken for the brain"
        yield lambda level: level is None, f"{nothing}, so no level can halve it."
        yield OTHERWISE, f"{nothing}; write None, or choose other data."
        return
    levels = range(trace.threshold + 1, 256)
    lowest = next(one for one in levels if np.count_nonzero(_brain_at(trace, one)) < half)
    yield lambda level: level == lowest, _what_is_left(_brain_at(trace, lowest), trace.brain)
    yield (
        lambda level: level is None,
        "There is such a level: above 254 no pixel can be bright, and no brain left.",
    )
    whole = "A threshold is a whole number from 0 to 255."
    yield NOT_WHOLE, whole
    yield When("outside", (0, 255)), whole
    yield (
        When("between", (0, trace.threshold)),
        f"Otsu's level is {trace.threshold}; untick Otsu and go up from there.",
    )
    yield (
        When("between", (0, lowest)),
        "At that level the brain still has half of the pixels it opened with; go on upwards.",
    )
    yield OTHERWISE, "A lower level leaves less than half of it already; go down step by step."


@exercise(number)
def check_your_data(chapter: Chapter) -> Iterator[Pair]:
    """Which slice's mask differs most in area from the stack's median, by its number."""
    areas = chapter.rows["mask_px"].to_numpy()
    numbers = np.asarray(chapter.numbers)
    off = np.abs(areas - np.median(areas))
    yield (
        When("is", tuple(int(one) for one in numbers[off == off.max()][:100])),
        "That is where to look first, not what is wrong: a slice near the end of a head has a "
        "small mask, and rightly so.",
    )
    ends = int(numbers.min()), int(numbers.max())
    strange = f"The slices of this stack have the numbers {ends[0]} to {ends[1]}."
    yield NOT_WHOLE, strange
    yield When("outside", ends), strange
    yield (
        When("is", tuple(int(one) for one in numbers[areas == areas.max()][:100])),
        "That mask is the largest one. Large or small, which lies farthest away?",
    )
    yield OTHERWISE, "Another slice's mask differs from the median by more pixels."


# --- what the checks share ---


def tightest_box(trace: SkullMaskTrace) -> tuple[slice, slice]:
    """Give the rows and columns of the smallest frame that holds the chosen component."""
    for one in trace.components[trace.components["label"] == trace.chosen]:
        top, left = int(one["top"]), int(one["left"])
        return slice(top, top + int(one["height"])), slice(left, left + int(one["width"]))
    return slice(None), slice(None)


def _upper_half(image: Any) -> float:
    return float(np.mean(image > (float(image.min()) + float(image.max())) / 2))


def _agree(given: Any, expected: Any, step: float = 0.0) -> bool:
    """Whether nearly all pixels agree; a rare one may fall on the other side of a level."""
    return float(np.mean(np.abs(given.astype(np.float64) - expected) <= step)) > 0.999


def _differing(one: Collection[Any], other: Collection[Any]) -> int:
    return int(np.count_nonzero(np.asarray(one) != np.asarray(other)))


def _brain_at(trace: SkullMaskTrace, level: int) -> Mask:
    """Steps 2 and 3 at another level; normalising is not done again."""
    labels, components = label_components(
        binarise(trace.normalised, level), trace.settings.connectivity
    )
    return component_mask(labels, choose_brain(components, trace.settings.drop_edge_touching))


def _what_is_left(brain: Mask, opened: Mask) -> str:
    if not brain.any():
        return "Nothing at all is left to be taken for the brain, and the mask is empty."
    share = np.count_nonzero(brain & opened) / np.count_nonzero(brain)
    if share < 0.5:
        return (
            f"And what is taken for the brain now is another piece of tissue: only {share:.0%} of "
            "it lies in the brain of before. Its mask may still look like a head."
        )
    return "The brain fell apart, and its largest piece is left to make the mask alone."
