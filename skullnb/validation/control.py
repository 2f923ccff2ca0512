"""A negative control: a selector that has learned nothing, and which split notices.

Every volume gets a made-up brightness, drawn at random, that all its slices share: like the gain
of a scanner session, it tells volumes apart and knows nothing about heads. The selector takes the
kernel that was best on the training slice whose brightness is nearest.

When slices are held out one by one, the nearest training slice is a neighbour from the same volume,
whose best kernel is the right answer: the selector looks brilliant. When the whole volume is held
out, the nearest slice is from a random other head, and the score falls to what the selector is
worth on a new volume. That worth is known, because the brightness is random: it is the mean over
all pairs of volumes of one's best kernels on the other. So the control has a right answer, and a
split either finds it or is fooled.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from skullnb.errors import InvalidSetting
from skullnb.validation.scores import Array, ScoreMatrix

# Slices of a volume differ in brightness by about a thousandth of how volumes differ.
_SLICE_TO_SLICE = 1e-3

# A split is judged by where the right answer lies among its draws: inside this range or not.
_QUANTILES = (0.025, 0.975)
_ROUNDING = 1e-9


@dataclass(frozen=True, eq=False)
class Control:
    """What two splits say about the selector.

    Attributes
    ----------
    by_slice, by_volume : (n_draws,) float64
        The selector's score, by leave-one-slice-out and by leave-one-volume-out, one value for
        each draw of the brightness.
    worth : float
        The selector's expected score on a new volume; exact where all volumes have equally many
        slices.
    """

    by_slice: Array
    by_volume: Array
    worth: float

    @property
    def slice_split_is_fooled(self) -> bool:
        """Whether leave-one-slice-out promises more than the selector is worth."""
        return bool(np.quantile(self.by_slice, _QUANTILES[0]) > self.worth + _ROUNDING)

    @property
    def volume_split_passes(self) -> bool:
        """Whether leave-one-volume-out agrees with what the selector is worth."""
        low, high = np.quantile(self.by_volume, _QUANTILES)
        return bool(low - _ROUNDING <= self.worth <= high + _ROUNDING)


def negative_control(matrix: ScoreMatrix, n_draws: int = 200, seed: int = 0) -> Control:
    """Let a selector that knows only a random brightness choose kernels, under both splits.

    Parameters
    ----------
    matrix : ScoreMatrix
        With groups, at least two.
    n_draws : int
        Draws of the brightness.
    seed : int

    Returns
    -------
    Control

    Raises
    ------
    InvalidSetting
        If the groups are unknown or fewer than two, or nothing is drawn.

    References
    ----------
    Kapoor and Narayanan (2023), on leakage by groups that are split apart.

    Examples
    --------
    >>> scores = [[0.9, 0.5]] * 3 + [[0.5, 0.9]] * 3
    >>> control = negative_control(ScoreMatrix(scores, [24, 26], tuple("aaabbb")), n_draws=20)
    >>> float(control.by_slice.mean().round(3)), float(control.by_volume.mean().round(3))
    (0.9, 0.5)
    """
    if n_draws < 1:
        raise InvalidSetting(f"The control needs at least one draw, not {n_draws}.")
    volume = matrix.volume_of
    best = matrix.scores.argmax(axis=1)
    # transferred[i, j]: score on slice i of the kernel that was best on slice j
    transferred = matrix.scores[:, best]
    same_slice = np.eye(len(matrix), dtype=bool)
    same_volume = volume[:, np.newaxis] == volume

    rng = np.random.default_rng(seed)
    by_slice, by_volume = np.empty(n_draws), np.empty(n_draws)
    for draw in range(n_draws):
        brightness = rng.random(volume.max() + 1)[volume]
        brightness += _SLICE_TO_SLICE * rng.standard_normal(len(matrix))
        apart = np.abs(brightness[:, np.newaxis] - brightness)
        for result, excluded in ((by_slice, same_slice), (by_volume, same_volume)):
            nearest = np.where(excluded, np.inf, apart).argmin(axis=1)
            scores = transferred[np.arange(len(matrix)), nearest]
            result[draw] = _volume_mean(scores, volume)

    # between[a, b]: how the best kernels of volume a do on volume b
    between = _volume_means(_volume_means(transferred, volume).T, volume)
    others = ~np.eye(len(between), dtype=bool)
    return Control(by_slice, by_volume, float(between[others].mean()))


def _volume_means(values: Array, volume: np.ndarray) -> Array:
    return np.array([values[volume == one].mean(axis=0) for one in range(volume.max() + 1)])


def _volume_mean(scores: Array, volume: np.ndarray) -> float:
    return float(_volume_means(scores, volume).mean())
