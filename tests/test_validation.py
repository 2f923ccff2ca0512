import json
import os
import subprocess
import sys
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from skullnb import validation as check
from skullnb.errors import InvalidSetting, ShapeMismatch
from skullnb.pipeline import PipelineSettings
from skullnb.stack import Stack
from skullnb.sweep import best_width, summarise, sweep_kernel_width
from skullnb.validation import cohort

WIDTHS = (22, 24, 26, 28)
relaxed = settings(max_examples=60)
# Hundredths: equal means are exactly equal or clearly apart.
HUNDREDTHS = st.integers(0, 100).map(lambda value: value / 100)
TINY = check.CohortPlan(n_subjects=4, n_slices=3, spacing_mm=(1.8, 2.4), widths=tuple(range(2, 10)))


@st.composite
def matrices(draw, equal=True):
    n_volumes, n_each = draw(st.integers(2, 4)), draw(st.integers(1, 3))
    sizes = [n_each if equal else draw(st.integers(1, 3)) for _ in range(n_volumes)]
    groups = tuple(f"v{number}" for number, size in enumerate(sizes) for _ in range(size))
    shape = (len(groups), len(WIDTHS))
    return check.ScoreMatrix(draw(hnp.arrays(float, shape, elements=HUNDREDTHS)), WIDTHS, groups)


def as_table(matrix):
    rows = [
        (number, int(width), matrix.scores[number, column])
        for number in range(len(matrix))
        for column, width in enumerate(matrix.widths)
    ]
    return np.array(rows, dtype=[("slice", int), ("kernel_width", int), ("iou", float)])


def simulated(n_volumes, n_each, seed, spread=3.0):
    """Volumes whose scores fall off quadratically from a best kernel of their own."""
    rng = np.random.default_rng(seed)
    best = 26 + spread * rng.standard_normal(n_volumes)
    best = np.repeat(best, n_each) + 0.3 * rng.standard_normal(n_volumes * n_each)
    widths = np.arange(10, 43, 2)
    groups = tuple(f"v{number}" for number in range(n_volumes) for _ in range(n_each))
    return check.ScoreMatrix(0.98 - 2e-4 * (widths - best[:, None]) ** 2, widths, groups)


# --- the score matrix -------------------------------------------------------------------------


def two_heads():
    images, reference = np.zeros((3, 40, 40)), np.zeros((3, 40, 40), dtype=np.uint8)
    images[:2, 15:25, 15:25] = 1.0
    reference[:2, 13:27, 13:27] = 1
    images[2, 12:26, 12:26] = 1.0
    reference[2, 9:29, 9:29] = 1
    return Stack(images, reference, spacing_mm=(0.5, 2.0), groups=("anna", "anna", "ben"))


def test_a_sweep_becomes_a_matrix_whatever_the_order_of_its_rows():
    stack = two_heads()
    table = sweep_kernel_width(stack, (3, 5, 7))
    shuffled = np.random.default_rng(0).permutation(table)
    for rows in (table, shuffled):
        matrix = check.from_sweep(rows, "dice", stack.groups, stack.spacing_mm)
        np.testing.assert_array_equal(matrix.scores, table["dice"].reshape(3, 3))
        assert matrix.groups == stack.groups
        np.testing.assert_allclose(matrix.spacing_mm, 1.0)  # geometric mean of 0.5 and 2


def test_slices_without_a_score_are_left_out_with_their_labels():
    stack = two_heads()
    stack.images[1] = 0
    stack.reference[1] = 0
    matrix = check.from_sweep(sweep_kernel_width(stack, (3, 5)), "iou", stack.groups)
    assert matrix.groups == ("anna", "ben")
    assert len(matrix) == 2


