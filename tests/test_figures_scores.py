"""Figures, tables and sentences about scores, dilation and the reader's slices."""

from __future__ import annotations

from io import BytesIO

import cv2
import numpy as np
import pytest
from PIL import Image

from skullnb import published
from skullnb.chapter import fill
from skullnb.errors import InvalidSetting
from skullnb.figures import (
    dilation,
    drawing,
    frames,
    remarks,
    score_tables,
    scores,
    slice_tables,
    tables,
)
from skullnb.figures.style import PALETTE
from skullnb.metrics import aggregate, score
from skullnb.pipeline import (
    MAX_KERNEL_WIDTH,
    PipelineSettings,
    dilate,
    fill_holes,
)
from skullnb.results import Results
from skullnb.stack import Stack
from skullnb.sweep import summarise, sweep_kernel_width

SETTINGS = PipelineSettings()


def disc(radius: int, shape: tuple[int, int] = (120, 100)) -> np.ndarray:
    mask = np.zeros(shape, dtype=np.uint8)
    cv2.circle(mask, (shape[1] // 2, shape[0] // 2), radius, 1, cv2.FILLED)
    return mask


@pytest.fixture(scope="module")
def stack():
    """Bright discs of two sizes, with references that a kernel some 9 px wide would give."""
    images = np.stack([disc(radius) * 100.0 for radius in (20, 25, 30)])
    reference = np.stack([disc(radius + 4) for radius in (20, 25, 30)])
    return Stack(images, reference, spacing_mm=(0.5, 0.5), name="discs")


@pytest.fixture(scope="module")
def slice_scores(stack):
    masks = [dilate(disc(radius), 9) for radius in (20, 25, 30)]
    return [score(m, r, stack.spacing_mm) for m, r in zip(masks, stack.reference, strict=True)]


def pixels(figure) -> np.ndarray:
    return np.asarray(Image.open(BytesIO(figure.png())).convert("RGBA"))


def rows_of(table) -> list[list[str]]:
    lines = [line.strip("| ").split(" | ") for line in table.data.splitlines()]
    return [line for line in lines[2:] if len(line) > 1]


def said(text: str, values: dict) -> str:
    """Fill a sentence as a chapter does."""
    results = Results("test")
    results.record(**values)
    return fill(text, results.values)


# The structuring element


def test_a_kernel_of_no_width_is_drawn_as_one_pixel():
    assert pixels(dilation.kernel_figure(0)).any()


def test_the_widths_to_compare_hold_the_published_ones():
    assert set(published.SWEEP) <= set(dilation.widths_around(published.KERNEL_WIDTH))


@pytest.mark.parametrize("width", [0, 1, 2, 5, 11, 26, 60])
def test_the_widths_to_compare_hold_the_chosen_one(width):
    widths = dilation.widths_around(width)
    assert width in widths
    assert list(widths) == sorted(set(widths))


def test_grown_masks_are_those_of_the_pipelines_last_two_steps():
    brain = disc(20)
    brain[55:65, 45:55] = 0
    for width, mask in zip(
        (3, 9, 26), dilation.grown_masks(brain, (3, 9, 26), SETTINGS), strict=True
    ):
        np.testing.assert_array_equal(mask, fill_holes(dilate(brain, width)))


def test_grown_masks_keep_their_holes_when_filling_is_off():
    brain = disc(20)
    brain[50:70, 40:60] = 0
    settings = PipelineSettings(fill_holes=False)
    np.testing.assert_array_equal(dilation.grown_masks(brain, [3], settings)[0], dilate(brain, 3))


def test_areas_are_counted_by_slice_and_width():
    brains = [disc(10), disc(20)]
    areas = dilation.grown_areas(brains, (1, 9), SETTINGS)
    assert areas.tolist() == [
        [np.count_nonzero(dilate(brain, width)) for width in (1, 9)] for brain in brains
    ]


# The flip-book


def decoded(picture: bytes) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_UNCHANGED)


def near_colour(picture: np.ndarray, kind: str) -> int:
    """Pixels that look like a palette colour, compression allowed for."""
    colour = np.array([int(PALETTE[kind][i : i + 2], 16) for i in (5, 3, 1)])
    return int((np.abs(picture[..., :3].astype(int) - colour).max(axis=2) < 48).sum())


def frame(image: np.ndarray, outlines: list[tuple[np.ndarray, str]]) -> np.ndarray:
    return decoded(frames.outlined_slice(image, outlines, np.s_[:, :]))


def test_a_frame_has_the_outlines_that_it_is_given(stack):
    mask = (stack.reference[0], "reference"), (disc(20), "mask")
    both, one = frame(stack.images[0], list(mask)), frame(stack.images[0], [mask[1]])
    assert near_colour(both, "mask") > 200
    assert near_colour(both, "reference") > 100
    assert near_colour(one, "reference") == 0


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (40, 1), (9, 300)])
def test_frames_can_be_made_of_slices_of_any_shape(shape):
    assert frame(np.ones(shape), [(np.ones(shape, dtype=np.uint8), "mask")]).size > 0


