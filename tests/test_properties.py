"""What must hold between the answers to two related questions, whatever the images are."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from skullnb import pipeline
from skullnb.pipeline import create_skull_mask

quickly = settings(max_examples=60)


@st.composite
def scenes(draw):
    """Few grey levels in blocks, often with a dark rim: many components, ties, frame contacts."""
    height, width = draw(st.tuples(st.integers(3, 40), st.integers(3, 40)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    block, levels = draw(st.integers(1, 6)), draw(st.integers(2, 5))
    coarse = rng.integers(0, levels, (40 // block + 1, 40 // block + 1))
    image = np.kron(coarse, np.ones((block, block), dtype=np.int32))[:height, :width]
    if draw(st.booleans()):
        image[[0, -1]] = image[:, [0, -1]] = 0
    return image.astype(np.int32)


@pytest.mark.parametrize("axis", [0, 1])
@given(image=scenes(), half=st.integers(0, 14))
@quickly
def test_mirroring_a_slice_mirrors_its_mask_when_the_kernel_is_odd(axis, image, half):
    components = pipeline.trace_skull_mask(image).components
    inner = components["area"][~components["touches_edge"]]
    assume(len(inner) and np.count_nonzero(inner == inner.max()) == 1)  # else order decides
    mirrored = create_skull_mask(np.flip(image, axis), 2 * half + 1)
    np.testing.assert_array_equal(mirrored, np.flip(create_skull_mask(image, 2 * half + 1), axis))


@given(scenes(), st.integers(1, 40), st.integers(-60, 60), st.integers(-1000, 1000))
@quickly
def test_a_wider_kernel_covers_more_and_gain_and_offset_change_nothing(image, width, power, offset):
    expected = create_skull_mask(image, width)
    assert np.all(expected <= create_skull_mask(image, width + 2))
    np.testing.assert_array_equal(create_skull_mask(image * 2.0**power, width), expected)
    np.testing.assert_array_equal(create_skull_mask(image + offset, width), expected)
