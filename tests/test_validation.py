from itertools import product

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from skullnb.errors import InvalidSetting
from skullnb.stack import Stack
from skullnb.study import validation as check
from skullnb.sweep import sweep_kernel_width

WIDTHS = (22, 24, 26, 28)
relaxed = settings(max_examples=60, deadline=None)
# Hundredths: equal means are exactly equal or clearly apart.
HUNDREDTHS = st.integers(0, 100).map(lambda value: value / 100)


def table(values, volumes, settings=WIDTHS):
    """Scores as `score_table` gives them."""
    index = pd.MultiIndex.from_arrays([list(volumes), range(len(volumes))])
    return pd.DataFrame(values, index.set_names(["volume", "slice"]), list(settings))


def volumes_of(scores):
    return scores.index.get_level_values("volume")


@st.composite
def tables(draw):
    sizes = draw(st.lists(st.integers(1, 3), min_size=2, max_size=4))
    volumes = [f"v{number}" for number, size in enumerate(sizes) for _ in range(size)]
    shape = (len(volumes), len(WIDTHS))
    return table(draw(hnp.arrays(float, shape, elements=HUNDREDTHS)), volumes)


def simulated(n_volumes, n_each, seed, spread=3.0):
    """Volumes whose scores fall off quadratically from a best kernel of their own."""
    rng = np.random.default_rng(seed)
    best = np.repeat(26 + spread * rng.standard_normal(n_volumes), n_each)
    best = best + 0.3 * rng.standard_normal(n_volumes * n_each)
    widths = np.arange(10, 43, 2)
    volumes = [f"v{number}" for number in range(n_volumes) for _ in range(n_each)]
    return table(0.98 - 2e-4 * (widths - best[:, np.newaxis]) ** 2, volumes, widths)


# --- the table of scores ----------------------------------------------------------------------


def two_heads():
    images, reference = np.zeros((3, 40, 40)), np.zeros((3, 40, 40), dtype=np.uint8)
    images[:2, 15:25, 15:25] = 1.0
    reference[:2, 13:27, 13:27] = 1
    images[2, 12:26, 12:26] = 1.0
    reference[2, 9:29, 9:29] = 1
    return Stack(images, reference, groups=("ben", "anna", "ben"))


def test_a_sweep_becomes_a_table_whatever_the_order_of_its_rows():
    sweep = sweep_kernel_width(two_heads(), (3, 5, 7))
    for rows in (sweep, sweep.sort_values("kernel_width", ascending=False, kind="stable")):
        scores = check.score_table(rows, metric="dice")
        np.testing.assert_array_equal(scores, sweep.dice.to_numpy().reshape(3, 3))
        assert scores.index.tolist() == [("ben", 0), ("anna", 1), ("ben", 2)]
        assert scores.columns.tolist() == [3, 5, 7]


def test_stacks_with_the_same_slice_numbers_stay_apart():
    sweep = sweep_kernel_width(two_heads(), (3, 5))
    both = pd.concat([sweep.assign(stack="t1"), sweep.assign(stack="t2", iou=0.5)])
    scores = check.score_table(both)
    assert scores.index.tolist() == [("ben", 0), ("anna", 1), ("ben", 2)] * 2
    assert (scores[3:] == 0.5).all(axis=None)
    assert (scores[:3] != 0.5).all(axis=None)


def test_any_settings_can_be_chosen_on_the_other_heads_not_only_widths():
    rng, rows = np.random.default_rng(0), []
    for head, border, reach, position in product(
        "abc", ("dark growth", "dilation"), (6, 8), (0, 1)
    ):
        iou, assd = rng.random(2)
        rows.append((head, position, border, reach, iou, assd))
    rows = pd.DataFrame(rows, columns=["head", "position", "border", "reach_mm", "iou", "assd"])
    grid = ["border", "reach_mm"]
    scores = check.score_table(rows, grid, volume="head")
    outcome = check.leave_one_volume_out(scores)
    held_out = check.held_out_rows(outcome, rows, grid, volume="head")
    for fold in outcome.folds.itertuples():
        others = rows[rows["head"] != fold.held_out].groupby(grid).iou.mean()
        assert fold.chosen == others.idxmax()
        own = held_out[held_out["head"] == fold.held_out]
        assert own.iou.mean() == pytest.approx(fold.score)
        assert set(own[grid].itertuples(index=False, name=None)) == {fold.chosen}
    assert len(held_out) == 6
    assert check.compare_splits(scores).n_folds.tolist() == [1, 6, 3]


def test_slices_without_a_score_are_left_out_with_their_labels():
    stack = two_heads()
    stack.images[1] = 0
    stack.reference[1] = 0
    scores = check.score_table(sweep_kernel_width(stack, (3, 5)))
    assert scores.index.tolist() == [("ben", 0), ("ben", 2)]


