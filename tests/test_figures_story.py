import numpy as np
import pytest
from matplotlib.colors import to_rgba
from matplotlib.text import Text

from skullnb import published
from skullnb.errors import InvalidSetting
from skullnb.figures import journey as figures
from skullnb.figures import journey_tables, offset_tables, reach_tables
from skullnb.figures import reach as reach_figures
from skullnb.figures.style import PALETTE
from skullnb.head_model import Reading
from skullnb.history import RECIPES, one_of_each_version, recipe
from skullnb.implied import check_slices
from skullnb.journey import (
    Measured,
    best_of,
    crossings,
    in_widths,
    largest_gain,
    measure,
    meetings,
    recorded,
)
from skullnb.metrics import score
from skullnb.pipeline import dilate
from skullnb.stack import Stack

FIELDS = [("value", int), ("iou", float)]
PNG, WEBP = b"\x89PNG", b"RIFF"


def head():
    """A bright square in a dark ring in a bright ring, and the outside of the dark ring."""
    image = np.zeros((64, 56))
    image[8:56, 8:48] = 0.8
    image[14:50, 14:42] = 0.02
    image[18:46, 18:38] = 1.0
    reference = np.zeros((64, 56), dtype=np.uint8)
    reference[14:50, 14:42] = 1
    return image, reference


@pytest.fixture(scope="module")
def stack():
    image, reference = head()
    return Stack(np.stack([image, image.T[::-1].T]), np.stack([reference, reference]))


@pytest.fixture
def bare(stack):
    return Stack(stack.images)


def scan_of(*pairs):
    return np.array(list(pairs), dtype=FIELDS)


def texts(figure):
    return " ".join(text.get_text() for text in figure.findobj(Text))


def test_the_strip_shows_every_recipe_with_its_score(stack):
    recipes = one_of_each_version()
    figure = figures.version_strip(stack, 0, recipes)
    assert len(figure.axes) == len(recipes)
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert [title.split(",")[0] for title in titles] == [one.version for one in recipes]
    assert all("IoU" in title for title in titles)
    assert figure.png().startswith(PNG)


def test_without_a_reference_the_strip_shows_no_score(bare):
    figure = figures.version_strip(bare, 0, [recipe("v1")])
    assert "IoU" not in texts(figure)


def test_the_flipbook_has_a_frame_for_every_version_and_opens_at_the_last(stack):
    html = figures.version_flipbook(stack, 1, one_of_each_version()).data
    assert html.count("<img") == 6
    assert html.count(" hidden ") == 5
    assert "image/webp" in html
    assert "<figcaption>v7: ellipse, 26 px, IoU" in html


def test_masks_areas_and_box_belong_together(stack):
    image, reference, masks, (rows, columns) = figures.masked_slice(stack, 0, [recipe("v2")])
    assert image.shape == reference.shape == masks[0].shape
    assert masks[0][rows, columns].sum() == masks[0].sum()
    table = journey_tables.area_table(stack, 0, [recipe("v2")]).data
    assert f"{int(masks[0].sum()):,d}" in table


def test_the_chart_marks_published_scores_only_where_they_apply(stack):
    measured = measure(stack)
    theirs = to_rgba(PALETTE["reference"])
    for is_published_stack in (True, False):
        figure = figures.journey_chart(measured, is_published_stack)
        marks = [to_rgba(line.get_markeredgecolor()) for line in figure.axes[0].lines]
        assert (theirs in marks) == is_published_stack
        assert figure.png().startswith(PNG)


def test_without_a_reference_there_is_a_sentence_and_no_empty_figure(bare):
    measured = measure(bare)
    assert figures.journey_chart(measured, is_published_stack=False) is None
    nothing = {"ellipse": scan_of((1, np.nan), (2, np.nan))}
    assert figures.scan_curves(nothing, {}, "width") is None
    for text in (
        journey_tables.journey_table(measured, False).data,
        journey_tables.journey_verdict(measured, False),
        journey_tables.scan_table(nothing, {}, "width").data,
        journey_tables.openness(False, False),
        reach_tables.chain_table(None, []).data,
        reach_tables.chain_verdict(None),
        offset_tables.distance_verdict(None),
    ):
        assert text.startswith("*No reference mask was given")
    values = recorded(measured)
    assert values["n_agreeing"] is values["largest_gain"] is values["gain_after_v5"] is None
    assert best_of(nothing) == (None, None, None)
    assert crossings(nothing, {"v5": 0.96})["crossings_v5"] is None


def test_the_table_of_the_built_in_stack_labels_what_is_published(stack):
    table = journey_tables.journey_table(measure(stack), is_published_stack=True).data
    header = table.splitlines()[0]
    assert "IoU, published" in header
    assert "IoU, measured" in header
    assert len(table.splitlines()) == 2 + len(RECIPES)
    other = journey_tables.journey_table(measure(stack), is_published_stack=False).data
    assert "published" not in other


def test_every_verdict_can_be_filled_from_what_is_recorded(stack):
    values = recorded(measure(stack))
    thresholds = {"all": scan_of((1, 0.5), (2, 0.9))}
    ending, level, iou = best_of(thresholds)
    values |= {"best_ending": ending, "best_threshold": level, "best_threshold_iou": iou}
    values |= crossings(thresholds, {"v3-v4": 0.54, "v5": 0.96, "v6": 0.97})
    for published_stack in (True, False):
        journey_tables.journey_verdict(measure(stack), published_stack).format(**values)
        journey_tables.openness(published_stack, True).format(**values)


