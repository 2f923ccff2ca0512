from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from skullnb.figures.style import new_figure, show_image


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
