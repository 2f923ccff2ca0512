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


def mask_of(shape, *boxes):
    mask = np.zeros(shape, dtype=np.uint8)
    for box in boxes:
        mask[box] = 1
    return mask


SHAPES = hnp.array_shapes(min_dims=2, max_dims=2, max_side=12)
PAIRS = SHAPES.flatmap(lambda shape: hnp.arrays(bool, (2, *shape)))

# ---- known values, worked out in the literature on metric pitfalls and metric libraries ----

SQUARE, CUBE = (14, 14), (100, 100, 100)
INNER, OUTER = mask_of(SQUARE, np.s_[6:8, 6:8]), mask_of(SQUARE, np.s_[5:9, 5:9])
BLOCK, STRAY = mask_of(SQUARE, np.s_[9:12, 9:12]), mask_of(SQUARE, np.s_[1, 1], np.s_[9:12, 9:12])
HALF, MORE = mask_of(CUBE, np.s_[0:50]), mask_of(CUBE, np.s_[0:51])
WIDE, HIGH = mask_of(SQUARE, np.s_[3:6, 2:8]), mask_of(SQUARE, np.s_[2:6, 2:6])
EMPTY, BOX = mask_of((4, 4)), mask_of((4, 4), np.s_[1:3, 1:3])
NEAR, FAR = mask_of((128, 128), np.s_[50, 70]), mask_of((128, 128), np.s_[50, 72])
SAME = {"hausdorff": 0, "hd95": 0, "assd": 0, "nsd": 1}
EQUAL = {"iou": 1, "dice": 1, "precision": 1, "recall": 1, "volume_difference": 0} | SAME
NOTHING = dict.fromkeys(("iou", "dice", "precision", "recall", "nsd"), 0)
NOTHING |= dict.fromkeys(("hausdorff", "hd95", "assd"), math.inf)


@pytest.mark.parametrize(
    ("mask", "reference", "spacing", "expected"),
    [
        (INNER, OUTER, None, {"dice": 0.4, "hausdorff": math.sqrt(2), "assd": 1.1036, "nsd": 0.75}),
        (BLOCK, STRAY, None, {"dice": 0.94737, "hausdorff": 11.3137, "hd95": 6.7882}),
        (NEAR, FAR, (2, 1), {"hausdorff": 2}),
        (NEAR, FAR, (1, 2), {"hausdorff": 4}),
        (HALF, MORE, (2, 1, 1), {"dice": 0.990099, "hausdorff": 2}),
        (WIDE, HIGH, None, {"iou": 12 / 22, "precision": 12 / 18, "volume_difference": 2 / 16}),
        # The array border counts as outside.
        (np.ones((5, 5), bool), mask_of((5, 5), np.s_[2, 2]), None, {"hausdorff": math.sqrt(8)}),
        (BOX, BOX, None, EQUAL | {"true_positive": 4, "false_positive": 0, "false_negative": 0}),
        (EMPTY, EMPTY, None, dict.fromkeys(metrics.OVERLAPS, math.nan) | SAME),
        (EMPTY, BOX, None, NOTHING | {"volume_difference": -1}),
        (BOX, EMPTY, None, NOTHING | {"volume_difference": math.inf}),
    ],
)
def test_masks_have_the_known_values(mask, reference, spacing, expected):
    found = metrics.score(mask, reference, spacing)
    found = {name: found[name] for name in expected}
    assert found == pytest.approx(expected, abs=5e-5, nan_ok=True)


@given(PAIRS)
def test_symmetric_metrics_do_not_care_about_the_order_and_score_gathers_all(pair):
    one, two = pair
    gathered = metrics.score(one, two)
    for name in ("iou", "dice", "hausdorff", "hd95", "assd"):
        found = getattr(metrics, name)
        np.testing.assert_equal([found(one, two), found(two, one)], [gathered[name]] * 2)
    np.testing.assert_equal(metrics.precision(one, two), gathered["precision"])
    np.testing.assert_equal(metrics.recall(two, one), gathered["precision"])
    np.testing.assert_equal(metrics.nsd(one, two, 1), gathered["nsd"])


