"""Exercises that answer: what is right, and for each likely mistake a hint where to look.

A check is data: names of sentences with a condition each, worked out on the slices at hand. The
first is what is right; of the others the first that holds is said. A condition is the value itself
or a `When`, so that the book's pages can ask it too: the cell of an exercise that nobody has
answered carries its conditions along while a report is made. No hint gives the answer away.
"""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache, wraps
from html import escape
from importlib.resources import files
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
UNANSWERED = "No answer yet. In the notebook, put yours in the place of the three dots and run"
UNANSWERED += " the cell again."
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
        answer is not None and isclose(answer, one, rel_tol=1e-9, abs_tol=off) for one in values
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
Asked = tuple[str, Condition] | tuple[str, Condition, dict[str, Any]]
NOT_WHOLE, OTHERWISE = When("fraction"), When("always")


def about(value: float, share: float = 1e-3) -> When:
    """Hold for numbers that differ from a value by rounding, at most by a share of it."""
    return When("is", (float(value),), abs(float(value)) * share)


def judge(answer: Any, pairs: Iterator[tuple[Condition, str]]) -> Verdict:
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
) -> Callable[[Callable[[Chapter], Iterator[Asked]]], Callable[[Any, Chapter], Verdict]]:
    """Make a check of what a chapter's answers are asked, one condition after the other.

    Each names its sentence in `data/hints.toml`, with the numbers to put in. `reads` turns what
    was written into what the conditions look at.
    """

    def made(
        asked: Callable[[Chapter], Iterator[Asked]],
    ) -> Callable[[Any, Chapter], Verdict]:
        def pairs(chapter: Chapter) -> Iterator[tuple[Condition, str]]:
            said = _hints()[asked.__name__.removeprefix("check_")]
            for key, condition, *numbers in asked(chapter):
                yield condition, said[key].format(**(numbers[0] if numbers else {}))

        @wraps(asked)
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


@lru_cache(maxsize=1)
def _hints() -> dict[str, dict[str, str]]:
    return tomllib.loads((files("skullnb") / "data" / "hints.toml").read_text("utf-8"))


