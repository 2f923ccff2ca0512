import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skullnb import reach as kernel
from skullnb.errors import InvalidSetting
from skullnb.pipeline import PipelineSettings, dilate
from skullnb.reach import asked_remark, kernel_width_for, reach_mm, span_remark


@given(st.integers(0, 80), st.sampled_from(["ellipse", "rectangle"]))
def test_a_kernel_reaches_as_far_as_the_pipeline_carries_a_pixel(width, shape):
    pixel = np.zeros((2 * width + 1, 2 * width + 1), dtype=np.uint8)
    pixel[width, width] = 1
    grown = dilate(pixel, width, shape)
    rows, columns = np.nonzero(grown)
    low, high = max(width - 1, 0) // 2, width // 2
    assert kernel.kernel_reach(width, shape) == (low, high, low, high)
    assert (rows.min(), rows.max()) == (width - low, width + high)
    assert (columns.min(), columns.max()) == (width - low, width + high)
    bar = np.pad(np.ones((3, 9), dtype=np.uint8), 9)  # it becomes 6 x 12 px, one px to one side
    assert [kernel.mirror_asymmetry(bar, 4, "rectangle", axis) for axis in (0, 1)] == [24, 12]


@given(st.floats(0, 40), st.floats(0.1, 3))
def test_no_odd_width_reaches_nearer_to_what_was_asked_and_of_two_the_narrower(reach, spacing):
    width = kernel_width_for(reach, spacing)
    assert width % 2 == 1
    off = abs(reach_mm(width, spacing)[0] - reach)
    # A thousandth of a pixel is no difference.
    assert off <= abs((width + 1) / 2 * spacing - reach) + 1.01e-3 * spacing
    assert width == 1 or off < abs((width - 3) / 2 * spacing - reach) + 1.01e-3 * spacing
    assert kernel_width_for(7.5, 1.0) == 15  # 15 and 17 are equally near
    assert kernel_width_for(6, (1.0, 0.5)) == 17  # the mean of both sides decides


@pytest.mark.parametrize("spacing", [0, (1, 0), np.nan, (np.inf, 1), 1e-3, 5e-324])
def test_a_reach_that_makes_no_sense_in_px_is_refused(spacing):
    with pytest.raises(InvalidSetting, match=r"finite and above zero|check both numbers"):
        kernel_width_for(7, spacing)
    with pytest.raises(InvalidSetting, match="whole number of pixels"):
        kernel.kernel_reach(-1)


@given(st.integers(1, 80), st.floats(0.1, 12), st.floats(0.5, 2))
def test_whoever_takes_the_advice_hears_no_more_and_nobody_is_told_to_keep_what_is(
    width, spacing, ratio
):
    sides = (spacing, spacing * ratio)
    if remark := span_remark(width, sides):
        advised = kernel_width_for(sum(kernel.CHOSEN_REACHES_MM) / 2, sides)
        reaches = dict.fromkeys(f"{one:.3g}" for one in reach_mm(advised, sides))
        told = re.search(r"--kernel-width (\d+), .* reaches (.*) mm$", remark).groups()
        assert told == (str(advised), " x ".join(reaches))
        assert abs(advised - width) > 1
        assert span_remark(advised, sides) == ""


def test_a_kernel_is_remarked_on_with_both_ways_out_and_not_without_cause():
    found = span_remark(26, (1.0, 1.0))
    assert re.search("reaches 12.5 mm here, .* by 7 to 8 mm, .* width, reaches 7 mm$", found)
    assert "0.65 x 1.2 mm" in span_remark(26, (0.052, 0.096))
    assert span_remark(26, (0.001, 0.001)).endswith("check the spacing")
    for width, spacing in ((26, None), (0, (1, 1)), (5, (3.0, 3.0))):
        assert span_remark(width, spacing) == ""


def test_a_reach_that_pixels_cannot_give_is_told():
    found = asked_remark(PipelineSettings(reach_mm=7.5), (3.0, 3.0))
    assert found.endswith("5 px, the nearest of odd width, reaches 6 mm here")
    for asked, spacing in ((7.5, (1.0, 1.0)), (0, (1.0, 1.0)), (7.5, None), (None, (3.0, 3.0))):
        assert asked_remark(PipelineSettings(reach_mm=asked), spacing) == ""
