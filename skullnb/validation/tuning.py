"""What it costs to tune on few volumes: on one, as is soon done with few slices, and on more."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from math import comb
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skullnb.errors import InvalidSetting
from skullnb.validation.scores import Array, ScoreMatrix
from skullnb.validation.splits import leave_one_slice_out


def tune_on_each_volume(matrix: ScoreMatrix) -> NDArray[Any]:
    """Tune on the slices of one volume alone, for every volume in turn.

    Parameters
    ----------
    matrix : ScoreMatrix
        With groups, at least two.

    Returns
    -------
    (V,) structured array
        One row a volume: volume, width (chosen on it), apparent (its own score), slice_out
        (leave-one-slice-out within it; NaN for a single slice), elsewhere (mean over the other
        volumes).

    Raises
    ------
    InvalidSetting
        If the groups are unknown, or fewer than two.

    Examples
    --------
    >>> rows = tune_on_each_volume(ScoreMatrix([[0.9, 0.8], [0.6, 0.8]], [24, 26], ("a", "b")))
    >>> rows["apparent"], rows["elsewhere"]
    (array([0.9, 0.8]), array([0.6, 0.8]))
    """
    means, labels = matrix.volume_means, matrix.volume_of
    rows = []
    for number, name in enumerate(matrix.volumes):
        best = int(means[number].argmax())
        own = ScoreMatrix(matrix.scores[labels == number], matrix.widths, unit=matrix.unit)
        slice_out = leave_one_slice_out(own).score if len(own) > 1 else float("nan")
        elsewhere = float(np.delete(means[:, best], number).mean())
        rows.append((name, matrix.widths[best], means[number, best], slice_out, elsewhere))
    names = ("width", "apparent", "slice_out", "elsewhere")
    longest = max(map(len, matrix.volumes))
    return np.array(
        rows, dtype=[("volume", f"U{longest}"), *((name, np.float64) for name in names)]
    )


def tuning_curve(
    matrix: ScoreMatrix,
    sizes: Sequence[int] | None = None,
    n_draws: int = 1000,
    seed: int = 0,
) -> NDArray[Any]:
    """Tune on some of the volumes and test on the others: how optimism falls with their number.

    Parameters
    ----------
    matrix : ScoreMatrix
        With groups, at least two.
    sizes : sequence of int, optional
        Numbers of volumes to tune on, each from 1 to one less than there are.
    n_draws : int
        Most choices of volumes for each size; where there are no more, all are taken.
    seed : int
        Of the random choices.

    Returns
    -------
    (s,) structured array
        One row a size: n_volumes, apparent, elsewhere (means over the choices), and optimism,
        their difference.

    Raises
    ------
    InvalidSetting
        If the groups are unknown or fewer than two, or a size is not possible.

    Examples
    --------
    >>> matrix = ScoreMatrix([[0.9, 0.8], [0.6, 0.8]], [24, 26], ("a", "b"))
    >>> tuning_curve(matrix)["optimism"]
    array([0.15])
    """
    means = matrix.volume_means
    most = len(means) - 1
    sizes = [n for n in (1, 2, 3, 5, 10, 15) if n < most] + [most] if sizes is None else list(sizes)
    if not all(1 <= size <= most for size in sizes):
        raise InvalidSetting(
            f"Of {most + 1} volumes, 1 to {most} can be tuned on, so that some are left to test on."
        )
    rng = np.random.default_rng(seed)
    rows = []
    for size in sizes:
        if comb(most + 1, size) <= n_draws:
            choices = list(combinations(range(most + 1), size))
        else:
            choices = [tuple(rng.permutation(most + 1)[:size]) for _ in range(n_draws)]
        pairs = np.array([_tune_on(means, list(choice)) for choice in choices])
        here, elsewhere = pairs.mean(axis=0)
        rows.append((size, here, elsewhere, here - elsewhere))
    names = ("apparent", "elsewhere", "optimism")
    return np.array(rows, dtype=[("n_volumes", np.int64), *((name, np.float64) for name in names)])


def _tune_on(means: Array, chosen: list[int]) -> tuple[float, float]:
    inside = means[chosen].mean(axis=0)
    best = int(inside.argmax())
    return float(inside[best]), float(np.delete(means[:, best], chosen).mean())