def _for_the_page(reads: Any, pairs: Any, chapter: Chapter) -> dict[str, Any]:
    """The pairs as the page's script reads them; nothing outside a report."""
    if os.environ.get(SVG) != "1" or reads not in (number, rules, level_or_none):
        return {}
    asked = list(pairs(chapter))
    if asked[0][0] is is_none:  # which nobody can type
        return {}
    listed = [
        (one if isinstance(one, When) else When("is", (one,)), text)
        for one, text in asked
        if one is not is_none
    ]
    return {
        "choices": list(RULES) if reads is rules else [],
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


def is_none(answer: Any) -> bool:
    """Hold for the answer that there is none."""
    return answer is None


def level_or_none(answer: Any) -> float | None:
    """Read a number, or None as an answer of its own."""
    return None if answer is None else number(answer)


# --- the steps ---


@exercise(number)
def check_data(chapter: Chapter) -> Iterator[Asked]:
    """Which share of the middle slice's pixels lies in the upper half of its range."""
    image, share = chapter.image, _upper_half(chapter.image)
    yield "right", about(share, 0.02)
    yield "pixels", share * image.size
    yield "percent", about(100 * share, 0.02)
    yield "no_share", When("outside", (0, 1))
    yield "lower_half", about(1 - share)
    yield "median", When("is", (0.5, float(np.mean(image > np.median(image)))), 0.002)
    yield "maximum", about(float(np.mean(image > image.max() / 2)))
    everywhere = np.mean([_upper_half(chapter.images[index]) for index in chapter.shown])
    yield "several", about(float(everywhere))
    few = "fewer" if share < 0.5 else "more"
    yield "otherwise", OTHERWISE, {"size": image.size, "few": few}


@exercise(array)
def check_normalise(chapter: Chapter) -> Iterator[Asked]:
    """The middle slice, normalised by hand."""
    image, levels = chapter.image, normalise(chapter.image)
    lowest, highest = float(image.min()), float(image.max())
    exact = 255 * (image.astype(np.float64) - lowest) / (highest - lowest or 1.0)
    yield (
        "right",
        lambda given: (
            given.dtype == np.uint8 and given.shape == levels.shape and _agree(given, levels)
        ),
    )
    yield "no_numbers", lambda given: given.dtype.kind not in "iuf"
    yield "shape", lambda given: given.shape != image.shape, {"shape": image.shape}
    yield "type", lambda given: _agree(given, levels)
    yield "scale", lambda given: given.max() <= 1 < levels.max()
    yield "decimals", lambda given: _agree(given, exact, 1e-3)
    yield "rounded", lambda given: _agree(given, np.rint(exact))
    least = min(float(chapter.images[index].min()) for index in chapter.shown)
    most = max(float(chapter.images[index].max()) for index in chapter.shown)
    spread = 255 * (image.astype(np.float64) - least) / (most - least or 1.0)
    yield "several", lambda given: _agree(given, np.floor(spread))
    yield "highest", lambda given: bool((given[levels == 255] != 255).any())
    yield "lowest", lambda given: given[levels == 0].max() > 0
    row, column = np.unravel_index(np.argmax(image), image.shape)
    yield "otherwise", OTHERWISE, {"row": row, "column": column}


@exercise(number)
def check_threshold(chapter: Chapter) -> Iterator[Asked]:
    """The middle slice's threshold as an intensity; one level either way holds."""
    low, high = float(chapter.image.min()), float(chapter.image.max())
    level, step = chapter.trace().threshold, (high - low) / 255
    yield "right", When("between", (low + (level - 0.5) * step, low + (level + 1.5) * step))
    yield "level", level
    yield "share", about(level / 255)
    yield "above_minimum", about(level * step)
    yield "undivided", about(low + level * (high - low))
    yield "outside", When("outside", (low, high))
    yield "too_low", When("between", (low, low + level * step))
    yield "too_high", OTHERWISE


@exercise(number)
def check_components(chapter: Chapter) -> Iterator[Asked]:
    """How many columns a narrower frame would lack for the edge rule to drop the brain."""
    trace = chapter.trace()
    if not trace.chosen:
        yield "none", When("between", (1, 0))
        yield "nothing", OTHERWISE
        return
    chosen = trace.components[trace.chosen - 1]
    left, width = int(chosen["left"]), int(chosen["width"])
    yield "right", left
    yield "touching", left + 1
    yield "width", width
    yield "end", left + width
    yield "rows", int(chosen["top"])
    others = sorted({int(one) for one in trace.components["left"]} - {left})[:100]
    yield "other", When("is", tuple(others))
    yield "inner", When("between", (-1e9, left))
    yield "outer", OTHERWISE


@exercise(number)
def check_dilation(chapter: Chapter) -> Iterator[Asked]:
    """The kernel width, in px, that reaches as far on pixels half as large."""
    width = chapter.settings.kernel_width
    yield "right", 2 * width - 1
    yield "same", width
    yield "unlikely", NOT_WHOLE
    yield "unlikely", When("outside", (1, 4 * width))
    yield "narrower", When("between", (1, width))
    reach = sum(kernel_reach(width)) / 4
    yield "otherwise", OTHERWISE, {"reach": reach}


@exercise(number)
def check_holes(chapter: Chapter) -> Iterator[Asked]:
    """On how many pixels filling before and after the dilation differ, at another width."""
    trace, width = chapter.trace(), chapter.settings.kernel_width
    grown, filled = dilate(trace.brain, HOLES_WIDTH), fill_holes(trace.brain)
    after, before = fill_holes(grown), dilate(filled, HOLES_WIDTH)
    yield "right", _differing(after, before)
    yield "no_count", NOT_WHOLE
    yield "no_count", When("between", (-1e18, -1))
    yield (
        "one_mask",
        When("is", tuple(int(np.count_nonzero(one)) for one in (after, before, grown))),
    )
    yield "unfilled", _differing(grown, before)
    yield "fill_alone", _differing(grown, after)
    yield "other_kernel", _differing(after, trace.mask), {"width": HOLES_WIDTH}
    own = fill_holes(dilate(trace.brain, width))
    yield "other_width", _differing(own, dilate(filled, width)), {"width": HOLES_WIDTH}
    yield "otherwise", OTHERWISE


@exercise(array)
def check_metrics(_: Chapter) -> Iterator[Asked]:
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

    yield "right", lambda mask: is_as_large(mask) and isclose(overlap(mask), 1 / 3)
    yield "shape", lambda mask: mask.shape != square.shape or mask.dtype.kind not in "biuf"
    yield "no_mask", lambda mask: not is_mask(mask)
    yield "too_small", lambda mask: np.count_nonzero(mask) < square.sum()
    yield "too_large", lambda mask: np.count_nonzero(mask) > square.sum()
    yield "apart", lambda mask: overlap(mask) == 0
    yield "same", lambda mask: overlap(mask) == 1
    yield "too_much", lambda mask: overlap(mask) > 1 / 3
    yield "too_little", OTHERWISE


# --- what the method shows ---


@exercise(number)
def check_five_slices(chapter: Chapter) -> Iterator[Asked]:
    """Which share of what the largest component misses of the mask lies in its holes."""
    trace = chapter.trace()
    n_mask, n_brain = int(trace.mask.sum()), int(trace.brain.sum())
    n_holes, n_missing = int(fill_holes(trace.brain).sum()) - n_brain, n_mask - n_brain
    share = n_holes / max(n_missing, 1)
    yield "right", When("is", (share,), ROUNDING)
    yield "no_share", When("outside", (0, 1))
    yield "outside", When("is", (1 - share,), ROUNDING)
    yield "of_mask", When("is", (n_holes / max(n_mask, 1),), ROUNDING)
    yield "missing", When("is", (n_missing / max(n_mask, 1),), ROUNDING)
    yield "otherwise", OTHERWISE, {"n_missing": n_missing}


@exercise(rules)
def check_evidence(chapter: Chapter) -> Iterator[Asked]:
    """Which rules could be struck, one at a time, without changing a mask."""
    table = summarise(build_ledger(chapter.stack, chapter.settings)).set_index("rule")
    changed = table["n_changed"].astype(int).to_dict()
    silent = [rule for rule in RULES if not changed.get(rule)]
    needed = [rule for rule in RULES if rule not in silent]
    fired = [rule for rule in silent if rule in table.index and table.loc[rule, "n_fired"]]
    yield "right", When("exactly", tuple(silent))
    yield "opposite", When("exactly", tuple(needed))
    for rule in needed:
        yield (
            "needed",
            When("names", (rule,)),
            {"rule": rule, "n": changed[rule], "s": "s" * (changed[rule] != 1)},
        )
    yield "fired", When("lacks", tuple(fired))
    yield "silent", OTHERWISE


@exercise(number)
def check_validation(chapter: Chapter) -> Iterator[Asked]:
    """How many volumes without a failure rule out a failure rate of 2%."""
    enough = next(n for n in range(1, 10_000) if zero_failure_bound(n) <= FAILURE_RATE)
    here = len(set(chapter.stack.groups or ("one",)))
    yield "right", enough, {"here": here}
    yield "uncounted", NOT_WHOLE
    yield "uncounted", When("between", (-1e18, 0))
    yield "rule_of_three", round(3 / FAILURE_RATE)
    yield "too_few", When("between", (1, enough)), {"rate": FAILURE_RATE}
    yield "otherwise", OTHERWISE


@exercise(number)
def check_reach(chapter: Chapter) -> Iterator[Asked]:
    """The odd kernel width that reaches 7 mm where a pixel measures 0.7 mm."""
    wanted, half = kernel_width_for(REACH_MM, PIXEL_MM), round(REACH_MM / PIXEL_MM)
    yield "right", wanted
    yield "no_width", NOT_WHOLE
    yield "no_width", When("between", (-1e18, 0))
    yield "too_wide", When("between", (MAX_KERNEL_WIDTH + 1, 1e18))
    yield "one_side", half
    yield "in_mm", When("is", (REACH_MM, 2 * REACH_MM, 2 * REACH_MM + 1))
    yield "own_width", chapter.settings.kernel_width
    yield "even", When("even")
    yield "less", When("between", (1, wanted))
    yield "further", OTHERWISE


@exercise(number)
def check_other_heads(chapter: Chapter) -> Iterator[Asked]:
    """How much of the middle slice's mask is left after the tightest crop."""
    trace = chapter.trace()
    box = tightest_box(trace)
    old = trace.mask[box]
    new = trace_skull_mask(chapter.image[box], chapter.settings).mask
    share = int((new & old).sum()) / max(int(old.sum()), 1)
    yield "right", When("is", (share,), ROUNDING), {"share": share}
    yield "no_share", When("outside", (0, 1))
    yield "everything", 1
    yield "lost", When("is", (1 - share,), ROUNDING)
    yield "otherwise", OTHERWISE


# --- using the pipeline ---


@exercise(number)
def check_timing(chapter: Chapter) -> Iterator[Asked]:
    """How many workers it takes until a storage of 1 GB a second is the limit, masks packed."""
    pixels, item = chapter.image.size, chapter.image.dtype.itemsize
    packed = ceil(BYTES_A_SECOND / (pixels * (item + 1 / 8)) / SLICES_A_SECOND)
    bytewise = ceil(BYTES_A_SECOND / (pixels * (item + 1)) / SLICES_A_SECOND)
    yield "right", packed
    yield "nobody", When("between", (-1e18, 0))
    yield "uncounted", NOT_WHOLE
    yield "bytes", bytewise
    yield "too_few", When("between", (0, packed))
    yield "otherwise", OTHERWISE


@exercise(level_or_none)
def check_explore(chapter: Chapter) -> Iterator[Asked]:
    """The lowest level above Otsu's that leaves less than half of the middle slice's brain."""
    trace = chapter.trace()
    half = np.count_nonzero(trace.brain) / 2
    if not half:
        yield "none", is_none
        yield "no_brain", OTHERWISE
        return
    levels = range(trace.threshold + 1, 256)
    lowest = next(one for one in levels if np.count_nonzero(_brain_at(trace, one)) < half)
    left = _brain_at(trace, lowest)
    shared = np.count_nonzero(left & trace.brain) / (np.count_nonzero(left) or 1)
    kind = "right" if shared >= 0.5 else "another" if left.any() else "empty"
    yield kind, When("is", (lowest,)), {"shared": shared}
    yield "not_none", is_none
    yield "no_level", NOT_WHOLE
    yield "no_level", When("outside", (0, 255))
    yield "otsu", When("between", (0, trace.threshold)), {"threshold": trace.threshold}
    yield "too_low", When("between", (0, lowest))
    yield "too_high", OTHERWISE


@exercise(number)
def check_your_data(chapter: Chapter) -> Iterator[Asked]:
    """Which slice's mask differs most in area from the stack's median, by its number."""
    areas = chapter.rows["mask_px"].to_numpy()
    numbers = np.asarray(chapter.numbers)
    off = np.abs(areas - np.median(areas))
    yield "right", When("is", tuple(int(one) for one in numbers[off == off.max()][:100]))
    ends = int(numbers.min()), int(numbers.max())
    yield "no_slice", NOT_WHOLE
    yield "no_slice", When("outside", ends)
    yield "largest", When("is", tuple(int(one) for one in numbers[areas == areas.max()][:100]))
    yield "otherwise", OTHERWISE


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
