import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skullnb.errors import InvalidSetting
from skullnb.phantom import subject
from skullnb.pipeline import dilate, structuring_element, trace_skull_mask
from skullnb.reach import (
    disc_element,
    grown_pixel,
    kernel_reach,
    kernel_shift,
    kernel_width_for,
    mirror_asymmetry,
    radial_reach,
    reach_mm,
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
    assert kernel_reach(26) == (12, 13, 12, 13)
    assert kernel_reach(26, "rectangle") == (12, 13, 12, 13)


@given(WIDTHS, SHAPES)
def test_both_sides_together_reach_one_less_than_the_width(width, shape):
    sides = kernel_reach(width, shape)
    assert sides.top + sides.bottom == sides.left + sides.right == width - 1
    assert sides.bottom - sides.top == sides.right - sides.left == (width % 2 == 0)


@given(WIDTHS)
def test_a_rectangle_of_even_width_moves_by_half_a_pixel(width):
    expected = 0.5 if width % 2 == 0 else 0.0
    assert kernel_shift(width, "rectangle") == pytest.approx((expected, expected))


@given(st.integers(1, 60))
def test_opencvs_even_ellipse_is_the_next_odd_one_without_a_row_and_a_column(half):
    even, odd = structuring_element(2 * half), structuring_element(2 * half + 1)
    np.testing.assert_array_equal(even, odd[:-1, :-1])


@given(st.integers(2, 60))
def test_the_even_ellipse_moves_by_less_than_half_a_pixel(half):
    row, column = kernel_shift(2 * half)
    assert 0 < row <= column < 0.5


@given(WIDTHS, SHAPES)
def test_only_odd_kernels_are_their_own_mirror_image(width, shape):
    grown = grown_pixel(width, shape)
    symmetric = bool((grown == grown[:, ::-1]).all() and (grown == grown[::-1]).all())
    assert symmetric == (width % 2 == 1)


@given(st.integers(0, 30), st.sampled_from([0, 1]))
@settings(max_examples=20)
def test_a_symmetric_kernel_does_not_care_about_mirroring(half, axis):
    brain = np.zeros((50, 60), dtype=np.uint8)
    brain[12:30, 20:33] = 1
    brain[25:28, 33:40] = 1
    assert mirror_asymmetry(brain, 2 * half + 1, axis=axis) == 0


def test_an_even_kernel_does_on_a_head():
    head = subject(3, levels=[26.0], shape=(384, 312), spacing_mm=(0.75, 0.75))
    brain = trace_skull_mask(head.images[0]).brain
    assert mirror_asymmetry(brain, 13) == mirror_asymmetry(brain, 15) == 0
    assert mirror_asymmetry(brain, 14) > 0
    assert mirror_asymmetry(brain, 14, "rectangle") > mirror_asymmetry(brain, 14)


def test_a_disc_is_symmetric_and_nearly_pi_r_squared():
    for width in range(1, 60):
        disc = disc_element(width)
        np.testing.assert_array_equal(disc, disc[::-1])
        np.testing.assert_array_equal(disc, disc.T)
        if width > 10:
            assert disc.sum() == pytest.approx(np.pi * width**2 / 4, rel=0.04)


@given(WIDTHS, SHAPES)
def test_reach_along_the_axes_is_the_reach_to_the_sides(width, shape):
    right, bottom, left, top = radial_reach(width, np.arange(4) * np.pi / 2, shape)
    assert (top, bottom, left, right) == pytest.approx(kernel_reach(width, shape))


@given(st.floats(0, 40), st.floats(0.1, 3))
def test_no_odd_width_reaches_nearer_to_what_was_asked(reach, spacing):
    width = kernel_width_for(reach, spacing)
    assert width % 2 == 1
    off = abs(reach_mm(width, spacing)[0] - reach)
    for other in (width - 2, width + 2):
        if other >= 1:
            assert off <= abs((other - 1) / 2 * spacing - reach) + 1e-9


@given(st.floats(0, 40), st.floats(0.1, 3))
def test_any_width_comes_at_least_as_near_as_an_odd_one(reach, spacing):
    odd, any_width = (kernel_width_for(reach, spacing, odd=odd) for odd in (True, False))
    far, near = (abs(reach_mm(width, spacing)[0] - reach) for width in (odd, any_width))
    assert near <= far + 1e-9


def test_the_articles_kernel_is_found_from_its_own_reach():
    for spacing in (0.25, 0.375, 0.5, 1.0):
        down, across = reach_mm(26, spacing)
        assert down == across
        assert kernel_width_for(down, spacing, odd=False) == 26


def test_pixels_that_are_not_square_are_refused_when_it_matters():
    with pytest.raises(InvalidSetting, match="11 px high and 21 px wide"):
        kernel_width_for(5, (1.0, 0.5))
    assert kernel_width_for(5, (0.5, 0.501)) == 21
    assert reach_mm(21, (1.0, 0.5)) == (10.0, 5.0)


@pytest.mark.parametrize("spacing", [0, -1, (1, 0), (1, 1, 1), float("nan"), float("inf"), ()])
def test_a_spacing_that_is_none_is_refused(spacing):
    with pytest.raises(InvalidSetting, match="spacing must be"):
        kernel_width_for(5, spacing)


@pytest.mark.parametrize("reach", [-0.1, float("nan"), float("inf")])
def test_a_reach_that_is_none_is_refused(reach):
    with pytest.raises(InvalidSetting, match="reach must be"):
        kernel_width_for(reach, 1.0)
    with pytest.raises(InvalidSetting, match="reach must be"):
        kernel_width_for(5, 5e-324)


def test_a_kernel_too_wide_for_the_pipeline_is_refused():
    with pytest.raises(InvalidSetting, match="Check the spacing"):
        kernel_width_for(5, 0.001)


def test_the_default_kernel_is_remarked_on_where_pixels_are_larger():
    remark = span_remark(26, (1.0, 1.0))
    assert "26 px span 26 mm here" in remark
    assert "9.75 mm" in remark
    assert remark.endswith("--kernel-width 11 reaches as far")
    assert span_remark(11, (1.0, 1.0)) == ""


@pytest.mark.parametrize(
    ("width", "spacing"),
    [(26, None), (0, (1.0, 1.0)), (26, (0.375, 0.375)), (40, (0.375, 0.375)), (26, (0.45, 0.45))],
)
def test_a_kernel_is_not_remarked_on_without_cause(width, spacing):
    assert span_remark(width, spacing) == ""


def test_a_chosen_kernel_that_spans_another_distance_is_set_beside_the_default():
    assert "the default of 26 px spans 9.75 mm" in span_remark(20, (1.0, 1.0))


def test_pixels_that_are_not_square_get_a_width_for_either_direction():
    remark = span_remark(26, (0.5, 1.0))
    assert "13 × 26 mm" in remark
    assert "19 px reach as far up and down, 11 px left and right" in remark


def test_an_absurd_spacing_gets_no_width_to_choose():
    assert span_remark(26, (0.001, 0.001)).endswith("check the spacing")
