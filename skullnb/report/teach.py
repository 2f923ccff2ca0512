"""Exercises that answer, by the first of some conditions that holds: what is right, or a hint."""

import json
import os
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache, wraps
from html import escape
from importlib.resources import files
from math import ceil, isclose
from typing import Any

import numpy as np

from skullnb import metrics
from skullnb.evidence import build_ledger, summarise
from skullnb.pipeline import RULES, Mask, PipelineSettings, steps, trace_skull_mask
from skullnb.reach import kernel_reach
from skullnb.report.chapter import SVG, Chapter, plain
from skullnb.report.plot import box_of
from skullnb.study.validation import zero_failure_bound

MIME = "application/vnd.skullnb.exercise+json"
HINTS = tomllib.loads((files("skullnb") / "data" / "hints.toml").read_text("utf-8"))
UNANSWERED = "No answer yet. In the notebook, put yours in the place of the three dots and run"
UNANSWERED += " the cell again."


@dataclass(frozen=True)
class Verdict:
    """What a check found; a notebook shows it as its last line, and `page` is for the book."""

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


VERBS: dict[str, Callable[..., bool]] = {
    "is": lambda answer, values, off: any(
        isclose(answer, one, rel_tol=1e-9, abs_tol=off) for one in values
    ),
    "between": lambda answer, ends, off: ends[0] - off <= answer <= ends[1] + off,
    "outside": lambda answer, ends, off: not ends[0] - off <= answer <= ends[1] + off,
    "exactly": lambda names, wanted, _: set(names) == set(wanted),
    "names": lambda names, wanted, _: bool(set(names) & set(wanted)),
    "always": lambda *_: True,
}


@dataclass(frozen=True)
class When:
    """A condition that Python and `book/assets/exercise.js` decide alike: a verb, its values."""

    verb: str
    values: tuple[Any, ...] = ()
    off: float = 0.0

    def __call__(self, answer: Any) -> bool:
        """Whether it holds for an answer: a number, or names."""
        return VERBS[self.verb](answer, self.values, self.off)


# The name of a sentence, the value or condition to which it belongs, and its numbers.
Asked = Iterator[tuple[str, Any] | tuple[str, Any, dict[str, Any]]]
OTHERWISE = When("always")
READ_OFF = 0.005  # how far a share is off that is read off a printout, which has two decimals


def about(value: float, off: float | None = None) -> When:
    """Hold for numbers that differ from a value by rounding, by a thousandth of it or by `off`."""
    return When("is", (float(value),), abs(float(value)) / 1000 if off is None else off)


def exercise(
    reads: Callable[[Any], Any],
) -> Callable[[Callable[[Chapter], Asked]], Callable[[Any, Chapter], Verdict]]:
    """Make a check of what is asked, right first; `reads` makes of an answer what conditions take.

    The sentences are those of `data/hints.toml`; pages ask the same where all are a `When`.
    """

    def made(asked: Callable[[Chapter], Asked]) -> Callable[[Any, Chapter], Verdict]:
        said = HINTS[asked.__name__.removeprefix("check_")]
        once = lru_cache(maxsize=1)(lambda chapter, _: [*asked(chapter)])  # for all its answers

        @wraps(asked)
        def check(answer: Any, chapter: Chapter) -> Verdict:
            if answer is ... and os.environ.get(SVG) != "1":
                return Verdict(False, UNANSWERED)
            pairs, known = [], dict[str, Any]()
            for key, condition, *numbers in once(chapter, chapter.settings):
                holds = condition if callable(condition) else When("is", (condition,))
                known.update(*numbers)
                pairs.append((holds, said[key].format(**known)))
            pairs.append((OTHERWISE, [*said.values()][-1].format(**known)))
            if answer is ...:
                page = [[*vars(one).values(), text] for one, text in pairs if type(one) is When]
                told = {"choices": list(RULES) if reads is rules else [], "pairs": plain(page)}
                # Where a condition is no `When`, a page's script could not tell.
                return Verdict(False, UNANSWERED, told if len(page) == len(pairs) else {})
            try:
                read = reads(answer)
            except ValueError as error:
                return Verdict(False, f"Not yet. {error}")
            place, text = next((n, text) for n, (holds, text) in enumerate(pairs) if holds(read))
            return Verdict(place == 0, ("Not yet. " if place else "Right. ") + text)

        return check

    return made


def exercise_html(page: Mapping[str, Any]) -> str:
    """Write the element that `book/assets/exercise.js` makes answer."""
    said = "<p>Run this notebook to check an answer.</p>"
    return f'<form class="exercise" data-exercise="{escape(json.dumps(page))}">{said}</form>'


