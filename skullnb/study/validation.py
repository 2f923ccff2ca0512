"""Choosing a setting honestly, and saying what a handful of slices can say.

All of it works on one table of scores: a row a slice, by volume, and a column for each setting that
can be chosen: kernel widths, or any others. Choosing takes the largest mean, and every mean counts
each volume once. What must be held out is the volume; slices are no substitute.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import comb
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
    """What one way of testing says.

    `folds` has a row a fold: held_out, chosen (the setting), score (on what was held out); `score`
    is their mean, each volume counting once.
    """

    method: str
    folds: pd.DataFrame
    score: float


def score_table(
    rows: pd.DataFrame,
    setting: str | Sequence[str] = "kernel_width",
    metric: str = "iou",
    volume: str = "group",
) -> pd.DataFrame:
    """Turn a sweep into the table that the functions here work on.

    Parameters
    ----------
    rows : DataFrame
        A row a slice and setting, with `position` in the stack and, where there are several,
        `stack`; as from `skullnb.sweep.sweep_kernel_width`.
    setting : str or sequence of str
        The column, or the columns together, that can be chosen.
    metric : str
        A column that is best when large.
    volume : str
        The column with the labels of volumes; "" where they are unknown.

    Returns
    -------
    DataFrame
        Index (volume, slice) in the order of the rows, a column for each setting in rising order.
        Slices without a score are left out (mask and reference mask both empty).

    Examples
    --------
    >>> import pandas as pd
    >>> sweep = pd.DataFrame({"group": ["anna", "anna", "ben", "ben"], "position": [0, 0, 1, 1],
    ...                       "kernel_width": [24, 26, 24, 26], "iou": [0.7, 0.8, 0.9, 0.8]})
    >>> score_table(sweep)
    kernel_width   24   26
    volume slice
    anna   0      0.7  0.8
    ben    1      0.9  0.8
    """
    import pandas as pd

    if metric not in METRICS or metric not in rows:
        raise InvalidSetting(
            f"Nothing can be chosen by {metric!r}; sweep and choose by one of {', '.join(METRICS)}."
        )
    keys = [name for name in ("stack", volume, "position") if name in rows]
    settings = [setting] if isinstance(setting, str) else list(setting)
    slices = rows.drop_duplicates(keys)
    n = len(slices) * len(rows.drop_duplicates(settings))
    if len(rows) != n or rows.duplicated(keys + settings).any():
        raise InvalidSetting("The sweep has gaps; score every slice once at every setting.")
    chosen = settings[0] if len(settings) == 1 else settings
    scores = rows.pivot(index=keys, columns=chosen, values=metric).sort_index(axis=1)
    scores = scores.reindex(pd.MultiIndex.from_frame(slices[keys]))
    labels = slices[volume].astype(str) if volume in slices else [""] * len(slices)
    numbers = slices["slice" if "slice" in slices else "position"]
    scores.index = pd.MultiIndex.from_arrays([labels, numbers], names=["volume", "slice"])
    scores = scores.dropna()
    if scores.empty:
        raise InvalidSetting("Nothing can be chosen: masks and reference masks are all empty.")
    return scores


def volume_means(scores: pd.DataFrame) -> pd.DataFrame:
    """Mean scores of each volume over its slices; a row a volume, in order of appearance.

    Refused where volumes are unknown or there is only one: nothing can be said about an unseen
    volume then, and slices are no substitute.
    """
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


def in_mm(scores: pd.DataFrame, spacing_mm: ArrayLike | Mapping[str, float]) -> pd.DataFrame:
    """Give the same scores with candidates that are fixed in mm rather than in px.

    There are as many candidates as before, at the widths that a slice with the median spacing has
    in px. On each slice a candidate uses the width that was swept nearest to it; candidates that
    are out of some slice's reach are left out.

    The columns of `scores` are kernel widths in px; `spacing_mm` is the size of a pixel: a number,
    one a slice, or by volume.
    """
    import pandas as pd

    size = _size_of_pixels(scores, spacing_mm)
    widths = scores.columns.to_numpy(dtype=np.float64)
    candidates = widths * np.median(size)
    away = np.abs((candidates / size[:, np.newaxis])[:, :, np.newaxis] - widths)
    half_step = np.diff(widths).max(initial=0.0) / 2
    usable = (away.min(axis=2) <= half_step).all(axis=0)
    if not usable.any():
        raise InvalidSetting(
            "No kernel in mm can be compared on all slices: their pixels differ too much for the "
            "widths that were swept; sweep a wider range."
        )
    nearest = np.take_along_axis(scores.to_numpy(), away.argmin(axis=2), axis=1)
    columns = pd.Index(candidates[usable], name="kernel_width_mm")
    return pd.DataFrame(nearest[:, usable], scores.index, columns)


def apparent(scores: pd.DataFrame) -> Outcome:
    """Choose a setting on all slices and test it on the same slices: one fold, nothing held out."""
    values, codes, _ = _parts(scores)
    means = _means(values, codes).mean(axis=0)
    best = int(means.argmax())
    return _outcome("same slices", ["nothing"], scores.columns[[best]], means[[best]], means[best])


def leave_one_slice_out(scores: pd.DataFrame) -> Outcome:
    """Choose a setting on all slices but one and test it on that one, for every slice.

    The other slices of the same volume take part in the choice, so this says little about an
    unseen volume. A single slice is refused.
    """
    values, codes, _ = _parts(scores)
    n = len(values)
    if n < 2:
        raise InvalidSetting("One slice cannot be held out of one; give at least two slices.")
    chosen = [
        int(_means(np.delete(values, i, axis=0), np.delete(codes, i)).mean(axis=0).argmax())
        for i in range(n)
    ]
    found = values[np.arange(n), chosen]
    mean = _means(found, codes).mean()
    return _outcome("leave one slice out", scores.index, scores.columns[chosen], found, mean)


def leave_one_volume_out(scores: pd.DataFrame) -> Outcome:
    """Choose a setting on all volumes but one and test it on that one, for every volume.

    The choice happens anew inside each fold (nested; Varma and Simon, 2006), so no slice of the
    volume that is tested has a part in it. Refuses what `volume_means` does.

    Examples
    --------
    >>> import pandas as pd
    >>> index = pd.MultiIndex.from_arrays([list("aab"), range(3)], names=["volume", "slice"])
    >>> scores = pd.DataFrame([[0.9, 0.8], [0.9, 0.8], [0.6, 0.8]], index, columns=[24, 26])
    >>> leave_one_volume_out(scores).folds
      held_out  chosen  score
    0        a      26    0.8
    1        b      24    0.6
    """
    means = volume_means(scores)
    values = means.to_numpy()
    n = len(values)
    chosen = [int(np.delete(values, i, axis=0).mean(axis=0).argmax()) for i in range(n)]
    found = values[np.arange(n), chosen]
    columns = scores.columns[chosen]
    return _outcome("leave one volume out", means.index, columns, found, found.mean())


def held_out_rows(
    outcome: Outcome,
    rows: pd.DataFrame,
    setting: str | Sequence[str] = "kernel_width",
    volume: str = "group",
) -> pd.DataFrame:
    """Pick each volume's rows of a sweep at the setting that the other volumes chose for it.

    So that other metrics than the one that chose can be looked up, such as distances.

    `rows`, `setting` and `volume` are what `score_table` was given.
    """
    chosen = dict(zip(outcome.folds.held_out, outcome.folds.chosen, strict=True))
    names = [setting] if isinstance(setting, str) else list(setting)
    has = (
        rows[names[0]] if len(names) == 1 else list(rows[names].itertuples(index=False, name=None))
    )
    labels = rows[volume].astype(str)
    return rows[[chosen.get(one) == own for one, own in zip(labels, has, strict=True)]]


def compare_splits(
    scores: pd.DataFrame,
    spacing_mm: ArrayLike | Mapping[str, float] | None = None,
) -> pd.DataFrame:
    """Test in all three ways; where pixels differ in size, with a kernel fixed in mm too.

    A row for each unit ("px", "mm") and method: n_folds, chosen (every setting that was, in rising
    order), score, and optimism: the same slices' score less this one.
    """
    import pandas as pd

    tables = {"px": scores}
    if spacing_mm is not None and np.ptp(_size_of_pixels(scores, spacing_mm)) > 0:
        tables["mm"] = in_mm(scores, spacing_mm)
    rows = []
    for unit, table in tables.items():
        best = apparent(table)
        for found in (best, leave_one_slice_out(table), leave_one_volume_out(table)):
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
    _, codes, names = _parts(scores)
    values, rows = means.to_numpy(), []
    for number, name in enumerate(names):
        best = int(values[number].argmax())
        own = scores[codes == number]
        slice_out = leave_one_slice_out(own).score if len(own) > 1 else float("nan")
        elsewhere = np.delete(values[:, best], number).mean()
        rows.append((name, scores.columns[best], values[number, best], slice_out, elsewhere))
    columns = ["volume", "chosen", "apparent", "slice_out", "elsewhere"]
    return pd.DataFrame(rows, columns=columns)


def tuning_curve(
    scores: pd.DataFrame, sizes: Sequence[int] | None = None, n_draws: int = 1000, seed: int = 0
) -> pd.DataFrame:
    """Tune on some of the volumes and test on the others: how optimism falls with their number.

    `sizes` are numbers of volumes to tune on. For each all choices of volumes are taken, or
    `n_draws` random ones where there are more. A row a size: n_volumes, apparent, elsewhere (means
    over the choices), and optimism, their difference.
    """
    import pandas as pd

    means = volume_means(scores).to_numpy()
    most = len(means) - 1
    sizes = sizes or [*(n for n in (1, 2, 3, 5, 10, 15) if n < most), most]
    if not all(1 <= size <= most for size in sizes):
        raise InvalidSetting(
            f"Of {most + 1} volumes, 1 to {most} can be tuned on, so that some are left to test on."
        )
    rng = np.random.default_rng(seed)
    rows = []
    for size in sizes:
        every = comb(most + 1, size) <= n_draws
        drawn = (rng.permutation(most + 1)[:size] for _ in range(n_draws))
        choices = combinations(range(most + 1), size) if every else drawn
        pairs = []
        for choice in map(list, choices):
            inside = means[choice].mean(axis=0)
            best = int(inside.argmax())
            pairs.append((inside[best], np.delete(means[:, best], choice).mean()))
        here, elsewhere = np.mean(pairs, axis=0)
        rows.append((size, here, elsewhere, here - elsewhere))
    return pd.DataFrame(rows, columns=["n_volumes", "apparent", "elsewhere", "optimism"])


@dataclass(frozen=True, eq=False)
class Control:
    """What two splits say about a selector that has learned nothing.

    `by_slice` and `by_volume` are its scores under the two splits, one a draw; `worth` is its
    expected score on a new volume.
    """

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

    All slices of a volume share a made-up brightness, like the gain of a scanner session: it tells
    volumes apart and knows nothing about heads. The selector takes the setting that was best on the
    training slice whose brightness is nearest. Held out by slice, that is a neighbour from the same
    volume, whose best setting is the right answer: the selector looks brilliant. Held out by
    volume, it is a random other head. Because the brightness is random, what the selector is worth
    on a new volume is known: the mean over all pairs of volumes. (On leakage by groups that are
    split apart: Kapoor and Narayanan, 2023.)
    """
    if n_draws < 1:
        raise InvalidSetting(f"The control needs at least one draw, not {n_draws}.")
    volume_means(scores)  # refuses unknown or single volumes
    values, codes, names = _parts(scores)
    n = len(values)
    # transferred[i, j]: score on slice i of the setting that was best on slice j
    transferred = values[:, values.argmax(axis=1)]
    excluded = np.stack([np.eye(n, dtype=bool), codes[:, np.newaxis] == codes])
    rng, drawn = np.random.default_rng(seed), np.empty((n_draws, 2))
    for draw in range(n_draws):
        # Slices of a volume differ by about a thousandth of how volumes differ.
        brightness = rng.random(len(names))[codes] + 1e-3 * rng.standard_normal(n)
        apart = np.abs(brightness[:, np.newaxis] - brightness)
        nearest = np.where(excluded, np.inf, apart).argmin(axis=2)
        drawn[draw] = _means(transferred[np.arange(n), nearest].T, codes).mean(axis=0)
    # between[a, b]: how the best settings of volume a do on volume b
    between = _means(_means(transferred, codes).T, codes)
    worth = float(between[~np.eye(len(between), dtype=bool)].mean())
    return Control(drawn[:, 0], drawn[:, 1], worth)


