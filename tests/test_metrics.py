import math

import numpy as np
import pandas
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from skullnb import metrics
from skullnb.errors import InvalidImage, InvalidSetting, ShapeMismatch

SHAPE = st.tuples(st.integers(1, 12), st.integers(1, 12))


def masks_of(shape, **boxes):
    mask = np.zeros(shape, dtype=np.uint8)
    for box in boxes.values():
        mask[box] = 1
    return mask


@st.composite
def two_masks(draw):
    shape = draw(SHAPE)
    return draw(hnp.arrays(bool, shape)), draw(hnp.arrays(bool, shape))


# ---- known values, worked out in the literature on metric pitfalls and metric libraries ----


def test_a_small_square_in_a_larger_one_has_the_known_values():
    reference = masks_of((14, 14), a=np.s_[5:9, 5:9])
    mask = masks_of((14, 14), a=np.s_[6:8, 6:8])
    assert metrics.dice(mask, reference) == pytest.approx(0.4)
    assert metrics.hausdorff(mask, reference) == pytest.approx(math.sqrt(2))
    assert metrics.assd(mask, reference) == pytest.approx(1.1036, abs=5e-5)
    assert metrics.nsd(mask, reference, 1) == pytest.approx(0.75)


def test_one_stray_pixel_has_the_known_values():
    reference = masks_of((14, 14), a=np.s_[1, 1], b=np.s_[9:12, 9:12])
    mask = masks_of((14, 14), a=np.s_[9:12, 9:12])
    assert metrics.dice(mask, reference) == pytest.approx(0.94737, abs=5e-6)
    assert metrics.hausdorff(mask, reference) == pytest.approx(11.3137, abs=5e-5)
    assert metrics.hd95(mask, reference) == pytest.approx(6.7882, abs=5e-5)


def test_two_single_pixels_are_as_far_apart_as_the_spacing_says():
    first = masks_of((128, 128), a=np.s_[50, 70])
    second = masks_of((128, 128), a=np.s_[50, 72])
    assert metrics.hausdorff(first, second, spacing_mm=(2, 1)) == 2
    assert metrics.hausdorff(first, second, spacing_mm=(1, 2)) == 4


def test_two_half_volumes_have_the_known_values():
    first = masks_of((100, 100, 100), a=np.s_[0:50])
    second = masks_of((100, 100, 100), a=np.s_[0:51])
    assert metrics.dice(first, second) == pytest.approx(0.990099, abs=5e-7)
    assert metrics.hausdorff(first, second, spacing_mm=(2, 1, 1)) == 2


def test_shifted_squares_have_overlaps_that_can_be_counted_by_hand():
    reference = masks_of((10, 10), a=np.s_[2:6, 2:6])
    mask = masks_of((10, 10), a=np.s_[3:6, 2:8])
    assert metrics.iou(mask, reference) == 12 / 22
    assert metrics.dice(mask, reference) == 24 / 34
    assert metrics.precision(mask, reference) == 12 / 18
    assert metrics.recall(mask, reference) == 12 / 16
    assert metrics.volume_difference(mask, reference) == 2 / 16


def test_the_array_border_counts_as_outside():
    whole = np.ones((5, 5), dtype=bool)
    middle = masks_of((5, 5), a=np.s_[2, 2])
    assert metrics.hausdorff(whole, middle) == pytest.approx(math.sqrt(8))


# ---- conventions for empty masks ----


def test_two_empty_masks_have_no_overlap_and_no_distance():
    empty = np.zeros((4, 4))
    for name in metrics.OVERLAPS:
        assert math.isnan(getattr(metrics, name)(empty, empty))
    assert metrics.hausdorff(empty, empty) == metrics.hd95(empty, empty) == 0
    assert metrics.assd(empty, empty) == 0
    assert metrics.nsd(empty, empty, 1) == 1


@pytest.mark.parametrize("swap", [False, True])
def test_one_empty_mask_has_zero_overlap_and_infinite_distance(swap):
    pair = [np.zeros((4, 4)), masks_of((4, 4), a=np.s_[1:3, 1:3])]
    mask, reference = pair[::-1] if swap else pair
    for name in ("iou", "dice", "precision", "recall"):
        assert getattr(metrics, name)(mask, reference) == 0
    for name in ("hausdorff", "hd95", "assd"):
        assert getattr(metrics, name)(mask, reference) == math.inf
    assert metrics.nsd(mask, reference, 100) == 0
    assert metrics.volume_difference(mask, reference) == (math.inf if swap else -1)


# ---- properties ----


@given(two_masks())
def test_symmetric_metrics_do_not_care_about_the_order(pair):
    one, two = pair
    for name in ("iou", "dice", "hausdorff", "hd95", "assd"):
        np.testing.assert_equal(getattr(metrics, name)(one, two), getattr(metrics, name)(two, one))
    np.testing.assert_equal(metrics.precision(one, two), metrics.recall(two, one))


@given(two_masks())
def test_dice_follows_from_iou(pair):
    overlap = metrics.iou(*pair)
    assume(not math.isnan(overlap))
    assert metrics.dice(*pair) == pytest.approx(2 * overlap / (1 + overlap))


@given(hnp.arrays(bool, SHAPE))
def test_a_mask_agrees_with_itself(mask):
    assume(mask.any())
    counts = {"true_positive": mask.sum(), "false_positive": 0, "false_negative": 0}
    overlaps = {"iou": 1, "dice": 1, "precision": 1, "recall": 1, "volume_difference": 0}
    distances = {"hausdorff": 0, "hd95": 0, "assd": 0, "nsd": 1}
    assert metrics.score(mask, mask) == counts | overlaps | distances