def test_a_sweep_that_cannot_choose_is_refused():
    table = sweep_kernel_width(two_heads(), (3, 5), ("iou", "assd"))
    with pytest.raises(InvalidSetting, match="gaps"):
        check.from_sweep(table[:-1])
    with pytest.raises(InvalidSetting, match="gaps"):
        check.from_sweep(np.concatenate([table, table]))
    with pytest.raises(InvalidSetting, match="'assd'; sweep and choose by one of iou, dice"):
        check.from_sweep(table, "assd")
    with pytest.raises(InvalidSetting, match="'dice'"):
        check.from_sweep(table, "dice")
    with pytest.raises(ShapeMismatch, match="2 group labels for 3 slices"):
        check.from_sweep(table, groups=("a", "b"))
    empty = table.copy()
    empty["iou"] = np.nan
    with pytest.raises(InvalidSetting, match="all empty"):
        check.from_sweep(empty)


@pytest.mark.parametrize(
    ("parts", "error", "message"),
    [
        ({"widths": (22, 24)}, ShapeMismatch, r"shape \(2, 3\) do not fit 2 kernel widths"),
        ({"scores": [0.1, 0.2, 0.3]}, ShapeMismatch, r"shape \(3,\) do not fit 3 kernel widths"),
        ({"widths": [[22, 24, 26]]}, ShapeMismatch, "do not fit 3 kernel widths"),
        ({"groups": ("a",)}, ShapeMismatch, "2 slices and 1 values for the group label;"),
        ({"spacing_mm": (0.4,)}, ShapeMismatch, "2 slices and 1 values for the spacing;"),
        ({"spacing_mm": (0.4, 0.0)}, InvalidSetting, "above 0 mm"),
        ({"widths": (22, 24, 24)}, InvalidSetting, "widths that rise"),
        ({"scores": [[0.1, 0.2, np.nan]] * 2}, InvalidSetting, "finite scores"),
        ({"scores": np.zeros((0, 3))}, InvalidSetting, "at least one slice"),
    ],
)
def test_parts_that_do_not_fit_are_refused(parts, error, message):
    with pytest.raises(error, match=message):
        check.ScoreMatrix(**{"scores": [[0.1, 0.2, 0.3]] * 2, "widths": (22, 24, 26), **parts})


def test_joined_parts_keep_groups_and_spacing_only_where_all_have_them():
    whole = check.ScoreMatrix([[0.5]], [26], ("a",), [0.4])
    bare = check.ScoreMatrix([[0.6]], [26])
    both = check.join([whole, replace(whole, groups=("b",))])
    assert (both.groups, both.unit) == (("a", "b"), "px")
    assert list(both.spacing_mm) == [0.4, 0.4]
    mixed = check.join([whole, bare])
    assert mixed.groups is None
    assert mixed.spacing_mm is None
    with pytest.raises(InvalidSetting, match="same kernel widths"):
        check.join([whole, check.ScoreMatrix([[0.6]], [24])])
    with pytest.raises(InvalidSetting, match="same kernel widths"):
        check.join([])


# --- kernels in mm ----------------------------------------------------------------------------


@relaxed
@given(matrices(equal=False))
def test_on_pixels_of_one_size_a_kernel_in_mm_is_the_same_kernel(matrix):
    matrix = replace(matrix, spacing_mm=np.full(len(matrix), 0.5))
    in_mm = matrix.in_mm()
    np.testing.assert_array_equal(in_mm.scores, matrix.scores)
    np.testing.assert_allclose(in_mm.widths, matrix.widths * 0.5)
    for test in (check.apparent, check.leave_one_volume_out):
        assert test(in_mm).score == test(matrix).score


def test_a_kernel_in_mm_is_the_nearest_swept_one_on_every_slice():
    spacing = np.array([0.4, 0.5, 0.6])
    widths = np.arange(10, 31, 2)
    matrix = check.ScoreMatrix(np.tile(widths / 100, (3, 1)), widths, tuple("abc"), spacing)
    in_mm = matrix.in_mm()
    for row, size in zip(in_mm.scores, spacing, strict=True):
        assert np.all(np.abs(row * 100 * size - in_mm.widths) <= size + 1e-9)
    assert 0 < len(in_mm.widths) < len(widths)  # the ends are out of reach for some slice


