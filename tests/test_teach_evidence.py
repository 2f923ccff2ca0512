"""The checks of the chapters on evidence, and of the last chapter."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from exercises import small_head

from skullnb import teach
from skullnb.chapter import Chapter, open_chapter
from skullnb.evidence import build_ledger
from skullnb.pipeline import create_skull_mask, fill_holes
from skullnb.teach import UNANSWERED, Verdict


@pytest.fixture(scope="module")
def chapter(tmp_path_factory: pytest.TempPathFactory) -> Chapter:
    path = tmp_path_factory.mktemp("data") / "small.npy"
    images = small_head(7)
    images[5, 40:80, :8] = 200  # a piece of bright scalp that the frame cuts
    images[:, 72:77, 58:63] = 200  # an island in the hole of the brain
    images[6, 75:] = 40  # the last slice holds half a head
    np.save(path, images)
    opened = open_chapter("any", images=str(path), slices="2:7", kernel_width=10)
    opened.record(**build_ledger(opened.stack, opened.settings).values())
    return opened


@pytest.fixture(scope="module")
def names(chapter: Chapter) -> dict[str, Any]:
    """What an answer may speak of."""
    trace = chapter.trace(chapter.middle)
    box = teach.tightest_box(trace)
    old = trace.mask[box]
    new = create_skull_mask(chapter.stack.images[chapter.middle][box], 10)
    component, mask = int(trace.brain.sum()), int(trace.mask.sum())
    return {
        "np": np,
        "chapter": chapter,
        "holes": int(fill_holes(trace.brain).sum()) - component,
        "missing": mask - component,
        "mask": mask,
        "kept": int((new & old).sum()) / int(old.sum()),
        "areas": chapter.summary["mask_px"],
        "numbers": chapter.stack.slice_numbers,
    }


NEEDED = "['threshold', 'choose largest', 'dilate', 'fill holes']"
SILENT = "['flat-image guard', 'drop edge-touching']"
RIGHT = {
    "check_journey": [
        "holes / missing",
        "round(holes / missing, 2)",
        "np.float32(holes / missing)",
    ],
    "check_evidence": [SILENT, f"set({SILENT})"],
    "check_validation": ["149", "149.0", "np.int64(149)"],
    "check_reach": ["21", "[21]"],
    "check_real_heads": ["kept", "round(kept, 2)"],
    "check_your_data": ["numbers[np.argmax(abs(areas - np.median(areas)))]"],
}
WRONG = {
    "check_journey": {
        "holes": "between 0 and 1",
        "100 * holes / missing": "between 0 and 1",
        "1 - holes / missing": "outside the component",
        "holes / mask": "a share of the whole mask",
        "missing / mask": "share of the mask that is missing",
        "0.999": "that the component lacks",
        "'a third'": "One number is asked for",
    },
    "check_evidence": {
        "3": "A list of names",
        "['fill']": "No rule is called 'fill'",
        "[3]": "No rule is called '3'",
        "[['dilate']]": "No rule is called",
        NEEDED: "asked are the others",
        f"{SILENT} + ['dilate']": "Without 'dilate' the mask of 5 slices is another one",
        "'flat-image guard'": "that fired",
        "['drop edge-touching']": "whose condition never occurred",
        "[]": "that fired",
    },
    "check_validation": {
        "148": "leave a rate of up to 2.0% possible",
        "50": "leave a rate of up to 5.8% possible",
        "150": "rule of three",
        "151": "fewer are too",
        "300": "fewer are too",
        "0": "counted",
        "148.3": "counted",
        "'many'": "One number is asked for",
    },
    "check_reach": {
        "10": "how wide is the kernel",
        "7": "a millimetre for a pixel",
        "14": "a millimetre for a pixel",
        "15": "a millimetre for a pixel",
        "20": "10 px one way and 9 px the other",
        "19": "reaches 6.3 mm here",
        "23": "reaches 7.7 mm here",
        "20.5": "a whole number",
        "1e300": "wider than most slices",
        "(21, 21)": "One number is asked for",
    },
    "check_real_heads": {
        "100 * kept + 2": "between 0 and 1",
        "1": "which rule looks at that?",
        "1 - kept": "what was lost",
        "0.5": "count what both masks have",
        "np.ones(4)": "One number is asked for",
    },
    "check_your_data": {
        "0": "No slice of this stack has the number 0",
        "numbers[areas.argmax()]": "the largest one",
        "numbers[np.argsort(areas)[2]]": "another one differs by more",
        "numbers": "One number is asked for",
    },
}


def ask(check: str, answer: str, names: dict[str, Any]) -> Verdict:
    said: Verdict = getattr(teach, check)(eval(answer, dict(names)), names["chapter"])
    return said


@pytest.mark.parametrize(
    ("check", "answer"), [(c, a) for c, answers in RIGHT.items() for a in answers]
)
def test_a_right_answer_is_called_right_however_it_is_written(check, answer, names):
    said = ask(check, answer, names)
    assert said.right, said
    assert said.text.startswith("Right. ")


@pytest.mark.parametrize(
    ("check", "answer", "hint"),
    [(c, *case) for c, cases in WRONG.items() for case in cases.items()],
)
def test_a_typical_wrong_answer_is_told_what_is_wrong(check, answer, hint, names):
    said = ask(check, answer, names)
    assert not said.right
    assert said.text.startswith("Not yet. ")
    assert hint in said.text


@pytest.mark.parametrize("check", RIGHT)
def test_three_dots_are_no_answer(check, chapter):
    assert getattr(teach, check)(..., chapter) is UNANSWERED


def test_every_check_of_the_part_is_tried_with_right_and_wrong_answers():
    from skullnb.teach import part_evidence

    checks = {name for name in vars(part_evidence) if name.startswith("check_")}
    assert checks | {"check_your_data"} == set(RIGHT) == set(WRONG)


def test_the_kernel_at_hand_is_no_answer_for_other_pixels(tmp_path):
    np.save(tmp_path / "small.npy", small_head(1))
    chapter = open_chapter("any", images=str(tmp_path / "small.npy"), kernel_width=17)
    assert "for other pixels" in teach.check_reach(17, chapter).text


def test_slices_without_a_head_have_answers_too(tmp_path):
    np.save(tmp_path / "flat.npy", np.ones((2, 20, 20)))
    chapter = open_chapter("any", images=str(tmp_path / "flat.npy"))
    assert teach.check_journey(0, chapter).right
    assert teach.check_real_heads(0, chapter).right
    assert teach.check_your_data(1, chapter).right
