"""How far apart the borders of two masks are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from skullnb.errors import InvalidSetting
from skullnb.metrics.masks import as_pair

Spacing = Sequence[float] | float | None

DISTANCES = ("hausdorff", "hd95", "assd", "nsd")

# Tolerance of the normalised surface distance in `score`: 1 mm, or 1 px without a spacing.
NSD_TOLERANCE = 1.0


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
    return distances_of(*as_pair(mask, reference), spacing_mm)["hausdorff"]


def hd95(mask: ArrayLike, reference: ArrayLike, spacing_mm: Spacing = None) -> float:
    """Larger of the two directed 95th percentiles of the border distances.

    Takes, gives for empty masks, and refuses what `hausdorff` does.

    Examples
    --------
    >>> round(hd95([[1, 1, 0, 0]], [[1, 1, 1, 1]]), 3)
    1.85
    """
    return distances_of(*as_pair(mask, reference), spacing_mm)["hd95"]


def assd(mask: ArrayLike, reference: ArrayLike, spacing_mm: Spacing = None) -> float:
    """Average symmetric surface distance: mean over the border pixels of both masks.

    Takes, gives for empty masks, and refuses what `hausdorff` does.

    Examples
    --------
    >>> assd([[1, 1, 0]], [[1, 1, 1]])
    0.2
    """
    return distances_of(*as_pair(mask, reference), spacing_mm)["assd"]


def nsd(
    mask: ArrayLike, reference: ArrayLike, tolerance: float, spacing_mm: Spacing = None
) -> float:
    """Normalised surface distance: share of both borders within a tolerance of the other.

    Takes and refuses what `hausdorff` does.

    Parameters
    ----------
    tolerance : float
        Zero or more, in mm with a spacing, in px without.

    Returns
    -------
    float
        In [0, 1]; 1 when both are empty, 0 when one is.

    References
    ----------
    Nikolov et al. (2021).

    Examples
    --------
    >>> nsd([[1, 1, 0, 0]], [[1, 1, 1, 1]], tolerance=1)
    0.833...
    """
    return distances_of(*as_pair(mask, reference), spacing_mm, tolerance)["nsd"]


def distances_of(
    mask: NDArray[np.bool_],
    reference: NDArray[np.bool_],
    spacing_mm: Spacing,
    tolerance: float = NSD_TOLERANCE,
) -> dict[str, float]:
    """All border distances, by name; the borders are looked up once for all."""
    spacing = _spacing(spacing_mm, mask.ndim)
    if not tolerance >= 0:
        raise InvalidSetting(f"The tolerance must be zero or more, not {tolerance!r}.")
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
        raise InvalidSetting(f"The spacing must be numbers in mm, not {spacing_mm!r}.") from None
    if given.ndim > 1 or (given.ndim == 1 and given.size != ndim):
        raise InvalidSetting(
            f"The spacing has {given.size} value(s) for a mask of {ndim} dimension(s); "
            "give one for each axis, or a single one for all."
        )
    spacing = np.broadcast_to(given, (ndim,))
    if not np.all(np.isfinite(spacing) & (spacing > 0)):
        raise InvalidSetting(f"The spacing must be finite and above zero, not {spacing_mm!r}.")
    return spacing
