import re

import numpy as np
import pytest

from skullnb.external.cropping import OUTCOMES
from skullnb.external.gallery import FAILURES
from skullnb.external.measuring import DEPTHS_MM
from skullnb.external.numbers import quoted
from skullnb.external.stored import stored_pictures, stored_results
from skullnb.figures import external as figures
from skullnb.figures import external_tables as tables
from skullnb.figures import sign_tables
from skullnb.heads import HEADS
from skullnb.metrics import iou
from skullnb.phantom import published_stack, variant
from skullnb.pipeline import PipelineSettings, trace_skull_mask
from skullnb.pipeline.signs import SIGNS
from skullnb.text import fill


@pytest.fixture(scope="module")
def stored():
    return stored_results()


def cells(table):
    return [
        [cell.strip() for cell in line.strip("|").split(" | ")] for line in table.data.splitlines()
    ]


TABLES = {
    "choices": lambda stored: tables.choices_table(stored),
    "scores": lambda stored: tables.scores_table(stored),
    "reach": lambda stored: tables.reach_table(stored),
    "crops": lambda stored: tables.crops_table(stored),
    "rates": lambda stored: sign_tables.rates_table(stored),
    "poor": lambda stored: sign_tables.rates_table(stored, "iou"),
    "crop rates": lambda stored: sign_tables.crop_rates_table(stored),
    "unscored": lambda stored: sign_tables.unscored_table(stored),
    "rules": lambda stored: tables.rules_table(stored),
    "alternatives": lambda stored: tables.alternatives_table(stored),
}


@pytest.mark.parametrize("name", TABLES)
def test_the_kind_of_reference_stands_in_every_table(stored, name):
    header = TABLES[name](stored).data.splitlines()[0]
    assert re.search("reference|labels", header)


def test_the_table_of_scores_has_two_kernels_for_each_stack(stored):
    rows = cells(tables.scores_table(stored))[2:]
    assert [row[0] for row in rows[::2]] == list(HEADS)
    assert {row[3] for row in rows[::2]} == {"26 px"}
    assert all(row[3].endswith("mm reach") for row in rows[1::2])


def test_every_slice_is_counted_once_in_the_table_of_choices(stored):
    for row in cells(tables.choices_table(stored))[2:]:
        assert sum(map(int, row[5:])) == int(row[2]) == HEADS[row[0]].n_slices


def test_every_crop_is_counted_once(stored):
    seen = [one for one in OUTCOMES if one in stored["crops"]["outcome"]]
    for row in cells(tables.crops_table(stored))[2:]:
        assert sum(map(int, row[3 : 3 + len(seen)])) == HEADS[row[0]].n_slices


def test_the_rates_of_both_kinds_add_up_to_what_is_quoted(stored):
    row = next(row for row in cells(sign_tables.rates_table(stored)) if row[0] == "any of these")
    counts = [list(map(int, cell.split(" of "))) for cell in row[1:]]
    said = quoted(stored)
    assert counts[0][0] + counts[2][0] == said["n_failure_hits"]
    assert counts[0][1] + counts[2][1] == said["n_wrong"]
    assert counts[1][0] + counts[3][0] == said["n_false_alarms"]


def test_the_sign_on_own_slices_is_told_with_their_numbers():
    stack = published_stack()
    table = sign_tables.own_table(stack, [["merged"], [], ["merged"], ["merged"], []])
    assert "| merged | exact &#40;drawn&#41; | 3 of 5 | 0, 2-3 |" in table.data


def test_every_sign_is_explained():
    rows = cells(sign_tables.signs_table())[2:]
    assert [row[0] for row in rows] == list(SIGNS)
    assert all(all(row) for row in rows)


@pytest.mark.parametrize(("n_signs", "published"), [(0, True), (0, False), (2, False)])
def test_what_is_said_about_own_slices_can_be_filled_in(n_signs, published):
    values = quoted(stored_results()) | {"n_own_signs": n_signs, "n_own": 5}
    said = fill(sign_tables.own_verdict(n_signs, published), values)
    assert ("synthetic" in said) == published
    assert "{" not in said


def test_the_figures_draw_what_is_stored(stored):
    assert len(figures.head_outlines(stored).axes) == len(HEADS)
    dots, crosses = 0, 0
    for line in figures.scores_by_stack(stored).axes[0].lines:
        if line.get_marker() == ".":
            dots += len(line.get_xdata())
        else:
            crosses += len(line.get_xdata())
    wrong = quoted(stored)["n_wrong"]
    assert (dots, crosses) == (2 * (len(stored["slices"]["stack"]) - wrong), 2 * wrong)


def test_the_bars_of_every_stack_add_up(stored):
    for axes in figures.crop_outcomes(stored).axes:
        lengths = {}
        for bar in axes.patches:
            if bar.get_height() > 0:  # the legend's have none
                lengths[bar.get_y()] = lengths.get(bar.get_y(), 0) + bar.get_width()
        assert len(lengths) == len(HEADS) * len(DEPTHS_MM)
        np.testing.assert_allclose(list(lengths.values()), 1)


def test_the_gallery_shows_every_named_failure():
    titles = [
        axes.get_title(loc="left") for axes in figures.failure_gallery(stored_pictures()).axes
    ]
    assert [title.splitlines()[0] for title in titles] == list(FAILURES)


def test_synthetic_heads_are_measured_with_the_given_settings():
    rows = {
        row[0]: row for row in cells(sign_tables.variants_table(PipelineSettings(kernel_width=0)))
    }
    assert rows["bridge"][4] == "merged on 5"
    assert rows["wide-gap"][4] == "none"
    head = variant("wide-gap")
    bare = [
        iou(trace_skull_mask(image).brain, reference)
        for image, reference in zip(head.images, head.reference, strict=True)
    ]
    # Holes are filled where nothing is dilated, too.
    assert np.mean(bare) < float(rows["wide-gap"][3]) < 0.88
