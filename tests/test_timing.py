"""What the stage timer reports: its structure, never how fast it was."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from skullnb import timing
from skullnb.errors import InvalidImage, InvalidSetting
from skullnb.figures import timing_tables
from skullnb.pipeline import PipelineSettings
from skullnb.stack import Stack


@pytest.fixture(scope="module")
def stack():
    return Stack(np.random.default_rng(1).random((3, 96, 80)))


@pytest.fixture
def four_threads():
    before = cv2.getNumThreads()
    cv2.setNumThreads(4)
    yield 4
    cv2.setNumThreads(before)


def test_shares_of_the_stages_sum_to_one(stack):
    times = timing.time_stages(stack, repeats=2)
    shares = [times[f"share_{stage}"] for stage in timing.STAGES]
    assert sum(shares) == pytest.approx(1)
    assert min(shares) > 0


def test_each_stage_and_the_whole_have_a_ratio_to_the_same_floor(stack):
    times = timing.time_stages(stack, repeats=1)
    assert set(times) == {
        *(f"share_{stage}" for stage in timing.STAGES),
        *(f"ratio_{stage}" for stage in (*timing.STAGES, "whole")),
        "ms_whole",
        "ms_floor",
    }
    assert times["ratio_whole"] == pytest.approx(times["ms_whole"] / times["ms_floor"])
    stage = timing.STAGES[0]
    total = sum(times[f"ratio_{one}"] for one in timing.STAGES)
    assert times[f"share_{stage}"] == pytest.approx(times[f"ratio_{stage}"] / total)


def test_opencv_works_with_one_thread_meanwhile(stack, four_threads, monkeypatch):
    seen = []
    dilate = timing.dilate
    monkeypatch.setattr(
        timing, "dilate", lambda *given: (seen.append(cv2.getNumThreads()), dilate(*given))[1]
    )
    timing.time_stages(stack, repeats=1)
    assert set(seen) == {1}
    assert cv2.getNumThreads() == four_threads


def test_the_threads_are_given_back_when_a_slice_is_refused(four_threads):
    with pytest.raises(InvalidImage):
        timing.time_stages(Stack(np.full((1, 8, 8), np.nan)), repeats=1)
    assert cv2.getNumThreads() == four_threads


def test_a_long_stack_is_timed_on_a_few_slices(monkeypatch):
    calls = []
    one_slice = timing._one_slice
    monkeypatch.setattr(
        timing, "_one_slice", lambda *given: (calls.append(1), one_slice(*given))[1]
    )
    timing.time_stages(Stack(np.random.default_rng(2).random((40, 16, 16))), repeats=2)
    assert len(calls) == timing.MOST_SLICES * 3


@pytest.mark.parametrize(
    "settings",
    [
        PipelineSettings(threshold=100),
        PipelineSettings(fill_holes=False, kernel_width=0),
        PipelineSettings(drop_edge_touching=False, connectivity=4, kernel_shape="rectangle"),
    ],
)
def test_any_settings_can_be_timed(stack, settings):
    assert timing.time_stages(stack, settings, repeats=1)["ms_whole"] > 0


def test_a_number_of_repeats_below_one_is_refused(stack):
    with pytest.raises(InvalidSetting, match="at least 1"):
        timing.time_stages(stack, repeats=0)


def test_a_hundred_thousand_slices_of_the_articles_shape_are_192_and_48_gb():
    need = timing.storage(Stack(np.zeros((1, 768, 624), dtype=np.float32)), 100_000)
    assert (round(need["images_gb"]), round(need["masks_gb"])) == (192, 48)
    assert need["slice_bytes"] == 4 * need["mask_bytes"] == 768 * 624 * 4


def test_the_machine_is_named_without_its_owner():
    named = timing.machine()
    assert all(named.values())
    assert not any("/" in value for name, value in named.items() if name != "processor")


def test_the_table_has_a_row_a_stage_and_one_for_the_whole(stack):
    table = timing_tables.stage_table(timing.time_stages(stack, repeats=1)).data
    assert [row.split(" | ")[0].strip("| ") for row in table.splitlines()[2:]] == [
        *timing.STAGES,
        "all in one call",
    ]


def test_published_times_are_told_from_projected_ones():
    rows = timing_tables.published_table().data.splitlines()[2:5]
    assert ["projected" in row for row in rows] == [False, True, True]
