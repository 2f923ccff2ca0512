"""Exercises that answer: what is right, and for each likely mistake a hint where to look.

A check asks an answer one condition after the other, and says the sentence of the first that holds
(in `data/hints.toml`); the first of all is what is right. The book's pages ask those that are a
`When`, too: while a report is made, the cell of an unanswered exercise carries them along.
"""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import wraps
from html import escape
from importlib.resources import files
from math import ceil, isclose
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from skullnb import metrics
from skullnb.evidence import build_ledger, summarise
from skullnb.pipeline import (
    RULES,
    Mask,
    PipelineSettings,
    SkullMaskTrace,
    steps,
    trace_skull_mask,
)
from skullnb.reach import kernel_reach
from skullnb.report.chapter import SVG, Chapter
from skullnb.study.validation import zero_failure_bound

MIME = "application/vnd.skullnb.exercise+json"
HINTS = tomllib.loads((files("skullnb") / "data" / "hints.toml").read_text("utf-8"))
UNANSWERED = "No answer yet. In the notebook, put yours in the place of the three dots and run"
UNANSWERED += " the cell again."

# What the exercises ask about, where the slices do not say.
FAR_MM = 40  # of growth; nobody has so much bone
HOLES_WIDTH = 10  # px; narrow enough to leave holes to the fill
FAILURE_RATE = 0.02
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


VERBS: dict[str, Callable[[Any, tuple[Any, ...], float], bool]] = {
    "is": lambda answer, values, off: any(
        answer is not None and isclose(answer, one, rel_tol=1e-9, abs_tol=off) for one in values
    ),
    "between": lambda answer, ends, off: ends[0] - off <= answer <= ends[1] + off,
    "outside": lambda answer, ends, off: not ends[0] - off <= answer <= ends[1] + off,
    "fraction": lambda answer, values, off: answer != int(answer),
    "exactly": lambda answer, values, off: set(answer) == set(values),
    "names": lambda answer, values, off: bool(set(answer) & set(values)),
    "lacks": lambda answer, values, off: not set(values) <= set(answer),
    "always": lambda answer, values, off: True,
}


@dataclass(frozen=True)
class When:
    """A condition that Python and the pages' script decide alike: a verb of `VERBS`, its values."""

    verb: str
    values: tuple[Any, ...] = ()
    off: float = 0.0

    def __call__(self, answer: Any) -> bool:
        """Whether it holds for an answer."""
        return bool(VERBS[self.verb](answer, self.values, self.off))


Condition = When | Callable[[Any], bool]
# The name of a sentence, the value or condition, or several, to which it belongs, and its numbers.
Asked = tuple[str, Any] | tuple[str, Any, dict[str, Any]]
NOT_WHOLE, OTHERWISE = When("fraction"), When("always")


def about(value: float, share: float = 1e-3) -> When:
    """Hold for numbers that differ from a value by rounding, at most by a share of it."""
    return When("is", (float(value),), abs(float(value)) * share)


def read_off(share: float) -> When:
    """Hold for a share that is read off a printout, which has two decimals."""
    return When("is", (share,), 0.005)


