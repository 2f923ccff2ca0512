"""The cover: one slice, six pieces, in the book's colours."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from matplotlib.colors import to_rgb

from skullnb.figures.cover import cover
from skullnb.figures.style import PALETTE
from skullnb.phantom import published_stack
from skullnb.pipeline import trace_skull_mask

IMAGE, REFERENCE = published_stack().images[2], published_stack().reference[2]


def drawn(image, reference=None):
    picture = cover(image, trace_skull_mask(image), reference).png()
    return cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]


def share_of(picture, kind):
    """Return the share of pixels within a few levels of a palette colour, left and right."""
    near = np.abs(picture - 255 * np.array(to_rgb(PALETTE[kind]))).max(axis=2) < 14
    return [half.mean() for half in np.array_split(near, 2, axis=1)]


@pytest.fixture(scope="module")
def picture():
    return drawn(IMAGE, REFERENCE)


def test_it_has_the_size_of_a_link_preview_and_a_dark_ground(picture):
    assert picture.shape == (630, 1200, 3)
    assert picture[[0, 0, -1, -1], [0, -1, 0, -1]].max() < 30


def test_the_component_is_chosen_on_the_left_and_grown_on_the_right(picture):
    assert min(share_of(picture, "brain")) > 0.01
    left, right = share_of(picture, "mask")
    assert left == 0
    assert right > 0.003


def test_the_reference_is_outlined_where_there_is_one(picture):
    assert share_of(picture, "reference")[1] > 0
    assert share_of(drawn(IMAGE), "reference") == [0, 0]


@pytest.mark.parametrize("shape", [(60, 200), (200, 60), (5, 5)])
def test_a_flat_slice_of_any_shape_has_a_cover_too(shape):
    assert drawn(np.full(shape, 3.0)).shape == (630, 1200, 3)