def range_covers_median(n: int) -> float:
    """Probability that the range of n independent values holds the population's median.

    It fails only when all values fall on one side: 1 - 2 (1/2)^n for a continuous distribution.
    """
    return 1 - 2 * 0.5 ** _at_least_one(n)


def zero_failure_bound(n: int, confidence: float = 0.95) -> float:
    """Largest failure rate that n independent cases without a failure leave possible.

    At this rate n cases all go well with probability 1 - confidence. The "rule of three", 3/n,
    approximates it (Hanley and Lippman-Hand, 1983).

    Examples
    --------
    >>> round(zero_failure_bound(5), 3), round(zero_failure_bound(300), 4)
    (0.451, 0.0099)
    """
    if not 0 < confidence < 1:
        raise InvalidSetting(f"A confidence is between 0 and 1, not {confidence}.")
    return float(1 - (1 - confidence) ** (1 / _at_least_one(n)))


def sign_test(n_better: int, n_worse: int) -> float:
    """Two-sided p of the sign test: n_better cases against n_worse; ties are left out."""
    if min(n_better, n_worse) < 0:
        raise InvalidSetting("The sign test counts cases; the numbers cannot be negative.")
    n = n_better + n_worse
    return float(stats.binomtest(n_better, n).pvalue) if n else 1.0


