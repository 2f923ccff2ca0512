from io import BytesIO

import numpy as np
import pytest
from matplotlib.colors import same_color
from PIL import Image

from skullnb.figures.style import PALETTE, new_figure, outline, show_image


def mode(figure):
    with Image.open(BytesIO(figure.png())) as picture:
        return picture.mode


@pytest.mark.parametrize(("few", "expected"), [(None, "RGBA"), (True, "P"), (False, "RGBA")])
def test_slices_keep_their_greys_unless_few_colours_are_asked_for(few, expected):
    figure, axes = new_figure(1.0)
    show_image(axes, np.eye(8))
    figure.few_colours = few
    assert mode(figure) == expected


@pytest.mark.parametrize(("few", "expected"), [(None, "P"), (False, "RGBA")])
def test_charts_are_written_with_few_colours_unless_all_are_asked_for(few, expected):
    figure, axes = new_figure(1.0)
    axes.plot([1, 2])
    figure.few_colours = few
    assert mode(figure) == expected


def test_an_outline_is_drawn_in_its_colour_where_there_is_one():
    _, axes = new_figure(1.0)
    for mask in (np.zeros((8, 8)), np.ones((8, 8))):
        outline(axes, mask, "brain")
    assert not axes.collections
    outline(axes, np.eye(8), "brain")
    (drawn,) = axes.collections
    assert same_color(drawn.get_edgecolor()[0], PALETTE["brain"])
    assert sum(map(len, drawn.get_paths())) > 8


def test_a_slice_is_drawn_with_its_first_row_at_the_top_and_no_ticks():
    _, axes = new_figure(1.0)
    show_image(axes, np.arange(6.0).reshape(2, 3), "a slice")
    (image,) = axes.images
    np.testing.assert_array_equal(image.get_array(), [[0, 1, 2], [3, 4, 5]])
    assert (image.origin, image.get_cmap().name, axes.get_title()) == ("upper", "gray", "a slice")
    assert not [*axes.get_xticks(), *axes.get_yticks()]
