"""The checks of the chapters on using the pipeline: right answers, and what wrong ones are told."""

from __future__ import annotations

import numpy as np
import pytest

from skullnb.chapter import open_chapter
from skullnb.teach import UNANSWERED, check_workers


@pytest.fixture(scope="module")
def chapter(tmp_path_factory):
    # 1000 px, 4 bytes each: 4 kB to read; 1 kB of plain masks, or 125 bytes of packed ones.
    path = tmp_path_factory.mktemp("data") / "small.npy"
    np.save(path, np.random.default_rng(0).random((2, 25, 40), dtype=np.float32))
    found = open_chapter("any", images=str(path))
    found.record(rate_one_worker=45_000.0)
    return found


@pytest.mark.parametrize("answer", [6, 6.0, np.int64(6), [6]])
def test_as_many_workers_as_the_storage_can_serve_are_right(chapter, answer):
    # 10^9 bytes a second are 242,424 slices of 4125 bytes: between five workers and six.
    assert check_workers(answer, chapter).right


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        (0, "Nobody"),
        (-3, "Nobody"),
        (5.4, "a whole number"),
        (5, "a byte a pixel"),
        (3, "fewer slices a second than the storage"),
        (40, "Fewer would do"),
        ("five", "One number"),
    ],
)
def test_a_wrong_number_of_workers_is_told_what_is_wrong(chapter, answer, hint):
    said = check_workers(answer, chapter)
    assert not said.right
    assert hint in said.text


def test_three_dots_are_no_answer(chapter):
    assert check_workers(..., chapter) is UNANSWERED