def smallest_sign_test_p(n: int) -> float:
    """Two-sided p of the sign test when all n cases agree: no smaller one can come out."""
    return sign_test(_at_least_one(n), 0)


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


def coverage(
    n: int,
    *,
    skewed: bool = False,
    shared: float = 0.0,
    n_experiments: int = 4000,
    n_resamples: int = 1000,
    seed: int = 0,
) -> dict[str, float]:
    """Simulate how often nominal 95% intervals from n values cover the population's mean.

    Values are normal or, `skewed`, one minus an exponential, which has a long lower tail as scores
    near their maximum do. `shared` is the share of the variance that all values of a sample have in
    common, as slices of one volume do. Gives the share of samples whose interval covered the mean:
    bootstrap (percentiles; Efron and Tibshirani, 1993) and t.
    """
    if n < 2 or not 0 <= shared < 1:
        raise InvalidSetting("An interval needs two values or more, and shared is in [0, 1).")
    rng = np.random.default_rng(seed)

    def draw(shape: tuple[int, int]) -> Array:  # zero mean, unit variance
        return 1 - rng.standard_exponential(shape) if skewed else rng.standard_normal(shape)

    common, own = draw((n_experiments, 1)), draw((n_experiments, n))
    samples = np.sqrt(shared) * common + np.sqrt(1 - shared) * own
    # All samples share the resamples: that costs nothing in coverage and much less time.
    weights = rng.multinomial(n, np.full(n, 1 / n), size=n_resamples) / n
    low, high = np.quantile(samples @ weights.T, [0.025, 0.975], axis=1)
    half = stats.t.ppf(0.975, n - 1) * samples.std(axis=1, ddof=1) / np.sqrt(n)
    return {
        "bootstrap": float(np.mean((low <= 0) & (high >= 0))),
        "t": float(np.mean(np.abs(samples.mean(axis=1)) <= half)),
    }


