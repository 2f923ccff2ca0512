"""What must hold between the answers to two related questions, whatever the images are."""

import tempfile
from pathlib import Path

import numpy as np
import pandas
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from skullnb import metrics
from skullnb.batch import mask_batch
from skullnb.evidence import build_ledger
from skullnb.pipeline import (
    PipelineSettings,
    create_skull_mask,
    create_skull_masks,
    dilate,
    fill_holes,
    trace_skull_mask,
)
from skullnb.stack import Stack, read_stack, write_stack

quickly = settings(max_examples=60)

MIRRORS = {
    "left and right": lambda image: image[..., ::-1],
    "top and bottom": lambda image: image[..., ::-1, :],
}
# OpenCV's ellipses are their own mirror images when odd, but do change when rows become columns.
TURNS = {**MIRRORS, "rows and columns": lambda image: np.swapaxes(image, -1, -2)}


@st.composite
def scenes(draw, least_side=3):
    """Few grey levels in blocks, often with a dark rim: many components, ties, frame contacts."""
    shape = draw(st.tuples(st.integers(least_side, 40), st.integers(least_side, 40)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    block, levels = draw(st.integers(1, 6)), draw(st.integers(2, 5))
    coarse = rng.integers(0, levels, (40 // block + 1, 40 // block + 1))
    image = coarse.repeat(block, axis=0).repeat(block, axis=1)[: shape[0], : shape[1]]
    if draw(st.booleans()):
        image[[0, -1]] = 0
        image[:, [0, -1]] = 0
    return image.astype(np.int32)


def unique_brain(image):
    """Trace a slice on which no equal components compete: between those, order decides."""
    trace = trace_skull_mask(image)
    inner = trace.components["area"][~trace.components["touches_edge"]]
    assume(len(inner) and np.count_nonzero(inner == inner.max()) == 1)
    return trace


SHAPE = st.tuples(st.integers(1, 12), st.integers(1, 12))
PAIRS = SHAPE.flatmap(lambda shape: hnp.arrays(bool, (2, *shape)))


# ---- the pipeline ----


@pytest.mark.parametrize("mirror", MIRRORS.values(), ids=MIRRORS)
@given(image=scenes(), half=st.integers(0, 14))
@quickly
def test_mirroring_a_slice_mirrors_its_mask_when_the_kernel_is_odd(mirror, image, half):
    unique_brain(image)
    np.testing.assert_array_equal(
        create_skull_mask(mirror(image), 2 * half + 1),
        mirror(create_skull_mask(image, 2 * half + 1)),
    )


@given(scenes(), st.integers(1, 40))
@quickly
def test_a_kernel_two_px_wider_covers_all_that_the_narrower_one_covers(image, width):
    assert np.all(create_skull_mask(image, width) <= create_skull_mask(image, width + 2))


@given(scenes(), st.integers(-60, 60), st.integers(-1000, 1000))
@quickly
def test_gain_by_powers_of_two_and_offset_change_no_pixel(image, power, offset):
    expected = create_skull_mask(image)
    np.testing.assert_array_equal(create_skull_mask(image * 2.0**power), expected)
    np.testing.assert_array_equal(create_skull_mask(image + offset), expected)


@given(scenes(), st.integers(0, 20), st.integers(0, 20), st.integers(1, 13))
@quickly
def test_a_head_that_moves_inside_the_frame_takes_its_mask_along(image, down, right, width):
    image[[0, -1]] = image[:, [0, -1]] = 0
    height, breadth = image.shape

    def placed(row, column):
        frame = np.zeros((height + 40, breadth + 40), dtype=image.dtype)
        frame[10 + row :, 10 + column :][:height, :breadth] = image
        return frame

    unique_brain(placed(0, 0))
    here, there = (create_skull_mask(placed(*by), width) for by in ((0, 0), (down, right)))
    assert here.any()
    np.testing.assert_array_equal(np.roll(here, (down, right), axis=(0, 1)), there)


@given(hnp.arrays(np.uint8, (2, 20, 23), elements=st.integers(0, 1)), st.integers(1, 9))
@quickly
def test_growing_and_filling_keep_what_is_there_and_what_is_larger(masks, width):
    small, large = masks[0] & masks[1], masks[0]
    for step in (fill_holes, lambda mask: dilate(mask, width)):
        assert np.all(large <= step(large))
        assert np.all(step(small) <= step(large))
    np.testing.assert_array_equal(fill_holes(fill_holes(large)), fill_holes(large))


# ---- the ledger ----


@pytest.mark.parametrize("mirror", MIRRORS.values(), ids=MIRRORS)
@given(image=scenes(), seed=st.integers(0, 99))
@settings(max_examples=25)
def test_mirroring_a_slice_changes_nothing_in_the_ledger(mirror, image, seed):
    unique_brain(image)
    reference = np.random.default_rng(seed).integers(0, 2, image.shape, dtype=np.uint8)
    odd = PipelineSettings(kernel_width=5)
    one = build_ledger(Stack(image[None], reference[None]), odd)
    other = build_ledger(Stack(mirror(image[None]), mirror(reference[None])), odd)
    names = ["rule", "iou", "dice", "fired", "n_pixels"]
    pandas.testing.assert_frame_equal(other[names], one[names])
    # The first rules, switched off, may let equal components compete.
    names = ["changed_px", "iou_off", "dice_off"]
    pandas.testing.assert_frame_equal(other[names][3:], one[names][3:])


# ---- the metrics ----


@pytest.mark.parametrize("turn", TURNS.values(), ids=TURNS)
@given(pair=PAIRS, row=st.floats(0.1, 5), column=st.floats(0.1, 5))
@quickly
def test_turning_both_masks_changes_no_score(turn, pair, row, column):
    spacing = (column, row) if turn is TURNS["rows and columns"] else (row, column)
    expected = metrics.score(*pair, (row, column))
    assert metrics.score(*turn(pair), spacing) == pytest.approx(expected, nan_ok=True)


@given(PAIRS, st.tuples(*[st.integers(0, 5)] * 4))
@quickly
def test_more_empty_frame_around_both_masks_changes_no_score(pair, more):
    padded = np.pad(pair, ((0, 0), more[:2], more[2:]))
    np.testing.assert_equal(metrics.score(*padded), metrics.score(*pair))


@given(PAIRS, st.integers(2, 4))
@quickly
def test_finer_pixels_change_no_overlap(pair, times):
    finer = pair.repeat(times, axis=1).repeat(times, axis=2)
    coarse, fine = metrics.overlaps(*pair), metrics.overlaps(*finer)
    for name in metrics.OVERLAPS:
        np.testing.assert_equal(fine[name], coarse[name])


@given(PAIRS, st.data())
@quickly
def test_a_pixel_put_right_raises_every_symmetric_overlap(pair, data):
    mask, reference = pair
    wrong = np.argwhere(mask != reference)
    assume(len(wrong) and reference.any())
    better = mask.copy()
    better[tuple(data.draw(st.sampled_from(wrong.tolist())))] ^= True
    assert metrics.iou(better, reference) >= metrics.iou(mask, reference)
    assert metrics.dice(better, reference) >= metrics.dice(mask, reference)
    if metrics.iou(mask, reference) > 0:
        assert metrics.iou(better, reference) > metrics.iou(mask, reference)


@given(PAIRS, st.floats(0, 20))
@quickly
def test_distances_keep_their_order_and_limit_the_surface_overlap(pair, tolerance):
    assume(pair[0].any() and pair[1].any())
    far = metrics.hausdorff(*pair)
    assert 0 <= metrics.assd(*pair) <= far
    assert 0 <= metrics.hd95(*pair) <= far
    assert (metrics.nsd(*pair, tolerance) == 1) == (far <= tolerance)


@given(hnp.arrays(bool, (3, 8, 9)))
@quickly
def test_there_is_no_shortcut_from_mask_to_mask(masks):
    assume(all(mask.any() for mask in masks))
    one, two, three = masks
    # Borders lie in both masks' own pixels, so the triangle inequality holds between borders.
    direct = metrics.hausdorff(one, three)
    assert direct <= metrics.hausdorff(one, two) + metrics.hausdorff(two, three) + 1e-9


@given(st.lists(hnp.arrays(bool, (2, 5, 6)), min_size=1, max_size=4))
@quickly
def test_the_pooled_score_is_that_of_all_slices_as_one_picture(slices):
    together = metrics.aggregate(metrics.score_slices(*np.stack(slices, axis=1)))
    whole = metrics.score(*np.concatenate(slices, axis=1))
    for name in metrics.OVERLAPS:
        np.testing.assert_equal(together.loc["pooled", name], whole[name])


# ---- files and batches ----


@pytest.mark.parametrize("suffix", [".npz", ".nii.gz"])
@given(
    hnp.arrays(st.sampled_from([np.uint8, np.int16, np.float32]), (3, 5, 4)),
    st.booleans(),
    st.tuples(st.floats(0.1, 5), st.floats(0.1, 5)),
)
@settings(max_examples=20)
def test_a_written_stack_is_read_back_as_it_was(suffix, images, with_reference, spacing):
    reference = (images > 0).astype(np.uint8) if with_reference else None
    with tempfile.TemporaryDirectory() as folder:
        written = write_stack(Stack(images, reference, spacing), Path(folder) / f"s{suffix}")
        back = read_stack(written[0], written[1] if len(written) > 1 else "")
        np.testing.assert_array_equal(back.images, images)
        assert back.images.dtype == images.dtype
        assert back.spacing_mm == pytest.approx(spacing)
        np.testing.assert_array_equal(back.reference, reference)


@given(st.lists(scenes(), min_size=1, max_size=5), st.integers(1, 6), st.integers(0, 9))
@settings(max_examples=10)
def test_a_batch_gives_the_masks_of_the_stack_however_it_is_cut(images, chunk, width):
    images = np.stack([np.resize(image, (20, 24)) for image in images])
    chosen = PipelineSettings(width)
    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder) / "scans.npy", images)
        output = Path(folder) / "masks.npy"
        mask_batch(Path(folder) / "scans.npy", output, chosen, chunk=chunk, workers=1)
        np.testing.assert_array_equal(np.load(output), create_skull_masks(images, chosen))
