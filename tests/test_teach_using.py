"""The checks of the chapters on using the method: right answers, and what wrong ones are told."""

from dataclasses import replace

import numpy as np
import pytest
from exercises import NOTEBOOKS, answer_block

from skullnb import teach
from skullnb.chapter import open_chapter
from skullnb.pipeline import trace_skull_mask

EXPLORE = next(path for path in NOTEBOOKS if path.stem == "14-explore")


def head() -> np.ndarray:
    """A brain, and a smaller, brighter ring around it."""
    image = np.zeros((60, 60))
    image[7:53, 7:53] = 1.0
    image[8:52, 8:52] = 0.0
    image[20:40, 15:45] = 0.7
    return image


@pytest.fixture(scope="module")
def chapter(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "head.npy"
    np.save(path, np.stack([head()] * 3))
    return open_chapter("any", images=str(path), kernel_width=4)


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "flat.npy"
    np.save(path, np.ones((1, 20, 20)))
    return open_chapter("any", images=str(path))


def halving_level(chapter) -> int | None:
    """Run the chapter's own folded answer."""
    namespace = {"chapter": chapter, "replace": replace}
    exec(answer_block(EXPLORE), namespace)
    return namespace["answer"]


@pytest.mark.parametrize("data", ["chapter", "empty"])
def test_the_folded_answer_of_the_explorer_is_right_with_a_brain_and_without(data, request):
    opened = request.getfixturevalue(data)
    verdict = teach.check_explore(halving_level(opened), opened)
    assert verdict.right, verdict


def test_a_level_is_right_as_any_kind_of_whole_number(chapter):
    level = halving_level(chapter)
    for answer in (level, float(level), np.int64(level), np.uint8(level)):
        assert teach.check_explore(answer, chapter).right


def test_the_verdict_says_what_is_left_of_the_brain(chapter, empty):
    level = halving_level(chapter)
    opened = chapter.trace(chapter.middle)
    left = trace_skull_mask(head(), replace(opened.settings, threshold=level)).brain
    assert 0 < left.sum() < opened.brain.sum() / 2
    assert not (left & opened.brain).any()
    assert "0% of it lies in the brain of before" in teach.check_explore(level, chapter).text
    assert "nothing on this slice" in teach.check_explore(None, empty).text


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        (..., "No answer yet"),
        (None, "There is such a level"),
        ("60", "whole number from 0 to 255"),
        (25.5, "whole number from 0 to 255"),
        (256, "whole number from 0 to 255"),
        (-1, "whole number from 0 to 255"),
        (float("nan"), "whole number from 0 to 255"),
        ([60, 61], "whole number from 0 to 255"),
        (0, "go up from there"),
        ("otsu + 1", "of the pixels it opened with; go on upwards"),
        ("level - 1", "of the pixels it opened with; go on upwards"),
        ("level + 1", "go down step by step"),
        (255, "go down step by step"),
    ],
)
def test_a_wrong_level_is_told_what_is_wrong_and_never_the_answer(chapter, answer, hint):
    level, otsu = halving_level(chapter), chapter.trace(chapter.middle).threshold
    if isinstance(answer, str) and answer != "60":
        answer = eval(answer, {"level": level, "otsu": otsu})
    verdict = teach.check_explore(answer, chapter)
    assert not verdict.right
    assert hint in verdict.text
    assert str(level) not in verdict.text.replace(f"At level {answer} ", "").split()


def test_a_level_where_there_is_no_brain_is_told_so(empty):
    verdict = teach.check_explore(60, empty)
    assert not verdict.right
    assert "write None" in verdict.text


@pytest.fixture(scope="module")
def timed(tmp_path_factory):
    # 1000 px, 4 bytes each: 4 kB to read; 1 kB of plain masks, or 125 bytes of packed ones.
    path = tmp_path_factory.mktemp("data") / "small.npy"
    np.save(path, np.random.default_rng(0).random((2, 25, 40), dtype=np.float32))
    return open_chapter("any", images=str(path))


@pytest.mark.parametrize("answer", [1617, 1617.0, np.int64(1617), [1617]])
def test_as_many_workers_as_the_storage_can_serve_are_right(timed, answer):
    # 10^9 bytes a second are 242,424 slices of 4125 bytes: at 150 a worker, 1616.2 workers.
    assert teach.check_workers(answer, timed).right


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        (0, "Nobody"),
        (-3, "Nobody"),
        (1616.2, "a whole number"),
        (1334, "a byte a pixel"),
        (3, "fewer slices a second than the storage"),
        (2000, "Fewer would do"),
        ("five", "One number"),
    ],
)
def test_a_wrong_number_of_workers_is_told_what_is_wrong(timed, answer, hint):
    said = teach.check_workers(answer, timed)
    assert not said.right
    assert hint in said.text


def test_three_dots_are_no_answer(timed):
    assert teach.check_workers(..., timed) is teach.UNANSWERED