def number(answer: Any) -> float:
    """Read the one finite number that an answer holds; None, for none at all, is below all."""
    value = np.asarray(-1 if answer is None else answer)
    if value.dtype.kind not in "iufb" or value.size != 1 or not np.isfinite(value).all():
        raise ValueError("One number is asked for; this is something else, or several.")
    return float(value.item())


def mask(answer: Any) -> Mask:
    """Read a small mask."""
    found = np.asarray(answer)
    if found.shape != (14, 14) or not np.isin(found, (0, 1)).all():
        raise ValueError("The answer should be a mask of 14 x 14 pixels, of zeros and ones.")
    return found.astype(np.uint8)


def rules(answer: Any) -> set[str]:
    """Read names of the pipeline's rules."""
    names = {answer} if isinstance(answer, str) else set(map(str, np.atleast_1d(answer)))
    if unknown := sorted(names - set(RULES)):
        raise ValueError(f"No rule is called {unknown[0]!r}; the rules are {', '.join(RULES)}.")
    return names


@exercise(number)
def check_data(chapter: Chapter) -> Asked:
    """Which share of the middle slice's pixels lies in the upper half of its range."""
    image = chapter.image
    share = float(np.mean(image > (float(image.min()) + float(image.max())) / 2))
    yield "right", about(share, 0.02 * share), {"size": image.size}
    yield "percent", about(100 * share, 2 * share)
    yield "no_share", When("outside", (0, 1))
    yield "median", When("is", (0.5, float(np.mean(image > np.median(image)))), 0.002)


@exercise(np.asarray)
def check_normalise(chapter: Chapter) -> Asked:
    """The middle slice, normalised by hand."""
    image, low = chapter.image.astype(np.float64), float(chapter.image.min())
    exact = 255 * (image - low) / (float(chapter.image.max()) - low or 1.0)
    levels = steps.normalise(chapter.image).astype(np.float64)

    def agree(given: Any, expected: Any, off: float = 0.0) -> bool:
        # A rare pixel may fall on the other side of a level.
        is_shaped = given.shape == image.shape
        return is_shaped and bool(np.mean(np.abs(given - expected) <= off) > 0.999)

    place = dict(zip(("row", "column"), np.unravel_index(image.argmax(), image.shape), strict=True))
    yield "right", lambda given: given.dtype == np.uint8 and agree(given, levels), place
    yield "shape", lambda given: given.dtype.kind not in "iuf" or given.shape != image.shape
    yield "type", lambda given: agree(given, levels)
    yield "scale", lambda given: given.max() <= 1
    yield "decimals", lambda given: agree(given, exact, 1e-3)
    yield "rounded", lambda given: agree(given, np.rint(exact))


@exercise(number)
def check_threshold(chapter: Chapter) -> Asked:
    """The middle slice's threshold as an intensity; one level either way holds."""
    low, high = float(chapter.image.min()), float(chapter.image.max())
    level, step = chapter.trace().threshold, (high - low) / 255
    yield "right", When("between", (low + (level - 0.5) * step, low + (level + 1.5) * step))
    yield "level", level
    yield "share", about(level / 255)
    yield "too_low", When("between", (-1e18, low + level * step))


@exercise(number)
def check_components(chapter: Chapter) -> Asked:
    """How many columns a narrower frame would lack for the edge rule to drop the brain."""
    trace = chapter.trace()
    if not trace.chosen:
        yield "right", When("is")
        yield "nothing", OTHERWISE
        return
    chosen = trace.components[trace.chosen - 1]
    yield "right", chosen["left"]
    yield "touching", chosen["left"] + 1
    yield "width", chosen["width"]
    yield "inner", When("between", (-1e9, chosen["left"]))


@exercise(number)
def check_dilation(chapter: Chapter) -> Asked:
    """The kernel width, in px, that reaches as far on pixels half as large."""
    width = chapter.settings.kernel_width
    yield "right", 2 * width - 1, {"reach": sum(kernel_reach(width)) / 4}
    yield "same", width
    yield "unlikely", When("outside", (1, 4 * width))
    yield "narrower", When("between", (1, width))


@exercise(number)
def check_better_border(chapter: Chapter) -> Asked:
    """The fewest whole mm of growth that give the mask at 40 mm; nobody has so much bone."""
    spacing_mm = chapter.spacing_mm or (1.0, 1.0)

    def grown(reach_mm: float) -> Mask:
        settings = PipelineSettings(border="dark growth", reach_mm=reach_mm)
        return trace_skull_mask(chapter.image, settings, spacing_mm=spacing_mm).mask

    far = grown(40)
    least = next(mm for mm in range(41) if np.array_equal(grown(mm), far))
    yield "right", least
    yield "unlikely", When("outside", (0, 40))
    yield "more", When("between", (least, 40))


