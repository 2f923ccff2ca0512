import numpy as np
import pytest

from skullnb.phantom import published_stack
from skullnb.study import article


def squares(*corners, side=6, shape=(40, 60)):
    image = np.zeros(shape, dtype=np.float32)
    for row, column in corners:
        image[row : row + side, column : column + side] = 1
    return image


@pytest.mark.parametrize("corner", [(0, 9), (34, 9), (9, 0), (9, 54)])
def test_each_border_is_looked_at(corner):
    brain = article.choose_brain((squares(corner, (20, 30)) * 255).astype(np.uint8))
    np.testing.assert_array_equal(brain, squares((20, 30)))
    assert not article.choose_brain((squares(corner) * 255).astype(np.uint8)).any()


def test_the_steps_make_the_mask():
    image = published_stack().images[2]
    brain = article.choose_brain(article.binarise(article.normalise(image)))
    np.testing.assert_array_equal(
        article.skull_mask(image, 9), article.fill_holes(article.dilate(brain, 9))
    )


def test_a_flat_slice_has_no_levels_and_no_mask():
    assert not article.skull_mask(np.full((9, 9), 3.0)).any()


def test_whole_numbers_wrap_around_as_they_do_for_its_author():
    wide = np.array([[-32768, 0], [16000, 32767]], dtype=np.int16)
    with np.errstate(all="ignore"):
        assert article.normalise(wide).tolist() != [[0, 127], [189, 255]]