def test_where_bone_scales_with_the_pixels_a_kernel_in_mm_wins():
    spacing = np.repeat([0.3, 0.4, 0.5, 0.6], 2)
    widths = np.arange(10, 51, 2)
    scores = 0.98 - 2e-4 * (widths - 9 / spacing[:, np.newaxis]) ** 2
    matrix = check.ScoreMatrix(scores, widths, tuple("aabbccdd"), spacing)
    px, mm = check.leave_one_volume_out(matrix), check.leave_one_volume_out(matrix.in_mm())
    assert mm.score > px.score
    assert np.ptp(mm.widths) <= np.median(spacing) * 2
    assert [one.unit for one in check.compare_splits(matrix)] == ["px"] * 3 + ["mm"] * 3


def test_mm_without_spacing_or_twice_or_out_of_reach_is_refused():
    matrix = check.ScoreMatrix([[0.9, 0.8]] * 2, [24, 26], ("a", "b"))
    with pytest.raises(InvalidSetting, match="give spacing_mm"):
        matrix.in_mm()
    known = replace(matrix, spacing_mm=np.array([0.4, 0.4]))
    with pytest.raises(InvalidSetting, match="give spacing_mm"):
        known.in_mm().in_mm()
    with pytest.raises(InvalidSetting, match="sweep a wider range"):
        replace(matrix, spacing_mm=np.array([0.1, 4.0])).in_mm()


# --- splits -----------------------------------------------------------------------------------


@relaxed
@given(matrices())
def test_the_apparent_score_is_that_of_the_best_width_of_the_sweep(matrix):
    table = as_table(matrix)
    outcome = check.apparent(matrix)
    assert outcome.score == pytest.approx(summarise(table)["iou"].max())
    assert outcome.score == pytest.approx(matrix.scores.mean(axis=0).max())


@relaxed
@given(matrices(equal=False))
def test_no_fixed_width_beats_the_apparent_score(matrix):
    fixed = matrix.volume_means.mean(axis=0)
    assert np.all(check.apparent(matrix).score >= fixed - 1e-12)
    assert np.all(check.leave_one_volume_out(matrix).score <= matrix.volume_means.max(1).mean())


@relaxed
@given(matrices())
def test_leave_one_slice_out_is_the_sweep_done_again_without_each_slice(matrix):
    bare, table = replace(matrix, groups=None), as_table(matrix)
    outcome = check.leave_one_slice_out(bare)
    for number in range(len(matrix)):
        others = summarise(table[table["slice"] != number])["iou"]
        column = list(WIDTHS).index(int(outcome.widths[number]))
        # Sums in another order differ in their last bits, which decides between equal widths.
        assert others[column] == pytest.approx(others.max(), abs=1e-12)
        assert outcome.scores[number] == matrix.scores[number, column]
    assert outcome.score == pytest.approx(outcome.scores.mean())


@relaxed
@given(matrices())
def test_leave_one_volume_out_is_the_sweep_done_again_without_each_volume(matrix):
    table, labels = as_table(matrix), np.array(matrix.groups)
    outcome = check.leave_one_volume_out(matrix)
    for name, width, score in zip(outcome.held_out, outcome.widths, outcome.scores, strict=True):
        inside = np.isin(table["slice"], np.flatnonzero(labels == name))
        others = summarise(table[~inside])
        column = list(WIDTHS).index(int(width))
        assert others["iou"][column] == pytest.approx(others["iou"].max(), abs=1e-12)
        assert score == pytest.approx(summarise(table[inside])["iou"][column])
    assert outcome.score == pytest.approx(outcome.scores.mean())


