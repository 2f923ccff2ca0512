"""The synthetic heads: calibrated to the published figures, different by seed, failing as named."""

import hashlib
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

IMAGES_SHA256 = "ef01383374334c0f502b0e4c386cd0e415d0926f61e231f3e73f398e7f4cf1b8"
REFERENCE_SHA256 = "e4408df6759769870786a4454e84b085639805f10101d294d58d9bba73df23b1"
KEEP_EDGE = PipelineSettings(drop_edge_touching=False)
SMALL = {"levels": (20.0,), "shape": (192, 156), "spacing_mm": (1.5, 1.5)}


@cache
def stack_of(name):
    return variant(name) if name else published_stack()


@cache
def traces_of(name):
    return tuple(trace_skull_mask(image) for image in stack_of(name).images)


def masks_of(name):
    return [trace.mask for trace in traces_of(name)]


def pairs_of(name):
    return zip(traces_of(name), stack_of(name).reference, strict=True)


def mean_iou(masks, stack, score=metrics.iou):
    return np.mean([score(*pair) for pair in zip(masks, stack.reference, strict=True)])


# --- the published stack ------------------------------------------------------------------------


def test_the_published_stack_is_the_same_everywhere_and_says_that_it_is_synthetic():
    stack = stack_of("")
    assert hashlib.sha256(stack.images.tobytes()).hexdigest() == IMAGES_SHA256
    assert hashlib.sha256(stack.reference.tobytes()).hexdigest() == REFERENCE_SHA256
    assert stack.images.shape == stack.reference.shape == published.SHAPE
    assert (stack.images.dtype, stack.reference.dtype) == (np.float32, np.uint8)
    assert (stack.spacing_mm, stack.groups) == ((0.375, 0.375), ("phantom",) * 5)
    assert (stack.name, stack.synthetic) == ("synthetic phantom", True)


def test_range_thresholds_and_edge_contacts_are_the_published_ones():
    images = stack_of("").images
    assert (f"{images.min():.2e}", f"{images.max():.2e}") == ("1.83e-07", "3.49e-05")
    assert [trace.threshold for trace in traces_of("")] == [published.OTSU_THRESHOLD] * 5
    assert [trace.n_edge_touching for trace in traces_of("")] == list(published.EDGE_TOUCHING)


def test_every_row_of_the_sweep_is_within_5e_4_and_26_is_best():
    stack, measured = stack_of(""), {}
    for width, row in published.SWEEP.items():
        masks = [create_skull_mask(image, width) for image in stack.images]
        measured[width] = mean_iou(masks, stack)
        assert measured[width] == pytest.approx(row.iou, abs=5e-4)
        assert mean_iou(masks, stack, metrics.dice) == pytest.approx(row.dice, abs=5e-4)
    assert max(measured, key=measured.get) == published.KERNEL_WIDTH


def test_mean_over_slices_and_pooled_over_pixels_differ_as_published():
    masks, stack = masks_of(""), stack_of("")
    assert round(mean_iou(masks, stack), 4) == published.SWEEP[published.KERNEL_WIDTH].iou
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


@settings(max_examples=8, deadline=None)
@given(st.floats(1.0, 3.0), st.floats(1.0, 3.0), st.integers(0, 99))
def test_the_reference_covers_the_same_area_in_mm_whatever_the_pixels(row, column, seed):
    def area(spacing):
        shape = (int(300 / spacing[0]), int(250 / spacing[1]))
        stack = subject(seed, levels=[20], shape=shape, spacing_mm=spacing)
        return stack.reference.sum() * spacing[0] * spacing[1]

    assert area((row, column)) == pytest.approx(area((1.0, 1.0)), rel=0.01)


@pytest.mark.parametrize(
    "wrong",
    [
        {"seed": -1},
        {"n_slices": 0},
        {"levels": [140]},
        {"shape": (4, 40)},
        {"spacing_mm": (0.0, 1.0)},
    ],
)
def test_what_cannot_be_drawn_is_refused_in_one_sentence(wrong):
    with pytest.raises(InvalidSetting, match="levels from -30 to 100 mm, 16 x 16 pixels or more"):
        subject(**({"seed": 1} | wrong))
    with pytest.raises(InvalidSetting, match="bridge-and-cut"):
        variant("no-such-head")


# --- variants -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "sides"),
    [
        ("scalp-cut-one-side", [2]),
        ("scalp-cut-two-sides", [2, 3]),
        ("scalp-cut-all-sides", [0, 1, 2, 3]),
    ],
)
def test_a_cut_scalp_touches_the_sides_named_and_the_skull_is_whole(name, sides):
    for trace, reference in pairs_of(name):
        b = trace.binary
        touched = [b[0].any(), b[-1].any(), b[:, 0].any(), b[:, -1].any()]
        assert [side for side, touches in enumerate(touched) if touches] == sides
        assert trace.n_edge_touching > 0
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
    kept = [trace_skull_mask(image, KEEP_EDGE).mask for image in stack.images]
    for masks, (low, high) in ((masks_of(name), with_rule), (kept, without)):
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
    assert all(trace.n_edge_touching > 0 for trace in traces_of("vertex-cut"))
    assert all(described.endswith(".") for described in VARIANTS.values())


def test_contrast_noise_coil_and_vessels_are_changed_as_named():
    def spread(stack):
        head = stack.images[0][stack.reference[0] > 0]
        return np.std(head) / np.mean(head)

    def noise(stack):  # in the air, against the mean signal of the head
        return np.std(stack.images[:, :40, :40]) / np.mean(stack.images[stack.reference > 0])

    def middle_to_rim(stack):
        depth = ndimage.distance_transform_edt(stack.reference[4])
        rim = (depth > 10) & (depth < 30)
        return np.median(stack.images[4][depth > 60]) / np.median(stack.images[4][rim])

    nominal = stack_of("")
    assert spread(stack_of("low-contrast")) < 0.6 * spread(nominal)
    assert noise(stack_of("noise")) > 3 * noise(nominal)
    assert middle_to_rim(stack_of("strong-coil")) < 0.75 * middle_to_rim(nominal)
    assert traces_of("low-contrast")[2].threshold > 40  # without vessels
    assert (nominal.images[2] > 0.5 * nominal.images[2].max()).mean() < 1e-3


def test_the_gap_decides_which_kernel_width_is_best():
    def best_width(name):
        stack, means = stack_of(name)[:2], {}
        for width in (12, 18, 26, 34, 42, 50):
            masks = [create_skull_mask(image, width) for image in stack.images]
            means[width] = mean_iou(masks, stack)
        return max(means, key=means.get)

    assert best_width("narrow-gap") < 26 < best_width("wide-gap")