def test_a_sweep_that_cannot_choose_is_refused():
    sweep = sweep_kernel_width(two_heads(), (3, 5), ("iou", "assd"))
    for rows in (sweep[:-1], pd.concat([sweep, sweep]), pd.concat([sweep[:-1], sweep[:1]])):
        with pytest.raises(InvalidSetting, match="gaps"):
            check.score_table(rows)
    for metric in ("assd", "dice"):
        with pytest.raises(InvalidSetting, match=f"'{metric}'; sweep and choose by one of iou"):
            check.score_table(sweep, metric=metric)
    with pytest.raises(InvalidSetting, match="all empty"):
        check.score_table(sweep.assign(iou=np.nan))
    for values in ([[0.1, np.nan]] * 2, np.zeros((0, 2))):
        with pytest.raises(InvalidSetting, match="at least one slice, and a finite score"):
            check.apparent(table(values, "ab"[: len(values)], (22, 24)))


# --- kernels in mm ----------------------------------------------------------------------------


@relaxed
@given(tables())
def test_on_pixels_of_one_size_a_kernel_in_mm_is_the_same_kernel(scores):
    in_mm = check.in_mm(scores, 0.5)
    np.testing.assert_array_equal(in_mm, scores)
    np.testing.assert_allclose(in_mm.columns, np.array(WIDTHS) * 0.5)
    assert check.compare_splits(scores, 0.5).unit.tolist() == ["px"] * 3


def test_a_kernel_in_mm_is_the_nearest_swept_one_on_every_slice():
    size, widths = np.array([0.4, 0.5, 0.6]), np.arange(10, 31, 2)
    scores = table(np.tile(widths / 100, (3, 1)), "abc", widths)
    in_mm = check.in_mm(scores, size)
    assert np.all(np.abs(in_mm.to_numpy() * 100 * size[:, None] - in_mm.columns.to_numpy()) <= 0.61)
    assert 0 < in_mm.shape[1] < len(widths)  # the ends are out of reach for some slice
    pd.testing.assert_frame_equal(check.in_mm(scores, dict(zip("abc", size, strict=True))), in_mm)
    with pytest.raises(InvalidSetting, match="sweep a wider range"):
        check.in_mm(scores, [0.1, 4.0, 4.0])
    with pytest.raises(InvalidSetting, match="above 0 mm"):
        check.in_mm(scores, [0.4, 0.0, 0.4])


def test_where_bone_scales_with_the_pixels_a_kernel_in_mm_wins():
    size, widths = np.repeat([0.3, 0.4, 0.5, 0.6], 2), np.arange(10, 51, 2)
    scores = table(0.98 - 2e-4 * (widths - 9 / size[:, None]) ** 2, "aabbccdd", widths)
    found = check.compare_splits(scores, size)
    assert found.unit.tolist() == ["px"] * 3 + ["mm"] * 3
    assert found.score[5] > found.score[2]
    assert np.ptp(found.chosen[5]) <= np.median(size) * 2


# --- splits -----------------------------------------------------------------------------------


def best_of(scores):
    """Column with the best mean over volumes, written out at length."""
    means = [
        scores[volumes_of(scores) == name].mean() for name in dict.fromkeys(volumes_of(scores))
    ]
    mean = sum(means) / len(means)
    return {width for width in mean.index if mean[width] >= mean.max() - 1e-12}


@relaxed
@given(tables())
def test_every_fold_is_the_choice_done_again_without_what_it_holds_out(scores):
    means = scores.groupby(level="volume").mean()
    apparent = check.apparent(scores)
    assert apparent.score == pytest.approx(means.mean().max())
    assert apparent.folds.chosen[0] in best_of(scores)
    by_volume = check.leave_one_volume_out(scores)
    for name, width, score in by_volume.folds.itertuples(index=False):
        assert width in best_of(scores[volumes_of(scores) != name])
        assert score == pytest.approx(means.loc[name, width])
    assert by_volume.score == pytest.approx(by_volume.folds.score.mean())
    assert by_volume.score <= means.max(axis=1).mean() + 1e-12
    by_slice = check.leave_one_slice_out(scores)
    for position, (name, width, score) in enumerate(by_slice.folds.itertuples(index=False)):
        assert name == scores.index[position]
        assert width in best_of(scores.drop(index=[name]))
        assert score == scores.loc[name, width]
    own = by_slice.folds.groupby(np.array(volumes_of(scores))).score.mean()
    assert by_slice.score == pytest.approx(own.mean())


