import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skullnb import metrics
from skullnb.errors import InvalidImage, InvalidSetting
from skullnb.pipeline import PipelineSettings, trace_skull_mask
from skullnb.stack import Stack
from skullnb.sweep import best_width, parse_widths, summarise, sweep_kernel_width


def square_heads(**about):
    images, reference = np.zeros((2, 40, 48)), np.zeros((2, 40, 48), dtype=np.uint8)
    images[0, 12:22, 12:30] = images[1, 15:25, 20:30] = 1.0
    reference[0, 10:25, 10:33] = reference[1, 13:27, 18:32] = 1
    return Stack(images, reference, **about)


@given(
    st.lists(st.integers(0, 20), min_size=1, max_size=4, unique=True),
    st.sampled_from([None, (0.5, 1.0)]),
    st.sampled_from(["ellipse", "rectangle"]),
    st.lists(st.sampled_from(metrics.OVERLAPS + metrics.DISTANCES), min_size=1, unique=True),
)
@settings(max_examples=30, deadline=None)
def test_every_row_is_what_the_whole_pipeline_gives(widths, spacing, shape, names):
    stack = square_heads(spacing_mm=spacing, groups=("anna", "ben"))
    chosen = PipelineSettings(kernel_shape=shape, reach_mm=3.0)  # the reach is not used
    sweep = sweep_kernel_width(stack, widths, names, chosen)
    assert len(sweep) == 2 * len(widths)
    for row in sweep.to_dict("records"):
        width = row["kernel_width"]
        settings = PipelineSettings(width, kernel_shape=shape)
        trace = trace_skull_mask(stack.images[row["position"]], settings)
        expected = metrics.score(trace.mask, stack.reference[row["position"]], spacing)
        assert [row[name] for name in names] == [expected[name] for name in names]
        assert row["group"] == stack.groups[row["position"]]
        assert row.get("reach_mm") == (0.75 * max(width - 1, 0) / 2 if spacing else None)


def test_the_best_width_depends_on_what_the_metric_wants():
    for metric, values, best in (
        ("iou", (0.5, 0.9, 0.7), 2),
        ("assd", (3.0, 2.0, 1.0), 3),
        ("volume_difference", (-0.3, 0.2, 0.1), 3),
        ("iou", (0.9, 0.9, np.nan), 1),
    ):
        rows = pd.DataFrame({"position": 0, "kernel_width": [1, 2, 3], metric: values})
        assert best_width(rows.sample(frac=1, random_state=0), metric) == best


def test_slices_without_a_score_are_left_out_of_the_mean():
    rows = pd.DataFrame({"kernel_width": [26, 26, 28, 28], "iou": [np.nan, 0.5, np.nan, np.nan]})
    np.testing.assert_array_equal(summarise(rows).iou, [0.5, np.nan])
    with pytest.raises(InvalidSetting, match="all empty"):
        best_width(rows[2:])
    stack = square_heads()
    stack.reference[1] = 0
    found = sweep_kernel_width(stack, [3, 5], ["iou", "assd"])
    assert found.iou.notna().tolist() == found.assd.notna().tolist() == [True, True, False, False]


def test_an_impossible_sweep_is_refused():
    for stack, widths, names, message in (
        (square_heads(), (), ("iou",), "Give widths"),
        (square_heads(), (-1,), ("iou",), "whole number"),
        (square_heads(), (3,), ("f1",), "metrics of iou, dice"),
        (Stack(np.zeros((1, 4, 4))), (3,), ("iou",), "needs a reference mask"),
    ):
        with pytest.raises(InvalidSetting, match=message):
            sweep_kernel_width(stack, widths, names)
    images = np.zeros((6, 8, 8))
    images[5, 0, 0] = np.nan
    with pytest.raises(InvalidImage, match="lice 5"):
        sweep_kernel_width(Stack(images, np.ones(images.shape, dtype=np.uint8))[4:], [3])


@pytest.mark.parametrize("text", ["", "a", "5:3", "1:2:3:4", "1:5:0", "2,,3", "1:2,3", "1.5", ":"])
def test_widths_that_cannot_be_read_are_refused_and_a_typing_error_fills_no_memory(text):
    with pytest.raises(InvalidSetting, match="not understood"):
        parse_widths(text)
    assert len(parse_widths("0:999999999999")) < 2000
