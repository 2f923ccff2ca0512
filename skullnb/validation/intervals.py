"""How often intervals from a few values cover what they should, by simulation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from skullnb.errors import InvalidSetting
from skullnb.validation.scores import Array


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

    At small n the percentile bootstrap covers less than it says: resampled means vary with the
    variance of the sample, which is (n - 1)/n of the unbiased one, and its quantiles are those
    of the sample at hand, near the normal's 1.96 where Student's t would take 2.78 (at n = 5).

    Parameters
    ----------
    n : int
        Values in a sample, at least 2.
    skewed : bool
        Draw from a distribution with a long lower tail (one minus an exponential), as scores near
        their maximum have, rather than from a normal one.
    shared : float
        Share of the variance that all values of a sample have in common, as slices of one volume
        do; from 0 (independent) to below 1.
    n_experiments, n_resamples : int
        Samples drawn, and bootstrap resamples of each.

    Returns
    -------
    dict
        bootstrap and t: the share of samples whose interval covered the mean.

    Raises
    ------
    InvalidSetting
        If n or `shared` is outside what it may be.

    References
    ----------
    Efron and Tibshirani (1993).

    Examples
    --------
    >>> found = coverage(5, n_experiments=1000)
    >>> found["bootstrap"] < 0.88 < found["t"]
    True
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
) -> NDArray[Any]:
    """Simulate `coverage` for several sample sizes, normal and skewed.

    Parameters
    ----------
    **options
        For `coverage`.

    Returns
    -------
    (s,) structured array
        n, bootstrap, t, bootstrap_skewed, t_skewed.

    Examples
    --------
    >>> coverage_table((3, 5), n_experiments=50, n_resamples=50).dtype.names
    ('n', 'bootstrap', 't', 'bootstrap_skewed', 't_skewed')
    """
    rows = []
    for n in sizes:
        normal = coverage(n, seed=seed, **options)
        skewed = coverage(n, seed=seed, skewed=True, **options)
        rows.append((n, normal["bootstrap"], normal["t"], skewed["bootstrap"], skewed["t"]))
    names = ("bootstrap", "t", "bootstrap_skewed", "t_skewed")
    return np.array(rows, dtype=[("n", np.int64), *((name, np.float64) for name in names)])
