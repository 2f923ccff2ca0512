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
relaxed = settings(max_examples=25, deadline=None)


def table(values, volumes, settings=WIDTHS):
    """Scores as `score_table` gives them."""
    index = pd.MultiIndex.from_arrays([list(volumes), range(len(volumes))])
    return pd.DataFrame(values, index.set_names(["volume", "slice"]), list(settings))


def volumes_of(scores):
    return scores.index.get_level_values("volume")


@st.composite
def tables(draw):
    """Some volumes of some slices; equal means are exactly equal or clearly apart."""
    sizes = draw(st.lists(st.integers(1, 3), min_size=2, max_size=4))
    volumes = np.repeat([f"v{number}" for number in range(len(sizes))], sizes)
    hundredths = st.integers(0, 100).map(lambda value: value / 100)
    shape = (len(volumes), len(WIDTHS))
    return table(draw(hnp.arrays(float, shape, elements=hundredths)), volumes)


def simulated(n_volumes, n_each, seed):
    """Volumes whose scores fall off quadratically from a best kernel of their own."""
    rng = np.random.default_rng(seed)
    best = np.repeat(26 + 3 * rng.standard_normal(n_volumes), n_each)
    best = best + 0.3 * rng.standard_normal(n_volumes * n_each)
    widths = np.arange(10, 43, 2)
    volumes = np.repeat([f"v{number}" for number in range(n_volumes)], n_each)
    return table(0.98 - 2e-4 * (widths - best[:, np.newaxis]) ** 2, volumes, widths)


def test_a_sweep_becomes_a_table_in_the_order_of_the_stack_without_slices_that_have_no_score():
    images, reference = np.zeros((4, 40, 40)), np.zeros((4, 40, 40), dtype=np.uint8)
    images[:2, 15:25, 15:25] = images[2, 12:26, 12:26] = 1  # the last has no score
    reference[:2, 13:27, 13:27] = reference[2, 9:29, 9:29] = 1
    stack = Stack(images, reference, groups=("ben", "anna", "ben", "ben"))
    sweep = sweep_kernel_width(stack, (3, 5, 7))
    for rows in (sweep, sweep.sort_values("kernel_width", ascending=False, kind="stable")):
        scores = check.score_table(rows)
        np.testing.assert_array_equal(scores, sweep.iou.to_numpy().reshape(4, 3)[:3])
        assert scores.index.tolist() == [("ben", 0), ("anna", 1), ("ben", 2)]
        assert list(scores.index.names) == ["volume", "slice"]
        assert check.volume_means(scores).index.tolist() == ["ben", "anna"]
        assert scores.columns.tolist() == [3, 5, 7]
    for bad in (check.score_table(sweep.assign(iou=np.nan)), table([[0.1, np.nan]], "a", (1, 2))):
        with pytest.raises(InvalidSetting, match=r"^Choosing .* in every cell\.$"):
            check.apparent(bad)


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
    by_slice = check.leave_one_slice_out(scores)
    for position, (name, width, score) in enumerate(by_slice.folds.itertuples(index=False)):
        assert name == scores.index[position]
        assert width in best_of(scores.drop(index=[name]))
        assert score == scores.loc[name, width]
    own = by_slice.folds.groupby(np.array(volumes_of(scores))).score.mean()
    assert by_slice.score == pytest.approx(own.mean())
    assert apparent.folds.held_out.tolist() == ["nothing"]
    splits = check.compare_splits(scores)
    names = ["same slices", "leave one slice out", "leave one volume out"]
    assert splits.method.tolist() == names
    for row, found in zip(splits.itertuples(), (apparent, by_slice, by_volume), strict=True):
        assert (row.method, row.n_folds, row.score) == (found.method, len(found.folds), found.score)
        assert row.chosen == tuple(sorted(set(found.folds.chosen)))
        assert row.optimism == pytest.approx(apparent.score - row.score)


def test_of_equal_settings_the_first_is_chosen():
    scores = table([[0.5, 0.9, 0.9, 0.1]] * 3, "aab")
    for test in (check.apparent, check.leave_one_slice_out, check.leave_one_volume_out):
        assert set(test(scores).folds.chosen) == {24}


