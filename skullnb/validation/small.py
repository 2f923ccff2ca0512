"""What a handful of cases can say, exactly.

The statements hold for *independent* cases. Slices of one volume are not: `correlation`
measures how alike they are, `effective_number` what they are worth.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import comb

import numpy as np

from skullnb.errors import InvalidSetting
from skullnb.validation.scores import Array


def range_covers_median(n: int) -> float:
    """Probability that the range of n independent values holds the population's median.

    It fails only when all values fall on one side of the median.

    Parameters
    ----------
    n : int
        At least 1.

    Returns
    -------
    float
        1 - 2 (1/2)^n, whatever the (continuous) distribution.

    Raises
    ------
    InvalidSetting
        If there is no value.

    Examples
    --------
    >>> range_covers_median(5)
    0.9375
    """
    _at_least_one(n)
    return 1 - 2 * 0.5**n


def zero_failure_bound(n: int, confidence: float = 0.95) -> float:
    """Largest failure rate that n independent cases without a failure leave possible.

    Parameters
    ----------
    n : int
        At least 1.
    confidence : float
        One-sided, between 0 and 1.

    Returns
    -------
    float
        1 - (1 - confidence)^(1/n): at this rate, n cases all go well with probability
        1 - confidence. The "rule of three", 3/n, approximates it for large n.

    Raises
    ------
    InvalidSetting
        If there is no case, or the confidence is not between 0 and 1.

    References
    ----------
    Hanley and Lippman-Hand (1983).

    Examples
    --------
    >>> round(zero_failure_bound(5), 3), round(zero_failure_bound(300), 4)
    (0.451, 0.0099)
    """
    _at_least_one(n)
    if not 0 < confidence < 1:
        raise InvalidSetting(f"A confidence is between 0 and 1, not {confidence}.")
    return float(1 - (1 - confidence) ** (1 / n))


def sign_test(n_better: int, n_worse: int) -> float:
    """Two-sided p of the sign test; ties are left out.

    Parameters
    ----------
    n_better, n_worse : int
        Independent cases in which one method beat the other, and in which it lost.

    Returns
    -------
    float
        Probability of a split at least as uneven when both are equally good; 1 without cases.

    Raises
    ------
    InvalidSetting
        If a number is negative.

    Examples
    --------
    >>> sign_test(4, 1), sign_test(0, 0)
    (0.375, 1.0)
    """
    if min(n_better, n_worse) < 0:
        raise InvalidSetting("The sign test counts cases; the numbers cannot be negative.")
    n = n_better + n_worse
    tail = sum(comb(n, k) for k in range(min(n_better, n_worse) + 1)) * 0.5**n
    return min(1.0, 2 * tail)


def smallest_sign_test_p(n: int) -> float:
    """Two-sided p of the sign test when all n cases agree: no smaller one can come out.

    Parameters
    ----------
    n : int
        At least 1.

    Returns
    -------
    float
        2 (1/2)^n.

    Raises
    ------
    InvalidSetting
        If there is no case.

    Examples
    --------
    >>> smallest_sign_test_p(5), smallest_sign_test_p(6)
    (0.0625, 0.03125)
    """
    _at_least_one(n)
    return sign_test(n, 0)


def correlation(values: Array, groups: Sequence[str]) -> float:
    """Intraclass correlation: how alike values of one group are, from a one-way analysis.

    Parameters
    ----------
    values : (N,) float64
    groups : sequence of str
        One label a value.

    Returns
    -------
    float
        The share of the variance that lies between groups. 1 = values of a group are equal;
        0 = as different as values of different groups; negative values can come out by chance.
        NaN where nothing varies.

    Raises
    ------
    InvalidSetting
        If there are fewer than two groups, or no group has two values.

    References
    ----------
    Kish (1965). From the mean squares, with the mean group size corrected for unequal groups.

    Examples
    --------
    >>> round(correlation([0.90, 0.91, 0.80, 0.81], ["a", "a", "b", "b"]), 3)
    0.99
    """
    values = np.asarray(values, dtype=np.float64)
    names, labels, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    if len(names) < 2 or len(values) == len(names):
        raise InvalidSetting(
            "How alike slices of one volume are can be told from two volumes or more, at least "
            "one of them with two slices."
        )
    means = np.bincount(labels, values) / sizes
    within = float(np.sum((values - means[labels]) ** 2)) / (len(values) - len(names))
    between = float(np.sum(sizes * (means - values.mean()) ** 2)) / (len(names) - 1)
    size = (len(values) - np.sum(sizes**2) / len(values)) / (len(names) - 1)
    total = between + (size - 1) * within
    return float((between - within) / total) if total > 0 else float("nan")


def effective_number(n: int, n_groups: int, correlation: float) -> float:
    """How many independent cases n correlated ones are worth when a mean is estimated.

    Parameters
    ----------
    n : int
        Values, in groups of equal size.
    n_groups : int
        From 1 to n.
    correlation : float
        Within groups; what lies outside [0, 1] is taken for the nearer end.

    Returns
    -------
    float
        n / (1 + (n / n_groups - 1) correlation), between n_groups and n (Kish's design effect).

    Raises
    ------
    InvalidSetting
        If there are no groups, or more than values.

    Examples
    --------
    >>> effective_number(100, 20, 1.0), effective_number(100, 20, 0.0)
    (20.0, 100.0)
    """
    if not 1 <= n_groups <= n:
        raise InvalidSetting(f"{n} values cannot form {n_groups} groups.")
    return n / (1 + (n / n_groups - 1) * min(max(correlation, 0.0), 1.0))


def _at_least_one(n: int) -> None:
    if n < 1:
        raise InvalidSetting(f"A statement about n cases needs at least one, not {n}.")
