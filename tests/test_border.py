"""Growing through the dark: the rule against itself written the long way, and on known shapes."""

import json
from dataclasses import asdict, replace

import numpy as np
import pandas as pd
import pytest
from commands import run
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from skullnb import evidence, heads, metrics
from skullnb.errors import InvalidSetting
from skullnb.pipeline import (
    RULES,
    PipelineSettings,
    create_skull_masks,
    fill_holes,
    masks_by_width,
    measure_slice,
    measure_stack,
    trace_skull_mask,
)
from skullnb.pipeline.border import grow_through_dark
from skullnb.pipeline.trace import GROW
from skullnb.report.chapter import open_chapter
from skullnb.sweep import sweep_kernel_width

GROWTH = PipelineSettings(border="dark growth")


def footprint(radius_mm, spacing):
    """Ask of every pixel whether it lies within the radius."""
    down, across = (int(radius_mm / size) + 1 for size in spacing)
    rows, columns = np.mgrid[-down : down + 1, -across : across + 1]
    return (rows * spacing[0]) ** 2 + (columns * spacing[1]) ** 2 <= radius_mm**2


def long_way(brain, normalised, threshold, spacing, reach_mm):
    """Write the rule down as it is told, on a frame so wide that nothing reaches its end."""
    room = int((reach_mm + 16) / min(spacing)) + 2
    inner = (slice(room, -room),) * 2

    def dilate(mask, mm):
        return ndimage.binary_dilation(mask, footprint(mm, spacing))

    def erode(mask, mm):
        return ndimage.binary_erosion(mask, footprint(mm, spacing))

    def close(mask, mm):
        closed = np.zeros_like(mask)
        closed[inner] = erode(dilate(mask, mm), mm)[inner]
        return closed

    def largest(mask):
        labels, n = ndimage.label(mask)
        return mask & (labels == 1 + np.argmax(np.bincount(labels.ravel(), minlength=n + 2)[1:]))

    grey, found = (np.pad(one.astype(float), room) for one in (normalised, brain))
    head = largest(ndimage.binary_fill_holes(close(grey > 0.5 * threshold, 3)))
    closed = ndimage.binary_fill_holes(close(found > 0, 4))
    inside = erode(head, 3)
    near = dilate(closed, min(2, reach_mm)) & inside
    grown = near | ((grey < 0.9 * threshold) & dilate(closed, reach_mm) & inside)
    grown = near | dilate(erode(grown, 2), 2)
    return close(largest(grown), 8)[inner]


def blobs(rng, shape):
    smooth = ndimage.gaussian_filter(rng.random(shape), rng.uniform(0, 3))
    return smooth > np.quantile(smooth, rng.uniform(0.05, 0.95))


@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(1, 40))
def test_every_pixel_is_as_the_rule_written_the_long_way_says(seed, height, width):
    rng = np.random.default_rng(seed)
    brain = blobs(rng, (height, width))
    levels = rng.integers(0, 256, (height, width)) // rng.integers(1, 4)
    levels[blobs(rng, (height, width))] = rng.integers(0, 256)
    spacing = tuple(rng.choice([0.6, 0.7, 1.0, 1.3, 3.0], 2).tolist())
    reach_mm = float(rng.choice([0, 1.4, 5, 14]))
    threshold = float(rng.choice([0, 40, 97, 130.5]))
    given = brain.astype(np.uint8), levels.astype(np.uint8), threshold, spacing, reach_mm
    for one in given[:2]:
        one.flags.writeable = False
    np.testing.assert_array_equal(grow_through_dark(*given), long_way(*given))


def test_a_head_whose_scalp_is_apart_from_a_larger_brain_is_grown_to_its_scalp():
    away = np.hypot(*np.mgrid[-70:71, -70:71])
    levels = np.select([away <= 40, away <= 51, away <= 63], [220, 20, 180], 0).astype(np.uint8)
    mask = grow_through_dark((away <= 40).astype(np.uint8), levels, 100, (1.0, 1.0))
    assert np.sqrt(np.count_nonzero(mask) / np.pi) == pytest.approx(51, abs=0.5)


@pytest.mark.parametrize("settings", [GROWTH, replace(GROWTH, reach_mm=5, fill_holes=False)])
def test_every_door_gives_the_same_mask(settings):
    head = replace(heads.load("studyforrest").select([2, 9]), spacing_mm=(0.7, 0.7))
    masks = create_skull_masks(head.images, settings, (0.7, 0.7))
    table = measure_stack(head, settings)
    for image, mask, row in zip(head.images, masks, table.itertuples(), strict=True):
        trace = trace_skull_mask(image, settings, spacing_mm=(0.7, 0.7))
        assert trace.settings == replace(settings, reach_mm=settings.reach_mm or 14.0)
        own = trace.brain, trace.normalised, trace.threshold, (0.7, 0.7)
        grown = grow_through_dark(*own, trace.settings.reach_mm)
        np.testing.assert_array_equal(trace.dilated, grown)
        np.testing.assert_array_equal(mask, fill_holes(grown) if settings.fill_holes else grown)
        assert (row.warnings, row.dilated_px) == (trace.warnings, grown.sum())


