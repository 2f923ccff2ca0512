import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from skullnb.errors import InvalidSetting
from skullnb.phantom import subject
from skullnb.pipeline import PipelineSettings, dilate, structuring_element, trace_skull_mask
from skullnb.reach import (
    CHOSEN_REACHES_MM,
    asked_remark,
    grown_pixel,
    kernel_reach,
    kernel_width_for,
    mirror_asymmetry,
    reach_mm,
    same_dice,
    span_remark,
)

WIDTHS = st.integers(1, 80)
SHAPES = st.sampled_from(["ellipse", "rectangle"])


@given(st.integers(0, 40), SHAPES)
def test_a_grown_pixel_is_what_the_pipeline_makes_of_one(width, shape):
    pixel = np.zeros((2 * width + 1, 2 * width + 1), dtype=np.uint8)
    pixel[width, width] = 1
    np.testing.assert_array_equal(grown_pixel(width, shape), dilate(pixel, width, shape))


def test_a_width_of_26_reaches_12_one_way_and_13_the_other():
    assert kernel_reach(26) == kernel_reach(26, "rectangle") == (12, 13, 12, 13)


@given(WIDTHS, SHAPES)
def test_both_sides_reach_one_less_than_the_width_and_only_odd_kernels_are_their_mirror(
    width, shape
):
    sides, grown = kernel_reach(width, shape), grown_pixel(width, shape)
    assert sides.top + sides.bottom == sides.left + sides.right == width - 1
    assert sides.bottom - sides.top == sides.right - sides.left == (width % 2 == 0)
    symmetric = bool((grown == grown[:, ::-1]).all() and (grown == grown[::-1]).all())
    assert symmetric == (width % 2 == 1)


@given(st.integers(1, 60))
def test_opencvs_even_ellipse_is_the_next_odd_one_without_a_row_and_a_column(half):
    even, odd = structuring_element(2 * half), structuring_element(2 * half + 1)
    np.testing.assert_array_equal(even, odd[:-1, :-1])


@given(st.integers(0, 30), st.sampled_from([0, 1]))
@settings(max_examples=20)
def test_a_symmetric_kernel_does_not_care_about_mirroring(half, axis):
    brain = np.zeros((50, 60), dtype=np.uint8)
    brain[12:30, 20:33] = brain[25:28, 33:40] = 1
    assert mirror_asymmetry(brain, 2 * half + 1, axis=axis) == 0


def test_an_even_kernel_does_on_a_head():
    head = subject(3, levels=[26.0], shape=(384, 312), spacing_mm=(0.75, 0.75))
    brain = trace_skull_mask(head.images[0]).brain
    assert mirror_asymmetry(brain, 14, "rectangle") > mirror_asymmetry(brain, 14) > 0


@given(st.floats(0, 40), st.floats(0.1, 3))
def test_no_odd_width_reaches_nearer_to_what_was_asked_and_of_two_the_narrower(reach, spacing):
    width = kernel_width_for(reach, spacing)
    assert width % 2 == 1
    off = abs(reach_mm(width, spacing)[0] - reach)
    # A thousandth of a pixel is no difference.
    assert off <= abs((width + 1) / 2 * spacing - reach) + 1.01e-3 * spacing
    assert width == 1 or off < abs((width - 3) / 2 * spacing - reach) + 1.01e-3 * spacing
    assert kernel_width_for(7.5, 1.0) == 15  # 15 and 17 are equally near


def test_pixels_that_are_not_square_get_the_width_of_their_mean_and_two_reaches():
    assert kernel_width_for(6, (1.0, 0.5)) == 17
    assert reach_mm(17, (1.0, 0.5)) == (8.0, 4.0)


@pytest.mark.parametrize("spacing", [0, -1, (1, 0), float("nan"), float("inf")])
def test_a_spacing_that_is_none_is_refused(spacing):
    with pytest.raises(InvalidSetting, match="spacing must be"):
        kernel_width_for(5, spacing)


