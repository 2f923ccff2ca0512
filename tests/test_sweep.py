import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skullnb import metrics, published
from skullnb.errors import InvalidImage, InvalidSetting
from skullnb.phantom import published_stack
from skullnb.pipeline import PipelineSettings, trace_skull_mask
from skullnb.stack import Stack
from skullnb.sweep import best_width, parse_widths, summarise, sweep_kernel_width


def square_heads(**about):
    images, reference = np.zeros((2, 40, 48)), np.zeros((2, 40, 48), dtype=np.uint8)
    images[0, 12:22, 12:30] = 1.0
    reference[0, 10:25, 10:33] = 1
    images[1, 15:25, 20:30] = 1.0
    reference[1, 13:27, 18:32] = 1
    return Stack(images, reference, **about)


@given(
    st.lists(st.integers(0, 20), min_size=1, max_size=4, unique=True),
    st.sampled_from([None, (2.0, 2.0)]),
    st.lists(st.sampled_from(metrics.OVERLAPS + metrics.DISTANCES), min_size=1, unique=True),
)
@settings(max_examples=30, deadline=None)
def test_every_row_is_what_the_whole_pipeline_gives(widths, spacing, names):
    stack = square_heads(spacing_mm=spacing, groups=("anna", "ben"))
    sweep = sweep_kernel_width(stack, widths, names)
    assert len(sweep) == 2 * len(widths)
    for row in sweep.to_dict("records"):
        settings = PipelineSettings(kernel_width=row["kernel_width"])
        trace = trace_skull_mask(stack.images[row["position"]], settings)
        expected = metrics.score(trace.mask, stack.reference[row["position"]], spacing)
        assert [row[name] for name in names] == [expected[name] for name in names]
        assert row["group"] == stack.groups[row["position"]]


def test_other_settings_are_kept_and_a_reach_is_not_used():
    stack = square_heads()
    ellipse = sweep_kernel_width(stack, (9,))
    rectangle = sweep_kernel_width(stack, (9,), settings=PipelineSettings(kernel_shape="rectangle"))
    assert (ellipse.iou != rectangle.iou).all()
    in_mm = sweep_kernel_width(stack, (9,), settings=PipelineSettings(reach_mm=3.0))
    pd.testing.assert_frame_equal(in_mm, ellipse)


def test_the_phantom_gives_the_published_sweep():
    means = summarise(sweep_kernel_width(published_stack(), published.SWEEP))
    for row in means.itertuples():
        expected = published.SWEEP[row.kernel_width]
        assert row.iou == pytest.approx(expected.iou, abs=5e-4)
        assert row.dice == pytest.approx(expected.dice, abs=5e-4)
    assert means.kernel_width[means.iou.idxmax()] == published.KERNEL_WIDTH


def test_the_reach_in_mm_stands_beside_the_width_where_the_spacing_is_known():
    assert "reach_mm" not in sweep_kernel_width(square_heads(), (3,))
    known = sweep_kernel_width(square_heads(spacing_mm=(0.5, 1.0)), (0, 3, 26))
    # A kernel of w px reaches (w - 1) / 2 px on average, here of 0.75 mm on average.
    assert summarise(known).reach_mm.tolist() == [0.0, 0.75, 12.5 * 0.75]


@pytest.mark.parametrize(
    ("metric", "values", "best"),
    [
        ("iou", (0.5, 0.9, 0.7), 2),
        ("assd", (3.0, 2.0, 1.0), 3),
        ("hd95", (1.0, 2.0, 3.0), 1),
        ("volume_difference", (-0.3, 0.2, 0.1), 3),
        ("iou", (0.9, 0.9, 0.7), 1),
        ("iou", (np.nan, 0.1, 0.2), 3),
    ],
)
def test_the_best_width_depends_on_what_the_metric_wants(metric, values, best):
    rows = pd.DataFrame({"position": 0, "kernel_width": [1, 2, 3], metric: values})
    assert best_width(rows.sample(frac=1, random_state=0), metric) == best


def test_slices_without_a_score_are_left_out_of_the_mean():
    scores = [np.nan, 0.5, np.nan, np.nan]
    rows = pd.DataFrame({"position": [0, 1] * 2, "kernel_width": [26, 26, 28, 28], "iou": scores})
    np.testing.assert_array_equal(summarise(rows).iou, [0.5, np.nan])
    with pytest.raises(InvalidSetting, match="all empty"):
        best_width(rows[2:])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"widths": ()}, "at least one"),
        ({"widths": (-1,)}, "whole number"),
        ({"metrics": ("f1",)}, "Unknown metric 'f1'; there are iou, dice"),
        ({"stack": Stack(np.zeros((1, 4, 4)))}, "has none; give one"),
    ],
)
def test_an_impossible_sweep_is_refused(change, message):
    with pytest.raises(InvalidSetting, match=message):
        sweep_kernel_width(**{"stack": square_heads(), "widths": (3,), **change})


def test_a_slice_that_cannot_be_swept_is_called_by_its_number_in_the_file():
    images = np.zeros((106, 8, 8))
    images[105, 0, 0] = np.nan
    stack = Stack(images, np.zeros(images.shape, dtype=np.uint8))[104:]
    assert sweep_kernel_width(stack[:1], [3]).slice.tolist() == [104]
    with pytest.raises(InvalidImage, match="lice 105"):
        sweep_kernel_width(stack, [3])


@pytest.mark.parametrize("text", ["", "a", "5:3", "1:2:3:4", "1:5:0", "2,,3", "1.5", ":"])
def test_widths_that_cannot_be_read_are_refused(text):
    with pytest.raises(InvalidSetting, match="not understood"):
        parse_widths(text)


def test_a_typing_error_in_the_widths_does_not_fill_the_memory():
    assert len(parse_widths("0:999999999999")) < 2000