def test_the_chosen_width_is_the_best_of_the_other_slices():
    matrix = simulated(6, 3, seed=3)
    table, labels = as_table(matrix), np.array(matrix.groups)
    by_volume = check.leave_one_volume_out(matrix)
    for name, width in zip(by_volume.held_out, by_volume.widths, strict=True):
        kept = np.isin(table["slice"], np.flatnonzero(labels != name))
        assert width == best_width(table[kept])
    by_slice = check.leave_one_slice_out(replace(matrix, groups=None))
    for number, width in enumerate(by_slice.widths):
        assert width == best_width(table[table["slice"] != number])


@relaxed
@given(matrices(equal=False), st.integers(0, 2**32 - 1))
def test_what_is_held_out_has_no_part_in_the_choice(matrix, seed):
    rng = np.random.default_rng(seed)
    for test, part_of in (
        (check.leave_one_volume_out, matrix.volume_of),
        (check.leave_one_slice_out, np.arange(len(matrix))),
    ):
        before = test(matrix).widths
        for fold in range(len(before)):
            changed = matrix.scores.copy()
            changed[part_of == fold] = rng.random(changed[part_of == fold].shape)
            assert test(replace(matrix, scores=changed)).widths[fold] == before[fold]


@relaxed
@given(matrices(equal=False))
def test_a_volume_counts_once_however_many_slices_it_has(matrix):
    twice = replace(
        matrix,
        scores=np.concatenate([matrix.scores, matrix.scores[matrix.volume_of == 0]]),
        groups=(*matrix.groups, *(label for label in matrix.groups if label == "v0")),
    )
    np.testing.assert_allclose(twice.volume_means, matrix.volume_means)
    assert check.apparent(twice).score == pytest.approx(check.apparent(matrix).score)


def test_tuning_is_optimistic_on_average_and_less_so_with_more_volumes():
    optimisms, curves = [], []
    for seed in range(40):
        matrix = simulated(6, 3, seed)
        nested = check.leave_one_volume_out(matrix).score
        optimisms.append(check.apparent(matrix).score - nested)
        curves.append(check.tuning_curve(matrix)["optimism"])
    assert np.mean(optimisms) > 0
    assert np.all(np.diff(np.mean(curves, axis=0)) < 0)


def test_by_slice_a_volume_is_hardly_left_at_all():
    rows = check.tune_on_each_volume(simulated(10, 5, seed=1))
    loss = rows["apparent"].mean() - rows["elsewhere"].mean()
    assert loss > 1e-3
    assert rows["apparent"].mean() - rows["slice_out"].mean() < 0.05 * loss


@relaxed
@given(matrices(equal=False))
def test_tuning_on_one_volume_is_the_curves_first_point_and_nesting_its_last(matrix):
    alone, curve = check.tune_on_each_volume(matrix), check.tuning_curve(matrix)
    assert curve["n_volumes"][0] == 1
    assert curve["apparent"][0] == pytest.approx(alone["apparent"].mean())
    assert curve["elsewhere"][0] == pytest.approx(alone["elsewhere"].mean())
    assert curve["n_volumes"][-1] == len(matrix.volumes) - 1
    assert curve["elsewhere"][-1] == pytest.approx(check.leave_one_volume_out(matrix).score)


def test_the_curve_is_seeded_and_takes_sizes_that_are_there():
    matrix = simulated(12, 2, seed=0)
    options = {"sizes": [5], "n_draws": 20}
    first, again, other = (check.tuning_curve(matrix, seed=s, **options) for s in (1, 1, 2))
    assert first == again
    assert first != other
    for sizes in ([0], [12]):
        with pytest.raises(InvalidSetting, match="Of 12 volumes, 1 to 11"):
            check.tuning_curve(matrix, sizes)


@pytest.mark.parametrize(
    "test",
    [
        check.leave_one_volume_out,
        check.compare_splits,
        check.tune_on_each_volume,
        check.tuning_curve,
        check.negative_control,
    ],
)
def test_a_split_by_volume_is_refused_without_two_volumes(test):
    scores = [[0.9, 0.8], [0.7, 0.8]]
    with pytest.raises(InvalidSetting, match=r"give groups.*took part in the choice"):
        test(check.ScoreMatrix(scores, [24, 26]))
    with pytest.raises(InvalidSetting, match=r"one volume \('anna'\).*do not help"):
        test(check.ScoreMatrix(scores, [24, 26], ("anna", "anna")))