@given(two_masks(), st.floats(0.01, 100))
def test_distances_grow_with_the_spacing(pair, factor):
    assume(pair[0].any() and pair[1].any())
    for name in ("hausdorff", "hd95", "assd"):
        scaled = getattr(metrics, name)(*pair, spacing_mm=factor)
        assert scaled == pytest.approx(factor * getattr(metrics, name)(*pair))


@given(two_masks(), st.floats(0.1, 5), st.floats(0.1, 5))
def test_distances_are_those_of_a_distance_map(pair, row, column):
    """The textbook way, with a distance map over the whole frame."""
    one, two = pair
    assume(one.any() and two.any())

    def directed(mask, other):
        cross = ndimage.generate_binary_structure(2, 1)
        border = mask & ~ndimage.binary_erosion(mask, cross)
        target = other & ~ndimage.binary_erosion(other, cross)
        far = ndimage.distance_transform_edt(~target, sampling=(row, column))
        return far[border]

    there, back = directed(one, two), directed(two, one)
    every = np.concatenate([there, back])
    spacing = (row, column)
    assert metrics.hausdorff(one, two, spacing) == pytest.approx(every.max())
    assert metrics.assd(one, two, spacing) == pytest.approx(every.mean())
    expected = max(np.percentile(there, 95), np.percentile(back, 95))
    assert metrics.hd95(one, two, spacing) == pytest.approx(expected)


@given(two_masks(), st.floats(0, 20), st.floats(0, 20))
def test_a_larger_tolerance_never_lowers_the_surface_overlap(pair, small, extra):
    assert metrics.nsd(*pair, small) <= metrics.nsd(*pair, small + extra)


@given(two_masks())
def test_score_gathers_what_the_functions_give(pair):
    gathered = metrics.score(*pair, spacing_mm=(0.5, 2))
    for name in metrics.OVERLAPS:
        np.testing.assert_equal(gathered[name], getattr(metrics, name)(*pair))
    for name in ("hausdorff", "hd95", "assd"):
        np.testing.assert_equal(gathered[name], getattr(metrics, name)(*pair, (0.5, 2)))
    np.testing.assert_equal(gathered["nsd"], metrics.nsd(*pair, 1, (0.5, 2)))


# ---- bringing slices together ----


def test_the_mean_weighs_slices_and_the_pool_weighs_pixels():
    small, four = masks_of((9, 9), a=np.s_[0, 0:2]), masks_of((9, 9), a=np.s_[0, 0:4])
    scores = metrics.score_slices([small, np.ones((9, 9))], [four, np.ones((9, 9))], slices=[7, 9])
    assert scores["slice"].tolist() == [7, 9]
    assert scores["unit"].tolist() == ["px", "px"]
    both = metrics.aggregate(scores)
    assert both.loc["mean", "iou"] == (0.5 + 1) / 2
    assert both.loc["pooled", "iou"] == (2 + 81) / (4 + 81)
    assert both.loc["pooled", "dice"] == 2 * 83 / (83 + 85)
    assert both.loc["mean", "hausdorff"] == 1
    assert math.isnan(both.loc["pooled", "hausdorff"])


def test_slices_without_anything_are_left_out_of_the_mean():
    empty, full = np.zeros((1, 3, 3)), np.ones((1, 3, 3))
    halves = np.concatenate([empty, full])
    assert metrics.aggregate(metrics.score_slices(halves, halves)).loc["mean", "iou"] == 1
    assert math.isnan(metrics.aggregate(metrics.score_slices(empty, empty)).loc["mean", "iou"])


def test_units_are_not_mixed():
    masks = np.ones((1, 2, 2))
    in_px, in_mm = metrics.score_slices(masks, masks), metrics.score_slices(masks, masks, 1.0)
    assert in_mm["unit"].tolist() == ["mm"]
    with pytest.raises(InvalidSetting, match="mixed units"):
        metrics.aggregate(pandas.concat([in_px, in_mm]))
    with pytest.raises(InvalidSetting, match="no slice"):
        metrics.aggregate(in_px[:0])


@pytest.mark.parametrize("shape", [(2, 3), (1, 3, 2)])
def test_only_stacks_of_one_shape_are_scored_slice_by_slice(shape):
    with pytest.raises(ShapeMismatch, match="both must be the same"):
        metrics.score_slices(np.ones((1, 2, 3)), np.ones(shape))


# ---- bad input ----


@pytest.mark.parametrize("function", [metrics.iou, metrics.assd, metrics.score])
def test_masks_of_different_shapes_are_refused(function):
    with pytest.raises(ShapeMismatch, match=r"\(2, 3\).*\(3, 2\)"):
        function(np.ones((2, 3)), np.ones((3, 2)))


@pytest.mark.parametrize("bad", [[[0, 255]], [[0.5, 1]], [["a", "b"]], [[np.nan, 1]], [[-1, 0]]])
def test_a_mask_that_is_not_binary_is_refused(bad):
    with pytest.raises(InvalidImage, match="The reference mask is not binary"):
        metrics.dice([[0, 1]], bad)


@pytest.mark.parametrize("spacing", [0, -1, (1, 0), (1, float("nan")), (1, 2, 3), [[1, 2]], "a"])
def test_an_impossible_spacing_is_refused(spacing):
    with pytest.raises(InvalidSetting, match="spacing"):
        metrics.hausdorff(np.ones((2, 2)), np.ones((2, 2)), spacing)


@pytest.mark.parametrize("tolerance", [-0.1, float("nan")])
def test_an_impossible_tolerance_is_refused(tolerance):
    with pytest.raises(InvalidSetting, match="tolerance"):
        metrics.nsd(np.ones((2, 2)), np.ones((2, 2)), tolerance)
