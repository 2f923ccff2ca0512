import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from skullnb import metrics
from skullnb.phantom import published_stack
from skullnb.pipeline import create_skull_mask, normalise, otsu_threshold, trace_skull_mask
from skullnb.published import VERSIONS
from skullnb.stack import Stack
from skullnb.study.history import (
    RECIPES,
    component_dilated,
    component_grown_in_passes,
    fixed_threshold,
    flood_from_edges,
    measure,
    meetings,
    one_of_each_version,
    otsu_largest,
    scan,
)

# The published IoUs have two decimals, and the stand-in only resembles the article's slices.
AGREES = 0.02
IMAGES = hnp.arrays(np.uint8, st.tuples(st.integers(3, 16), st.integers(3, 16)))


@pytest.fixture(scope="module")
def stack():
    return published_stack()


def test_every_published_version_has_a_recipe_and_those_left_open_have_several(stack):
    count = pd.Series([one.version for one in RECIPES]).value_counts(sort=False)
    assert list(count.index) == list(VERSIONS)  # in the order of the story
    assert count["v1"] == count["v2"] == count["v7"] == 1
    assert count[["v3-v4", "v5", "v6"]].min() >= 3
    for version in VERSIONS:
        own = [one for one in RECIPES if one.version == version]
        assert own[0] in one_of_each_version()
        assert len({one.make_mask(stack.images[2]).tobytes() for one in own}) == len(own)
    assert len({one.name for one in RECIPES}) == len(RECIPES)


def test_on_the_stand_in_every_recipe_agrees_with_its_published_iou(stack):
    table = measure(stack)
    assert ((table.iou - table.published).abs() <= AGREES).all()
    assert table.published.tolist() == [VERSIONS[one.version] for one in RECIPES]
    first = table.drop_duplicates("version").set_index("version")
    assert ((first.iou - first.published).abs()[["v1", "v2"]] <= 0.01).all()
    order = ["v3-v4", "v1", "v2", "v5", "v6", "v7"]
    assert first.iou[order].is_monotonic_increasing


def test_v1_with_its_holes_filled_would_not_agree(stack):
    filled = [ndimage.binary_fill_holes(otsu_largest(image)) for image in stack.images]
    scores = [metrics.iou(*pair) for pair in zip(filled, stack.reference, strict=True)]
    assert np.mean(scores) > VERSIONS["v1"] + 2 * AGREES


def test_v7_is_the_pipeline_and_v5_and_v6_are_it_with_another_kernel(stack):
    image = stack.images[1]
    np.testing.assert_array_equal(RECIPES[-1].make_mask(image), create_skull_mask(image))
    np.testing.assert_array_equal(component_dilated(image, 20), create_skull_mask(image, 20))
    grown, brain = component_grown_in_passes(image, 1), trace_skull_mask(image).brain
    assert np.all(grown >= brain)
    assert grown.sum() > brain.sum()


@given(IMAGES)
def test_v1_is_the_largest_bright_component_even_at_the_frame(image):
    mask = otsu_largest(image)
    normalised = normalise(image)
    bright = normalised > otsu_threshold(normalised)
    labels, count = ndimage.label(bright, structure=np.ones((3, 3)))
    areas = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    assert mask.sum() == (areas.max() if count else 0)
    assert not np.any(mask & ~bright)


@given(IMAGES)
def test_v2_is_what_a_flood_of_the_background_from_the_frame_leaves(image):
    normalised = normalise(image)
    dark = normalised <= otsu_threshold(normalised)
    frame = np.zeros_like(dark)
    frame[[0, -1]] = frame[:, [0, -1]] = True
    flooded = ndimage.binary_propagation(dark & frame, mask=dark)
    np.testing.assert_array_equal(flood_from_edges(image), ~flooded)


@given(IMAGES, st.integers(0, 255))
def test_a_fixed_threshold_keeps_less_with_the_largest_and_more_with_holes_filled(image, level):
    every, largest, filled = (
        fixed_threshold(image, level, e) for e in ("all", "largest", "filled")
    )
    np.testing.assert_array_equal(every, normalise(image) > level)
    assert np.all(largest <= every)
    np.testing.assert_array_equal(filled, ndimage.binary_fill_holes(largest))


@given(st.integers(1, 4), st.integers(1, 6))
def test_passes_of_a_small_square_are_one_pass_of_a_large_one(half, passes):
    image = np.zeros((90, 90))
    image[40:48, 38:50] = 1
    many = component_grown_in_passes(image, passes, 2 * half + 1, "rectangle")
    one = component_dilated(image, 2 * half * passes + 1, "rectangle")
    np.testing.assert_array_equal(many, one)


@given(st.integers(1, 12))
def test_passes_of_a_cross_draw_a_diamond(passes):
    rows, columns = np.indices((41, 41)) - 20
    away = np.abs(rows) + np.abs(columns)
    grown = component_grown_in_passes((away == 0).astype(float), passes)
    np.testing.assert_array_equal(grown, away <= passes)


def test_a_flat_slice_gives_every_recipe_an_empty_mask_and_no_score_to_the_mean():
    for one in RECIPES:
        mask = one.make_mask(np.ones((12, 12)))
        assert (mask.shape, mask.dtype, mask.sum()) == ((12, 12), np.uint8, 0)
    images = np.zeros((2, 20, 20))
    images[0, 5:15, 5:15] = 1
    assert measure(Stack(images, (images > 0).astype(np.uint8)), RECIPES[:1]).iou[0] == 1.0


def test_a_scan_gives_what_each_mask_scores_and_meets_a_score_wherever_its_lines_cross_it(stack):
    rows = scan(stack[:1], component_dilated, [18, 26], shape="rectangle")
    for value, iou in rows.itertuples(index=False):
        mask = component_dilated(stack.images[0], value, "rectangle")
        assert iou == metrics.iou(mask, stack.reference[0])
    rows = pd.DataFrame({"value": [10, 20, 30, 40], "iou": [0.8, 0.9, 0.9, 0.7]})
    assert meetings(rows, 0.85) == [15.0, 32.5]
    assert meetings(rows, 0.95) == meetings(rows.assign(iou=np.nan), 0.85) == []