@relaxed
@given(tables())
def test_tuning_on_one_volume_is_tested_within_it_and_on_all_others(scores):
    means = scores.groupby(level="volume").mean()
    tuned = check.tune_on_each_volume(scores)
    assert tuned.volume.tolist() == means.index.tolist()
    for row in tuned.itertuples():
        own = scores[volumes_of(scores) == row.volume]
        assert row.chosen in best_of(own)
        assert row.apparent == pytest.approx(means.loc[row.volume].max())
        assert row.elsewhere == pytest.approx(means[row.chosen].drop(row.volume).mean())
        within = check.leave_one_slice_out(own).score if len(own) > 1 else np.nan
        np.testing.assert_equal(row.slice_out, within)


@pytest.mark.parametrize(
    ("volumes", "words"),
    [(["", ""], "^It is .* give groups"), (["anna"] * 2, r"\('anna'\).* More .* do not help\.$")],
)
def test_what_cannot_be_held_out_is_refused(volumes, words):
    scores = table([[0.9, 0.8], [0.7, 0.8]], volumes, (24, 26))
    for test in (check.compare_splits, check.tune_on_each_volume, check.negative_control):
        with pytest.raises(InvalidSetting, match=words):
            test(scores)
    with pytest.raises(InvalidSetting, match=r"^One slice .* give at least two slices\.$"):
        check.leave_one_slice_out(scores[:1])


def test_the_control_fools_the_split_by_slice_and_not_the_one_by_volume():
    for seed in range(3):
        scores = simulated(20, 5, seed)
        control = check.negative_control(scores)
        assert control.slice_split_is_fooled
        assert control.volume_split_passes
        standard_error = control.by_volume.std() / np.sqrt(len(control.by_volume))
        assert abs(control.by_volume.mean() - control.worth) < 4 * standard_error
    again = check.negative_control(scores, n_draws=200, seed=0)
    np.testing.assert_array_equal(control.by_slice, again.by_slice)
    labels, values = volumes_of(scores), scores.to_numpy()
    pairs = [
        values[test, values[training].argmax()]
        for test, training in product(range(100), repeat=2)
        if labels[test] != labels[training]
    ]
    assert control.worth == pytest.approx(np.mean(pairs))
    equal = check.negative_control(table([[0.8, 0.9]] * 6, "aabbcc", (24, 26)))
    assert (equal.slice_split_is_fooled, equal.volume_split_passes) == (False, True)


@pytest.mark.parametrize("n", [1, 2, 5, 9])
def test_what_few_cases_can_say_is_what_tossing_coins_says(n):
    heads = [sum(tosses) for tosses in product((0, 1), repeat=n)]
    assert check.smallest_sign_test_p(n) == pytest.approx(np.mean([one in (0, n) for one in heads]))
    assert stats.binom.pmf(0, n, check.zero_failure_bound(n)) == pytest.approx(0.05)


def test_the_correlation_is_the_one_worked_out_by_hand_and_says_what_slices_are_worth():
    # Means 2 and 6 of groups of 3 and 2; mean squares 19.2 between, 4 / 3 within; a mean size of
    # (5 - (9 + 4) / 5) / 1 = 2.4.
    expected = (19.2 - 4 / 3) / (19.2 + 1.4 * 4 / 3)
    assert check.correlation([1, 2, 3, 5, 7], list("aaabb")) == pytest.approx(expected)
    # Three groups of 2: means 1, 3 and 8; mean squares 26 between, 2 within.
    values = np.array([0, 2, 2, 4, 7, 9])
    for unit in (1, 0.01):
        assert check.correlation(unit * values, list("aabbcc")) == pytest.approx(24 / 28)
    with np.errstate(all="raise"):
        for groups in ("aab", "abc", "aaa"):
            assert np.isnan(check.correlation([0.5, 0.5, 0.5], list(groups)))
    assert [check.effective_number(20, 4, alike) for alike in (-1, 0, 1, 2)] == [20, 20, 4, 4]
    # The variance of a mean over 4 groups of 5 values that share 0.6 of their variance.
    assert check.effective_number(20, 4, 0.6) == pytest.approx(1 / (0.6 / 4 + 0.4 / 20))
