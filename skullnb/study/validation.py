"""Choosing a setting honestly, and saying what a handful of slices can say.

All of it works on one table of scores: a row a slice, by volume, and a column for each setting that
can be chosen: kernel widths, or any others. Choosing takes the largest mean, and every mean counts
each volume once. What must be held out is the volume; slices are no substitute.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from skullnb.errors import InvalidSetting

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]

# Best when large, so they can choose.
METRICS = ("iou", "dice", "precision", "recall", "nsd")


class Outcome(NamedTuple):
    """A row a fold (held_out, chosen setting, score), and their mean, each volume counting once."""

    method: str
    folds: pd.DataFrame
    score: float


def score_table(sweep: pd.DataFrame, metric: str = "iou") -> pd.DataFrame:
    """Turn a sweep into the table that the functions here work on, by one of `METRICS`.

    Index (volume, slice) in the order of the stack, the volume from the sweep's `group` ("" where
    unknown); a column for each kernel width in rising order. Slices without a score (mask and
    reference mask both empty) are left out. Refused (InvalidSetting) if the metric cannot choose, a
    slice lacks a width, or there is no score at all.
    """
    if metric not in METRICS or metric not in sweep:
        raise InvalidSetting(
            f"Nothing can be chosen by {metric!r}; sweep and choose by one of {', '.join(METRICS)}."
        )
    n = sweep.position.nunique() * sweep.kernel_width.nunique()
    if len(sweep) != n or sweep.duplicated(["position", "kernel_width"]).any():
        raise InvalidSetting("The sweep has gaps; score every slice once at every setting.")
    about = ["position", "group", "slice"]
    scores = sweep.pivot(index=about, columns="kernel_width", values=metric).dropna()
    if scores.empty:
        raise InvalidSetting("Nothing can be chosen: masks and reference masks are all empty.")
    return scores.droplevel("position").rename_axis(["volume", "slice"])


def volume_means(scores: pd.DataFrame) -> pd.DataFrame:
    """Mean scores of each volume, in order of appearance; refused where none can be held out."""
    import pandas as pd

    values, codes, names = _parts(scores)
    if set(names) == {""}:
        raise InvalidSetting(
            "It is not known which slices belong to which volume, so no volume can be held out; "
            "give groups, one label a slice. Holding out slices instead would test on heads that "
            "took part in the choice."
        )
    if len(names) < 2:
        raise InvalidSetting(
            f"All {len(values)} slices belong to one volume ({names[0]!r}), so none is left to "
            "test on; give slices of at least two volumes. More slices of the same head do not "
            "help."
        )
    return pd.DataFrame(_means(values, codes), pd.Index(names, name="volume"), scores.columns)


def apparent(scores: pd.DataFrame) -> Outcome:
    """Choose a setting on all slices and test it on the same slices: one fold, nothing held out."""
    return _test("same slices", scores, ["nothing"], np.ones((1, len(scores)), dtype=bool))


def leave_one_slice_out(scores: pd.DataFrame) -> Outcome:
    """Choose on all slices but one and test on that one, which is of a volume that took part."""
    if len(scores) < 2:
        raise InvalidSetting("One slice cannot be held out of one; give at least two slices.")
    folds = np.eye(len(scores), dtype=bool)
    return _test("leave one slice out", scores, scores.index, folds)


def leave_one_volume_out(scores: pd.DataFrame) -> Outcome:
    """Choose a setting on all volumes but one and test it on that one, for every volume.

    The choice happens anew inside each fold (nested; Varma and Simon, 2006), so no slice of the
    volume that is tested has a part in it. Scores of fewer than two volumes are refused.
    """
    volumes = volume_means(scores).index
    folds = _parts(scores)[1] == np.arange(len(volumes))[:, np.newaxis]
    return _test("leave one volume out", scores, volumes, folds)


def compare_splits(scores: pd.DataFrame) -> pd.DataFrame:
    """Choose and test in all three ways; scores of fewer than two volumes are refused.

    A row a method: unit (of the settings, "px" or "mm"), method, n_folds, chosen (every setting
    that was, in rising order), score, and optimism: the same slices' score less this one.
    """
    import pandas as pd

    unit = "mm" if str(scores.columns.name).endswith("mm") else "px"
    best, rows = apparent(scores), []
    for found in (best, leave_one_slice_out(scores), leave_one_volume_out(scores)):
        chosen = tuple(sorted(set(found.folds.chosen)))
        # Means that are equal may differ in their last digit.
        optimism = round(best.score - found.score, 9) + 0.0
        rows.append((unit, found.method, len(found.folds), chosen, found.score, optimism))
    names = ["unit", "method", "n_folds", "chosen", "score", "optimism"]
    return pd.DataFrame(rows, columns=names)


def tune_on_each_volume(scores: pd.DataFrame) -> pd.DataFrame:
    """Tune on the slices of one volume alone, for every volume in turn.

    A row a volume: volume, chosen, apparent (its own score), slice_out (leave-one-slice-out within
    it; NaN for a single slice), elsewhere (mean over the other volumes).
    """
    import pandas as pd

    means = volume_means(scores)
    values, codes, rows = means.to_numpy(), _parts(scores)[1], []
    for number, name in enumerate(means.index):
        best = values[number].argmax()
        own = scores[codes == number]
        slice_out = leave_one_slice_out(own).score if len(own) > 1 else float("nan")
        elsewhere = np.delete(values[:, best], number).mean()
        rows.append((name, scores.columns[best], values[number, best], slice_out, elsewhere))
    columns = ["volume", "chosen", "apparent", "slice_out", "elsewhere"]
    return pd.DataFrame(rows, columns=columns)


class Control(NamedTuple):
    """Scores of an ignorant selector under two splits, one a draw, and what it is worth."""

    by_slice: Array
    by_volume: Array
    worth: float

    @property
    def slice_split_is_fooled(self) -> bool:
        """Whether leave-one-slice-out promises more than the selector is worth."""
        return bool(np.quantile(self.by_slice, 0.025) > self.worth + 1e-9)

    @property
    def volume_split_passes(self) -> bool:
        """Whether leave-one-volume-out agrees with what the selector is worth."""
        low, high = np.quantile(self.by_volume, (0.025, 0.975))
        return bool(low - 1e-9 <= self.worth <= high + 1e-9)


def negative_control(scores: pd.DataFrame, n_draws: int = 200, seed: int = 0) -> Control:
    """Let a selector that knows only a random brightness choose settings, under both splits.

    All slices of a volume share a made-up brightness, like the gain of a scanner session. The
    selector takes the setting that was best on the training slice whose brightness is nearest. Held
    out by slice, that is a neighbour from the same volume, and the selector looks brilliant. Held
    out by volume, it is a random other head, so what the selector is worth on a new volume is
    known: the mean over all pairs of volumes (on such leakage: Kapoor and Narayanan, 2023).
    """
    if n_draws < 1:
        raise InvalidSetting(f"The control needs at least one draw, not {n_draws}.")
    n_volumes = len(volume_means(scores))
    values, codes, _ = _parts(scores)
    n = len(values)
    # transferred[i, j]: score on slice i of the setting that was best on slice j
    transferred = values[:, values.argmax(axis=1)]
    excluded = np.stack([np.eye(n, dtype=bool), codes[:, np.newaxis] == codes])
    rng, drawn = np.random.default_rng(seed), np.empty((n_draws, 2))
    for draw in range(n_draws):
        # Slices of a volume differ by about a thousandth of how volumes differ.
        brightness = rng.random(n_volumes)[codes] + 1e-3 * rng.standard_normal(n)
        apart = np.abs(brightness[:, np.newaxis] - brightness)
        nearest = np.where(excluded, np.inf, apart).argmin(axis=2)
        drawn[draw] = _means(transferred[np.arange(n), nearest].T, codes).mean(axis=0)
    # between[a, b]: how the best settings of volume a do on volume b
    between = _means(_means(transferred, codes).T, codes)
    worth = float(between[~np.eye(n_volumes, dtype=bool)].mean())
    return Control(drawn[:, 0], drawn[:, 1], worth)


def zero_failure_bound(n: int) -> float:
    """Largest failure rate, with 95% confidence, that n cases without a failure leave possible.

    At this rate n independent cases all go well with a probability of 5%. The "rule of three", 3/n,
    approximates it (Hanley and Lippman-Hand, 1983).
    """
    return float(1 - (1 - 0.95) ** (1 / _at_least_one(n)))


def smallest_sign_test_p(n: int) -> float:
    """Two-sided p of the sign test when all n cases agree: no smaller one can come out.

    The range of n independent values misses the population's median with the same probability.
    """
    return float(stats.binomtest(_at_least_one(n), n).pvalue)


def correlation(values: ArrayLike, groups: ArrayLike) -> float:
    """Intraclass correlation: how alike values of one group are, from a one-way analysis.

    The share of the variance that lies between groups (Kish, 1965; the mean group size is corrected
    for unequal groups). 1 = values of a group are equal; 0 = as different as values of different
    groups; negative values can come out by chance. NaN where nothing varies.
    """
    values = np.asarray(values, dtype=np.float64)
    names, labels, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    n, n_groups = len(values), len(names)
    if not 1 < n_groups < n:
        raise InvalidSetting(
            "How alike slices of one volume are can be told from two volumes or more, at least "
            "one of them with two slices."
        )
    means = np.bincount(labels, values) / sizes
    within = float(np.sum((values - means[labels]) ** 2)) / (n - n_groups)
    between = float(np.sum(sizes * (means - values.mean()) ** 2)) / (n_groups - 1)
    size = (n - np.sum(sizes**2) / n) / (n_groups - 1)
    total = between + (size - 1) * within
    return float((between - within) / total) if total > 0 else float("nan")


def effective_number(n: int, n_groups: int, correlation: float) -> float:
    """How many independent cases n correlated ones, in equal groups, are worth for a mean.

    n / (1 + (n / n_groups - 1) correlation), Kish's design effect; a correlation outside [0, 1] is
    taken for the nearer end.
    """
    if not 1 <= n_groups <= n:
        raise InvalidSetting(f"{n} values cannot form {n_groups} groups.")
    return n / (1 + (n / n_groups - 1) * min(max(correlation, 0.0), 1.0))


def _parts(scores: pd.DataFrame) -> tuple[Array, NDArray[np.intp], list[str]]:
    """Values, each slice's volume as a number, and the volumes in order of appearance."""
    values = scores.to_numpy(dtype=np.float64)
    if not values.size or not np.isfinite(values).all():
        raise InvalidSetting("Choosing needs at least one slice, and a finite score in every cell.")
    codes, names = scores.index.get_level_values("volume").factorize()
    return values, np.asarray(codes), [str(name) for name in names]


def _means(values: Array, codes: NDArray[np.intp]) -> Array:
    """Mean over the rows of each volume, (V, ...)."""
    return np.array([values[codes == one].mean(axis=0) for one in np.unique(codes)])


def _test(
    method: str, scores: pd.DataFrame, names: Iterable[Any], folds: NDArray[np.bool_]
) -> Outcome:
    """Choose without the slices of each fold, (F, N), and test on them; on all where none is left.

    What is chosen is the first of the best.
    """
    import pandas as pd

    values, codes, _ = _parts(scores)
    chosen, found = [], []
    for out in folds:
        others = out if out.all() else ~out
        best = _means(values[others], codes[others]).mean(axis=0).argmax()
        chosen.append(scores.columns[best])
        found.append(_means(values[out], codes[out]).mean(axis=0)[best])
    table = pd.DataFrame({"held_out": list(names), "chosen": chosen, "score": found})
    mean = _means(np.array(found), codes[folds.argmax(axis=1)]).mean()
    return Outcome(method, table, float(mean))


def _at_least_one(n: int) -> int:
    if n < 1:
        raise InvalidSetting(f"A statement about n cases needs at least one, not {n}.")
    return n
