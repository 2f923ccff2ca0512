"""The recipes v1 to v7; `test_unchanged.py` holds their scores beside the published ones."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from skullnb.pipeline import normalise, otsu_threshold
from skullnb.stack import Stack
from skullnb.study import history
from skullnb.study.history import fixed_threshold, measure

IMAGES = hnp.arrays(np.uint8, st.tuples(st.integers(3, 16), st.integers(3, 16)))


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
    largest = fixed_threshold(image, otsu, "largest")
    np.testing.assert_array_equal(history.otsu_largest(image), largest)
    dark = levels <= otsu
    frame = np.zeros_like(dark)
    frame[[0, -1]] = frame[:, [0, -1]] = True
    flooded = ndimage.binary_propagation(dark & frame, mask=dark)
    np.testing.assert_array_equal(history.flood_from_edges(image), ~flooded)


def test_slices_without_a_score_do_not_count():
    square = np.zeros((2, 20, 20), dtype=np.uint8)
    square[0, 5:15, 5:15] = 1  # on the other slice both masks are empty
    assert measure(Stack(square * 1.0, square)).iou[0] == 1.0