def test_frames_of_an_empty_mask_show_the_slice():
    image = np.arange(1200.0).reshape(40, 30)
    assert frame(image, [(np.zeros((40, 30), dtype=np.uint8), "mask")])[..., :3].std() > 10


def test_a_frame_of_a_noisy_slice_stays_small():
    rng = np.random.default_rng(3)
    image = disc(250, (768, 624)) * 50.0 + rng.normal(0, 5, (768, 624))
    outlines = [(disc(200, (768, 624)), "mask")]
    assert len(frames.outlined_slice(image, outlines, np.s_[:, :])) < 30_000


# Figures that are drawn, on data with and without what they show


def figures(stack, slice_scores):
    sweep = sweep_kernel_width(stack, (5, 9, 13))
    empty = np.zeros(stack.images.shape, dtype=np.uint8)
    masks = np.stack([dilate(disc(radius), 9) for radius in (20, 25, 30)])
    numbers = stack.slice_numbers
    brain = disc(20)
    return {
        "kernel": dilation.kernel_figure(26),
        "before and after": dilation.before_after(stack.images[0], brain, dilate(brain, 9), 9),
        "nothing to dilate": dilation.before_after(stack.images[0], empty[0], empty[0], 9),
        "areas": dilation.area_curve((5, 9), np.array([[90, 100], [0, 0]]), 9),
        "no area": dilation.area_curve((5, 9), np.array([[0, 0]]), 9),
        "sweep": scores.sweep_curve(summarise(sweep), sweep, 9),
        "published sweep": scores.sweep_curve(summarise(sweep), sweep, 9, published.SWEEP),
        "slices": scores.slice_dots(slice_scores, numbers),
        "distances": scores.distance_example(disc(2, (9, 9)), disc(3, (9, 9))),
        "gallery": scores.gallery(stack.images, masks, stack.reference, numbers),
        "gallery without masks": scores.gallery(stack.images, empty, None, numbers),
        "one slice": scores.gallery(stack.images[:1], masks[:1], None, [7]),
    }


def test_every_figure_is_drawn_with_one_finding_in_grey_on_nothing(stack, slice_scores):
    for name, figure in figures(stack, slice_scores).items():
        assert figure.get_suptitle(), name
        picture = pixels(figure)
        assert picture[0, 0, 3] == 0, f"{name} has a background"
        assert picture[..., 3].any(), f"{name} is blank"
        texts = [text for axes in figure.axes for text in (axes.title, axes._left_title)]
        assert not [t for t in texts if t.get_text() and t.get_color() == "black"], name


def test_without_a_reference_nothing_is_drawn_about_scores():
    assert scores.sweep_curve(None, None, 26) is None
    assert scores.slice_dots(None, [0]) is None


def test_the_sweep_figure_names_the_peak(stack):
    sweep = sweep_kernel_width(stack, (5, 9, 13))
    figure = scores.sweep_curve(summarise(sweep), sweep, 5)
    assert figure.get_suptitle() == "Mean IoU is highest at a kernel width of 9 px"


def test_a_peak_at_the_edge_of_the_widths_tried_is_called_so(stack):
    sweep = sweep_kernel_width(stack, (9, 13))
    figure = scores.sweep_curve(summarise(sweep), sweep, 9)
    assert figure.get_suptitle() == "Mean IoU is highest at the narrowest kernel tried, 9 px"