def test_crossings_are_found_between_the_values_of_a_scan():
    rows = scan_of((10, 0.90), (20, 0.98), (30, 0.94))
    assert meetings(rows, 0.96) == [17.5, 25.0]
    assert meetings(rows, 0.99) == []
    assert crossings({"a": rows, "b": rows}, {"v5": 0.96})["crossings_v5"] == 4
    assert in_widths(scan_of((7, 0.9)))["value"].tolist() == [15]
    figure = figures.scan_curves({"a": rows}, {"v5": 0.96}, "width")
    assert "Crossings of 0.96 (v5): 2" in texts(figure)
    assert "17.5, 25.0" in journey_tables.scan_table({"a": rows}, {"v5": 0.96}, "width").data


def test_the_largest_gain_is_between_versions_not_between_candidates():
    rows = [
        Measured(recipe("v1"), (0.7,), 0.7),
        Measured(RECIPES[3], (0.1,), 0.1),
        Measured(RECIPES[4], (0.9,), 0.9),
        Measured(recipe("v5"), (0.5,), 0.5),
    ]
    assert largest_gain(rows) == ("v5", pytest.approx(0.4))


def test_the_frame_is_drawn_with_a_head_too_large_for_it():
    small = Reading("as a width", 22, 30, 34, 48_000.0, 149_000.0)
    large = Reading("as a reach", 45, 61, 176, 251_000.0, 597_000.0)
    shape = published.SHAPE[1:]
    assert "as a reach, no head fits" in texts(reach_figures.heads_in_frame(shape, [small, large]))
    fits = reach_figures.heads_in_frame(shape, [small])
    assert "A head fits the frame in every reading" in texts(fits)
    radii = sorted(patch.radius for patch in fits.axes[0].patches if hasattr(patch, "radius"))
    assert radii == pytest.approx([small.least_radius, small.model_radius])


def test_only_the_even_kernel_has_orange_pixels():
    figure = reach_figures.grown_pixels([25, 26, 27])
    orange = to_rgba(PALETTE["reference"], 0.9)
    counts = [sum(patch.get_facecolor() == orange for patch in a.patches) for a in figure.axes]
    assert counts == [0, 8, 0]
    assert "These kernels are symmetric" in texts(reach_figures.grown_pixels([25, 27]))


def test_the_direction_figure_has_a_line_for_every_width():
    figure = reach_figures.reach_by_direction([25, 26, 27])
    assert len(figure.axes[0].lines) == 3


def test_mirrored_masks_count_what_changes_and_survive_an_empty_component():
    image, reference = head()
    figure = reach_figures.mirrored_masks(image, reference, 26)
    assert "changes" in texts(figure)
    odd = reach_figures.mirrored_masks(image, reference, 25)
    assert "changes 0 px" in texts(odd)
    empty = reach_figures.mirrored_masks(image, 0 * reference, 26)
    assert empty.png().startswith(PNG)


def test_both_masks_in_the_two_errors_figure_have_the_dice_of_its_headline():
    image, reference = head()
    figure = reach_figures.two_errors(image, reference, 2)
    table = offset_tables.offset_table(reference, [2]).data.splitlines()[2:]
    dices = {line.split("|")[2].strip() for line in table}
    assert len(dices) == 1
    assert dices.pop() in texts(figure)
    assert reach_figures.two_errors(image, 0 * reference, 2) is None


def test_slices_without_a_component_get_a_row_of_dashes():
    _, reference = head()
    brain = dilate(reference, 1)
    chains = check_slices([brain, 0 * brain], [reference, reference], 3, 7)
    rows = reach_tables.chain_table(chains, [4, 5]).data.splitlines()[2:]
    assert rows[0].startswith("| 4 |")
    assert rows[0].endswith("| yes |")
    assert rows[1] == "| 5 | – | – | – | – | – | – | – |"
    assert "nothing to check" in reach_tables.chain_verdict([None])


def test_millimetres_are_not_guessed():
    assert "not known" in reach_tables.millimetre_table(26, None).data
    assert "not square" in reach_tables.millimetre_table(26, (1.0, 0.4)).data
    table = reach_tables.millimetre_table(27, (0.375, 0.375)).data
    assert "4.88 mm" in table
    assert "| 0.375 | 27 | 4.88 |" in table


def test_an_empty_mask_has_no_offsets():
    empty = np.zeros((8, 8), dtype=np.uint8)
    assert "no border" in offset_tables.offset_table(empty, [1]).data
    assert len(offset_tables.head_sizes(218.0, empty, (768, 624))) == 2


def test_distances_are_recorded_in_their_unit():
    _, reference = head()
    values = offset_tables.measured_distances([score(dilate(reference, 3), reference, (2.0, 2.0))])
    assert values["unit"] == "mm"
    assert values["mean_hd95"] == pytest.approx(2.0)
    offset_tables.distance_verdict([None]).format(**values)


def test_a_picture_of_no_recipe_is_refused(stack):
    for draw in (figures.version_flipbook, figures.version_strip):
        with pytest.raises(InvalidSetting, match="at least one recipe"):
            draw(stack, 0, [])