def exercise(
    reads: Callable[[Any], Any],
) -> Callable[[Callable[[Chapter], Iterator[Asked]]], Callable[[Any, Chapter], Verdict]]:
    """Make a check of what is asked; `reads` turns what was written into what conditions take."""

    def made(asked: Callable[[Chapter], Iterator[Asked]]) -> Callable[[Any, Chapter], Verdict]:
        def pairs(chapter: Chapter) -> Iterator[tuple[Condition, str]]:
            said = HINTS[asked.__name__.removeprefix("check_")]
            for key, conditions, *numbers in asked(chapter):
                text = said[key].format(**dict(*numbers))
                for one in conditions if isinstance(conditions, tuple) else (conditions,):
                    yield one if callable(one) else When("is", (one,)), text

        def page(chapter: Chapter) -> dict[str, Any]:
            """What a report's page asks; nothing where its script can't tell what is right."""
            given = list(pairs(chapter)) if os.environ.get(SVG) == "1" else []
            if not given or not isinstance(given[0][0], When):
                return {}
            read = [(one, text) for one, text in given if isinstance(one, When)]
            found = [[one.verb, list(one.values), one.off, text] for one, text in read]
            return {"choices": list(RULES) * (reads is rules), "pairs": found}

        @wraps(asked)
        def check(answer: Any, chapter: Chapter) -> Verdict:
            if answer is ...:
                return Verdict(False, UNANSWERED, page(chapter))
            try:
                read = reads(answer)
            except ValueError as error:
                return Verdict(False, f"Not yet. {error}")
            for place, (condition, text) in enumerate(pairs(chapter)):
                if condition(read):
                    return Verdict(place == 0, ("Not yet. " if place else "Right. ") + text)
            return Verdict(False, "Not yet. Look at the question again.")

        return check

    return made


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
    image, levels = chapter.image, steps.normalise(chapter.image)
    row, column = np.unravel_index(np.argmax(image), image.shape)
    exact = _scaled(image, [image])
    several = np.floor(_scaled(image, [chapter.images[index] for index in chapter.shown]))
    yield "right", lambda given: given.dtype == np.uint8 and _agree(given, levels)
    yield "no_numbers", lambda given: given.dtype.kind not in "iuf"
    yield "shape", lambda given: given.shape != image.shape, {"shape": image.shape}
    yield "type", lambda given: _agree(given, levels)
    yield "scale", lambda given: given.max() <= 1 < levels.max()
    yield "decimals", lambda given: _agree(given, exact, 1e-3)
    yield "rounded", lambda given: _agree(given, np.rint(exact))
    yield "several", lambda given: _agree(given, several)
    yield "highest", lambda given: bool((given[levels == 255] != 255).any())
    yield "lowest", lambda given: given[levels == 0].max() > 0
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
    yield "unlikely", (NOT_WHOLE, When("outside", (1, 4 * width)))
    yield "narrower", When("between", (1, width))
    yield "otherwise", OTHERWISE, {"reach": sum(kernel_reach(width)) / 4}


@exercise(number)
def check_better_border(chapter: Chapter) -> Iterator[Asked]:
    """The fewest whole mm of growth that give the middle slice's mask at `FAR_MM`."""
    spacing_mm = chapter.spacing_mm or (1.0, 1.0)

    def grown(reach_mm: float) -> Mask:
        settings = PipelineSettings(border="dark growth", reach_mm=reach_mm)
        return trace_skull_mask(chapter.image, settings, spacing_mm=spacing_mm).mask

    far = grown(FAR_MM)
    least = next(mm for mm in range(FAR_MM + 1) if np.array_equal(grown(mm), far))
    yield "right", least
    yield "unlikely", (NOT_WHOLE, When("outside", (0, FAR_MM)))
    yield "last", least - 1
    yield "more", When("between", (least, FAR_MM))
    yield "otherwise", OTHERWISE, {"pixels": _differing(grown(max(least - 1, 0)), far)}


@exercise(number)
def check_holes(chapter: Chapter) -> Iterator[Asked]:
    """On how many pixels filling before and after the dilation differ, at another width."""
    trace, width = chapter.trace(), chapter.settings.kernel_width
    grown, filled = steps.dilate(trace.brain, HOLES_WIDTH), steps.fill_holes(trace.brain)
    after, before = steps.fill_holes(grown), steps.dilate(filled, HOLES_WIDTH)
    own = steps.fill_holes(steps.dilate(trace.brain, width))
    yield "right", _differing(after, before)
    yield "no_count", (NOT_WHOLE, When("between", (-1e18, -1)))
    yield "one_mask", tuple(int(np.count_nonzero(one)) for one in (after, before, grown))
    yield "unfilled", _differing(grown, before)
    yield "fill_alone", _differing(grown, after)
    yield "other_kernel", _differing(after, trace.mask), {"width": HOLES_WIDTH}
    yield "other_width", _differing(own, steps.dilate(filled, width)), {"width": HOLES_WIDTH}
    yield "otherwise", OTHERWISE


