import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from skullnb import metrics
from skullnb.phantom import published_stack
from skullnb.pipeline import create_skull_mask, normalise, otsu_threshold
from skullnb.published import VERSIONS
from skullnb.stack import Stack
from skullnb.study import history
from skullnb.study.history import RECIPES, component_dilated, fixed_threshold, measure

# The published IoUs have two decimals, and the stand-in only resembles the article's slices.
AGREES = 0.02
IMAGES = hnp.arrays(np.uint8, st.tuples(st.integers(3, 16), st.integers(3, 16)))


@pytest.fixture(scope="module")
def stack():
    return published_stack()


def test_every_published_version_has_a_recipe_that_agrees_and_those_left_open_have_several(stack):
    table = measure(stack)
    count = table.version.value_counts(sort=False)
    assert list(count.index) == list(VERSIONS)  # in the order of the story
    assert count.tolist() == [1, 1, 3, 3, 3, 1]
    assert ((table.iou - table.published).abs() <= AGREES).all()
    assert table.published.tolist() == [VERSIONS[one] for one in table.version]
    filled = [ndimage.binary_fill_holes(history.otsu_largest(image)) for image in stack.images]
    scores = [metrics.iou(*pair) for pair in zip(filled, stack.reference, strict=True)]
    assert np.mean(scores) > VERSIONS["v1"] + 2 * AGREES  # v1 with its holes filled
    image = stack.images[1]
    np.testing.assert_array_equal(RECIPES[-1].make_mask(image), create_skull_mask(image))
    np.testing.assert_array_equal(component_dilated(image, 20), create_skull_mask(image, 20))


@given(IMAGES, st.integers(0, 255))
def test_recipes_do_what_their_words_say(image, level):
    levels = normalise(image)
    every, largest, filled = (
        fixed_threshold(image, level, end) for end in ("all", "largest", "filled")
    )
    np.testing.assert_array_equal(every, levels > level)
    labels, count = ndimage.label(every, structure=np.ones((3, 3)))
    areas = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    assert largest.sum() == (areas.max() if count else 0)
    assert np.all(largest <= every)
    np.testing.assert_array_equal(filled, ndimage.binary_fill_holes(largest))
    otsu = otsu_threshold(levels)
    np.testing.assert_array_equal(
        history.otsu_largest(image), fixed_threshold(image, otsu, "largest")
    )
    dark = levels <= otsu
    frame = np.zeros_like(dark)
    frame[[0, -1]] = frame[:, [0, -1]] = True
    flooded = ndimage.binary_propagation(dark & frame, mask=dark)
    np.testing.assert_array_equal(history.flood_from_edges(image), ~flooded)


def test_slices_without_a_score_do_not_count():
    square = np.zeros((2, 20, 20), dtype=np.uint8)
    square[0, 5:15, 5:15] = 1  # on the other slice both masks are empty
    assert measure(Stack(square * 1.0, square)).iou[0] == 1.0