@pytest.mark.parametrize("reach", [-0.1, float("nan"), float("inf"), "7"])
def test_a_reach_that_is_none_is_refused(reach):
    with pytest.raises(InvalidSetting, match="reach must be"):
        kernel_width_for(reach, 1.0)


def test_a_kernel_too_wide_for_the_pipeline_is_refused():
    for spacing in (0.001, 5e-324):
        with pytest.raises(InvalidSetting, match="check both numbers"):
            kernel_width_for(5, spacing)


def test_a_kernel_that_reaches_too_far_is_remarked_on_with_both_ways_out():
    remark = span_remark(26, (1.0, 1.0))
    assert "reaches 12.5 mm here" in remark
    assert "7 to 8 mm" in remark
    assert remark.endswith("--kernel-width 15, is the nearest of odd width and reaches 7 mm")
    assert "0.65 x 1.2 mm" in span_remark(26, (0.052, 0.096))
    assert span_remark(26, (0.001, 0.001)).endswith("check the spacing")


@given(WIDTHS, st.floats(0.1, 12), st.floats(0.5, 2))
def test_whoever_takes_the_advice_hears_no_more_and_nobody_is_told_to_keep_what_is(
    width, spacing, ratio
):
    sides = (spacing, spacing * ratio)
    remark = span_remark(width, sides)
    if remark:
        advised = kernel_width_for(sum(CHOSEN_REACHES_MM) / 2, sides)
        assert f"--kernel-width {advised}," in remark
        assert abs(advised - width) > 1
        assert span_remark(advised, sides) == ""


@pytest.mark.parametrize(
    ("width", "spacing"),
    [(26, None), (0, (1.0, 1.0)), (26, (0.667, 0.7)), (15, (1.0, 1.0)), (5, (3.0, 3.0))],
)
def test_a_kernel_is_not_remarked_on_without_cause(width, spacing):
    assert span_remark(width, spacing) == ""


@given(st.integers(20, 200), st.floats(0.8, 8), st.floats(0.8, 8))
def test_the_reach_that_is_promised_is_the_one_that_comes(width, row, column):
    remark = span_remark(width, (row, column))
    if remark:
        advised, told = re.search(r"--kernel-width (\d+), .* reaches (.*) mm$", remark).groups()
        sides = reach_mm(int(advised), (row, column))
        assert {f"{one:.3g}" for one in sides} == set(told.split(" x "))


def test_a_reach_that_pixels_cannot_give_is_told():
    found = asked_remark(PipelineSettings(reach_mm=7.5), (3.0, 3.0))
    assert found.endswith("5 px, the nearest of odd width, reaches 6 mm here")
    for asked, spacing in ((7.5, (1.0, 1.0)), (0, (1.0, 1.0)), (7.5, None), (None, (3.0, 3.0))):
        assert asked_remark(PipelineSettings(reach_mm=asked), spacing) == ""


# --- from overlap to distance -------------------------------------------------------------------


@given(st.integers(0, 8), st.integers(0, 14))
def test_a_moved_border_and_a_bump_have_as_many_wrong_pixels(offset, aside):
    disc = np.add.outer(*[np.arange(-20, 21) ** 2] * 2) <= 20**2
    mask = np.pad(disc.astype(np.uint8), ((14, 14), (aside, 28 - aside)))
    moved, bumped = same_dice(mask, offset)
    assert (moved != mask).sum() == (bumped != mask).sum()
    assert ((moved >= mask) & (bumped >= mask) | (mask == 0)).all()
    assert ndimage.distance_transform_edt(mask == 0)[moved > 0].max() <= offset
    if offset:
        assert ndimage.distance_transform_edt(mask == 0)[bumped > 0].max() > 2 * offset


def test_what_has_no_border_is_refused():
    for mask, offset in ((np.zeros((4, 4), np.uint8), 1), (np.ones((4, 4), np.uint8), -1)):
        with pytest.raises(InvalidSetting, match="not empty"):
            same_dice(mask, offset)