def test_one_slice_cannot_be_left_out():
    with pytest.raises(InvalidSetting, match="at least two slices"):
        check.leave_one_slice_out(check.ScoreMatrix([[0.9, 0.8]], [24, 26]))


# --- negative control -------------------------------------------------------------------------


def test_the_control_fools_the_split_by_slice_and_not_the_one_by_volume():
    for seed in range(5):
        matrix = simulated(20, 5, seed)
        control = check.negative_control(matrix)
        nested = check.leave_one_volume_out(matrix).score
        assert control.slice_split_is_fooled
        assert control.volume_split_passes
        assert control.by_slice.mean() > nested > control.by_volume.mean()
        standard_error = control.by_volume.std() / np.sqrt(len(control.by_volume))
        assert abs(control.by_volume.mean() - control.worth) < 4 * standard_error


def test_the_selectors_worth_is_what_it_does_on_fresh_volumes():
    worth, by_slice, fresh = [], [], []
    rng = np.random.default_rng(0)
    for seed in range(20):
        both = simulated(40, 5, seed)
        training = replace(both, scores=both.scores[:100], groups=both.groups[:100])
        control = check.negative_control(training, n_draws=20)
        worth.append(control.worth)
        by_slice.append(control.by_slice.mean())
        brightness = np.repeat(rng.random(40), 5) + 1e-3 * rng.standard_normal(200)
        nearest = np.abs(brightness[100:, np.newaxis] - brightness[:100]).argmin(axis=1)
        chosen = training.scores[nearest].argmax(axis=1)
        fresh.append(both.scores[100:][np.arange(100), chosen].mean())
    assert np.mean(fresh) == pytest.approx(np.mean(worth), abs=6e-4)
    assert np.mean(by_slice) - np.mean(fresh) > 3e-3


def test_the_worth_is_the_mean_over_all_pairs_of_volumes():
    matrix = simulated(4, 3, seed=2)
    labels, pairs = matrix.volume_of, []
    for test, training in product(range(len(matrix)), repeat=2):
        if labels[test] != labels[training]:
            pairs.append(matrix.scores[test, matrix.scores[training].argmax()])
    assert check.negative_control(matrix, 1).worth == pytest.approx(np.mean(pairs))


def test_the_control_is_silent_where_there_is_nothing_to_leak():
    alike = check.ScoreMatrix([[0.8, 0.9]] * 6, [24, 26], tuple("aabbcc"))
    control = check.negative_control(alike)
    assert not control.slice_split_is_fooled
    assert control.volume_split_passes
    single = check.negative_control(simulated(20, 1, seed=0))
    np.testing.assert_array_equal(single.by_slice, single.by_volume)
    assert not single.slice_split_is_fooled


