"""The checks of the chapters on the pipeline: right answers, and what each wrong one is told."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from exercises import small_head

from skullnb import teach
from skullnb.chapter import open_chapter
from skullnb.teach import UNANSWERED


@pytest.fixture(scope="module")
def chapter(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "small.npy"
    np.save(path, small_head())
    return open_chapter("any", images=str(path))


@pytest.fixture(scope="module")
def names(chapter) -> dict[str, Any]:
    """What an answer may speak of."""
    image = chapter.stack.images[chapter.middle]
    return {
        "np": np,
        "chapter": chapter,
        "image": image,
        "trace": chapter.trace(chapter.middle),
        "low": float(image.min()),
        "high": float(image.max()),
    }


RIGHT = {
    "check_threshold": [
        "low + trace.threshold / 255 * (high - low)",
        "low + (trace.threshold + 1) / 255 * (high - low)",
        "[low + trace.threshold / 255 * (high - low)]",
        "np.float32(low + trace.threshold / 255 * (high - low))",
    ],
}
WRONG = {
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
