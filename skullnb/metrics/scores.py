"""All metrics of a slice together, and slices brought together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from skullnb.errors import InvalidSetting
from skullnb.metrics.masks import as_pair
from skullnb.metrics.overlap import OVERLAPS, count_pixels, overlaps_of
from skullnb.metrics.surface import DISTANCES, Spacing, distances_of


@dataclass(frozen=True)
class SliceScore:
    """All metrics of one slice.

    Attributes
    ----------
    true_positive, false_positive, false_negative : int
        Pixels in both masks, only in the mask, only in the reference.
    iou, dice, precision, recall, volume_difference : float
    hausdorff, hd95, assd : float
        In `unit`.
    nsd : float
        At a tolerance of 1 `unit`.
    unit : {"mm", "px"}
    """

    true_positive: int
    false_positive: int
    false_negative: int
    iou: float
    dice: float
    precision: float
    recall: float
    volume_difference: float
    hausdorff: float
    hd95: float
    assd: float
    nsd: float
    unit: str


@dataclass(frozen=True)
class Aggregate:
    """Scores of several slices, brought together in two ways.

    Attributes
    ----------
    mean : dict
        Every metric averaged over the slices; NaN slices (both masks empty) are left out.
    pooled : dict
        The overlaps computed once from the pixels of all slices together.
    n_slices : int
    unit : {"mm", "px"}
    """

    mean: dict[str, float]
    pooled: dict[str, float]
    n_slices: int
    unit: str


def score(mask: ArrayLike, reference: ArrayLike, spacing_mm: Spacing = None) -> SliceScore:
    """Compute every metric for one slice.

    Parameters
    ----------
    mask, reference : (H, W) array of bool or {0, 1}
    spacing_mm : (row, column), optional
        In mm per pixel.

    Returns
    -------
    SliceScore

    Raises
    ------
    ShapeMismatch, InvalidImage, InvalidSetting
        If the shapes differ, a mask is not binary, or the spacing does not fit.

    Examples
    --------
    >>> score([[1, 1, 0]], [[0, 1, 1]]).true_positive
    1
    """
    pair = as_pair(mask, reference)
    both, only_mask, only_reference = count_pixels(*pair)
    return SliceScore(
        true_positive=both,
        false_positive=only_mask,
        false_negative=only_reference,
        unit="px" if spacing_mm is None else "mm",
        **overlaps_of(both, only_mask, only_reference),
        **distances_of(*pair, spacing_mm),
    )


def aggregate(per_slice: Sequence[SliceScore]) -> Aggregate:
    """Bring the scores of several slices together: mean over slices, and pooled over pixels.

    The two differ when slices differ in size: the mean gives every slice the same weight, the
    pooled value every pixel.

    Parameters
    ----------
    per_slice : sequence of SliceScore
        From `score`; all in the same unit.

    Returns
    -------
    Aggregate

    Raises
    ------
    InvalidSetting
        If there is no slice, or the units are mixed.

    Examples
    --------
    >>> both = aggregate([score([[1, 1, 0, 0]], [[1, 1, 1, 1]]), score([[1, 0]], [[1, 0]])])
    >>> both.mean["iou"], both.pooled["iou"]
    (0.75, 0.6)
    """
    units = {one.unit for one in per_slice}
    if len(units) != 1:
        found = "mixed units" if units else "no slice"
        raise InvalidSetting(f"Cannot aggregate {found}; give scores of slices in one unit.")
    mean = {}
    for name in OVERLAPS + DISTANCES:
        values = np.array([getattr(one, name) for one in per_slice], dtype=np.float64)
        known = values[~np.isnan(values)]
        mean[name] = float(known.mean()) if known.size else float("nan")
    pooled = overlaps_of(
        sum(one.true_positive for one in per_slice),
        sum(one.false_positive for one in per_slice),
        sum(one.false_negative for one in per_slice),
    )
    return Aggregate(mean=mean, pooled=pooled, n_slices=len(per_slice), unit=units.pop())
