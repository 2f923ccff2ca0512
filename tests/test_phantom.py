"""What the synthetic heads are like; `test_unchanged.py` holds them to the last bit."""

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from skullnb import metrics, published
from skullnb.errors import InvalidSetting
from skullnb.phantom import VARIANTS, published_stack, subject, variant
from skullnb.pipeline import PipelineSettings, create_skull_mask, trace_skull_mask

SMALL = {"levels": (20.0,), "shape": (192, 156), "spacing_mm": (1.5, 1.5)}


@cache
def stack_of(name):
    return variant(name) if name else published_stack()


@cache
def traces_of(name):
    return tuple(trace_skull_mask(image) for image in stack_of(name).images)


def pairs_of(name):
    return zip(traces_of(name), stack_of(name).reference, strict=True)


def mean_iou(masks, stack, score=metrics.iou):
    return np.mean([score(*pair) for pair in zip(masks, stack.reference, strict=True)])


# --- the published stack ------------------------------------------------------------------------


def test_range_thresholds_and_edge_contacts_are_the_published_ones():
    stack, traces = stack_of(""), traces_of("")
    assert stack.images.shape == stack.reference.shape == published.SHAPE
    assert (stack.name, stack.synthetic) == ("synthetic phantom", True)
    ends = stack.images.min(), stack.images.max()
    np.testing.assert_allclose(ends, published.INTENSITY_RANGE, rtol=2e-3)  # of three digits
    assert [trace.threshold for trace in traces] == [published.OTSU_THRESHOLD] * 5
    assert [trace.n_edge_touching for trace in traces] == list(published.EDGE_TOUCHING)


def test_every_row_of_the_sweep_is_within_5e_4_and_mean_and_pooled_scores_differ_as_published():
    stack, measured = stack_of(""), {}
    for width, row in published.SWEEP.items():
        masks = [create_skull_mask(image, width) for image in stack.images]
        measured[width] = mean_iou(masks, stack)
        assert measured[width] == pytest.approx(row.iou, abs=5e-4)
        assert mean_iou(masks, stack, metrics.dice) == pytest.approx(row.dice, abs=5e-4)
    best = max(measured, key=measured.get)
    assert best == published.KERNEL_WIDTH
    assert round(measured[best], 4) == published.SWEEP[best].iou
    masks = [trace.mask for trace in traces_of("")]
    assert round(metrics.iou(np.stack(masks), stack.reference), 4) == published.FINAL.iou


# --- subjects -----------------------------------------------------------------------------------


def test_a_subject_is_reproducible_and_differs_from_the_next_and_its_slices_in_their_noise():
    first, again, other = subject(1, **SMALL), subject(1, **SMALL), subject(2, **SMALL)
    assert np.array_equal(first.images, again.images)
    assert not np.array_equal(first.images, other.images)
    areas = [subject(seed, **SMALL).reference.sum() for seed in range(6)]
    assert 0.03 < np.std(areas) / np.mean(areas) < 0.2  # as people differ
    twice = subject(3, **SMALL | {"levels": (20.0, 20.0)})
    assert np.array_equal(*twice.reference)
    assert not np.array_equal(*twice.images)
    assert set(twice.groups) == {"subject-3"}


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


# --- variants -----------------------------------------------------------------------------------


def test_a_cut_scalp_touches_the_sides_named_and_the_skull_is_whole():
    for name, sides in (("scalp-cut-one-side", [2]), ("scalp-cut-all-sides", [0, 1, 2, 3])):
        for trace, reference in pairs_of(name):
            frame = trace.binary[0], trace.binary[-1], trace.binary[:, 0], trace.binary[:, -1]
            assert [side for side in range(4) if frame[side].any()] == sides
            assert np.pad(reference[1:-1, 1:-1], 1).sum() == reference.sum()


@pytest.mark.parametrize(
    ("name", "with_rule", "without"),
    [
        ("scalp-cut-all-sides", (0.97, 1), (0.97, 1)),
        ("brain-touches-frame", (0, 0.05), (0.95, 1)),
        ("bridge-and-cut", (0, 0.05), (0.6, 1)),
        ("thick-soft-tissue-cut", (0.97, 1), (0, 0.6)),
        ("hemispheres-apart", (0, 0.6), (0, 0.6)),
        ("vertex", (0, 0.93), (0, 1)),
        ("low-contrast", (0, 0.9), (0, 1)),
        ("noise", (0, 0.95), (0, 1)),
    ],
)
def test_the_edge_rule_loses_helps_or_cannot_help_as_named(name, with_rule, without):
    stack = stack_of(name)
    keep = PipelineSettings(drop_edge_touching=False)
    kept = [trace_skull_mask(image, keep).mask for image in stack.images]
    dropped = [trace.mask for trace in traces_of(name)]
    for masks, (low, high) in ((dropped, with_rule), (kept, without)):
        assert low <= mean_iou(masks, stack) <= high


def test_what_is_chosen_is_what_the_variant_is_named_for():
    for trace, reference in pairs_of("bridge"):
        scalp = (trace.binary > 0) & (reference == 0)
        assert trace.brain[scalp].mean() > 0.95
        assert (trace.brain & reference).sum() > 2 * scalp.sum()
    for trace, reference in pairs_of("thick-soft-tissue"):
        assert trace.n_edge_touching == (trace.brain & reference).sum() == 0
        assert trace.brain.sum() > (trace.binary & reference).sum()
    for trace in traces_of("hemispheres-apart"):
        assert np.sort(trace.components["area"])[-3] > 20_000
    assert stack_of("vertex").reference.sum((1, 2)).max() < stack_of("").reference[0].sum()
    assert all(described.endswith(".") for described in VARIANTS.values())