@given(PAIRS, st.floats(0.1, 5), st.floats(0.1, 5))
def test_distances_are_those_of_a_distance_map(pair, row, column):
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
    assert metrics.nsd(one, two, math.e, spacing) == np.mean(every <= math.e)


def test_the_mean_weighs_slices_and_the_pool_weighs_pixels_and_empty_slices_count_for_nothing():
    small, four = mask_of((9, 9), np.s_[0, 0:2]), mask_of((9, 9), np.s_[0, 0:4])
    full, empty = np.ones((9, 9)), np.zeros((9, 9))
    scores = metrics.score_slices([small, full, empty], [four, full, empty], slices=[7, 9, 11])
    in_mm = metrics.score_slices([small, full, empty], [four, full, empty], (2.0, 2.0))
    assert scores.columns[0] == "slice"
    assert [[*one["slice"]] for one in (scores, in_mm)] == [[7, 9, 11], [0, 1, 2]]
    assert [set(one["unit"]) for one in (scores, in_mm)] == [{"px"}, {"mm"}]
    assert in_mm["hausdorff"].tolist() == [2 * one for one in scores["hausdorff"]] == [4, 0, 0]
    both = metrics.aggregate(scores)
    assert both.loc["mean", "iou"] == (0.5 + 1) / 2
    assert both.loc["pooled", "iou"] == (2 + 81) / (4 + 81)
    assert both.loc["pooled", "dice"] == 2 * 83 / (83 + 85)
    assert both.loc["mean", "hausdorff"] == 2 / 3
    assert math.isnan(both.loc["pooled", "hausdorff"])


def test_what_cannot_be_compared_or_brought_together_is_refused():
    with pytest.raises(ShapeMismatch, match=r"\(2, 3\), its reference \(3, 2\); they must be"):
        metrics.iou(np.ones((2, 3)), np.ones((3, 2)))
    with pytest.raises(ShapeMismatch, match=r"one size, not shapes \(2, 3\) and \(2, 3\)\.$"):
        metrics.score_slices(np.ones((2, 3)), np.ones((2, 3)))
    in_px, in_mm = (metrics.score_slices([EMPTY], [EMPTY], unit) for unit in (None, 1.0))
    for scores in (pandas.concat([in_px, in_mm]), in_px[:0]):
        with pytest.raises(InvalidSetting, match=r"^Give scores of at least one .* unit\.$"):
            metrics.aggregate(scores)


@pytest.mark.parametrize("bad", [[[0, 255]], [[0.5, 1]], [["a", "b"]], [[np.nan, 1]], [[-1, 0]]])
def test_a_mask_that_is_not_binary_is_refused(bad):
    with pytest.raises(InvalidImage, match="The reference mask is not binary"):
        metrics.dice([[0, 1]], bad)


@pytest.mark.parametrize("spacing", [0, -1, (1, 0), (1, float("nan")), (1, 2, 3), [[1, 2]], "a"])
def test_an_impossible_spacing_or_tolerance_is_refused(spacing):
    with pytest.raises(InvalidSetting, match="spacing"):
        metrics.hausdorff(np.ones((2, 2)), np.ones((2, 2)), spacing)
    for tolerance in (-0.1, float("nan")):
        with pytest.raises(InvalidSetting, match="tolerance"):
            metrics.nsd(np.ones((2, 2)), np.ones((2, 2)), tolerance)
    assert metrics.nsd(np.ones((2, 2)), np.ones((2, 2)), 0) == 1


@given(PAIRS, st.floats(0.1, 5), st.floats(0.1, 5), st.tuples(*[st.integers(0, 5)] * 4))
def test_turning_both_masks_or_more_frame_around_them_changes_no_score(pair, row, column, more):
    expected = metrics.score(*pair, (row, column))
    turned = metrics.score(*pair.swapaxes(1, 2)[:, ::-1], (column, row))
    padded = metrics.score(*np.pad(pair, ((0, 0), more[:2], more[2:])), (row, column))
    for found in (turned, padded):
        assert found == pytest.approx(expected, nan_ok=True)
