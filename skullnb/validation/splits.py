"""Choosing the kernel on one part of the slices and testing it on another.

Every average counts each volume once: first over the volume's slices, then over the volumes.
Without group labels each slice counts once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from skullnb.errors import InvalidSetting
from skullnb.validation.scores import Array, ScoreMatrix


@dataclass(frozen=True, eq=False)
class Outcome:
    """What one way of testing says.

    Attributes
    ----------
    method : str
    unit : {"px", "mm"}
        What the kernel was fixed in.
    held_out : tuple of str
        What each fold was tested on.
    widths : (F,) float64
        The kernel chosen in each fold, in `unit`.
    scores : (F,) float64
        Its score on what was held out.
    score : float
        Their mean, each volume counting once.
    """

    method: str
    unit: str
    held_out: tuple[str, ...]
    widths: Array
    scores: Array
    score: float


def apparent(matrix: ScoreMatrix) -> Outcome:
    """Choose the kernel on all slices and test it on the same slices.

    Returns
    -------
    Outcome
        Of one fold, in which nothing is held out.

    Examples
    --------
    >>> apparent(ScoreMatrix([[0.9, 0.8], [0.5, 0.8]], [24, 26])).widths
    array([26.])
    """
    means = _mean(matrix.scores, _labels(matrix))
    best = int(means.argmax())
    return Outcome(
        "same slices",
        matrix.unit,
        ("nothing",),
        matrix.widths[[best]],
        means[[best]],
        float(means[best]),
    )


def leave_one_slice_out(matrix: ScoreMatrix) -> Outcome:
    """Choose the kernel on all slices but one and test it on that one, for every slice.

    The other slices of the same volume take part in the choice, so this says little about an
    unseen volume.

    Returns
    -------
    Outcome
        One fold a slice.

    Raises
    ------
    InvalidSetting
        If there is only one slice.

    Examples
    --------
    >>> leave_one_slice_out(ScoreMatrix([[0.9, 0.8], [0.5, 0.8]], [24, 26])).scores
    array([0.8, 0.5])
    """
    if len(matrix) < 2:
        raise InvalidSetting("One slice cannot be held out of one; give at least two slices.")
    labels = _labels(matrix)
    chosen = np.array(
        [
            _choose(np.delete(matrix.scores, number, axis=0), np.delete(labels, number))
            for number in range(len(matrix))
        ]
    )
    scores = matrix.scores[np.arange(len(matrix)), chosen]
    return Outcome(
        "leave one slice out",
        matrix.unit,
        tuple(f"slice {number}" for number in range(len(matrix))),
        matrix.widths[chosen],
        scores,
        float(_mean(scores, labels)),
    )


def leave_one_volume_out(matrix: ScoreMatrix) -> Outcome:
    """Choose the kernel on all volumes but one and test it on that one, for every volume.

    The choice happens anew inside each fold (nested), so no slice of the volume that is tested
    has a part in it.

    Returns
    -------
    Outcome
        One fold a volume.

    References
    ----------
    Varma and Simon (2006).

    Examples
    --------
    >>> scores = [[0.9, 0.8], [0.9, 0.8], [0.6, 0.8]]
    >>> outcome = leave_one_volume_out(ScoreMatrix(scores, [24, 26], ("a", "a", "b")))
    >>> outcome.held_out, outcome.widths, outcome.scores
    (('a', 'b'), array([26., 24.]), array([0.8, 0.6]))
    """
    means = matrix.volume_means
    chosen = [int(np.delete(means, number, axis=0).mean(axis=0).argmax()) for number in _all(means)]
    scores = means[_all(means), chosen]
    return Outcome(
        "leave one volume out",
        matrix.unit,
        matrix.volumes,
        matrix.widths[chosen],
        scores,
        float(scores.mean()),
    )


def compare_splits(matrix: ScoreMatrix) -> list[Outcome]:
    """Test in all three ways; where pixels differ in size, with a kernel fixed in mm too.

    Parameters
    ----------
    matrix : ScoreMatrix
        With groups, at least two; in px.

    Returns
    -------
    list of Outcome
        `apparent`, `leave_one_slice_out`, `leave_one_volume_out`; then the same in mm, unless
        the spacing is unknown, or the same for all (px and mm are then one choice).

    Examples
    --------
    >>> matrix = ScoreMatrix([[0.9, 0.8], [0.6, 0.8]], [24, 26], ("a", "b"), [0.4, 0.4])
    >>> [outcome.method for outcome in compare_splits(matrix)]
    ['same slices', 'leave one slice out', 'leave one volume out']
    """
    kinds = [matrix]
    if matrix.spacing_mm is not None and np.ptp(matrix.spacing_mm) > 0:
        kinds.append(matrix.in_mm())
    ways = (apparent, leave_one_slice_out, leave_one_volume_out)
    return [test(kind) for kind in kinds for test in ways]


def _labels(matrix: ScoreMatrix) -> NDArray[np.intp]:
    """Which volume each slice counts towards; each slice for itself where that is unknown."""
    if matrix.groups is None:
        return np.arange(len(matrix))
    return np.unique(matrix.groups, return_inverse=True)[1].astype(np.intp)


def _mean(values: Array, labels: NDArray[np.intp]) -> Array:
    """Mean over the slices of each volume, then over the volumes."""
    means = np.array([values[labels == one].mean(axis=0) for one in np.unique(labels)])
    return np.asarray(means.mean(axis=0))


def _choose(scores: Array, labels: NDArray[np.intp]) -> int:
    """Column of the best mean; the narrowest of equals."""
    return int(_mean(scores, labels).argmax())


def _all(rows: Array) -> range:
    return range(len(rows))
