"""Whole heads: distances against scipy, drawn heads of known shape, open heads, the command."""

import json
from dataclasses import replace

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from commands import run
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from skullnb import heads, metrics, skull_mask_of_volume, volume
from skullnb.errors import InvalidImage, InvalidSetting
from skullnb.study import real_heads
from skullnb.volume import WholeHead, find_whole_head, measure_volume, signs_of_volume

BRAIN_MM, SKULL_MM, SKIN_MM = 60.0, 70.0, 76.0  # radii
THICK = (5.0, 2.0, 2.5)


def drawn_head(spacing, bridge=False, skin_mm=SKIN_MM):
    """Draw a head of balls, and what is inside its skull."""
    axes = [np.arange(-84, 84.1, size) for size in spacing]
    z, y, x = np.meshgrid(*axes, indexing="ij", sparse=True)
    radius = np.sqrt(z**2 + y**2 + x**2)
    image = np.where(radius < skin_mm, 40, 0)
    image[radius < BRAIN_MM] = 200
    image[(radius >= SKULL_MM) & (radius < skin_mm)] = 250
    if bridge:
        image[(np.hypot(y, x) < 4) & (radius < skin_mm)] = 200
    noise = np.random.default_rng(0).normal(0, 12, image.shape) * (radius < skin_mm)
    return (image + noise).astype(np.int16), (radius < SKULL_MM).astype(np.uint8)


IMAGE, INSIDE = drawn_head(THICK)
BRAIN = IMAGE * INSIDE > 120
HEAD = np.stack([ndimage.binary_fill_holes(one > 0) for one in IMAGE])


@given(
    seed=st.integers(0, 1000),
    spacing=st.tuples(*[st.sampled_from([0.5, 1.0, 1.7, 4.0])] * 3),
    most=st.sampled_from([3.0, 8.0, 15.0]),
)
def test_distances_are_those_of_scipy_up_to_the_farthest(seed, spacing, most):
    voxels = np.random.default_rng(seed).random((4, 7, 9)) < 0.97
    voxels[0, 0, 0] = False
    squared, scale = volume._squared_distances(voxels, spacing, most)
    right = np.minimum(ndimage.distance_transform_edt(voxels, sampling=spacing), most)
    assert np.abs(squared / scale - right**2).max() <= 2 / scale


@pytest.mark.parametrize("spacing", [(2, 2, 2), THICK, (1.5, 3, 2)])
@pytest.mark.parametrize("bridge", [False, True])
def test_a_drawn_head_is_found_at_any_spacing(spacing, bridge):
    image, inside = drawn_head(spacing, bridge=bridge)
    found = find_whole_head(image, spacing, 14.0)
    assert metrics.iou(found.masks, inside) > 0.95
    assert bridge <= (found.opening_mm > 0.5)
    assert bridge or not set().union(*signs_of_volume(found)) - {volume.SMALL}  # at the tips


def test_halves_of_a_brain_that_come_apart_and_a_brain_under_a_thick_scalp_are_found():
    image, inside = drawn_head(THICK)
    image[:, :, 32:36] = np.where(inside[:, :, 32:36], 40, image[:, :, 32:36])
    for voxels in (image, drawn_head(THICK, skin_mm=83.0)[0]):
        assert metrics.iou(skull_mask_of_volume(voxels, THICK), inside) > 0.95


def test_neither_numbers_nor_order_nor_a_hot_voxel_matter_and_a_shorter_reach_ends_sooner():
    mask, hot = skull_mask_of_volume(IMAGE, THICK), IMAGE.copy()
    hot[3, 3, 3] = 32000
    for same in (IMAGE.astype(np.float32) / 4 - 9, hot):
        assert np.array_equal(skull_mask_of_volume(same, THICK), mask)
    fortran = np.asfortranarray(IMAGE)[::-1]
    assert metrics.iou(skull_mask_of_volume(fortran, THICK), mask[::-1]) > 0.99
    areas = [skull_mask_of_volume(IMAGE, THICK, reach).sum() for reach in (2, 6, 14)]
    assert areas[0] < areas[1] < areas[2] == mask.sum()


@pytest.mark.parametrize(
    "part", [np.s_[8:22], np.s_[18:30], np.s_[:, 6:-6], np.s_[:, :, 8:-8]], ids=str
)
def test_a_part_of_a_head_is_found_as_well(part):
    image, inside = drawn_head(THICK, bridge=True)
    assert metrics.iou(skull_mask_of_volume(image[part], THICK), inside[part]) > 0.93


@pytest.mark.parametrize(
    ("image", "spacing", "reach", "error", "words"),
    [
        (IMAGE[17:18], THICK, 14, InvalidImage, "this is one slice"),
        (IMAGE[17], THICK, 14, InvalidImage, "give .slices, rows, columns"),
        (0 * IMAGE, THICK, 14, InvalidImage, "flat"),
        (np.where(IMAGE > 0, IMAGE, np.nan), THICK, 14, InvalidImage, "NaN"),
        (IMAGE.astype(str), THICK, 14, InvalidImage, "real numbers"),
        (IMAGE, (1, 1), 14, InvalidSetting, "numbers of mm above zero"),
        (IMAGE, (1, 0, 1), 14, InvalidSetting, "numbers of mm above zero"),
        (IMAGE, THICK, 0, InvalidSetting, "numbers of mm above zero"),
        (IMAGE * BRAIN, THICK, 14, InvalidImage, "no skull here"),
    ],
)
def test_what_cannot_be_done_is_refused_in_a_sentence(image, spacing, reach, error, words):
    with pytest.raises(error, match=words) as caught:
        skull_mask_of_volume(image, spacing, reach)
    assert str(caught.value).endswith(".")