def test_published_scores_are_drawn_only_where_they_apply(stack):
    sweep = sweep_kernel_width(stack, (5, 9, 13))

    def labels(figure):
        return [text.get_text() for text in figure.legends[0].get_texts()]

    assert "published" not in labels(scores.sweep_curve(summarise(sweep), sweep, 9))
    assert "published" in labels(scores.sweep_curve(summarise(sweep), sweep, 9, published.SWEEP))


def test_the_worked_example_carries_the_distances_of_the_hand_calculation():
    outer, inner = np.zeros((2, 14, 14), dtype=np.uint8)
    outer[5:9, 5:9] = inner[6:8, 6:8] = 1
    figure = scores.distance_example(mask=inner, reference=outer)
    written = [sorted(text.get_text() for text in axes.texts) for axes in figure.axes]
    assert written == [["1"] * 8 + ["1.41"] * 4, ["1"] * 4]


def test_slices_without_a_score_are_left_out_of_the_dots():
    empty = np.zeros((9, 9), dtype=np.uint8)
    odd = [score(empty, empty), score(disc(2, (9, 9)), empty), score(*[disc(2, (9, 9))] * 2)]
    figure = scores.slice_dots(odd, [4, 5, 6])
    assert list(figure.axes[0].lines[0].get_xdata()) == [5, 6]
    assert list(figure.axes[1].lines[0].get_xdata()) == [4, 6]
    assert figure.get_suptitle() == "IoU is lowest on slice 5: 0.000"


def test_a_long_stack_gives_a_gallery_of_a_few_slices_spread_over_it():
    images = np.zeros((70, 8, 8))
    figure = scores.gallery(images, np.zeros((70, 8, 8), dtype=np.uint8), None, range(100, 170))
    captions = [axes.get_title(loc="left") for axes in figure.axes]
    assert len(captions) == scores.MOST_PICTURES
    assert captions[0] == "slice 100, no mask"
    assert captions[-1] == "slice 169, no mask"


def test_pictures_of_slices_keep_the_slices_own_coordinates():
    _, axes = drawing_axes()
    drawing.draw_slice(axes, np.zeros((1000, 500)))
    assert axes.get_xlim() == (-0.5, 499.5)
    assert axes.get_ylim() == (999.5, -0.5)


def drawing_axes():
    from skullnb.figures.style import new_figure

    return new_figure(2.0)


# Tables


def test_a_table_escapes_what_comes_from_outside():
    text = tables.markdown_table(["name"], [["<b>*x*|y</b>"]]).data
    assert "<b>" not in text
    assert "*x*" not in text
    assert text.splitlines()[2].count("|") == 2


def test_a_table_says_what_has_no_value():
    table = tables.markdown_table(
        ["a", "b", "c", "d", "e"],
        [[None, float("nan"), float("inf"), float("-inf"), np.bool_(True)]],
        ["", ".2f", ".2f", ".2f", ""],
    )
    assert rows_of(table) == [["–", "–", "∞", "−∞", "yes"]]


def test_columns_of_numbers_are_flush_right_and_texts_left():
    table = tables.markdown_table(["a", "b"], [["x", None], ["y", np.float32(2.5)]], ["", ".1f"])
    assert table.data.splitlines()[1] == "| :--- | ---: |"


@pytest.mark.parametrize(("rows", "formats"), [([[1]], None), ([[1, 2]], [""])])
def test_a_row_or_format_too_few_is_refused(rows, formats):
    with pytest.raises(InvalidSetting, match="2 columns"):
        tables.markdown_table(["a", "b"], rows, formats)


def test_without_a_reference_every_score_table_says_so():
    for table in (
        score_tables.sweep_table(None),
        score_tables.aggregate_table(None),
        score_tables.published_table(None, None),
        score_tables.score_table(None),
    ):
        assert table.data.startswith("*No reference mask was given, so ")


def test_the_sweep_table_sets_published_beside_measured(stack):
    summary = summarise(sweep_kernel_width(stack, (24, 26, 27)))
    with_article = rows_of(score_tables.sweep_table(summary, published.SWEEP))
    assert [row[1] for row in with_article] == ["0.9776", "0.9794", "–"]
    assert [row[2] for row in with_article] == [f"{value:.4f}" for value in summary["iou"]]
    assert {len(row) for row in rows_of(score_tables.sweep_table(summary))} == {3}


