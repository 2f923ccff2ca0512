"""What the synthetic heads promise; `test_unchanged.py` holds every one to the last bit."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from skullnb import metrics, published
from skullnb.errors import InvalidSetting
from skullnb.phantom import VARIANTS, published_stack, stacks, subject, variant
from skullnb.pipeline import create_skull_mask, create_skull_masks, trace_skull_mask


def mean_iou(masks, stack, score=metrics.iou):
    return np.mean([score(*pair) for pair in zip(masks, stack.reference, strict=True)])


def test_range_thresholds_and_edge_contacts_are_the_published_ones():
    stack = published_stack()
    traces = [trace_skull_mask(image) for image in stack.images]
    assert stack.images.shape == stack.reference.shape == published.SHAPE
    assert (stack.name, stack.synthetic) == ("synthetic phantom", True)
    ends = stack.images.min(), stack.images.max()
    np.testing.assert_allclose(ends, published.INTENSITY_RANGE, rtol=2e-3)  # of three digits
    assert [trace.threshold for trace in traces] == [published.OTSU_THRESHOLD] * 5
    assert [trace.n_edge_touching for trace in traces] == list(published.EDGE_TOUCHING)


def test_every_row_of_the_sweep_is_within_5e_4_and_mean_and_pooled_scores_differ_as_published():
    stack, measured = published_stack(), {}
    for width, row in published.SWEEP.items():
        masks = [create_skull_mask(image, width) for image in stack.images]
        measured[width] = mean_iou(masks, stack)
        assert measured[width] == pytest.approx(row.iou, abs=5e-4)
        assert mean_iou(masks, stack, metrics.dice) == pytest.approx(row.dice, abs=5e-4)
    best = max(measured, key=measured.get)
    assert best == published.KERNEL_WIDTH
    assert round(measured[best], 4) == published.SWEEP[best].iou
    masks = create_skull_masks(stack.images)
    assert round(metrics.iou(masks, stack.reference), 4) == published.FINAL.iou


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    shape=st.tuples(st.integers(16, 160), st.integers(16, 160)),
    spacing=st.tuples(st.floats(0.8, 8), st.floats(0.8, 8)),
    level=st.floats(-30, 100),
)
def test_any_frame_gives_positive_pixels_and_a_filled_reference(seed, shape, spacing, level):
    stack = subject(seed, levels=[level], shape=shape, spacing_mm=spacing)
    assert stack.images.shape == stack.reference.shape == (1, *shape)
    assert np.isfinite(stack.images).all()
    assert (stack.images > 0).all()
    assert np.array_equal(ndimage.binary_fill_holes(stack.reference[0]), stack.reference[0])


def test_what_cannot_be_drawn_is_refused_in_one_sentence():
    wrong = [{"seed": -1}, {"n_slices": 0}, {"levels": [140]}, {"shape": (4, 40)}]
    for one in [*wrong, {"spacing_mm": (0.0, 1.0)}]:
        with pytest.raises(InvalidSetting, match="levels from -30 to 100 mm, 16 x 16 pixels or m"):
            subject(**({"seed": 1} | one))
    with pytest.raises(InvalidSetting, match="bridge-and-cut"):
        variant("no-such-head")
    assert all(described.endswith(".") for described in VARIANTS.values())


def test_who_changes_a_head_changes_no_other():
    stacks.variant("noise").images[:] = 0
    assert stacks.variant("noise").images.any()