def test_the_control_is_seeded():
    matrix = simulated(5, 2, seed=0)
    first, again, other = (check.negative_control(matrix, 5, seed=s).by_volume for s in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    with pytest.raises(InvalidSetting, match="at least one draw"):
        check.negative_control(matrix, 0)


# --- small n ----------------------------------------------------------------------------------


@pytest.mark.parametrize("n", range(1, 12))
def test_the_range_misses_the_median_only_when_all_fall_on_one_side(n):
    sides = list(product((False, True), repeat=n))
    covered = sum(any(one) and not all(one) for one in sides)
    assert check.range_covers_median(n) == covered / len(sides)


@relaxed
@given(st.integers(1, 400), st.floats(0.5, 0.999))
def test_at_the_bound_no_failure_is_as_rare_as_was_said(n, confidence):
    bound = check.zero_failure_bound(n, confidence)
    assert stats.binom.pmf(0, n, bound) == pytest.approx(1 - confidence)
    exact = stats.binomtest(0, n, alternative="less").proportion_ci(confidence, method="exact")
    assert bound == pytest.approx(exact.high)


@relaxed
@given(st.integers(0, 40), st.integers(0, 40))
def test_the_sign_test_is_the_binomial_test(better, worse):
    expected = stats.binomtest(better, better + worse).pvalue if better + worse else 1.0
    assert check.sign_test(better, worse) == pytest.approx(expected)


@pytest.mark.parametrize("n", range(1, 11))
def test_no_outcome_of_the_sign_test_is_below_the_smallest(n):
    assert min(check.sign_test(k, n - k) for k in range(n + 1)) == check.smallest_sign_test_p(n)


def test_five_says_what_it_can():
    assert check.range_covers_median(5) == 0.9375
    assert check.zero_failure_bound(5) == pytest.approx(0.4507, abs=5e-5)
    assert check.smallest_sign_test_p(5) == 0.0625


@pytest.mark.parametrize(
    "statement",
    [
        lambda: check.range_covers_median(0),
        lambda: check.zero_failure_bound(0),
        lambda: check.zero_failure_bound(5, 1.0),
        lambda: check.smallest_sign_test_p(0),
        lambda: check.sign_test(-1, 3),
        lambda: check.coverage(1),
        lambda: check.coverage(5, shared=1.0),
        lambda: check.effective_number(5, 6, 0.5),
        lambda: check.effective_number(5, 0, 0.5),
        lambda: check.correlation([0.1, 0.2], ["a", "a"]),
        lambda: check.correlation([0.1, 0.2], ["a", "b"]),
    ],
)
def test_impossible_numbers_are_refused(statement):
    with pytest.raises(InvalidSetting):
        statement()


def test_the_percentile_bootstrap_covers_too_little_at_five_and_the_t_interval_does_not():
    found = check.coverage(5)
    assert found["t"] == pytest.approx(0.95, abs=0.012)
    # Normal quantiles with the sample's own variance: 1.96 sqrt(4/5) standard errors of t.
    expected = 2 * stats.t.cdf(1.96 * np.sqrt(4 / 5), 4) - 1
    assert found["bootstrap"] == pytest.approx(expected, abs=0.03)
    skewed = check.coverage(5, skewed=True)
    assert skewed["bootstrap"] < found["bootstrap"]
    assert skewed["t"] < found["t"]
    assert check.coverage(50)["bootstrap"] > 0.925


def test_the_t_interval_of_alike_values_covers_as_theory_says():
    shared = 0.9
    # The mean varies with shared + (1 - shared)/n, the sample shows only 1 - shared.
    stretch = np.sqrt(((1 - shared) / 5) / (shared + (1 - shared) / 5))
    expected = 2 * stats.t.cdf(stats.t.ppf(0.975, 4) * stretch, 4) - 1
    assert check.coverage(5, shared=shared)["t"] == pytest.approx(expected, abs=0.02)


def test_coverage_is_seeded():
    options = {"n_experiments": 200, "n_resamples": 100}
    assert check.coverage(5, seed=1, **options) == check.coverage(5, seed=1, **options)
    assert check.coverage(5, seed=1, **options) != check.coverage(5, seed=2, **options)


@pytest.mark.parametrize("share", [0.0, 0.5, 0.9])
def test_the_correlation_finds_the_share_of_variance_between_groups(share):
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(2000), rng.integers(1, 6, 2000))
    values = np.sqrt(share) * rng.standard_normal(2000)[groups]
    values += np.sqrt(1 - share) * rng.standard_normal(len(groups))
    assert check.correlation(values, groups) == pytest.approx(share, abs=0.03)
    assert check.correlation(5 - 3 * values, groups) == pytest.approx(
        check.correlation(values, groups)
    )