def test_the_published_table_tells_mean_from_pooled(slice_scores):
    both = aggregate(slice_scores)
    table = score_tables.published_table(both, {"final": published.FINAL})
    assert rows_of(table)[0] == [
        "final",
        "IoU",
        "0.9795",
        f"{both.mean['iou']:.4f}",
        f"{both.pooled['iou']:.4f}",
    ]
    assert "other data" in score_tables.published_table(both, None).data


def test_tables_of_long_stacks_keep_the_remarkable_slices():
    n = 300
    summary = np.zeros(
        n,
        dtype=[(name, int) for name in ("threshold", "n_components", "n_edge_touching", "mask_px")],
    )
    odd = [("strange",) if number in (17, 233) else () for number in range(n)]
    table = slice_tables.slice_table(summary, odd, range(n))
    shown = {row[0]: row[2] for row in rows_of(table)}
    assert len(shown) == tables.MOST_ROWS
    assert shown["17"] == shown["233"] == "strange"
    assert table.data.endswith(f"Shown: {tables.MOST_ROWS} of {n} slices.")


def test_areas_are_given_in_cm2_only_when_the_pixel_size_is_known():
    fields = ("threshold", "n_components", "n_edge_touching", "mask_px")
    summary = np.array([(23, 1, 0, 1000)], dtype=[(name, int) for name in fields])
    assert "cm²" not in slice_tables.slice_table(summary, [()], [0]).data
    known = slice_tables.slice_table(summary, [()], [0], spacing_mm=(0.5, 2.0))
    assert rows_of(known)[0][:3] == ["0", "1,000", "10.0"]


def test_what_was_given_shows_no_folder_and_only_the_start_of_a_hash(stack):
    table = slice_tables.given_table(stack, {"a.npy": "0123456789abcdef" * 4}, SETTINGS).data
    assert "0123456789ab…" in table
    assert "0123456789abc" not in table
    assert "3 of 120 × 100 px" in table


def test_groups_are_listed_only_where_there_are_several():
    fields = ("threshold", "n_components", "n_edge_touching", "mask_px")
    summary = np.zeros(2, dtype=[(name, int) for name in fields])
    one = slice_tables.slice_table(summary, [(), ()], [0, 1], groups=["a", "a"])
    two = slice_tables.slice_table(summary, [(), ()], [0, 1], groups=["a", "b"])
    assert "group" not in one.data
    assert [row[1] for row in rows_of(two)] == ["a", "b"]


# Remarks


def test_a_mask_that_jumps_between_its_neighbours_gets_a_remark():
    areas = np.array([300, 298, 297, 200, 203, 299, 301])
    odd = [bool(texts) for texts in slice_tables.slice_remarks([()] * 7, areas)]
    assert odd == [False, False, False, True, True, False, False]


def test_slices_of_another_group_are_no_neighbours():
    areas = np.array([300, 298, 297, 150, 149, 151])
    groups = ["a"] * 3 + ["b"] * 3
    assert not any(slice_tables.slice_remarks([()] * 6, areas, groups))


def test_an_empty_mask_is_not_said_to_jump_and_warnings_are_kept():
    areas = np.array([300, 0, 298, 299])
    odd = slice_tables.slice_remarks([(), ("it is flat",), (), ()], areas)
    assert odd == [(), ("it is flat",), (), ()]


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        ((5, 5, 5), "No slice has a mask"),
        ((5, 1, 1), "Slices without a mask: 1 of 5"),
        ((5, 0, 2), "2 of 5 have a remark"),
        ((5, 0, 0), "none has a remark"),
    ],
)
def test_the_verdict_on_the_masks_names_the_worst_first(counts, words):
    names = dict(zip(("n_slices", "n_empty", "n_warnings"), counts, strict=True))
    assert words in said(slice_tables.mask_verdict(**names), names)


def test_sweep_numbers_are_those_of_the_sweep(stack):
    sweep = sweep_kernel_width(stack, (5, 9, 13))
    numbers = remarks.sweep_numbers(sweep)
    assert numbers["sweep_width"].tolist() == [5, 9, 13]
    assert numbers["best_width"] == numbers["lowest_best"] == numbers["highest_best"] == 9
    np.testing.assert_array_equal(numbers["sweep_iou"], summarise(sweep)["iou"])
    assert "the same on every slice" in said(remarks.sweep_verdict(numbers), numbers)


