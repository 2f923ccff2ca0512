"""Figures, tables and sentences of the chapters on the pipeline's stages."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO

import cv2
import numpy as np
import pytest
from PIL import Image

from skullnb.chapter import fill
from skullnb.errors import InvalidImage, ShapeMismatch
from skullnb.figures import (
    columns,
    findings,
    layout,
    lessons,
    regions,
    stage_tables,
    stages,
    trials,
)
from skullnb.phantom import published_stack, variant
from skullnb.pipeline import (
    PipelineSettings,
    dilate,
    fill_holes,
    normalise,
    otsu_threshold,
    trace_skull_mask,
)
from skullnb.stack import Stack

SETTINGS = PipelineSettings()


@pytest.fixture(scope="module")
def stack():
    return published_stack()


@pytest.fixture(scope="module")
def traces(stack):
    return [trace_skull_mask(image) for image in stack.images]


def awkward_slices():
    """Slices on which parts of a picture or a table have nothing to show."""
    noise = np.random.default_rng(5).integers(0, 4000, (40, 30)).astype(np.int16)
    touching = np.zeros((40, 30))
    touching[:, 10:20] = 1
    return {
        "flat": np.full((40, 30), 7.0),
        "noise": noise,
        "touching": touching,
        "one pixel": np.ones((1, 1)),
        "one row": np.arange(9.0)[None],
    }


AWKWARD = awkward_slices()


# The curve under the histogram


@pytest.mark.parametrize("seed", range(8))
def test_the_curve_is_highest_where_opencv_puts_the_threshold(seed):
    rng = np.random.default_rng(seed)
    levels = np.concatenate([rng.normal(60, 20, 900), rng.normal(170, 30, 600)])
    levels = levels.clip(0, 255).astype(np.uint8)[None]
    assert lessons.between_class_variance(levels).argmax() == otsu_threshold(levels)


def test_the_curve_is_the_variance_between_the_class_means():
    levels = np.random.default_rng(3).integers(0, 256, (30, 20)).astype(np.uint8)
    dark, bright = levels[levels <= 99].astype(float), levels[levels > 99].astype(float)
    expected = dark.size * bright.size / levels.size**2 * (bright.mean() - dark.mean()) ** 2
    assert lessons.between_class_variance(levels)[99] == pytest.approx(expected)


def test_the_curve_of_a_flat_slice_is_zero():
    assert not lessons.between_class_variance(np.full((5, 4), 9, dtype=np.uint8)).any()


def test_the_threshold_lies_halfway_between_the_class_means(traces):
    for trace in traces:
        half = sum(lessons.class_means(trace.normalised, trace.threshold)) / 2
        assert trace.threshold <= half < trace.threshold + 1


def test_no_more_bright_pixels_lie_in_the_upper_half_than_the_threshold_allows(traces):
    assert 0 < lessons.bright_in_upper_half(traces) <= findings.most_in_upper_half(23)


# What the exercises answer


def test_multiplying_the_intensities_leaves_the_mask(stack):
    image = stack.images[2].astype(np.float64)
    assert (trace_skull_mask(4096 * image).mask == trace_skull_mask(image).mask).all()


def test_a_cold_pixel_a_hundred_ranges_down_leaves_an_empty_mask_that_touches_the_frame(stack):
    (trace,) = trials.hot_pixel_traces(stack.images[2], [-100], SETTINGS)
    assert not trace.mask.any()
    assert trace.reason.startswith("every bright component touches the frame")


def test_a_hot_pixel_first_changes_nothing_and_then_takes_the_mask(stack, traces):
    mild, severe = trials.hot_pixel_traces(stack.images[2], [3, 100], SETTINGS)
    assert (mild.mask == traces[2].mask).all()
    assert severe.mask.sum() == 545
    assert severe.warnings


def test_cutting_off_the_brightest_pixels_moves_the_level_and_hardly_the_mask(stack, traces):
    for image, trace in zip(stack.images, traces, strict=True):
        cut = trace_skull_mask(np.minimum(image, np.quantile(image, 0.995)))
        assert 2.5 * trace.threshold < cut.threshold < 3 * trace.threshold
        assert (cut.mask != trace.mask).sum() < 100
        assert trace.mask.sum() > 100_000


def test_hemispheres_apart_leave_half_a_head_and_a_warning():
    head = variant("hemispheres-apart")
    trace = trace_skull_mask(head.images[2])
    covered = (trace.mask & head.reference[2]).sum() / head.reference[2].sum()
    assert 0.45 < covered < 0.6
    assert "lies beside the chosen one" in trace.warnings[0]


def test_filling_before_the_dilation_is_the_same_at_26_px_and_not_at_10_px(traces):
    brain = traces[2].brain
    differing = [
        int((fill_holes(dilate(brain, width)) != dilate(fill_holes(brain), width)).sum())
        for width in (26, 10)
    ]
    assert differing[0] == 0
    assert 0 < differing[1] < 200


# Lessons


def test_a_profile_keeps_to_the_distances_it_was_given():
    image = np.tile([5, 5, 0, 9, 9], (3, 1))[None]
    mask = np.tile([1, 1, 1, 0, 0], (3, 1))[None].astype(np.uint8)
    profile = lessons.border_profile(image, mask, (2.0, 2.0))
    assert profile["distance"].tolist() == [-5, -3, -1, 1, 3]
    assert profile["median"].tolist() == [5, 5, 0, 9, 9]


def test_a_slice_without_a_border_has_no_profile():
    empty = np.zeros((1, 4, 4), dtype=np.uint8)
    assert len(lessons.border_profile(np.zeros((1, 4, 4)), empty)) == 0


def test_a_histogram_counts_every_pixel_once():
    images = np.random.default_rng(1).normal(size=(3, 20, 10))
    assert lessons.intensity_histogram(images)[0].sum() == images.size


def test_a_histogram_of_nan_says_what_is_wrong():
    with pytest.raises(InvalidImage, match="NaN"):
        lessons.intensity_histogram(np.full((1, 2, 2), np.nan))


def test_sixteen_bits_wrap_where_the_pipeline_does_not(stack):
    whole = trials.as_int16(stack.images[2])
    assert (trials.differences(whole) < 0).any()
    levels = normalise(whole).astype(int)
    ordered = np.argsort(whole.ravel())
    assert (np.diff(levels.ravel()[ordered]) >= 0).all()


def test_a_channel_narrower_than_the_kernel_is_closed_and_the_cavity_filled():
    narrow, close, wide = trials.channel_widths(SETTINGS)
    filled = {
        width: trials.fill_after(trials.keyhole(width), SETTINGS, [26])[0]
        for width in (narrow, close, wide)
    }
    assert filled[narrow] > 0
    assert filled[close] > 0
    assert filled[wide] == 0


def test_the_sentence_on_the_edge_rule_says_whether_it_fired():
    assert "never fired" in findings.edge_rule([0, 0, 0], is_published_stack=False)
    assert "fired** on 1 of 2 slices and dropped 3" in findings.edge_rule([0, 3], False)


def test_only_the_built_in_stack_is_said_to_agree_with_the_article():
    assert "article" in findings.edge_rule([0], is_published_stack=True)
    assert "article" not in findings.edge_rule([0], is_published_stack=False)


def test_the_sentence_on_holes_tells_three_cases_apart():
    assert "1 of 2 slices and added 7 px" in findings.hole_rule([0, 7], [9, 9], [0, 7])
    assert "closed every one of them" in findings.hole_rule([0, 0], [9, 9], [0, 0])
    assert "closed" not in findings.hole_rule([0], [0], [0])


def test_a_component_that_swallows_the_scalp_is_pointed_out(traces):
    assert "Look twice" not in findings.separation(traces)
    bridge = [trace_skull_mask(image) for image in variant("bridge").images]
    assert "on 5 of the 5" in findings.separation(bridge)


def test_only_the_built_in_heads_pixel_size_is_called_chosen():
    assert "0.375 mm" in findings.chosen_pixel_size(True, (0.375, 0.375))
    assert "0.5 × 1 mm" in findings.chosen_pixel_size(True, (0.5, 1.0))
    assert findings.chosen_pixel_size(False, (0.375, 0.375)) == ""


def test_a_threshold_says_as_much_as_it_can_and_no_more():
    assert "claims most of the scale" in findings.implied_by_threshold([23])
    assert "not low" in findings.implied_by_threshold([53])
    assert "any share" in findings.implied_by_threshold([90])


def test_sentences_can_be_filled_in():
    values = {"data_name": "x", "n_slices": 5, "bright_in_upper_half": 0.01}
    for text in (
        findings.origin(True, True),
        findings.origin(False, True),
        findings.origin(False, False),
        findings.implied_by_threshold([23]),
        findings.implied_by_threshold([200]),
        findings.edge_rule([0], True),
        findings.hole_rule([0], [3], [0]),
        findings.separation([]),
        findings.warned([("a",), ()]),
    ):
        assert "{" not in fill(text, values)


# Tables


def test_published_figures_are_not_set_beside_other_data():
    rows = {"threshold": (23, [40])}
    assert "23" not in columns.published_beside_measured(rows, applies=False).data
    shown = columns.published_beside_measured(rows, applies=True).data
    assert "| threshold | 23 | 40 |" in shown
    assert "not evidence" in shown


def test_columns_of_different_length_are_refused():
    with pytest.raises(ShapeMismatch, match="differ in length"):
        columns.columns_table({"a": [1], "b": [1, 2]})


def test_the_largest_components_come_first_with_what_became_of_them():
    image = np.zeros((12, 12))
    image[0:2, 0:12] = image[5:8, 5:8] = image[10, 10] = 1
    lines = stage_tables.largest_components(trace_skull_mask(image)).data.splitlines()[2:]
    assert [line.split("|")[-2].strip() for line in lines] == [
        "dropped: touches the frame",
        "taken for the brain",
        "left out: not the largest",
    ]


def test_areas_are_given_in_square_centimetres_where_the_spacing_is_known():
    images, mask = np.zeros((1, 20, 20)), np.ones((1, 20, 20), dtype=np.uint8)
    known = stage_tables.intensity_table(Stack(images, mask, spacing_mm="5x10")).data
    assert "200.0" in known.splitlines()[-1]
    assert "cm²" not in stage_tables.intensity_table(Stack(images, mask)).data


# Figures


def test_a_picture_is_transparent_and_page_wide(traces):
    with Image.open(BytesIO(regions.components(traces[:2], ["a", "b"]).png())) as picture:
        assert picture.mode == "RGBA"
        assert picture.getpixel((picture.width - 1, 0))[3] == 0
        assert picture.width == 1032


def test_component_colours_follow_the_rules():
    image = np.zeros((12, 12))
    image[0, :] = image[5:8, 5:8] = image[10, 10] = 1
    trace = trace_skull_mask(image)
    picture = regions.coloured_components(trace)
    assert picture[0, 0].tolist() == layout.colour("scalp").tolist()
    assert picture[6, 6].tolist() == layout.colour("brain").tolist()
    assert len(set(picture[10, 10])) == 1
    kept = trace_skull_mask(image, replace(SETTINGS, drop_edge_touching=False))
    assert regions.coloured_components(kept)[0, 0].tolist() == layout.colour("brain").tolist()


def test_the_reference_border_title_depends_on_the_profile(stack):
    title = stages.intensity_near_border(stack.images, stack.reference, stack.spacing_mm)
    assert title.get_suptitle().endswith("a dark band")
    inverse = stages.intensity_near_border(-stack.images, stack.reference, stack.spacing_mm)
    assert not inverse.get_suptitle().endswith("a dark band")


def test_without_a_reference_the_border_figure_is_a_sentence():
    assert "No reference" in stages.intensity_near_border(np.zeros((1, 4, 4)), None, None).data


def test_the_fill_curve_names_the_width_that_leaves_nothing():
    shape = np.zeros((60, 60), dtype=np.uint8)
    cv2.circle(shape, (30, 30), 25, 1, 3)
    assert "Even after" in regions.left_to_fill(shape, SETTINGS, [0, 4]).get_suptitle()
    assert "From width 50" in regions.left_to_fill(shape, SETTINGS, [0, 4, 50]).get_suptitle()


def test_a_head_is_cropped_to_and_an_empty_frame_is_not(stack):
    rows, columns = layout.head_box(stack.images)
    assert (rows.stop - rows.start) < 0.9 * stack.images.shape[1]
    inside = np.zeros(stack.images.shape[1:], dtype=bool)
    inside[rows, columns] = True
    assert not (stack.reference.any(axis=0) & ~inside).any()
    assert layout.head_box(np.zeros((1, 10, 8))) == (slice(0, 10), slice(0, 8))


@pytest.mark.parametrize("name", AWKWARD)
def test_every_figure_and_table_copes_with_awkward_slices(name):
    image = AWKWARD[name]
    trace = trace_skull_mask(image)
    images, reference = image[None], np.zeros((1, *image.shape), dtype=np.uint8)
    pictures = [
        stages.slices_with_reference(images, [0], None),
        stages.slices_with_reference(images, [0], reference, (1.0, 2.0)),
        stages.intensity_near_border(images, reference, None),
        stages.intensities(images),
        stages.before_and_after(image, trace.normalised),
        stages.hot_pixel(trials.hot_pixel_traces(image, [1, 100], SETTINGS), [1, 100]),
        stages.wrapped(trials.as_int16(image)),
        stages.otsu(trace.normalised, trace.threshold),
        stages.bright_pixels([trace], [0]),
        regions.components([trace], ["slice 0"]),
        regions.filled(trace),
        regions.left_to_fill(trace.brain, SETTINGS, [0, 10, 20]),
        regions.channels({0: trials.keyhole(0), 300: trials.keyhole(300)}, SETTINGS),
    ]
    assert all(picture.png().startswith(b"\x89PNG") for picture in pictures)
    tables = [
        stage_tables.intensity_table(Stack(images, reference)),
        stage_tables.border_table(Stack(images, reference)),
        stage_tables.levels_table([trace], [0]),
        stage_tables.threshold_table([trace], [0]),
        stage_tables.largest_components(trace),
        stage_tables.connectivity_table(trials.mask_by_connectivity(image, SETTINGS)),
        stage_tables.holes_table([trace], [0], reference),
    ]
    assert all(len(table.data) > 20 for table in tables)


def test_a_slice_number_is_a_name_and_gets_no_thousands_separator():
    table = columns.columns_table({"slice": [1200], "area": [1200]}).data
    assert "| 1200 | 1,200 |" in table


def test_a_distance_on_the_edge_of_two_ranges_is_counted_in_one():
    image = np.array([[[7.0] * 4 + [0.0] * 4]])
    mask = np.array([[[1] * 4 + [0] * 4]], dtype=np.uint8)
    table = stage_tables.border_table(Stack(image, mask, spacing_mm=4.0)).data
    assert "| 0 to 2 | 0 |" in table


def test_where_nothing_was_chosen_nothing_is_said_to_be_left_for_a_scalp():
    said = findings.separation([trace_skull_mask(np.zeros((8, 8)))])
    assert said == "On none of the 1 slices shown was a component chosen."