def test_the_effective_number_is_the_variance_of_the_mean_turned_round():
    rng = np.random.default_rng(0)
    common, own = rng.standard_normal((20000, 4, 1)), rng.standard_normal((20000, 4, 5))
    values = np.sqrt(0.6) * common + np.sqrt(0.4) * own
    variance = values.mean(axis=(1, 2)).var()
    assert check.effective_number(20, 4, 0.6) == pytest.approx(1 / variance, rel=0.03)
    assert np.isnan(check.correlation([0.5, 0.5, 0.5], ["a", "a", "b"]))


def test_the_correlation_in_groups_of_different_size_is_that_worked_out_by_hand():
    # Means 2 and 6 of groups of 3 and 2; mean squares 19.2 between, 4 / 3 within; a mean size of
    # (5 - (9 + 4) / 5) / 1 = 2.4.
    expected = (19.2 - 4 / 3) / (19.2 + 1.4 * 4 / 3)
    assert check.correlation([1, 2, 3, 5, 7], list("aaabb")) == pytest.approx(expected)


def test_two_values_are_enough_for_an_interval():
    assert set(check.coverage(2, n_experiments=50, n_resamples=50)) == {"bootstrap", "t"}


# --- the cohort -------------------------------------------------------------------------------


def test_processes_the_cache_and_this_process_give_the_same_scores(tmp_path, monkeypatch):
    here = check.cohort_scores(TINY, workers=1, cache_dir=tmp_path / "a")
    spawned = check.cohort_scores(TINY, workers=2, cache_dir=tmp_path / "b")
    monkeypatch.setattr(cohort, "subject_scores", lambda *_: pytest.fail("drawn again"))
    kept = check.cohort_scores(TINY, workers=1, cache_dir=tmp_path / "b")
    for other in (spawned, kept):
        np.testing.assert_array_equal(other.scores, here.scores)
        assert other.groups == here.groups
        np.testing.assert_array_equal(other.spacing_mm, here.spacing_mm)
    assert here.scores.shape == (12, 8)
    assert len(here.volumes) == 4
    assert sorted(path.suffix for path in (tmp_path / "b").iterdir()) == [".json"] * 4


def test_a_small_cohort_shows_what_the_chapter_is_about(tmp_path):
    plan = replace(TINY, n_subjects=6, spacing_mm=(0.8, 1.2), widths=tuple(range(3, 20)))
    matrix = check.cohort_scores(plan, workers=1, cache_dir=tmp_path)
    alone = check.tune_on_each_volume(matrix)
    loss = alone["apparent"].mean() - alone["elsewhere"].mean()
    assert loss > 1e-3
    assert alone["apparent"].mean() - alone["slice_out"].mean() < 0.2 * loss
    assert len(np.unique(alone["width"])) > 1
    control = check.negative_control(matrix)
    assert control.slice_split_is_fooled
    assert control.volume_split_passes


def test_subjects_that_are_kept_are_not_drawn_for_a_larger_cohort(tmp_path, monkeypatch):
    small = replace(TINY, n_subjects=1)
    check.cohort_scores(small, workers=1, cache_dir=tmp_path)
    drawn, draw = [], cohort.subject_scores
    monkeypatch.setattr(
        cohort, "subject_scores", lambda plan, seed: drawn.append(seed) or draw(plan, seed)
    )
    check.cohort_scores(replace(small, n_subjects=2), workers=1, cache_dir=tmp_path)
    assert drawn == [101]


@pytest.mark.parametrize(
    "damage", ["", "{", '{"iou": [[1]]}', '{"other": 1}', "[]", '{"iou": "x"}']
)
def test_a_damaged_cache_is_made_again(tmp_path, damage):
    plan = replace(TINY, n_subjects=1, n_slices=1)
    first = check.cohort_scores(plan, workers=1, cache_dir=tmp_path)
    (file,) = tmp_path.iterdir()
    whole = file.read_text()
    file.write_text(damage)
    again = check.cohort_scores(plan, workers=1, cache_dir=tmp_path)
    np.testing.assert_array_equal(again.scores, first.scores)
    assert json.loads(file.read_text()) == json.loads(whole)


