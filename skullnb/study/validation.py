"""Choosing a setting honestly, and saying what a handful of slices can say.

All of it works on one table of scores: a row a slice, by volume, and a column for each setting that
can be chosen. Choosing takes the first of the largest means, which count each volume once.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from skullnb.errors import InvalidSetting


class Outcome(NamedTuple):
    """A row a fold (held_out, chosen setting, score), and their mean, each volume counting once."""

    method: str
    folds: pd.DataFrame
    score: float


def score_table(sweep: pd.DataFrame) -> pd.DataFrame:
    """Turn the IoU of a sweep into the table that the functions here work on.

    Index (volume, slice) in the order of the stack, the volume from the sweep's `group` ("" where
    unknown); a column for each kernel width in rising order. Slices without a score are left out.
    """
    place = ["position", "group", "slice"]
    scores = sweep.pivot(index=place, columns="kernel_width", values="iou").dropna()
    return scores.droplevel("position").rename_axis(["volume", "slice"])


def volume_means(scores: pd.DataFrame) -> pd.DataFrame:
    """Mean scores of each volume, in order of appearance; refused where none can be held out."""
    means = _by_volume(scores)
    if means.index.tolist() == [""]:
        told = "It is not known which slices belong to which volume, so no volume can be held out"
        raise InvalidSetting(f"{told}; give groups, one label a slice.")
    if len(means) < 2:
        told = f"All {len(scores)} slices belong to one volume ({means.index[0]!r}), so none is"
        told = f"{told} left to test on; give slices of at least two volumes"
        raise InvalidSetting(f"{told}. More slices of the same head do not help.")
    return means


def apparent(scores: pd.DataFrame) -> Outcome:
    """Choose a setting on all slices and test it on the same slices: one fold, nothing held out."""
    return _test("same slices", scores, ["nothing"], np.ones((1, len(scores)), dtype=bool))


def leave_one_slice_out(scores: pd.DataFrame) -> Outcome:
    """Choose on all slices but one and test on that one, which is of a volume that took part."""
    if len(scores) < 2:
        raise InvalidSetting("One slice cannot be held out of one; give at least two slices.")
    return _test("leave one slice out", scores, scores.index, np.eye(len(scores), dtype=bool))


def leave_one_volume_out(scores: pd.DataFrame) -> Outcome:
    """Choose on all volumes but one and test on that one, anew for each (Varma and Simon, 2006)."""
    volumes = volume_means(scores).index
    folds = np.array([scores.index.get_level_values("volume") == name for name in volumes])
    return _test("leave one volume out", scores, volumes, folds)


def compare_splits(scores: pd.DataFrame) -> pd.DataFrame:
    """Choose and test in all three ways; scores of fewer than two volumes are refused.

    A row a method: method, n_folds, chosen (every setting that was, in rising order), score, and
    optimism: the same slices' score less this one.
    """
    best, rows = apparent(scores), []
    for found in (best, leave_one_slice_out(scores), leave_one_volume_out(scores)):
        chosen = tuple(sorted(set(found.folds.chosen)))
        optimism = round(best.score - found.score, 9) + 0.0  # equal but for the last digit is 0
        rows.append((found.method, len(found.folds), chosen, found.score, optimism))
    return pd.DataFrame(rows, columns=["method", "n_folds", "chosen", "score", "optimism"])


def tune_on_each_volume(scores: pd.DataFrame) -> pd.DataFrame:
    """Tune on the slices of one volume alone, for every volume in turn.

    A row a volume: volume, chosen, apparent (its own score), slice_out (leave-one-slice-out within
    it; NaN for a single slice), elsewhere (mean over the other volumes).
    """
    means = volume_means(scores)
    rows: list[tuple[Any, ...]] = []
    for name, chosen in means.idxmax(axis=1).items():
        own = scores[scores.index.get_level_values("volume") == name]
        slice_out = leave_one_slice_out(own).score if len(own) > 1 else np.nan
        curve = means[chosen].to_numpy()
        elsewhere = np.delete(curve, len(rows)).mean()
        rows.append((name, chosen, curve[len(rows)], slice_out, elsewhere))
    return pd.DataFrame(rows, columns=["volume", "chosen", "apparent", "slice_out", "elsewhere"])


class Control(NamedTuple):
    """Scores of an ignorant selector under two splits, one a draw, and what it is worth."""

    by_slice: NDArray[np.float64]
    by_volume: NDArray[np.float64]
    worth: float

    @property
    def slice_split_is_fooled(self) -> bool:
        """Whether it promises more than the selector is worth."""
        return bool(np.quantile(self.by_slice, 0.025) > self.worth + 1e-9)

    @property
    def volume_split_passes(self) -> bool:
        """Whether it agrees with what the selector is worth."""
        low, high = np.quantile(self.by_volume, (0.025, 0.975))
        return bool(low - 1e-9 <= self.worth <= high + 1e-9)


def negative_control(scores: pd.DataFrame, n_draws: int = 200, seed: int = 0) -> Control:
    """Let a selector that knows only a random brightness choose settings, under both splits.

    All slices of a volume share a made-up brightness, like the gain of a scanner session. The
    selector takes the setting that was best on the training slice whose brightness is nearest. Held
    out by slice, that is a neighbour of the same volume. Held out by volume, it is a random other
    head, so what the selector is worth there is known: the mean over all pairs of volumes.
    """
    n, n_volumes = len(scores), len(volume_means(scores))
    codes = scores.index.get_level_values("volume").factorize()[0]
    values = scores.to_numpy()
    # transferred[i, j]: score on slice i of the setting that was best on slice j
    transferred = values[:, values.argmax(axis=1)]
    excluded = np.stack([np.eye(n, dtype=bool), codes[:, np.newaxis] == codes])
    rng, found = np.random.default_rng(seed), np.empty((2, n, n_draws))
    for draw in range(n_draws):
        # Slices of a volume differ by about a thousandth of how volumes differ.
        brightness = rng.random(n_volumes)[codes] + 1e-3 * rng.standard_normal(n)
        apart = np.abs(brightness[:, np.newaxis] - brightness)
        nearest = np.where(excluded, np.inf, apart).argmin(axis=2)
        found[..., draw] = transferred[np.arange(n), nearest]
    by_slice, by_volume = (_by_volume(pd.DataFrame(one, scores.index)).mean() for one in found)
    # between: how the best settings of a volume, by row, do on the others, by column
    between = _by_volume(_by_volume(pd.DataFrame(transferred, scores.index, scores.index)).T)
    worth = between.to_numpy()[~np.eye(n_volumes, dtype=bool)].mean()
    return Control(by_slice.to_numpy(), by_volume.to_numpy(), float(worth))


def zero_failure_bound(n: int) -> float:
    """Largest failure rate, with 95% confidence, that n cases without a failure leave possible."""
    return float(1 - (1 - 0.95) ** (1 / n))


def smallest_sign_test_p(n: int) -> float:
    """Two-sided p of the sign test when all n cases agree: no smaller one can come out."""
    return float(2.0 ** (1 - n))


def correlation(values: ArrayLike, groups: ArrayLike) -> float:
    """Intraclass correlation (Kish, 1965): the share of the variance that lies between groups.

    1 = values of a group are equal; 0 = as different as values of different groups; negative values
    can come out by chance. NaN where nothing varies, or every value is alone in its group.
    """
    values = np.asarray(values, dtype=np.float64)
    names, labels, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    n, n_groups = len(values), len(names)
    if not 1 < n_groups < n:
        return float("nan")
    means = np.bincount(labels, values) / sizes
    within = np.sum((values - means[labels]) ** 2) / (n - n_groups)
    between = np.sum(sizes * (means - values.mean()) ** 2) / (n_groups - 1)
    size = (n - np.sum(sizes**2) / n) / (n_groups - 1)
    total = between + (size - 1) * within
    return float((between - within) / total) if total > 0 else float("nan")


def effective_number(n: int, n_groups: int, correlation: float) -> float:
    """How many independent cases n correlated ones, in equal groups, are worth for a mean."""
    return n / (1 + (n / n_groups - 1) * min(max(correlation, 0.0), 1.0))


def _by_volume(scores: pd.DataFrame) -> pd.DataFrame:
    """Mean over the rows of each volume, in order of appearance."""
    if scores.empty or not np.isfinite(scores.to_numpy()).all():
        raise InvalidSetting("Choosing needs at least one slice, and a finite score in every cell.")
    return scores.groupby(level="volume", sort=False).mean()


def _test(method: str, scores: pd.DataFrame, names: Iterable[Any], folds: NDArray[Any]) -> Outcome:
    """Choose without the slices of a fold, (F, N), and test on them; on all if none is left."""
    rows, volumes = [], []
    for name, out in zip(names, folds, strict=True):
        chosen = _by_volume(scores[out if out.all() else ~out]).mean().idxmax()
        rows.append((name, chosen, _by_volume(scores.loc[out, [chosen]]).mean().iloc[0]))
        volumes.append(scores.index.get_level_values("volume")[out.argmax()])
    table = pd.DataFrame(rows, columns=["held_out", "chosen", "score"])
    mean = table.score.groupby(volumes).mean().mean()
    return Outcome(method, table, float(mean))