@pytest.mark.parametrize(
    ("widths", "words"), [((9, 13), "narrowest kernel tried, **9"), ((5, 9), "widest kernel")]
)
def test_a_best_width_at_the_end_of_the_sweep_is_not_called_best(stack, widths, words):
    numbers = remarks.sweep_numbers(sweep_kernel_width(stack, widths))
    text = said(remarks.sweep_verdict(numbers), numbers)
    assert words in text
    assert "may lie" in text


def test_a_sweep_over_empty_masks_has_no_best_width():
    empty = Stack(np.zeros((2, 9, 9)), np.zeros((2, 9, 9), dtype=np.uint8))
    numbers = remarks.sweep_numbers(sweep_kernel_width(empty, (5, 9)))
    assert numbers["best_width"] is None
    assert numbers["best_width_per_slice"] == [None, None]
    assert "empty on every slice" in said(remarks.sweep_verdict(numbers), numbers)


def test_score_numbers_are_mean_and_pooled(slice_scores):
    numbers = remarks.score_numbers(slice_scores)
    assert numbers["mean_iou"] == pytest.approx(np.mean([one.iou for one in slice_scores]))
    assert numbers["pooled_iou"] == aggregate(slice_scores).pooled["iou"]
    assert numbers["slice_iou"] == [one.iou for one in slice_scores]
    assert numbers["unit"] == "mm"


def test_without_a_reference_all_numbers_are_there_and_none():
    for numbers in (remarks.score_numbers(None), remarks.sweep_numbers(None)):
        assert numbers
        assert set(numbers.values()) == {None}
    assert set(remarks.score_numbers(None)) == set(remarks.score_numbers([score([[1]], [[1]])]))


EMPTY, FULL = np.zeros((9, 9), dtype=np.uint8), disc(3, (9, 9))


@pytest.mark.parametrize(
    ("pairs", "words"),
    [
        ([(EMPTY, EMPTY)], "There is no score: mask and reference mask are empty"),
        ([(FULL, EMPTY), (FULL, FULL)], "the mean distances are infinite"),
        ([(FULL, FULL)], "0.00 px apart"),
    ],
)
def test_the_verdict_on_the_scores_reads_well_with_empty_masks(pairs, words):
    numbers = remarks.score_numbers([score(*pair) for pair in pairs])
    text = remarks.score_verdict(numbers, is_published_stack=False)
    assert words in said(text, {**numbers, "n_slices": len(pairs)})


def test_synthetic_scores_are_said_to_be_calibrated(slice_scores):
    numbers = remarks.score_numbers(slice_scores)
    assert "calibrated" in remarks.score_verdict(numbers, is_published_stack=True)
    assert "calibrated" not in remarks.score_verdict(numbers, is_published_stack=False)
    assert "calibrated" in slice_tables.given(True, True)
    assert "calibrated" in remarks.sweep_origin(True, True)


@pytest.mark.parametrize(
    ("spacing", "words"),
    [(None, "not known"), ((1.0, 1.0), "**26 mm**"), ((0.5, 1.0), "**13 × 26 mm**")],
)
def test_the_kernel_width_is_told_in_mm_where_that_is_possible(spacing, words):
    assert words in remarks.physical_width(26, spacing)


def test_no_width_to_compare_is_wider_than_the_pipeline_takes():
    assert max(dilation.widths_around(MAX_KERNEL_WIDTH)) == MAX_KERNEL_WIDTH


def test_scores_at_another_kernel_width_are_not_said_to_agree(slice_scores):
    text = remarks.score_verdict(remarks.score_numbers(slice_scores), is_published_stack=True)
    assert "where these scores agree with them" in text
    assert "built-in stack" not in remarks.pooling(applies=False)


def test_a_table_of_a_long_stack_says_that_it_does_not_show_all(slice_scores):
    many = score_tables.score_table(slice_scores * 20).data
    assert many.endswith(f"Shown: {tables.MOST_ROWS} of {20 * len(slice_scores)} slices.")
    assert "Shown" not in score_tables.score_table(slice_scores).data