def coverage_table(
    sizes: Sequence[int] = (5, 10, 20, 50), seed: int = 0, **options: Any
) -> pd.DataFrame:
    """Simulate `coverage`: a row a sample size, n, bootstrap, t, bootstrap_skewed, t_skewed."""
    import pandas as pd

    rows = []
    for n in sizes:
        skewed = coverage(n, seed=seed, skewed=True, **options)
        both = coverage(n, seed=seed, **options)
        both |= {f"{name}_skewed": value for name, value in skewed.items()}
        rows.append({"n": n} | both)
    return pd.DataFrame(rows)


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


def _outcome(method: str, held_out: Any, chosen: Any, scores: Array, mean: float) -> Outcome:
    import pandas as pd

    folds = {"held_out": list(held_out), "chosen": list(chosen), "score": scores}
    return Outcome(method, pd.DataFrame(folds), float(mean))


def _size_of_pixels(scores: pd.DataFrame, spacing_mm: Any) -> Array:
    """Size of each slice's pixels in mm."""
    if hasattr(spacing_mm, "keys"):
        spacing_mm = [spacing_mm[name] for name in scores.index.get_level_values("volume")]
    size = np.broadcast_to(np.asarray(spacing_mm, dtype=np.float64), len(scores))
    if not np.all(size > 0):
        raise InvalidSetting("The size of a pixel is above 0 mm; check the spacing.")
    return size


def _at_least_one(n: int) -> int:
    if n < 1:
        raise InvalidSetting(f"A statement about n cases needs at least one, not {n}.")
    return n