def test_the_border_of_a_real_head_is_met_better_than_by_any_one_kernel():
    head = heads.load("studyforrest")
    grown = create_skull_masks(head.images, GROWTH, head.spacing_mm)
    scores = [metrics.iou(*pair) for pair in zip(grown, head.reference, strict=True)]
    assert np.mean(scores) == pytest.approx(0.9649, abs=1e-4)
    assert np.min(scores) > 0.92


def test_the_ledger_says_what_the_rule_is_worth_and_keeps_it_apart_from_the_dilation():
    head = heads.load("studyforrest").select([4, 9])
    ledger = evidence.build_ledger(head, GROWTH)
    account = evidence.summarise(ledger).set_index("rule")
    assert list(account.index) == [*RULES[:4], GROW, "fill holes"]
    assert account.loc[GROW, "status"] == "exercised"
    assert account.loc[GROW, "iou"] - account.loc[GROW, "iou_off"] > 0.1
    with pytest.raises(InvalidSetting, match="different settings"):
        evidence.combine([ledger, evidence.build_ledger(head)])


def test_a_head_that_is_all_margin_leaves_an_empty_mask_and_says_why():
    levels = np.zeros((30, 30), dtype=np.uint8)
    levels[13:17, 13:17] = 220
    trace = trace_skull_mask(levels, GROWTH, spacing_mm=(1.0, 1.0))
    assert trace.brain.any()
    assert not trace.mask.any()
    assert trace.reason == "nothing of the chosen component lies 3 mm inside the head's outline"
    assert measure_slice(levels, GROWTH, (1.0, 1.0)).reason == trace.reason
    assert not grow_through_dark(0 * levels, levels, 0, (1.0, 1.0)).any()


def test_what_dark_growth_cannot_do_is_refused():
    head = heads.load("studyforrest")
    for said, ask in (
        ("Dark growth needs the size of a", lambda: create_skull_masks(np.eye(9)[None], GROWTH)),
        ("Dark growth needs the size of a pixel", lambda: measure_slice(np.eye(9), GROWTH)),
        ("The spacing must be", lambda: GROWTH.at((0.0, 1.0))),
        ("at most 1023 px", lambda: GROWTH.at((1e-3, 1e-3))),
        ("30 px.* dark growth, which has no kernel", lambda: replace(GROWTH, kernel_width=30)),
        ("no kernel width", lambda: next(masks_by_width(np.eye(9), [26], GROWTH))),
        ("no kernel", lambda: sweep_kernel_width(head, [26], settings=GROWTH)),
        ("no kernel", lambda: sweep_kernel_width(head, [9], settings=GROWTH)),
    ):
        with pytest.raises(InvalidSetting, match=said):
            ask()


def test_the_command_and_the_batch_take_the_rule_and_say_what_was_used(tmp_path):
    head, scan = heads.load("studyforrest").select([4, 9]), tmp_path / "scans.npy"
    np.save(scan, head.images)
    settings = replace(GROWTH, reach_mm=12.0)
    expected = create_skull_masks(head.images, settings, (0.7, 0.7))
    for name in ("mask.npy", "mask.packed.npy"):
        mask = tmp_path / name
        words = ("mask", scan, "-o", mask, "--border", "dark growth")
        said = run(*words, "--kernel-width", 30, expect=2).output
        assert "dark growth, which has no kernel" in said
        assert "Dark growth needs the size of a pixel" in run(*words, expect=2).output
        run(*words, "--reach-mm", 12, "--spacing", "0.7x0.7")
        masks = np.load(mask)
        masks = np.unpackbits(masks, axis=-1, count=274) if "packed" in name else masks
        np.testing.assert_array_equal(masks, expected)
        (account,) = tmp_path.glob("*.json")
        told = json.loads(account.read_text("utf-8"))
        assert told["Settings"] == {**asdict(settings), "kernel_width": None}
        assert told["ReachMm"] == [12.0, 12.0]
        assert not any("kernel" in remark or "reach" in remark for remark in told["Remarks"])
        (table,) = tmp_path.glob("*.csv")
        assert pd.read_csv(table)["kernel_width"].isna().all()
        account.unlink()
        table.unlink()


def test_chapters_about_the_articles_steps_keep_to_them():
    asked = {"border": "dark growth", "reach_mm": 12}
    assert open_chapter("05-dilation", asked).settings == PipelineSettings()
    mine = open_chapter("15-your-data", asked)
    assert mine.settings == replace(GROWTH, reach_mm=12.0)
