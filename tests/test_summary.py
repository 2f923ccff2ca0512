from dataclasses import replace

import numpy as np
import pytest

from skullnb.errors import InvalidImage
from skullnb.pipeline import PipelineSettings, trace_skull_mask
from skullnb.stack import Stack
from skullnb.summary import area_changes, summarise_stack


def five_slices():
    images = np.zeros((5, 40, 48))
    images[1, 12:28, 14:34] = 1.0
    images[2, 10:20, 10:20] = images[2, 25:30, 25:30] = 1.0
    images[2, 0, 0] = 1.0
    return Stack(images)


def test_masks_and_table_are_those_of_the_traces():
    stack = five_slices()
    settings = PipelineSettings(kernel_width=5)
    summary = summarise_stack(stack, settings)
    for index, row in enumerate(summary.table):
        trace = trace_skull_mask(stack.images[index], settings)
        np.testing.assert_array_equal(summary.masks[index], trace.mask)
        assert row["threshold"] == trace.threshold
        assert row["n_components"] == len(trace.components)
        assert row["n_edge_touching"] == trace.n_edge_touching
        assert row["brain_px"] == trace.brain.sum()
        assert row["dilated_px"] == trace.dilated.sum()
        assert row["mask_px"] == trace.mask.sum()
    assert summary.table["n_edge_touching"].tolist() == [0, 0, 1, 0, 0]
    assert summary.n_empty == 3


def test_every_slice_is_visited_once_in_order():
    seen = []
    summarise_stack(
        five_slices(), visit=lambda index, trace: seen.append((index, trace.mask.any()))
    )
    assert seen == [(0, False), (1, True), (2, True), (3, False), (4, False)]


def test_slices_are_called_by_their_number_in_the_file():
    stack = five_slices()[2:]
    assert summarise_stack(stack).table["slice"].tolist() == [2, 3, 4]
    images = stack.images.copy()
    images[1, 0, 0] = np.inf
    broken = Stack(images, geometry=stack.geometry)
    with pytest.raises(InvalidImage, match="Slice 3 has 1 of"):
        summarise_stack(broken)


def test_a_warning_is_said_once_with_its_slices():
    lines = summarise_stack(five_slices()).warning_lines()
    empty = [line for line in lines if "the mask is empty" in line]
    assert empty == [
        "slices 0, 3-4: the mask is empty: the slice is flat: every pixel has the same value"
    ]


def test_warnings_that_differ_in_their_numbers_only_are_one_line_with_the_numbers_range():
    found = summarise_stack(five_slices())
    told = (("fills 9% of 1.2e-05",), (), ("fills 10% of 0.5", "9 of 9"), ("other",), ("9 of 9",))
    assert replace(found, warnings=told).warning_lines() == [
        "slices 0, 2: fills 9-10% of 1.2e-05-0.5",
        "slices 2, 4: 9 of 9",
        "slice 3: other",
    ]


def test_an_empty_slice_is_not_counted_as_warned_too():
    found = summarise_stack(five_slices())
    assert found.n_empty == 3
    assert replace(found, warnings=(("odd",),) * 5).n_warned == 2
    assert replace(found, warnings=((),) * 5).n_warned == 0


def test_an_area_is_compared_with_its_own_group_and_an_empty_mask_with_nothing():
    areas = np.array([100, 100, 50, 0, 10, 10, 20])
    groups = ("a", "a", "a", "a", "b", "b", "b")
    expected = [1 / 3, 1 / 3, -0.5, 0, -1 / 3, -1 / 3, 1]
    np.testing.assert_allclose(area_changes(areas, groups), expected)
    assert area_changes(areas[:2]).tolist() == [0, 0]
