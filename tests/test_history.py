import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from skullnb.errors import InvalidSetting
from skullnb.history import (
    RECIPES,
    THRESHOLD_ENDINGS,
    component_dilated,
    component_grown_in_passes,
    fixed_threshold,
    flood_from_edges,
    otsu_largest,
    recipe,
)
from skullnb.journey import AGREES, measure, scan
from skullnb.phantom import published_stack
from skullnb.pipeline import create_skull_mask, normalise, otsu_threshold, trace_skull_mask
from skullnb.published import JOURNEY
from skullnb.stack import Stack

IMAGES = hnp.arrays(np.uint8, st.tuples(st.integers(3, 16), st.integers(3, 16)))


@pytest.fixture(scope="module")
def stack():
    return published_stack()


@pytest.fixture(scope="module")
def measured(stack):
    return {one.recipe.name: one for one in measure(stack)}


def test_every_published_version_has_a_recipe_and_no_recipe_lacks_one():
    assert {one.version for one in RECIPES} == set(JOURNEY)
    assert [one.version for one in RECIPES] == sorted(one.version for one in RECIPES)
    assert len({one.name for one in RECIPES}) == len(RECIPES)


def test_versions_that_the_article_leaves_open_have_several_candidates():
    count = {version: sum(one.version == version for one in RECIPES) for version in JOURNEY}
    assert count["v1"] == count["v2"] == count["v7"] == 1
    assert min(count["v3-v4"], count["v5"], count["v6"]) >= 3


def test_every_candidate_agrees_with_its_published_iou_on_the_phantom(measured):
    for one in measured.values():
        assert abs(one.iou - one.recipe.published_iou) <= AGREES, one.recipe.name
        assert one.agrees


def test_v1_and_v2_agree_to_a_hundredth(measured):
    for version in ("v1", "v2"):
        assert abs(measured[recipe(version).name].iou - JOURNEY[version]) <= 0.01


def test_candidates_of_one_version_differ_in_their_masks(stack):
    image = stack.images[2]
    for version in ("v3-v4", "v5", "v6"):
        masks = [one.make_mask(image).tobytes() for one in RECIPES if one.version == version]
        assert len(set(masks)) == len(masks)


def test_v1_with_its_holes_filled_would_not_agree(stack):
    scores = []
    for image, reference in zip(stack.images, stack.reference, strict=True):
        filled = ndimage.binary_fill_holes(otsu_largest(image))
        scores.append((filled & (reference > 0)).sum() / (filled | (reference > 0)).sum())
    assert np.mean(scores) > JOURNEY["v1"] + 2 * AGREES


def test_v7_is_the_pipeline_and_later_versions_score_better(stack, measured):
    image = stack.images[0]
    np.testing.assert_array_equal(recipe("v7").make_mask(image), create_skull_mask(image))
    order = [measured[recipe(version).name].iou for version in JOURNEY]
    assert order[2] < order[0] < order[1] < order[3] < order[4] < order[5]


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
    every, largest, filled = (fixed_threshold(image, level, e) for e in THRESHOLD_ENDINGS)
    np.testing.assert_array_equal(every, normalise(image) > level)
    assert np.all(largest <= every)
    assert np.all(largest <= filled)


@given(st.integers(1, 4), st.integers(1, 6))
def test_passes_of_a_small_square_are_one_pass_of_a_large_one(half, passes):
    image = np.zeros((90, 90))
    image[40:48, 38:50] = 1
    width = 2 * half + 1
    many = component_grown_in_passes(image, passes, width, "rectangle")
    one = component_dilated(image, 2 * half * passes + 1, "rectangle")
    np.testing.assert_array_equal(many, one)


@given(st.integers(1, 12))
def test_passes_of_a_cross_draw_a_diamond(passes):
    image = np.zeros((41, 41))
    image[20, 20] = 1
    rows, columns = np.indices(image.shape) - 20
    diamond = np.abs(rows) + np.abs(columns) <= passes
    np.testing.assert_array_equal(component_grown_in_passes(image, passes), diamond)


def test_a_dilated_component_is_the_pipeline_with_another_kernel(stack):
    image = stack.images[1]
    np.testing.assert_array_equal(component_dilated(image, 20), create_skull_mask(image, 20))


def test_a_flat_slice_gives_every_recipe_an_empty_mask():
    for one in RECIPES:
        mask = one.make_mask(np.ones((12, 12)))
        assert mask.shape == (12, 12)
        assert mask.dtype == np.uint8
        assert not mask.any()


def test_impossible_recipes_are_refused_in_words():
    with pytest.raises(InvalidSetting, match="ending must be one of all, largest, filled"):
        fixed_threshold(np.zeros((3, 3)), 20, "most")
    with pytest.raises(InvalidSetting, match="threshold must be"):
        fixed_threshold(np.zeros((3, 3)), 256)
    with pytest.raises(InvalidSetting, match="At least one pass"):
        component_grown_in_passes(np.zeros((3, 3)), 0)
    with pytest.raises(InvalidSetting, match="No recipe called 'v8'"):
        recipe("v8")


def test_without_a_reference_nothing_is_scored(stack):
    bare = Stack(stack.images[:1])
    [one] = measure(bare, [recipe("v1")])
    assert one.iou is None
    assert one.agrees is None
    assert one.slice_iou == ()
    assert np.isnan(scan(bare, component_dilated, [3])["iou"]).all()


def test_a_scan_gives_what_each_mask_scores(stack):
    one_slice = stack[:1]
    rows = scan(one_slice, component_dilated, [18, 26])
    for value, iou in rows:
        mask = component_dilated(stack.images[0], int(value)) > 0
        reference = stack.reference[0] > 0
        assert iou == pytest.approx((mask & reference).sum() / (mask | reference).sum())
    assert rows["value"].tolist() == [18, 26]


def test_slices_without_any_mask_are_left_out_of_the_mean():
    images = np.zeros((2, 20, 20))
    images[0, 5:15, 5:15] = 1
    stack = Stack(images, (images > 0).astype(np.uint8))
    [one] = measure(stack, [recipe("v1")])
    assert one.iou == 1.0
    assert np.isnan(one.slice_iou[1])


def test_the_dilation_starts_from_the_component_that_the_pipeline_chooses(stack):
    image = stack.images[3]
    grown = component_grown_in_passes(image, 1)
    brain = trace_skull_mask(image).brain
    assert np.all(grown >= brain)
    assert grown.sum() > brain.sum()
