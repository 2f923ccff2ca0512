"""Growing through the dark: the rule against itself written the long way, and on known shapes."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from skullnb import evidence, heads, metrics
from skullnb.cli import main
from skullnb.errors import InvalidSetting
from skullnb.pipeline import (
    RULES,
    Mask,
    PipelineSettings,
    create_skull_masks,
    fill_holes,
    masks_by_width,
    measure_slice,
    measure_stack,
    trace_skull_mask,
)
from skullnb.pipeline.border import disc, grow_through_dark
from skullnb.pipeline.trace import GROW
from skullnb.report.chapter import open_chapter
from skullnb.stack import Stack, write_stack
from skullnb.sweep import sweep_kernel_width

Spacing = tuple[float, float]
GROWTH = PipelineSettings(border="dark growth")


def footprint(radius_mm: float, spacing: Spacing) -> np.ndarray:
    """Ask of every pixel whether it lies within the radius."""
    down, across = (int(radius_mm / size) + 1 for size in spacing)
    rows, columns = np.mgrid[-down : down + 1, -across : across + 1]
    return (rows * spacing[0]) ** 2 + (columns * spacing[1]) ** 2 <= radius_mm**2


def long_way(
    brain: Mask, normalised: Mask, threshold: float, spacing: Spacing, *words: float
) -> np.ndarray:
    """Write the rule down as it is told, on a frame so wide that nothing reaches its end."""
    reach_mm, share, margin_mm, closing_mm = words
    room = int((reach_mm + closing_mm + 8) / min(spacing)) + 2
    inner = (slice(room, -room),) * 2

    def dilate(mask: np.ndarray, mm: float) -> np.ndarray:
        return ndimage.binary_dilation(mask, footprint(mm, spacing))

    def erode(mask: np.ndarray, mm: float) -> np.ndarray:
        return ndimage.binary_erosion(mask, footprint(mm, spacing))

    def close(mask: np.ndarray, mm: float) -> np.ndarray:
        closed = np.zeros_like(mask)
        closed[inner] = erode(dilate(mask, mm), mm)[inner]
        return closed

    def largest(mask: np.ndarray) -> np.ndarray:
        labels, n = ndimage.label(mask)
        return mask & (labels == 1 + np.argmax(np.bincount(labels.ravel(), minlength=n + 2)[1:]))

    grey, found = (np.pad(one.astype(float), room) for one in (normalised, brain))
    head = largest(ndimage.binary_fill_holes(close(grey > 0.5 * threshold, 3)))
    closed = ndimage.binary_fill_holes(close(found > 0, 4))
    inside = erode(head, margin_mm)
    near = dilate(closed, min(2, reach_mm)) & inside
    grown = near | ((grey < share * threshold) & dilate(closed, reach_mm) & inside)
    grown = near | dilate(erode(grown, 2), 2)
    return close(largest(grown), closing_mm)[inner]


def blobs(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    smooth = ndimage.gaussian_filter(rng.random(shape), rng.uniform(0, 3))
    return smooth > np.quantile(smooth, rng.uniform(0.05, 0.95))


@given(st.integers(0, 2**32 - 1), st.integers(1, 30), st.integers(1, 30))
def test_every_pixel_is_as_the_rule_written_the_long_way_says(
    seed: int, height: int, width: int
) -> None:
    rng = np.random.default_rng(seed)
    brain = blobs(rng, (height, width))
    levels = rng.integers(0, 256, (height, width)) // rng.integers(1, 4)
    levels[blobs(rng, (height, width))] = rng.integers(0, 256)
    spacing = tuple(rng.choice([0.6, 0.7, 1.0, 1.3, 3.0], 2).tolist())
    words = (
        float(rng.choice([0, 1.4, 5, 14])),
        float(rng.choice([0.6, 0.9, 1.2])),
        float(rng.choice([0, 1, 3])),
        float(rng.choice([0, 2, 8])),
    )
    threshold = float(rng.choice([0, 40, 97, 130.5]))
    found = grow_through_dark(
        brain.astype(np.uint8), levels.astype(np.uint8), threshold, spacing, *words
    )
    assert found.dtype == np.uint8
    expected = long_way(brain, levels.astype(np.uint8), threshold, spacing, *words)
    np.testing.assert_array_equal(found, expected)


@given(st.floats(0, 20), st.floats(0.3, 4), st.floats(0.3, 4))
def test_a_disc_holds_the_pixels_whose_centres_are_near_enough(
    radius_mm: float, row: float, column: float
) -> None:
    rows, there = disc(radius_mm, (row, column)), footprint(radius_mm, (row, column))
    middle = len(there) // 2
    widths = there[middle:].sum(axis=1)
    assert rows.tolist() == ((widths[widths > 0] - 1) // 2).tolist()


def drawn_head(brain_mm: float, skull_mm: float, head_mm: float, spacing: Spacing) -> Mask:
    """Draw a brain, bone and CSF around it, and scalp, all round: levels 220, 20, 180."""
    rows, columns = np.mgrid[-110:111, -110:111]
    away = np.hypot(rows * spacing[0], columns * spacing[1])
    levels = np.zeros(away.shape, dtype=np.uint8)
    for radius, level in ((head_mm, 180), (skull_mm, 20), (brain_mm, 220)):
        levels[away <= radius] = level
    return levels


@pytest.mark.parametrize("spacing", [(1.0, 1.0), (0.8, 0.8), (1.0, 0.75)])
@pytest.mark.parametrize(("thickness", "expected"), [(4, 4), (11, 11), (20, 14)])
def test_it_stops_where_the_scalp_begins_and_at_the_reach_at_the_latest(
    spacing: Spacing, thickness: float, expected: float
) -> None:
    levels = drawn_head(40, 40 + thickness, 52 + thickness, spacing)
    brain = (levels == 220).astype(np.uint8)
    mask = fill_holes(grow_through_dark(brain, levels, 100, spacing))
    area = np.count_nonzero(mask) * spacing[0] * spacing[1]
    assert np.sqrt(area / np.pi) == pytest.approx(40 + expected, abs=0.5)


def test_where_bright_marrow_touches_the_brain_it_still_grows_a_little() -> None:
    levels = drawn_head(40, 40, 60, (1.0, 1.0))
    brain = (levels == 220).astype(np.uint8)
    grown = grow_through_dark(brain, levels, 100, (1.0, 1.0))
    assert np.sqrt(np.count_nonzero(grown) / np.pi) == pytest.approx(42, abs=0.5)


def test_a_head_without_scalp_is_kept_out_of_by_the_margin() -> None:
    levels = drawn_head(40, 40, 40, (1.0, 1.0))
    brain = (levels == 220).astype(np.uint8)
    grown = grow_through_dark(brain, levels, 100, (1.0, 1.0))
    assert np.sqrt(np.count_nonzero(grown) / np.pi) == pytest.approx(37, abs=0.5)


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (40, 1), (30, 30)])
def test_without_a_brain_nothing_grows(shape: tuple[int, int]) -> None:
    nothing = np.zeros(shape, dtype=np.uint8)
    assert not grow_through_dark(nothing, nothing, 0, (1.0, 1.0)).any()


def test_its_arrays_may_be_read_only_and_are_not_changed() -> None:
    levels = drawn_head(40, 46, 60, (1.0, 1.0))
    brain = (levels == 220).astype(np.uint8)
    before = grow_through_dark(brain, levels, 100, (1.0, 1.0))
    levels.flags.writeable = brain.flags.writeable = False
    np.testing.assert_array_equal(grow_through_dark(brain, levels, 100, (1.0, 1.0)), before)
    strided = np.asfortranarray(brain), np.asfortranarray(levels)
    np.testing.assert_array_equal(grow_through_dark(*strided, 100, (1.0, 1.0)), before)


@pytest.mark.parametrize("settings", [GROWTH, replace(GROWTH, reach_mm=5, fill_holes=False)])
def test_every_door_gives_the_same_mask(settings: PipelineSettings) -> None:
    head = heads.load("studyforrest").select([2, 9])
    reach_mm = settings.reach_mm or 14.0
    masks = create_skull_masks(head.images, settings, head.spacing_mm)
    table = measure_stack(head, settings)
    for image, mask, (_, row) in zip(head.images, masks, table.iterrows(), strict=True):
        trace = trace_skull_mask(image, settings, spacing_mm=head.spacing_mm)
        assert trace.settings == replace(settings, reach_mm=reach_mm)
        own = trace.brain, trace.normalised, trace.threshold, head.spacing_mm
        np.testing.assert_array_equal(trace.dilated, grow_through_dark(*own, reach_mm))
        filled = fill_holes(trace.dilated) if settings.fill_holes else trace.dilated
        np.testing.assert_array_equal(trace.mask, filled)
        np.testing.assert_array_equal(mask, filled)
        measure = measure_slice(image, settings, head.spacing_mm)
        np.testing.assert_array_equal(measure.mask, filled)
        assert measure.warnings == trace.warnings == row["warnings"]
        assert measure.dilated_px == row["dilated_px"] == np.count_nonzero(trace.dilated)


def test_the_border_of_a_real_head_is_met_better_than_by_any_one_kernel() -> None:
    head = heads.load("studyforrest")
    assert head.reference is not None
    grown = create_skull_masks(head.images, GROWTH, head.spacing_mm)
    scores = [metrics.iou(*pair) for pair in zip(grown, head.reference, strict=True)]
    assert np.mean(scores) == pytest.approx(0.9649, abs=1e-4)
    assert np.min(scores) > 0.92


def test_the_trace_names_the_rule_and_counts_what_it_changed() -> None:
    levels = drawn_head(40, 51, 63, (1.0, 1.0))
    trace = trace_skull_mask(levels, GROWTH, spacing_mm=(1.0, 1.0))
    names = [record.name for record in trace.rules]
    assert names == [*RULES[:4], GROW, "fill holes"]
    grown = trace.rules[4]
    assert grown.fired
    assert grown.n_pixels == np.count_nonzero(trace.dilated != trace.brain)


def test_the_ledger_says_what_the_rule_is_worth_and_keeps_it_apart_from_the_dilation() -> None:
    head = heads.load("studyforrest").select([4, 9])
    ledger = evidence.build_ledger(head, GROWTH)
    account = evidence.summarise(ledger).set_index("rule")
    assert list(account.index) == [*RULES[:4], GROW, "fill holes"]
    assert account.loc[GROW, "status"] == "exercised"
    assert account.loc[GROW, "iou"] - account.loc[GROW, "iou_off"] > 0.1
    # Without a threshold nothing is dark, and whatever is not black is brain.
    bare = evidence.switch_off(
        trace_skull_mask(head.images[0], GROWTH, spacing_mm=head.spacing_mm), "threshold"
    )
    zero = replace(GROWTH, threshold=0)
    np.testing.assert_array_equal(
        bare, create_skull_masks(head.images[:1], zero, head.spacing_mm)[0]
    )
    with pytest.raises(InvalidSetting, match="different settings"):
        evidence.combine([ledger, evidence.build_ledger(head)])


def test_a_head_that_is_all_margin_leaves_an_empty_mask_and_says_why() -> None:
    levels = drawn_head(2, 2, 2, (1.0, 1.0))
    trace = trace_skull_mask(levels, GROWTH, spacing_mm=(1.0, 1.0))
    assert trace.brain.any()
    assert not trace.mask.any()
    assert trace.reason == "nothing of the chosen component lies 3 mm inside the head's outline"
    assert trace.warnings[-1] == f"the mask is empty: {trace.reason}"
    assert measure_slice(levels, GROWTH, (1.0, 1.0)).status == "empty"


@pytest.mark.parametrize(
    "door",
    [
        lambda image: create_skull_masks(image[None], GROWTH),
        lambda image: trace_skull_mask(image, GROWTH),
        lambda image: measure_slice(image, GROWTH),
        lambda image: measure_stack(Stack(image[None]), GROWTH),
        lambda image: GROWTH.at(None),
    ],
)
def test_without_a_spacing_every_door_says_what_is_missing(door: Callable[[Any], Any]) -> None:
    with pytest.raises(InvalidSetting, match=r"Dark growth needs the size of a pixel, .*--spacing"):
        door(np.eye(9))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"kernel_width": 30}, "30 px.* is given, and dark growth has no kernel; give the most"),
        ({"kernel_width": 30, "reach_mm": 9.0}, "Both a kernel width"),
        ({"reach_mm": -1}, "The reach must be a number of mm"),
    ],
)
def test_a_kernel_and_an_impossible_reach_are_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidSetting, match=said):
        replace(GROWTH, **given)


def test_pixels_of_no_size_are_refused() -> None:
    for spacing, said in (((0.0, 1.0), "spacing must be"), ((1e-3, 1e-3), "more than 1023")):
        with pytest.raises(InvalidSetting, match=said):
            GROWTH.at(spacing)


def test_a_sweep_over_kernel_widths_is_refused() -> None:
    image = np.eye(9)
    with pytest.raises(InvalidSetting, match="Dark growth has no kernel width"):
        next(masks_by_width(image, [26], GROWTH))
    stack = Stack(image[None], np.ones((1, 9, 9), dtype=np.uint8), (1.0, 1.0))
    for widths in ([26], [24, 26]):
        with pytest.raises(InvalidSetting, match="ark growth has no kernel"):
            sweep_kernel_width(stack, widths, settings=GROWTH)


def run(*words: Any) -> Result:
    return CliRunner().invoke(main, [*map(str, words)])


def test_the_commands_take_the_rule_and_say_what_was_used(tmp_path: Path) -> None:
    head = heads.load("studyforrest").select([4, 9])
    write_stack(head, tmp_path / "head.npz")
    scan, mask = tmp_path / "head.npz", tmp_path / "mask.npy"
    done = run("mask", scan, "-o", mask, "--border", "dark growth", "--reach-mm", 12)
    assert done.exit_code == 0, done.output
    assert "12 mm" in done.output
    settings = replace(GROWTH, reach_mm=12.0)
    expected = create_skull_masks(head.images, settings, head.spacing_mm)
    np.testing.assert_array_equal(np.load(mask), expected)
    told = json.loads((tmp_path / "mask.json").read_text("utf-8"))
    assert told["Settings"] == {**asdict(settings), "kernel_width": None}
    assert told["ReachMm"] == [12.0, 12.0]
    assert not any("kernel" in remark or "reach" in remark for remark in told["Remarks"])
    table = pd.read_csv(tmp_path / "mask.csv")
    assert table["kernel_width"].isna().all()
    assert table["mask_px"].tolist() == [int(one.sum()) for one in expected]

    done = run("evidence", scan, "--border", "dark growth", "-o", tmp_path)
    assert done.exit_code == 0, done.output
    assert f"{GROW}  exercised, changed 2 of 2" in done.output
    told = json.loads((tmp_path / "evidence.json").read_text("utf-8"))
    assert told["settings"] == asdict(replace(GROWTH, reach_mm=14.0))


def test_a_batch_takes_the_rule_too(tmp_path: Path) -> None:
    head = heads.load("studyforrest").select([4, 9])
    np.save(tmp_path / "scans.npy", head.images)
    words = ("mask", tmp_path / "scans.npy", "-o", tmp_path / "masks.packed.npy")
    words += ("--border", "dark growth")
    bare = run(*words)
    assert bare.exit_code == 2
    assert "Dark growth needs the size of a pixel" in bare.output
    done = run(*words, "--spacing", "0.7x0.7")
    assert done.exit_code == 0, done.output
    masks = np.unpackbits(np.load(tmp_path / "masks.packed.npy"), axis=-1, count=274)
    np.testing.assert_array_equal(masks, create_skull_masks(head.images, GROWTH, (0.7, 0.7)))
    again = run(*words, "--spacing", "0.7x0.7", "--reach-mm", 9)
    assert again.exit_code != 0
    assert "reach" in again.output or "exists" in again.output


def test_a_kernel_width_beside_the_rule_is_refused_by_the_commands(tmp_path: Path) -> None:
    output = ("-o", tmp_path / "mask.npy", "--border", "dark growth", "--kernel-width", 30)
    done = run("mask", "studyforrest", *output)
    assert done.exit_code != 0
    assert "dark growth has no kernel" in done.output
    assert not any(tmp_path.iterdir())


def test_chapters_about_the_articles_steps_keep_to_them() -> None:
    asked = {"border": "dark growth", "reach_mm": 12}
    assert open_chapter("05-dilation", asked).settings == PipelineSettings()
    mine = open_chapter("15-your-data", asked)
    assert mine.settings == replace(GROWTH, reach_mm=12.0)
    assert mine.scores is not None
    assert mine.scores["iou"].mean() > 0.96