def test_whatever_decides_the_scores_changes_the_name_they_are_kept_under(monkeypatch):
    name = cohort._digest(TINY, 100)
    assert cohort._digest(replace(TINY, n_subjects=9, first_seed=50), 100) == name
    for change in ({"spread": 0.5}, {"widths": (3, 5)}, {"n_slices": 2}, {"frame_mm": (300, 240)}):
        assert cohort._digest(replace(TINY, **change), 100) != name
    assert cohort._digest(TINY, 101) != name
    with monkeypatch.context() as patched:
        patched.setattr(cohort, "versions", lambda: {"numpy": "0"})
        assert cohort._digest(TINY, 100) != name
    monkeypatch.setattr(cohort, "_source", lambda: "other code")
    assert cohort._digest(TINY, 100) != name


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    plan = replace(TINY, n_subjects=1, n_slices=1)
    assert check.cohort_scores(plan, workers=1, cache_dir=blocked / "below").scores.shape == (1, 8)


def test_a_script_without_the_usual_guard_still_gets_its_scores(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "from skullnb.validation import CohortPlan, cohort_scores\n"
        "plan = CohortPlan(n_subjects=2, n_slices=1, spacing_mm=(2.0, 2.4), widths=(3, 5))\n"
        "print(cohort_scores(plan).scores.shape)\n"
    )
    done = subprocess.run(
        [sys.executable, script],
        env={**os.environ, "SKULLNB_CACHE": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
        timeout=600,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "(2, 2)"


def test_an_impossible_cohort_is_refused(tmp_path):
    for options in ({"plan": replace(TINY, n_subjects=0)}, {"workers": 0}):
        with pytest.raises(InvalidSetting, match="at least one subject, and one process"):
            check.cohort_scores(**{"plan": TINY, "cache_dir": tmp_path, **options})


def test_the_cache_goes_where_the_user_says(monkeypatch, tmp_path):
    monkeypatch.setenv("SKULLNB_CACHE", str(tmp_path))
    assert cohort.cache_folder() == tmp_path
    monkeypatch.delenv("SKULLNB_CACHE")
    monkeypatch.setattr(cohort.sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cohort.cache_folder() == tmp_path / "skullnb"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert cohort.cache_folder() == cohort.Path.home() / ".cache" / "skullnb"
    monkeypatch.setattr(cohort.sys, "platform", "darwin")
    assert cohort.cache_folder() == cohort.Path.home() / "Library" / "Caches" / "skullnb"
    monkeypatch.setattr("sys.platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "local"))
    assert cohort.cache_folder() == tmp_path / "local" / "skullnb"


# --- which data the chapter is about ----------------------------------------------------------


def test_data_with_two_volumes_and_a_reference_is_used(monkeypatch):
    monkeypatch.setattr(check.source, "cohort_scores", lambda: pytest.fail("not their data"))
    stack, widths = two_heads(), PipelineSettings(kernel_width=5, kernel_shape="rectangle")
    source = check.scores_to_validate(stack, widths, reach=4)
    assert not source.is_cohort
    table = sweep_kernel_width(stack, (1, 3, 5, 7, 9), settings=widths)
    np.testing.assert_array_equal(source.matrix.scores.ravel(), table["iou"])
    assert source.matrix.volumes == ("anna", "ben")
    assert check.leave_one_volume_out(source.matrix).scores.shape == (2,)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"reference": None}, "no reference mask"),
        ({"groups": None}, "no group labels"),
        ({"groups": ("anna",) * 3}, "one head"),
    ],
)
def test_other_data_gives_way_to_the_cohort_and_the_reason_is_said(monkeypatch, change, why):
    drawn = simulated(3, 2, seed=0)
    monkeypatch.setattr(check.source, "cohort_scores", lambda: drawn)
    source = check.scores_to_validate(replace(two_heads(), **change))
    assert source.is_cohort
    assert source.matrix is drawn
    assert why in source.why