@exercise(array)
def check_metrics(_: Chapter) -> Iterator[Asked]:
    """A mask of the right size whose IoU with a square of 4 x 4 pixels is one third."""
    square = np.zeros((14, 14), dtype=np.uint8)
    square[5:9, 5:9] = 1
    size = int(square.sum())

    def is_shaped(mask: Any) -> bool:
        return mask.shape == square.shape and mask.dtype.kind in "biuf"

    def overlap(mask: Any) -> float:
        is_mask = is_shaped(mask) and np.isin(mask, (0, 1)).all()
        return metrics.iou(mask.astype(np.uint8), square) if is_mask else np.nan

    yield "right", lambda mask: isclose(overlap(mask), 1 / 3) and mask.sum() == size
    yield "shape", lambda mask: not is_shaped(mask)
    yield "no_mask", lambda mask: np.isnan(overlap(mask))
    yield "too_small", lambda mask: mask.sum() < size
    yield "too_large", lambda mask: mask.sum() > size
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
    n_holes, n_missing = int(steps.fill_holes(trace.brain).sum()) - n_brain, n_mask - n_brain
    share = n_holes / max(n_missing, 1)
    yield "right", read_off(share)
    yield "no_share", When("outside", (0, 1))
    yield "outside", read_off(1 - share)
    yield "of_mask", read_off(n_holes / max(n_mask, 1))
    yield "missing", read_off(n_missing / max(n_mask, 1))
    yield "otherwise", OTHERWISE, {"n_missing": n_missing}


@exercise(rules)
def check_evidence(chapter: Chapter) -> Iterator[Asked]:
    """Which rules could be struck, one at a time, without changing a mask."""
    table = summarise(build_ledger(chapter.stack, chapter.settings)).set_index("rule")
    changed, fired = (table[name].astype(int).to_dict() for name in ("n_changed", "n_fired"))
    silent = tuple(rule for rule in RULES if not changed.get(rule))
    needed = tuple(rule for rule in RULES if rule not in silent)
    yield "right", When("exactly", silent)
    yield "opposite", When("exactly", needed)
    for rule in needed:
        told = {"rule": rule, "n": changed[rule], "s": "s" * (changed[rule] != 1)}
        yield "needed", When("names", (rule,)), told
    yield "fired", When("lacks", tuple(rule for rule in silent if fired.get(rule)))
    yield "silent", OTHERWISE


@exercise(number)
def check_validation(chapter: Chapter) -> Iterator[Asked]:
    """How many volumes without a failure rule out a failure rate of 2%."""
    enough = next(n for n in range(1, 10_000) if zero_failure_bound(n) <= FAILURE_RATE)
    yield "right", enough, {"here": len(set(chapter.stack.groups or ("one",)))}
    yield "uncounted", (NOT_WHOLE, When("between", (-1e18, 0)))
    yield "rule_of_three", round(3 / FAILURE_RATE)
    yield "too_few", When("between", (1, enough)), {"rate": FAILURE_RATE}
    yield "otherwise", OTHERWISE


@exercise(number)
def check_other_heads(chapter: Chapter) -> Iterator[Asked]:
    """How much of the middle slice's mask is left after the tightest crop."""
    trace = chapter.trace()
    box = tightest_box(trace)
    old, new = trace.mask[box], trace_skull_mask(chapter.image[box], chapter.settings).mask
    share = int((new & old).sum()) / max(int(old.sum()), 1)
    yield "right", read_off(share), {"share": share}
    yield "no_share", When("outside", (0, 1))
    yield "everything", 1
    yield "lost", read_off(1 - share)
    yield "otherwise", OTHERWISE


# --- using the pipeline ---


