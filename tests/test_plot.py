"""The look of the book: true proportions, colours that can be read, tables, drawings for pages."""

import re
from itertools import combinations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb

from skullnb.report import plot

WHITE, DARK = "#ffffff", "#121212"


@pytest.fixture(autouse=True)
def _styled():
    with plt.rc_context(plot.STYLE):
        yield


def luminance(color: str) -> float:
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(color)]
    return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))


def contrast(one: str, other: str) -> float:
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_text_and_lines_can_be_told_from_the_page_and_masks_from_each_other():
    assert contrast(plot.INK, WHITE) > 4.5
    for name, color in plot.PALETTE.items():
        assert min(contrast(color, DARK), contrast(color, WHITE)) > 3, name
    masks = [to_rgb(plot.PALETTE[name]) for name in ("brain", "mask", "reference")]
    assert min(np.linalg.norm(np.subtract(*pair)) for pair in combinations(masks, 2)) > 0.3


def test_a_large_slice_is_thinned_and_a_few_hot_pixels_do_not_darken_it():
    ax = plt.subplots()[1]
    image = np.random.default_rng(0).random((2000, 1000))
    image[0, 0] = 1000
    plot.show(ax, image)
    assert max(ax.images[0].get_array().shape) <= 900
    assert ax.images[0].get_clim()[1] < 2
    assert ax.get_xlim() == (-0.5, 999.5)


def test_a_table_formats_escapes_and_says_what_it_leaves_out():
    frame = pd.DataFrame(
        {"name|x": ["<b>", None], "iou": [0.97941, np.nan], "n": [12345, 7], "ok": [True, False]}
    )
    assert plot.table(frame, {"iou": ".3f"}).data.splitlines() == [
        "| name&#124;x | iou | n | ok |",
        "| :--- | ---: | ---: | :--- |",
        "| &#60;b&#62; | 0.979 | 12,345 | yes |",
        "| – | – | 7 | no |",
    ]
    many = plot.table(pd.DataFrame({"slice": range(100_000)}), most=5).data.splitlines()
    assert many[2:7] == ["| 0 |", "| 25,000 |", "| 50,000 |", "| 74,999 |", "| 99,999 |"]
    assert many[-1] == "5 of 100,000 rows, evenly spread."


def drawn(value: float) -> plt.Figure:
    fig, (left, right) = plt.subplots(1, 2)
    plot.show(left, np.linspace(0, value, 100).reshape(10, 10))
    right.plot([0, 1, value])
    right.bar([0, 1, 2], [1, 2, value])
    right.scatter([0, 1], [0, value])
    return fig


def test_the_summary_of_a_figure_notices_any_change_of_what_it_draws():
    one, other = (plot.summary(drawn(value)).split("; ") for value in (3, 3.1))
    assert [fact.split()[0] for fact in one] == ["image", "line", "points", "bars"]
    assert all(before != after for before, after in zip(one, other, strict=True))


def test_a_drawing_for_a_page_takes_its_colours_and_shares_no_id_with_another():
    pictures = [plot.picture(drawn(value), svg=True)["image/svg+xml"] for value in (3, 4)]
    for svg in pictures:
        assert svg.startswith("<svg")
        assert plot.INK not in svg
        assert "currentColor" in svg
        assert "data:image/webp;base64," in svg
        assert "data:image/png" not in svg
        ids = set(re.findall(r'\bid="([^"]+)"', svg))
        assert set(re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', svg)) <= {
            pair for one in ids for pair in ((one, ""), ("", one))
        }
    first, second = (set(re.findall(r'\bid="([^"]+)"', svg)) for svg in pictures)
    assert not first & second
