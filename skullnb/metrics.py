"""How well a mask agrees with a reference mask: overlap and surface distances.

Conventions
-----------
Border
    The pixels of a mask with at least one of the face neighbours (4 in 2D, 6 in 3D) outside it;
    beyond the array counts as outside.
Distance
    From the centre of a border pixel to the centre of the nearest border pixel of the other
    mask, in mm when a spacing is given, in px otherwise.
Percentile
    Linear between the order statistics. HD95 is the larger of the two directed 95th percentiles.
Mean
    ASSD averages over the border pixels of both masks pooled together.
Empty masks
    Both empty: overlaps are NaN (there is nothing to overlap), distances 0, surface overlap 1.
    One empty: overlaps 0, distances infinite, surface overlap 0.

These are the choices discussed in Maier-Hein et al. (2024), "Metrics reloaded"; Nikolov et al.
(2021) define the normalised surface distance.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from skullnb.errors import InvalidImage, InvalidSetting, ShapeMismatch

Spacing = Sequence[float] | float | None

OVERLAPS = ("iou", "dice", "precision", "recall", "volume_difference")
DISTANCES = ("hausdorff", "hd95", "assd", "nsd")

# Tolerance of the normalised surface distance in `score`: 1 mm, or 1 px without a spacing.
NSD_TOLERANCE = 1.0


def iou(mask: ArrayLike, reference: ArrayLike) -> float:
    """Intersection over union of two binary masks.

    Parameters
    ----------
    mask, reference : array of bool or {0, 1}
        Same shape, any dimension.

    Returns
    -------
    float
        In [0, 1]; NaN when both are empty.

    Raises
    ------
    ShapeMismatch
        If the shapes differ.
    InvalidImage
        If a mask is not binary.

    References
    ----------
    Jaccard (1912); Maier-Hein et al. (2024).

    Examples
    --------
    >>> iou([[1, 1, 0]], [[0, 1, 1]])
    0.333...
    """
    return _overlaps(*_counts(*_pair(mask, reference)))["iou"]


def dice(mask: ArrayLike, reference: ArrayLike) -> float:
    """Dice coefficient: twice the intersection over the sum of the areas.

    Parameters
    ----------
    mask, reference : array of bool or {0, 1}
        Same shape, any dimension.

    Returns
    -------
    float
        In [0, 1]; NaN when both are empty. Equals 2 IoU / (1 + IoU).

    Raises
    ------
    ShapeMismatch
        If the shapes differ.
    InvalidImage
        If a mask is not binary.

    References
    ----------
    Dice (1945).

    Examples
    --------
    >>> dice([[1, 1, 0]], [[0, 1, 1]])
    0.5
    """
    return _overlaps(*_counts(*_pair(mask, reference)))["dice"]


def precision(mask: ArrayLike, reference: ArrayLike) -> float:
    """Share of the mask that the reference confirms.

    Parameters
    ----------
    mask, reference : array of bool or {0, 1}
        Same shape, any dimension.

    Returns
    -------
    float
        In [0, 1]; NaN when both are empty, 0 when one is.

    Raises
    ------
    ShapeMismatch
        If the shapes differ.
    InvalidImage
        If a mask is not binary.

    Examples
    --------
    >>> precision([[1, 1, 1, 1]], [[0, 1, 1, 1]])
    0.75
    """
    return _overlaps(*_counts(*_pair(mask, reference)))["precision"]


def recall(mask: ArrayLike, reference: ArrayLike) -> float:
    """Share of the reference that the mask covers.

    Parameters
    ----------
    mask, reference : array of bool or {0, 1}
        Same shape, any dimension.

    Returns
    -------
    float
        In [0, 1]; NaN when both are empty, 0 when one is.

    Raises
    ------
    ShapeMismatch
        If the shapes differ.
    InvalidImage
        If a mask is not binary.

    Examples
    --------
    >>> recall([[0, 1, 1, 1]], [[1, 1, 1, 1]])
    0.75
    """
    return _overlaps(*_counts(*_pair(mask, reference)))["recall"]


def volume_difference(mask: ArrayLike, reference: ArrayLike) -> float:
    """How much larger the mask is than the reference, relative to the reference.

    Parameters
    ----------
    mask, reference : array of bool or {0, 1}
        Same shape, any dimension.

    Returns
    -------
    float
        Positive when the mask is too large; NaN when both are empty, infinite when only the
        reference is.

    Raises
    ------
    ShapeMismatch
        If the shapes differ.
    InvalidImage
        If a mask is not binary.

    Examples
    --------
    >>> volume_difference([[1, 1, 1, 0]], [[1, 1, 0, 0]])
    0.5
    """
    return _overlaps(*_counts(*_pair(mask, reference)))["volume_difference"]


def hausdorff(mask: ArrayLike, reference: ArrayLike, spacing_mm: Spacing = None) -> float:
    """Largest distance from a border pixel of either mask to the other border.

    Parameters
    ----------
    mask, reference : array of bool or {0, 1}
        Same shape, any dimension.
    spacing_mm : float or sequence of float, optional
        Pixel size along each axis in mm; px are used without it.

    Returns
    -------
    float
        In mm, or px; 0 when both are empty, infinite when one is.

    Raises
    ------
    ShapeMismatch, InvalidImage, InvalidSetting
        If the shapes differ, a mask is not binary, or the spacing does not fit.

    Examples
    --------
    >>> hausdorff([[1, 0, 0, 0]], [[0, 0, 0, 1]], spacing_mm=(1, 0.5))
    1.5
    """
    return _distances(*_pair(mask, reference), spacing_mm)["hausdorff"]


def hd95(mask: ArrayLike, reference: ArrayLike, spacing_mm: Spacing = None) -> float:
    """Larger of the two directed 95th percentiles of the border distances.

    Parameters
    ----------
    mask, reference : array of bool or {0, 1}
        Same shape, any dimension.
    spacing_mm : float or sequence of float, optional
        Pixel size along each axis in mm; px are used without it.

    Returns
    -------
    float
        In mm, or px; 0 when both are empty, infinite when one is.

    Raises
    ------
    ShapeMismatch, InvalidImage, InvalidSetting
        If the shapes differ, a mask is not binary, or the spacing does not fit.

    Examples
    --------
    >>> round(hd95([[1, 1, 0, 0]], [[1, 1, 1, 1]]), 3)
    1.85
    """
    return _distances(*_pair(mask, reference), spacing_mm)["hd95"]


def assd(mask: ArrayLike, reference: ArrayLike, spacing_mm: Spacing = None) -> float:
    """Average symmetric surface distance: mean over the border pixels of both masks.

    Parameters
    ----------
    mask, reference : array of bool or {0, 1}
        Same shape, any dimension.
    spacing_mm : float or sequence of float, optional
        Pixel size along each axis in mm; px are used without it.

    Returns
    -------
    float
        In mm, or px; 0 when both are empty, infinite when one is.

    Raises
    ------
    ShapeMismatch, InvalidImage, InvalidSetting
        If the shapes differ, a mask is not binary, or the spacing does not fit.

    Examples
    --------
    >>> assd([[1, 1, 0]], [[1, 1, 1]])
    0.2
    """
    return _distances(*_pair(mask, reference), spacing_mm)["assd"]


def nsd(
    mask: ArrayLike, reference: ArrayLike, tolerance: float, spacing_mm: Spacing = None
) -> float:
    """Normalised surface distance: share of both borders within a tolerance of the other.

    Parameters
    ----------
    mask, reference : array of bool or {0, 1}
        Same shape, any dimension.
    tolerance : float
        In mm with a spacing, in px without.
    spacing_mm : float or sequence of float, optional
        Pixel size along each axis in mm.

    Returns
    -------
    float
        In [0, 1]; 1 when both are empty, 0 when one is.

    Raises
    ------
    ShapeMismatch, InvalidImage, InvalidSetting
        If the shapes differ, a mask is not binary, or the spacing or tolerance does not fit.

    References
    ----------
    Nikolov et al. (2021).

    Examples
    --------
    >>> nsd([[1, 1, 0, 0]], [[1, 1, 1, 1]], tolerance=1)
    0.833...
    """
    return _distances(*_pair(mask, reference), spacing_mm, tolerance)["nsd"]


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
    pair = _pair(mask, reference)
    both, only_mask, only_reference = _counts(*pair)
    return SliceScore(
        true_positive=both,
        false_positive=only_mask,
        false_negative=only_reference,
        unit="px" if spacing_mm is None else "mm",
        **_overlaps(both, only_mask, only_reference),
        **_distances(*pair, spacing_mm),
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
        raise InvalidSetting(f"cannot aggregate {found}; give scores of slices in one unit")
    mean = {}
    for name in OVERLAPS + DISTANCES:
        values = np.array([getattr(one, name) for one in per_slice], dtype=np.float64)
        known = values[~np.isnan(values)]
        mean[name] = float(known.mean()) if known.size else float("nan")
    pooled = _overlaps(
        sum(one.true_positive for one in per_slice),
        sum(one.false_positive for one in per_slice),
        sum(one.false_negative for one in per_slice),
    )
    return Aggregate(mean=mean, pooled=pooled, n_slices=len(per_slice), unit=units.pop())


def _pair(mask: ArrayLike, reference: ArrayLike) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    first, second = _binary(mask, "the mask"), _binary(reference, "the reference mask")
    if first.shape != second.shape:
        raise ShapeMismatch(
            f"the mask has shape {first.shape}, the reference mask {second.shape}; "
            "they must be the same"
        )
    return first, second


def _binary(mask: ArrayLike, what: str) -> NDArray[np.bool_]:
    pixels = np.asarray(mask)
    if pixels.dtype == np.bool_:
        return pixels
    if pixels.dtype.kind not in "iuf" or not np.all((pixels == 0) | (pixels == 1)):
        raise InvalidImage(f"{what} is not binary; give an array of bool or of zeros and ones")
    return pixels.astype(np.bool_)


def _counts(mask: NDArray[np.bool_], reference: NDArray[np.bool_]) -> tuple[int, int, int]:
    both = int(np.count_nonzero(mask & reference))
    return both, int(np.count_nonzero(mask)) - both, int(np.count_nonzero(reference)) - both


def _overlaps(both: int, only_mask: int, only_reference: int) -> dict[str, float]:
    in_mask, in_reference = both + only_mask, both + only_reference
    union = both + only_mask + only_reference
    if union == 0:
        return dict.fromkeys(OVERLAPS, float("nan"))
    return {
        "iou": both / union,
        "dice": 2 * both / (in_mask + in_reference),
        "precision": both / in_mask if in_mask else 0.0,
        "recall": both / in_reference if in_reference else 0.0,
        "volume_difference": (
            (in_mask - in_reference) / in_reference if in_reference else float("inf")
        ),
    }


def _distances(
    mask: NDArray[np.bool_],
    reference: NDArray[np.bool_],
    spacing_mm: Spacing,
    tolerance: float = NSD_TOLERANCE,
) -> dict[str, float]:
    spacing = _spacing(spacing_mm, mask.ndim)
    if not tolerance >= 0:
        raise InvalidSetting(f"the tolerance must be zero or more, not {tolerance!r}")
    if not mask.any() or not reference.any():
        same = mask.any() == reference.any()
        far = 0.0 if same else float("inf")
        return {"hausdorff": far, "hd95": far, "assd": far, "nsd": 1.0 if same else 0.0}

    # A search tree over the border pixels costs with the length of the border, where a distance
    # map costs with the area of the frame.
    from scipy.spatial import KDTree

    ours, theirs = _border(mask) * spacing, _border(reference) * spacing
    to_reference = KDTree(theirs).query(ours)[0]
    to_mask = KDTree(ours).query(theirs)[0]
    every = np.concatenate([to_reference, to_mask])
    return {
        "hausdorff": float(every.max()),
        "hd95": float(max(np.percentile(to_reference, 95), np.percentile(to_mask, 95))),
        # An exactly rounded sum does not depend on the order of the two masks.
        "assd": math.fsum(every) / every.size,
        "nsd": float(np.mean(every <= tolerance)),
    }


def _border(mask: NDArray[np.bool_]) -> NDArray[Any]:
    return np.argwhere(mask & ~ndimage.binary_erosion(mask))


def _spacing(spacing_mm: Spacing, ndim: int) -> NDArray[np.float64]:
    if spacing_mm is None:
        return np.ones(ndim)
    try:
        given = np.asarray(spacing_mm, dtype=np.float64)
    except ValueError:
        raise InvalidSetting(f"the spacing must be numbers in mm, not {spacing_mm!r}") from None
    if given.ndim > 1 or (given.ndim == 1 and given.size != ndim):
        raise InvalidSetting(
            f"the spacing has {given.size} value(s) for a mask of {ndim} dimension(s); "
            "give one for each axis, or a single one for all"
        )
    spacing = np.broadcast_to(given, (ndim,))
    if not np.all(np.isfinite(spacing) & (spacing > 0)):
        raise InvalidSetting(f"the spacing must be finite and above zero, not {spacing_mm!r}")
    return spacing