@exercise(number)
def check_timing(chapter: Chapter) -> Iterator[Asked]:
    """How many workers it takes until a storage of 1 GB a second is the limit, masks packed."""
    pixels, item = chapter.image.size, chapter.image.dtype.itemsize
    packed = ceil(BYTES_A_SECOND / (pixels * (item + 1 / 8)) / SLICES_A_SECOND)
    yield "right", packed
    yield "nobody", When("between", (-1e18, 0))
    yield "uncounted", NOT_WHOLE
    yield "bytes", ceil(BYTES_A_SECOND / (pixels * (item + 1)) / SLICES_A_SECOND)
    yield "too_few", When("between", (0, packed))
    yield "otherwise", OTHERWISE


@exercise(lambda answer: None if answer is None else number(answer))
def check_explore(chapter: Chapter) -> Iterator[Asked]:
    """The lowest level above Otsu's that leaves less than half of the middle slice's brain."""
    trace = chapter.trace()
    half = np.count_nonzero(trace.brain) / 2
    if not half:
        yield "none", lambda answer: answer is None
        yield "no_brain", OTHERWISE
        return
    levels = range(trace.threshold + 1, 256)
    lowest = next(one for one in levels if np.count_nonzero(_brain_at(trace, one)) < half)
    left = _brain_at(trace, lowest)
    shared = np.count_nonzero(left & trace.brain) / (np.count_nonzero(left) or 1)
    kind = "right" if shared >= 0.5 else "another" if left.any() else "empty"
    yield kind, lowest, {"shared": shared}
    yield "not_none", lambda answer: answer is None
    yield "no_level", (NOT_WHOLE, When("outside", (0, 255)))
    yield "otsu", When("between", (0, trace.threshold)), {"threshold": trace.threshold}
    yield "too_low", When("between", (0, lowest))
    yield "too_high", OTHERWISE


@exercise(number)
def check_your_data(chapter: Chapter) -> Iterator[Asked]:
    """Which slice's mask differs most in area from the stack's median, by its number."""
    areas, numbers = chapter.rows["mask_px"].to_numpy(), np.asarray(chapter.numbers)
    off = np.abs(areas - np.median(areas))
    yield "right", When("is", tuple(numbers[off == off.max()][:100].tolist()))
    yield "no_slice", (NOT_WHOLE, When("outside", (int(numbers.min()), int(numbers.max()))))
    yield "largest", When("is", tuple(numbers[areas == areas.max()][:100].tolist()))
    yield "otherwise", OTHERWISE


# --- what the checks share ---


def tightest_box(trace: SkullMaskTrace) -> tuple[slice, slice]:
    """Give rows and columns of the smallest frame that holds the brain; all where there is none."""
    left, top, width, height = cv2.boundingRect(trace.brain)
    return slice(top, top + height or None), slice(left, left + width or None)


def _upper_half(image: Any) -> float:
    return float(np.mean(image > (float(image.min()) + float(image.max())) / 2))


def _scaled(image: Any, whose: list[Any]) -> Any:
    """The slice on a scale from 0 to 255 that spans some slices' range."""
    low, high = min(float(one.min()) for one in whose), max(float(one.max()) for one in whose)
    return 255 * (image.astype(np.float64) - low) / (high - low or 1.0)


def _agree(given: Any, expected: Any, step: float = 0.0) -> bool:
    """Whether nearly all pixels agree; a rare one may fall on the other side of a level."""
    if given.shape != expected.shape:
        return False
    return float(np.mean(np.abs(given.astype(np.float64) - expected) <= step)) > 0.999


def _differing(one: Mask, other: Mask) -> int:
    return int(np.count_nonzero(one != other))


def _brain_at(trace: SkullMaskTrace, level: int) -> Mask:
    """Steps 2 and 3 at another level; normalising is not done again."""
    binary, settings = steps.binarise(trace.normalised, level), trace.settings
    labels, components = steps.label_components(binary, settings.connectivity)
    brain = steps.choose_brain(components, settings.drop_edge_touching)
    return steps.component_mask(labels, brain)