def test_a_brain_that_hangs_on_to_the_scalp_widely_does_not_come_apart():
    image, _ = drawn_head((2, 2, 2))
    joined = np.where(image > 0, np.maximum(image, 200), 0)
    image[:, :, 53:] = joined[:, :, 53:]
    with pytest.raises(InvalidImage, match=r"don't come apart, even when 6 mm"):
        skull_mask_of_volume(image, (2, 2, 2))


def found_with(masks, brain=BRAIN):
    """Make up what was found in the drawn head."""
    masks, levels = masks.astype(np.uint8), IMAGE.clip(0, 255).astype(np.uint8)
    return WholeHead(levels, THICK, 100, 1.0, HEAD, brain, masks, masks)


ROW, COLUMN = np.ogrid[: IMAGE.shape[1], : IMAGE.shape[2]]


@pytest.mark.parametrize(
    ("found", "sign"),
    [
        (found_with(INSIDE), ""),
        # A small brain at 3 mm, where what is partly bright is lost, has 850 mL.
        (replace(found_with(INSIDE), spacing_mm=(4.7, 2.0, 2.5)), ""),
        (found_with(HEAD), volume.JOINED),
        (found_with(INSIDE * ((COLUMN > 20) | (ROW > 55))), volume.LOPSIDED),
        (found_with(INSIDE * ((abs(COLUMN - 33.5) > 12) | (ROW > 30))), volume.HOLLOW),
        (found_with(INSIDE * (np.hypot(2 * ROW - 84, 2.5 * COLUMN - 84) < 12)), volume.SMALL),
        (found_with(np.ones_like(INSIDE)), volume.FRAMED),
        (found_with(INSIDE, brain=HEAD), volume.BRAIN_SIZE),
        (found_with(INSIDE, brain=BRAIN & (COLUMN < 33)), volume.BRAIN_SIZE),
    ],
)
def test_what_looks_wrong_is_said(found, sign):
    middle = signs_of_volume(found)[len(IMAGE) // 2]
    assert (sign in middle) if sign else not middle
    assert signs_of_volume(found_with(0 * INSIDE)) == [{}] * len(IMAGE)


def test_a_slice_far_from_the_brain_is_empty_and_says_why():
    first, *_, last = measures = measure_volume(IMAGE, THICK)
    assert "does not come near" in first.reason == last.reason
    middle = measures[len(IMAGE) // 2]
    assert not middle.warnings
    assert middle.brain_px < middle.dilated_px <= middle.mask_px == middle.mask.sum()


def test_the_built_in_head_is_as_good_as_was_measured():
    stack, whole = heads.load(heads.BUILT_IN), heads.load_whole(heads.BUILT_IN)
    stored = real_heads.table("border_scores")
    stored = stored[(stored["method"] == "whole head") & (stored["stack"] == heads.BUILT_IN)]
    masks = skull_mask_of_volume(whole.images, whole.grids[0].steps_mm, stored.setting.iloc[0])
    found = metrics.score_slices(masks, stack.reference)["iou"]
    assert np.allclose(stored.iou, found, atol=2e-6)
    assert found.min() > 0.89


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scans")
    image, inside = drawn_head((5, 3, 3))
    bare = image * inside * (image > 120)
    for name, voxels in (("a", image), ("b", image[:, ::-1]), ("brain", bare)):
        stored = np.moveaxis(voxels, 0, 2).swapaxes(0, 1)
        nib.save(nib.Nifti1Image(stored, np.diag([3.0, 3, 5, 1])), folder / f"{name}.nii")
    return folder


def test_the_command_writes_mask_table_and_account_as_for_slices(scans, tmp_path, monkeypatch):
    done = run("mask", scans / "a.nii", "-o", tmp_path / "m.nii.gz", "--method", "whole-head")
    table = pd.read_csv(tmp_path / "m.csv")
    mask = np.asarray(nib.load(tmp_path / "m.nii.gz").dataobj)
    assert table["written_px"].sum() == mask.sum() > 0
    assert set(table["status"][8:25]) == {"ok"}
    assert set(table["status"][:2]) == {"empty"}
    account = json.loads((tmp_path / "m.json").read_text())
    assert account["Method"] == "whole-head"
    assert account["ReachMm"] == [14, 14]
    (remark,) = account["Remarks"]
    assert remark.startswith("pixels of more than 1.5 mm are coarse for a whole head")
    assert remark in done.stderr
    monkeypatch.setattr("skullnb.masking.COARSE_MM", 3.0)
    run("mask", scans / "a.nii", "-o", tmp_path / "n.nii.gz", "--method", "whole-head")
    assert json.loads((tmp_path / "n.json").read_text())["Remarks"] == []


def test_several_volumes_are_done_side_by_side_and_one_that_is_refused_stops_none(scans, tmp_path):
    words = ("mask", scans, "--method", "whole-head", "--reach-mm", 12)
    for folder, workers in (("one", 1), ("two", 2)):
        done = run(*words, "-o", tmp_path / folder, "--workers", workers, expect=1)
        assert "no skull here" in done.output
        assert "3 volumes: 2 ok, 1 failed" in done.output.replace("warned", "ok")
    for name in ("a", "b"):
        one, two = (nib.load(tmp_path / f / f"{name}_mask.nii.gz") for f in ("one", "two"))
        assert np.array_equal(one.dataobj, two.dataobj)