@exercise(number)
def check_holes(chapter: Chapter) -> Asked:
    """On how many pixels filling before and after the dilation differ, at a width of 10 px."""
    brain = chapter.trace().brain
    grown = steps.dilate(brain, 10)
    after, before = steps.fill_holes(grown), steps.dilate(steps.fill_holes(brain), 10)
    yield "right", np.count_nonzero(after != before)
    yield "unfilled", np.count_nonzero(grown != before)
    yield "fill_alone", np.count_nonzero(grown != after)


@exercise(mask)
def check_metrics(_: Chapter) -> Asked:
    """A mask of the right size whose IoU with a square of 4 x 4 pixels is one third."""
    square = np.zeros((14, 14), dtype=np.uint8)
    square[5:9, 5:9] = 1
    yield "right", lambda mask: mask.sum() == 16 and isclose(metrics.iou(mask, square), 1 / 3)
    yield "size", lambda mask: mask.sum() != 16
    yield "too_much", lambda mask: metrics.iou(mask, square) > 1 / 3


@exercise(number)
def check_five_slices(chapter: Chapter) -> Asked:
    """Which share of what the largest component misses of the mask lies in its holes."""
    trace = chapter.trace()
    n_brain, n_filled = int(trace.brain.sum()), int(steps.fill_holes(trace.brain).sum())
    n_missing = int(trace.mask.sum()) - n_brain
    share = (n_filled - n_brain) / max(n_missing, 1)
    yield "right", about(share, READ_OFF), {"n_missing": n_missing}
    yield "outside", about(1 - share, READ_OFF)


@exercise(rules)
def check_evidence(chapter: Chapter) -> Asked:
    """Which rules could be struck, one at a time, without changing a mask."""
    ledger = summarise(build_ledger(chapter.stack, chapter.settings)).set_index("rule")
    needed = {rule: int(n) for rule, n in ledger["n_changed"].items() if n and rule in RULES}
    yield "right", When("exactly", tuple(rule for rule in RULES if rule not in needed))
    for rule, n in needed.items():
        yield "needed", When("names", (rule,)), {"rule": rule, "n": n, "s": "s" * (n != 1)}


@exercise(number)
def check_validation(chapter: Chapter) -> Asked:
    """How many volumes without a failure rule out a failure rate of 2%."""
    enough = next(n for n in range(1, 10_000) if zero_failure_bound(n) <= 0.02)
    yield "right", enough, {"here": len(set(chapter.stack.groups or ("one",)))}
    yield "rule_of_three", 150
    yield "too_few", When("between", (-1e18, enough))


@exercise(number)
def check_other_heads(chapter: Chapter) -> Asked:
    """How much of the middle slice's mask is left after the tightest crop."""
    trace = chapter.trace()
    box = box_of(trace.brain, margin=0)
    old, new = trace.mask[box], trace_skull_mask(chapter.image[box], chapter.settings).mask
    share = int((new & old).sum()) / max(int(old.sum()), 1)
    yield "right", about(share, READ_OFF), {"share": share}
    yield "everything", 1
    yield "lost", about(1 - share, READ_OFF)


@exercise(number)
def check_timing(chapter: Chapter) -> Asked:
    """How many workers it takes until a storage of 1 GB a second is the limit, masks packed."""
    pixels, item = chapter.image.size, chapter.image.dtype.itemsize
    packed, whole = (ceil(1e9 / (pixels * (item + mask)) / 150) for mask in (1 / 8, 1))
    yield "right", packed
    yield "bytes", whole
    yield "too_few", When("between", (-1e18, packed))


@exercise(number)
def check_explore(chapter: Chapter) -> Asked:
    """The lowest level above Otsu's that leaves less than half of the middle slice's brain."""
    trace, spacing_mm = chapter.trace(), chapter.spacing_mm

    def brain_at(level: int) -> Mask:
        settings = replace(trace.settings, threshold=level)
        return trace_skull_mask(chapter.image, settings, spacing_mm=spacing_mm).brain

    half = np.count_nonzero(trace.brain) / 2
    if not half:
        yield "none", -1
        yield "no_brain", OTHERWISE
        return
    levels = range(trace.threshold + 1, 256)
    yield "right", next(one for one in levels if np.count_nonzero(brain_at(one)) < half)
    yield "no_level", When("outside", (0, 255))
    yield "otsu", When("between", (0, trace.threshold)), {"threshold": trace.threshold}


@exercise(number)
def check_your_data(chapter: Chapter) -> Asked:
    """Which slice's mask differs most in area from the stack's median, by its number."""
    areas, numbers = chapter.rows["mask_px"].to_numpy(), np.asarray(chapter.numbers)
    off = np.abs(areas - np.median(areas))
    yield "right", When("is", tuple(numbers[off == off.max()][:100].tolist()))
    yield "no_slice", When("outside", (int(numbers.min()), int(numbers.max())))
