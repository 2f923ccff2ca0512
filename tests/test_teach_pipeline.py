"""The checks of the chapters on the pipeline: right answers, and what each wrong one is told."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from exercises import small_head

from skullnb import teach
from skullnb.chapter import open_chapter
from skullnb.pipeline import dilate, fill_holes, normalise
from skullnb.teach import UNANSWERED


@pytest.fixture(scope="module")
def chapter(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "small.npy"
    np.save(path, small_head())
    return open_chapter("any", images=str(path))


@pytest.fixture(scope="module")
def names(chapter) -> dict[str, Any]:
    """What an answer may speak of."""
    images, trace = chapter.stack.images, chapter.trace(chapter.middle)
    image, grown = images[chapter.middle], dilate(trace.brain, 10)
    return {
        "np": np,
        "normalise": normalise,
        "chapter": chapter,
        "images": images,
        "image": image,
        "low": float(image.min()),
        "high": float(image.max()),
        "all_low": float(images.min()),
        "all_high": float(images.max()),
        "trace": trace,
        "chosen": trace.components[trace.chosen - 1],
        "grown": grown,
        "after": fill_holes(grown),
        "before": dilate(fill_holes(trace.brain), 10),
        "outer": np.pad(np.ones((4, 4), dtype=np.uint8), 5),
    }


SHARES = "(image - low) / (high - low)"
RIGHT = {
    "check_data": ["(image > (low + high) / 2).mean()", "np.mean(image > (low + high) / 2)"],
    "check_normalise": [
        f"np.floor(255 * {SHARES}).astype(np.uint8)",
        f"(255 * {SHARES}).astype('uint8')",
        "normalise(image)",
    ],
    "check_threshold": [
        "low + trace.threshold / 255 * (high - low)",
        "low + (trace.threshold + 1) / 255 * (high - low)",
        "[low + trace.threshold / 255 * (high - low)]",
        "np.float32(low + trace.threshold / 255 * (high - low))",
    ],
    "check_components": ["chosen['left']", "np.nonzero(trace.brain.any(axis=0))[0][0]"],
    "check_dilation": ["51", "51.0"],
    "check_holes": ["(after != before).sum()", "after.sum() - before.sum()"],
    "check_metrics": [
        "np.roll(outer, 2, axis=1)",
        "np.roll(outer, -2, axis=0)",
        "np.roll(outer, (2, 0), axis=(0, 1)).tolist()",
        "np.roll(outer, 2, axis=1).astype(bool)",
    ],
}
WRONG = {
    "check_data": {
        "(image > (low + high) / 2).sum()": "a number of pixels",
        "100 * (image > (low + high) / 2).mean()": "per cent",
        "3": "between 0 and 1",
        "(image <= (low + high) / 2).mean()": "the lower half",
        "(image > np.median(image)).mean()": "above the median",
        "(image > high / 2).mean()": "only if the minimum is 0",
        "np.mean([(i > (i.min() + i.max()) / 2).mean() for i in images])": "over all slices",
        "(image > image.mean()).mean()": "halfway between its smallest and its largest",
        "image > (low + high) / 2": "One number is asked for",
    },
    "check_normalise": {
        "[[1, 2], [3]]": "an array of numbers",
        "'levels'": "an array of numbers",
        "image[0]": "has the shape (120,)",
        f"np.floor(255 * {SHARES})": "stored as float64",
        f"np.floor(255 * {SHARES}).astype(int)": "stored as int64",
        SHARES: "should end at 255",
        f"255 * {SHARES}": "still have decimals",
        f"np.rint(255 * {SHARES}).astype(np.uint8)": "You rounded",
        "np.floor(255 * (image - all_low) / (all_high - all_low)).astype(np.uint8)": "whole stack",
        "np.floor(255 * image / high).astype(np.uint8)": "Subtract the minimum first",
        f"np.floor(256 * {SHARES})": "The brightest pixel should become 255",
        "normalise(image) // 5 * 5": "of the pixels have another level",
    },
    "check_threshold": {
        "trace.threshold": "the level itself",
        "trace.threshold / 255": "a share of the slice's range",
        "trace.threshold / 255 * (high - low)": "Where is the minimum?",
        "low + trace.threshold * (high - low)": "by what do you divide?",
        "low - 1": "No pixel of the middle slice",
        "high / 2": "the pipeline makes",
        "image": "One number is asked for",
        "'0.3'": "One number is asked for",
        "float('nan')": "One number is asked for",
        "[[1], [1, 2]]": "One number is asked for",
    },
    "check_components": {
        "chosen['left'] + 1": "One less would do",
        "chosen['width']": "how wide the component is",
        "chosen['left'] + chosen['width']": "ends on the right",
        "chosen['top']": "counts rows",
        "trace.components['left'].min()": "another component begins",
        "chosen['left'] - 1": "still is an inner one",
        "chosen['left'] + 5": "before that many columns are gone",
    },
    "check_dilation": {
        "26": "a smaller distance",
        "52": "reaches 25.5 px on average. In these pixels the old one reaches 25 px",
        "50": "reaches 24.5 px on average",
        "13": "not fewer",
        "12.5": "a whole number",
        "-51": "of this order",
        "5100": "of this order",
    },
    "check_holes": {
        "-36": "whole number",
        "after.sum()": "the size of one mask",
        "before.sum()": "the size of one mask",
        "(grown != before).sum()": "never filled",
        "(grown != after).sum()": "with and without the fill",
        "(after != trace.mask).sum()": "`trace.mask` was grown by",
        "0": "the chapter's own width",
        "1": "count where they differ",
        "after != before": "One number is asked for",
    },
    "check_metrics": {
        "outer": "the reference itself",
        "np.roll(outer, 1, axis=1)": "IoU 0.600",
        "np.roll(outer, 4, axis=1)": "share no pixel",
        "outer[:8, :8]": "14 x 14 pixels",
        "'outer'": "14 x 14 pixels",
        "[[1, 2], [3]]": "14 x 14 pixels",
        "2 * outer": "zeros and ones",
        "np.roll(outer, 2, axis=1) & outer": "8 pixels, so its volume difference is -0.5",
    },
}
CASES_RIGHT = [(check, answer) for check, answers in RIGHT.items() for answer in answers]
CASES_WRONG = [(check, *case) for check, cases in WRONG.items() for case in cases.items()]


def ask(check: str, answer: str, names: dict[str, Any]) -> teach.Verdict:
    return getattr(teach, check)(eval(answer, dict(names)), names["chapter"])


@pytest.mark.parametrize(("check", "answer"), CASES_RIGHT)
def test_a_right_answer_is_called_right_however_it_is_written(check, answer, names):
    said = ask(check, answer, names)
    assert said.right, said
    assert said.text.startswith("Right. ")


@pytest.mark.parametrize(("check", "answer", "hint"), CASES_WRONG)
def test_a_typical_wrong_answer_is_told_what_is_wrong(check, answer, hint, names):
    said = ask(check, answer, names)
    assert not said.right
    assert said.text.startswith("Not yet. ")
    assert hint in said.text


@pytest.mark.parametrize("check", RIGHT)
def test_three_dots_are_no_answer(check, chapter):
    assert getattr(teach, check)(..., chapter) is UNANSWERED


def test_every_check_of_the_part_is_tried_with_right_and_wrong_answers():
    from skullnb.teach import part_pipeline

    checks = {name for name in vars(part_pipeline) if name.startswith("check_")}
    assert checks == set(RIGHT) == set(WRONG)
