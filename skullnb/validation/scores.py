"""`ScoreMatrix`: every slice scored at every candidate kernel, with the volume each slice is from.

Choosing a kernel and testing the choice only ever look up scores that the sweep has computed, so
they work on this table and never touch an image again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skullnb.errors import InvalidSetting, ShapeMismatch

Array = NDArray[np.float64]

# Choosing takes the largest mean, so only metrics that are best when large can choose.
METRICS = ("iou", "dice", "precision", "recall", "nsd")


@dataclass(frozen=True, eq=False)
class ScoreMatrix:
    """Scores of slices (rows) at candidate kernels (columns).

    Parameters
    ----------
    scores : (N, W) float64
        Larger is better.
    widths : (W,) float64
        Candidate kernel widths, rising, in `unit`.
    groups : tuple of str or None
        For each slice, the volume it is from.
    spacing_mm : (N,) float64 or None
        For each slice, mm per pixel.
    unit : {"px", "mm"}
        What `widths` are in.

    Raises
    ------
    ShapeMismatch
        If the parts do not fit together.
    InvalidSetting
        If a score is not finite, the widths do not rise, or there are no slices or widths.

    Examples
    --------
    >>> matrix = ScoreMatrix([[0.9, 0.8], [0.7, 0.8]], [24, 26], ("anna", "ben"))
    >>> matrix.volumes, matrix.volume_means
    (('anna', 'ben'), array([[0.9, 0.8],
           [0.7, 0.8]]))
    """

    scores: Array
    widths: Array
    groups: tuple[str, ...] | None = None
    spacing_mm: Array | None = None
    unit: str = "px"

    def __post_init__(self) -> None:
        """Check the parts against one another and bring them to one form."""
        scores = np.array(self.scores, dtype=np.float64)
        widths = np.array(self.widths, dtype=np.float64)
        if scores.ndim != 2 or widths.ndim != 1 or scores.shape[1] != len(widths):
            raise ShapeMismatch(
                f"Scores of shape {scores.shape} do not fit {widths.size} kernel widths; give one "
                "row a slice and one column a width."
            )
        if not scores.size or not np.isfinite(scores).all() or np.any(np.diff(widths) <= 0):
            raise InvalidSetting(
                "Choosing a kernel needs at least one slice with finite scores, and widths that "
                "rise."
            )
        spacing = self.spacing_mm
        if spacing is not None:
            spacing = np.array(spacing, dtype=np.float64)
            if not np.all(spacing > 0):
                raise InvalidSetting("The size of a pixel is above 0 mm; check the spacing.")
        for name, values in (("group label", self.groups), ("spacing", spacing)):
            if values is not None and len(values) != len(scores):
                raise ShapeMismatch(
                    f"There are {len(scores)} slices and {len(values)} values for the {name}; "
                    "give one a slice."
                )
        # A frozen dataclass has no other way to store the checked forms.
        for field, value in {
            "scores": scores,
            "widths": widths,
            "spacing_mm": spacing,
            "groups": None if self.groups is None else tuple(map(str, self.groups)),
        }.items():
            object.__setattr__(self, field, value)

    def __len__(self) -> int:
        """Return the number of slices."""
        return len(self.scores)

    @property
    def volumes(self) -> tuple[str, ...]:
        """The volumes, in order of first appearance.

        Raises
        ------
        InvalidSetting
            If there are no group labels, or fewer than two volumes: what happens on an unseen
            volume cannot be estimated then, and slices are no substitute.
        """
        if self.groups is None:
            raise InvalidSetting(
                "It is not known which slices belong to which volume, so no volume can be held "
                "out; give groups, one label a slice. Holding out slices instead would test on "
                "heads that took part in the choice."
            )
        names = tuple(dict.fromkeys(self.groups))
        if len(names) < 2:
            raise InvalidSetting(
                f"All {len(self)} slices belong to one volume ({names[0]!r}), so none is left to "
                "test on; give slices of at least two volumes. More slices of the same head do "
                "not help."
            )
        return names

    @property
    def volume_of(self) -> NDArray[np.intp]:
        """For each slice, the position of its volume in `volumes`, (N,) int."""
        position = {name: number for number, name in enumerate(self.volumes)}
        return np.array([position[label] for label in self.groups or ()], dtype=np.intp)

    @property
    def volume_means(self) -> Array:
        """Mean scores of each volume over its slices, (V, W) float64."""
        labels = self.volume_of
        return np.array(
            [self.scores[labels == number].mean(axis=0) for number in range(labels.max() + 1)]
        )

    def in_mm(self) -> ScoreMatrix:
        """Give the same scores with candidates that are fixed in mm rather than in px.

        There are as many candidates as before, at the widths that a volume with the median
        spacing has in px. On each slice a candidate uses the kernel that was swept nearest to it.
        Candidates that are out of some slice's reach are left out.

        Raises
        ------
        InvalidSetting
            If the spacing is unknown, or the candidates are in mm already.

        Examples
        --------
        >>> fine, coarse = [0.7, 0.8, 0.9], [0.9, 0.8, 0.7]
        >>> matrix = ScoreMatrix([fine, coarse], [10, 15, 20], ("a", "b"), [0.5, 1.0])
        >>> matrix.in_mm().widths, matrix.in_mm().scores
        (array([ 7.5 , 11.25]), array([[0.8, 0.9],
               [0.9, 0.9]]))
        """
        if self.spacing_mm is None or self.unit != "px":
            raise InvalidSetting(
                "A kernel can be fixed in mm when its width is known in px and the pixels' size "
                "in mm; give spacing_mm."
            )
        candidates = self.widths * float(np.median(self.spacing_mm))
        wanted_px = candidates / self.spacing_mm[:, np.newaxis]
        away = np.abs(wanted_px[:, :, np.newaxis] - self.widths)
        nearest = away.argmin(axis=2)
        half_step = np.diff(self.widths).max(initial=0.0) / 2
        usable = (away.min(axis=2) <= half_step).all(axis=0)
        if not usable.any():
            raise InvalidSetting(
                "No kernel in mm can be compared on all slices: their pixels differ too much for "
                "the widths that were swept; sweep a wider range."
            )
        rows = np.arange(len(self))[:, np.newaxis]
        scores = self.scores[rows, nearest][:, usable]
        return replace(self, scores=scores, widths=candidates[usable], unit="mm")


def from_sweep(
    table: NDArray[Any],
    metric: str = "iou",
    groups: Sequence[str] | None = None,
    spacing_mm: Sequence[float] | float | None = None,
) -> ScoreMatrix:
    """Turn a sweep into a score matrix.

    Parameters
    ----------
    table : (n,) structured array
        From `skullnb.sweep.sweep_kernel_width`.
    metric : str
        One of its fields that is best when large.
    groups : sequence of str, optional
        For each slice, the volume it is from.
    spacing_mm : float, or (row, column), optional
        Size of the pixels. The kernel is square in pixels, so where these are not, their
        geometric mean stands for both sides.

    Returns
    -------
    ScoreMatrix
        Without slices that have no score (mask and reference mask both empty).

    Raises
    ------
    InvalidSetting
        If the metric cannot choose, the sweep has gaps, or no slice has a score.
    ShapeMismatch
        If there is not one group label a slice.

    Examples
    --------
    >>> dtype = [("slice", int), ("kernel_width", int), ("iou", float)]
    >>> table = np.array([(0, 24, 0.7), (0, 26, 0.8), (1, 24, 0.9), (1, 26, 0.8)], dtype=dtype)
    >>> from_sweep(table, groups=("anna", "ben")).scores
    array([[0.7, 0.8],
           [0.9, 0.8]])
    """
    if metric not in METRICS or metric not in (table.dtype.names or ()):
        raise InvalidSetting(
            f"The kernel cannot be chosen by {metric!r}; sweep and choose by one of "
            + ", ".join(METRICS)
        )
    slices, row = np.unique(table["slice"], return_inverse=True)
    widths, column = np.unique(table["kernel_width"], return_inverse=True)
    scores = np.full((len(slices), len(widths)), np.nan)
    filled = np.zeros(scores.shape, dtype=bool)
    scores[row, column] = table[metric]
    filled[row, column] = True
    if not filled.all() or len(table) != filled.size:
        raise InvalidSetting("The sweep has gaps; score every slice once at every kernel width.")
    if groups is not None and len(groups) != len(slices):
        raise ShapeMismatch(
            f"There are {len(groups)} group labels for {len(slices)} slices; give one a slice."
        )
    known = ~np.isnan(scores).any(axis=1)
    if not known.any():
        raise InvalidSetting("No kernel can be chosen: masks and reference masks are all empty.")
    spacing = None if spacing_mm is None else float(np.exp(np.mean(np.log(spacing_mm))))
    return ScoreMatrix(
        scores[known],
        widths,
        None if groups is None else tuple(np.array(groups)[known]),
        None if spacing is None else np.full(int(known.sum()), spacing),
    )


def join(matrices: Sequence[ScoreMatrix]) -> ScoreMatrix:
    """Put score matrices of several stacks under one another.

    Parameters
    ----------
    matrices : sequence of ScoreMatrix
        With the same candidates.

    Returns
    -------
    ScoreMatrix
        With groups and spacing where every part has them.

    Raises
    ------
    InvalidSetting
        If there are none, or their candidates differ.

    Examples
    --------
    >>> anna, ben = (ScoreMatrix([[0.9]], [26], (name,)) for name in ("anna", "ben"))
    >>> join([anna, ben]).groups
    ('anna', 'ben')
    """
    if not matrices or any(
        one.unit != matrices[0].unit or not np.array_equal(one.widths, matrices[0].widths)
        for one in matrices
    ):
        raise InvalidSetting("Only sweeps over the same kernel widths can be joined.")
    groups = [one.groups for one in matrices if one.groups is not None]
    spacings = [one.spacing_mm for one in matrices if one.spacing_mm is not None]
    return ScoreMatrix(
        np.concatenate([one.scores for one in matrices]),
        matrices[0].widths,
        tuple(label for part in groups for label in part) if len(groups) == len(matrices) else None,
        np.concatenate(spacings) if len(spacings) == len(matrices) else None,
        matrices[0].unit,
    )