@relaxed
@given(tables(), st.integers(0, 2**32 - 1))
def test_what_is_held_out_has_no_part_in_the_choice(scores, seed):
    rng = np.random.default_rng(seed)
    for test, part in (
        (check.leave_one_volume_out, volumes_of(scores).factorize()[0]),
        (check.leave_one_slice_out, np.arange(len(scores))),
    ):
        before = test(scores).folds.chosen
        for fold in range(len(before)):
            changed = scores.copy()
            changed[part == fold] = rng.random(changed[part == fold].shape)
            assert test(changed).folds.chosen[fold] == before[fold]


def test_of_equal_settings_the_first_is_chosen():
    scores = table([[0.5, 0.9, 0.9, 0.1]] * 3, "aab")
    for test in (check.apparent, check.leave_one_slice_out, check.leave_one_volume_out):
        assert set(test(scores).folds.chosen) == {24}
    with pytest.raises(InvalidSetting, match="at least two slices"):
        check.leave_one_slice_out(scores[:1])


@relaxed
@given(tables())
def test_a_volume_counts_once_however_many_slices_it_has(scores):
    twice = pd.concat([scores, scores[volumes_of(scores) == "v0"]])
    np.testing.assert_allclose(check.volume_means(twice), check.volume_means(scores))
    assert check.apparent(twice).score == pytest.approx(check.apparent(scores).score)


def test_tuning_is_optimistic_on_average_and_less_so_with_more_volumes():
    found = [simulated(6, 3, seed) for seed in range(40)]
    optimism = [check.compare_splits(scores).optimism[2] for scores in found]
    curves = [check.tuning_curve(scores).optimism for scores in found]
    assert np.mean(optimism) > 0
    assert np.all(np.diff(np.mean(curves, axis=0)) < 0)


@relaxed
@given(tables())
def test_tuning_on_one_volume_is_the_curves_first_point_and_nesting_its_last(scores):
    alone, curve = check.tune_on_each_volume(scores), check.tuning_curve(scores)
    assert curve.n_volumes.iloc[0] == 1
    assert curve.apparent.iloc[0] == pytest.approx(alone.apparent.mean())
    assert curve.elsewhere.iloc[0] == pytest.approx(alone.elsewhere.mean())
    assert curve.n_volumes.iloc[-1] == len(alone) - 1
    assert curve.elsewhere.iloc[-1] == pytest.approx(check.leave_one_volume_out(scores).score)
    n_slices = volumes_of(scores).value_counts()[alone.volume]
    assert (alone.slice_out.isna().to_numpy() == (n_slices == 1).to_numpy()).all()


def test_some_choices_of_volumes_do_for_all_of_them():
    scores = simulated(9, 2, seed=0)
    every, some = (check.tuning_curve(scores, [4], n_draws).optimism[0] for n_draws in (126, 100))
    assert some == pytest.approx(every, abs=1e-3)
    for sizes in ([0], [9]):
        with pytest.raises(InvalidSetting, match="Of 9 volumes, 1 to 8 can be tuned on"):
            check.tuning_curve(scores, sizes)


@pytest.mark.parametrize(
    "test",
    [
        check.volume_means,
        check.leave_one_volume_out,
        check.compare_splits,
        check.tune_on_each_volume,
        check.tuning_curve,
        check.negative_control,
    ],
)
def test_a_split_by_volume_is_refused_without_two_volumes(test):
    values = [[0.9, 0.8], [0.7, 0.8]]
    with pytest.raises(InvalidSetting, match=r"give groups.*took part in the choice"):
        test(table(values, ["", ""], (24, 26)))
    with pytest.raises(InvalidSetting, match=r"one volume \('anna'\).*do not help"):
        test(table(values, ["anna", "anna"], (24, 26)))


# --- negative control -------------------------------------------------------------------------


def test_the_control_fools_the_split_by_slice_and_not_the_one_by_volume():
    for seed in range(5):
        scores = simulated(20, 5, seed)
        control = check.negative_control(scores)
        nested = check.leave_one_volume_out(scores).score
        assert control.slice_split_is_fooled
        assert control.volume_split_passes
        assert control.by_slice.mean() > nested > control.by_volume.mean()
        standard_error = control.by_volume.std() / np.sqrt(len(control.by_volume))
        assert abs(control.by_volume.mean() - control.worth) < 4 * standard_error


def test_the_worth_is_the_mean_over_all_pairs_of_volumes():
    scores = simulated(4, 3, seed=2)
    labels, values = volumes_of(scores), scores.to_numpy()
    pairs = [
        values[test, values[training].argmax()]
        for test, training in product(range(12), repeat=2)
        if labels[test] != labels[training]
    ]
    assert check.negative_control(scores, 1).worth == pytest.approx(np.mean(pairs))


