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
    volumes = np.repeat([f"v{number}" for number in range(len(sizes))], sizes)
    shape = (len(volumes), len(WIDTHS))
    return table(draw(hnp.arrays(float, shape, elements=HUNDREDTHS)), volumes)


def simulated(n_volumes, n_each, seed):
    """Volumes whose scores fall off quadratically from a best kernel of their own."""
    rng = np.random.default_rng(seed)
    best = np.repeat(26 + 3 * rng.standard_normal(n_volumes), n_each)
    best = best + 0.3 * rng.standard_normal(n_volumes * n_each)
    widths = np.arange(10, 43, 2)
    volumes = np.repeat([f"v{number}" for number in range(n_volumes)], n_each)
    return table(0.98 - 2e-4 * (widths - best[:, np.newaxis]) ** 2, volumes, widths)


# --- the table of scores ----------------------------------------------------------------------


def two_heads():
    images, reference = np.zeros((3, 40, 40)), np.zeros((3, 40, 40), dtype=np.uint8)
    images[:2, 15:25, 15:25] = images[2, 12:26, 12:26] = 1
    reference[:2, 13:27, 13:27] = reference[2, 9:29, 9:29] = 1
    return Stack(images, reference, groups=("ben", "anna", "ben"))


def test_a_sweep_becomes_a_table_whatever_the_order_of_its_rows_without_slices_that_have_no_score():
    stack = two_heads()
    sweep = sweep_kernel_width(stack, (3, 5, 7))
    for rows in (sweep, sweep.sort_values("kernel_width", ascending=False, kind="stable")):
        scores = check.score_table(rows, metric="dice")
        np.testing.assert_array_equal(scores, sweep.dice.to_numpy().reshape(3, 3))
        assert scores.index.tolist() == [("ben", 0), ("anna", 1), ("ben", 2)]
        assert scores.columns.tolist() == [3, 5, 7]
    stack.images[1] = stack.reference[1] = 0
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


# --- splits -----------------------------------------------------------------------------------


def best_of(scores):
    """Columns with the best mean over volumes, written out at length."""
    labels = volumes_of(scores)
    means = [scores[labels == name].mean() for name in dict.fromkeys(labels)]
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
    by_slice = check.leave_one_slice_out(scores)
    for position, (name, width, score) in enumerate(by_slice.folds.itertuples(index=False)):
        assert name == scores.index[position]
        assert width in best_of(scores.drop(index=[name]))
        assert score == scores.loc[name, width]
    own = by_slice.folds.groupby(np.array(volumes_of(scores))).score.mean()
    assert by_slice.score == pytest.approx(own.mean())
    splits = check.compare_splits(scores)
    for row, found in zip(splits.itertuples(), (apparent, by_slice, by_volume), strict=True):
        assert (row.method, row.n_folds, row.score) == (found.method, len(found.folds), found.score)
        assert row.chosen == tuple(sorted(set(found.folds.chosen)))
        assert row.optimism == pytest.approx(apparent.score - row.score)
    assert set(splits.unit) == {"px"}
    assert set(check.compare_splits(scores.rename_axis(columns="reach_mm")).unit) == {"mm"}


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


@relaxed
@given(tables())
def test_a_volume_counts_once_however_many_slices_it_has(scores):
    twice = pd.concat([scores, scores[volumes_of(scores) == "v0"]])
    np.testing.assert_allclose(check.volume_means(twice), check.volume_means(scores))
    assert check.apparent(twice).score == pytest.approx(check.apparent(scores).score)


@relaxed
@given(tables())
def test_tuning_on_one_volume_is_tested_within_it_and_on_all_others(scores):
    means = scores.groupby(level="volume").mean()
    for row in check.tune_on_each_volume(scores).itertuples():
        own = scores[volumes_of(scores) == row.volume]
        assert row.chosen in best_of(own)
        assert row.apparent == pytest.approx(means.loc[row.volume].max())
        assert row.elsewhere == pytest.approx(means[row.chosen].drop(row.volume).mean())
        within = check.leave_one_slice_out(own).score if len(own) > 1 else np.nan
        np.testing.assert_equal(row.slice_out, within)


def test_a_split_by_volume_is_refused_without_two_volumes():
    for volumes, words in (
        (["", ""], r"give groups.*took part in the choice"),
        (["anna", "anna"], r"one volume \('anna'\).*do not help"),
    ):
        scores = table([[0.9, 0.8], [0.7, 0.8]], volumes, (24, 26))
        for test in (
            check.volume_means,
            check.leave_one_volume_out,
            check.compare_splits,
            check.tune_on_each_volume,
            check.negative_control,
        ):
            with pytest.raises(InvalidSetting, match=words):
                test(scores)


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


def test_the_control_is_seeded_and_silent_where_there_is_nothing_to_leak():
    control = check.negative_control(table([[0.8, 0.9]] * 6, "aabbcc", (24, 26)))
    assert (control.slice_split_is_fooled, control.volume_split_passes) == (False, True)
    single = check.negative_control(simulated(20, 1, seed=0))
    np.testing.assert_array_equal(single.by_slice, single.by_volume)
    first, again, other = (
        check.negative_control(simulated(9, 2, 0), 5, seed).by_volume for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


# --- small n ----------------------------------------------------------------------------------


@pytest.mark.parametrize("n", range(1, 11))
def test_what_few_cases_can_say_is_what_tossing_coins_says(n):
    heads = [sum(tosses) for tosses in product((0, 1), repeat=n)]
    assert check.smallest_sign_test_p(n) == pytest.approx(np.mean([one in (0, n) for one in heads]))
    assert stats.binom.pmf(0, n, check.zero_failure_bound(n)) == pytest.approx(0.05)


@pytest.mark.parametrize(
    ("statement", "arguments"),
    [
        (check.negative_control, (simulated(2, 1, 0), 0)),
        (check.leave_one_slice_out, (simulated(1, 1, 0),)),
        (check.zero_failure_bound, (0,)),
        (check.smallest_sign_test_p, (0,)),
        (check.effective_number, (5, 6, 0.5)),
        (check.effective_number, (5, 0, 0.5)),
        (check.correlation, ([0.1, 0.2], ["a", "a"])),
        (check.correlation, ([0.1, 0.2], ["a", "b"])),
    ],
)
def test_impossible_numbers_are_refused(statement, arguments):
    with pytest.raises(InvalidSetting):
        statement(*arguments)


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