def test_the_control_is_silent_where_there_is_nothing_to_leak():
    control = check.negative_control(table([[0.8, 0.9]] * 6, "aabbcc", (24, 26)))
    assert not control.slice_split_is_fooled
    assert control.volume_split_passes
    single = check.negative_control(simulated(20, 1, seed=0))
    np.testing.assert_array_equal(single.by_slice, single.by_volume)
    assert not single.slice_split_is_fooled


def test_whatever_is_drawn_at_random_is_seeded():
    scores, few = simulated(9, 2, seed=0), {"n_experiments": 200, "n_resamples": 100}
    for draw in (
        lambda seed: check.negative_control(scores, 5, seed).by_volume.tolist(),
        lambda seed: check.tuning_curve(scores, [4], 100, seed).optimism[0],
        lambda seed: check.coverage(5, seed=seed, **few),
    ):
        assert draw(0) == draw(0)
        assert draw(0) != draw(1)


# --- small n ----------------------------------------------------------------------------------


@relaxed
@given(st.integers(1, 400), st.floats(0.5, 0.999))
def test_at_the_bound_no_failure_is_as_rare_as_was_said(n, confidence):
    bound = check.zero_failure_bound(n, confidence)
    assert stats.binom.pmf(0, n, bound) == pytest.approx(1 - confidence)


@pytest.mark.parametrize("n", range(1, 11))
def test_the_sign_test_adds_up_the_tosses_that_are_as_uneven(n):
    heads = [sum(tosses) for tosses in product((0, 1), repeat=n)]
    # The range misses the median only when all values fall on one side of it.
    assert check.range_covers_median(n) == np.mean([0 < one < n for one in heads])
    found = [check.sign_test(k, n - k) for k in range(n + 1)]
    for k, p in enumerate(found):
        uneven = [abs(2 * one - n) >= abs(2 * k - n) for one in heads]
        assert p == pytest.approx(np.mean(uneven))
    assert min(found) == check.smallest_sign_test_p(n) == pytest.approx(2 * 0.5**n)
    assert check.sign_test(0, 0) == 1.0


@pytest.mark.parametrize(
    "statement",
    [
        lambda: check.negative_control(simulated(2, 1, 0), 0),
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
    five, fifty = check.coverage_table((5, 50)).itertuples()
    assert five.t == pytest.approx(0.95, abs=0.012)
    # Normal quantiles with the sample's own variance: 1.96 sqrt(4/5) standard errors of t.
    expected = 2 * stats.t.cdf(1.96 * np.sqrt(4 / 5), 4) - 1
    assert five.bootstrap == pytest.approx(expected, abs=0.03)
    assert five.bootstrap_skewed < five.bootstrap
    assert five.t_skewed < five.t
    assert fifty.bootstrap > 0.925


def test_the_t_interval_of_alike_values_covers_as_theory_says():
    shared = 0.9
    # The mean varies with shared + (1 - shared)/n, the sample shows only 1 - shared.
    stretch = np.sqrt(((1 - shared) / 5) / (shared + (1 - shared) / 5))
    expected = 2 * stats.t.cdf(stats.t.ppf(0.975, 4) * stretch, 4) - 1
    assert check.coverage(5, shared=shared)["t"] == pytest.approx(expected, abs=0.02)


@pytest.mark.parametrize("share", [0.0, 0.5, 0.9])
def test_the_correlation_finds_the_share_of_variance_between_groups(share):
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(2000), rng.integers(1, 6, 2000))
    values = np.sqrt(share) * rng.standard_normal(2000)[groups]
    values += np.sqrt(1 - share) * rng.standard_normal(len(groups))
    found = check.correlation(values, groups)
    assert found == pytest.approx(share, abs=0.03)
    assert check.correlation(5 - 3 * values, groups) == pytest.approx(found)


def test_the_correlation_in_groups_of_different_size_is_that_worked_out_by_hand():
    # Means 2 and 6 of groups of 3 and 2; mean squares 19.2 between, 4 / 3 within; a mean size of
    # (5 - (9 + 4) / 5) / 1 = 2.4.
    expected = (19.2 - 4 / 3) / (19.2 + 1.4 * 4 / 3)
    assert check.correlation([1, 2, 3, 5, 7], list("aaabb")) == pytest.approx(expected)
    assert np.isnan(check.correlation([0.5, 0.5, 0.5], ["a", "a", "b"]))


def test_the_effective_number_lies_between_the_number_of_groups_and_that_of_values():
    assert [check.effective_number(20, 4, alike) for alike in (-1, 0, 1, 2)] == [20, 20, 4, 4]
    # The variance of a mean over 4 groups of 5 values that share 0.6 of their variance.
    variance = 0.6 / 4 + 0.4 / 20
    assert check.effective_number(20, 4, 0.6) == pytest.approx(1 / variance)
