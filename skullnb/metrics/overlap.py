"""How many pixels two masks share."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from skullnb.metrics.masks import as_pair

OVERLAPS = ("iou", "dice", "precision", "recall", "volume_difference")


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
    return overlaps_of(*count_pixels(*as_pair(mask, reference)))["iou"]


def dice(mask: ArrayLike, reference: ArrayLike) -> float:
    """Dice coefficient: twice the intersection over the sum of the areas.

    Takes and refuses what `iou` does.

    Returns
    -------
    float
        In [0, 1]; NaN when both are empty. Equals 2 IoU / (1 + IoU).

    References
    ----------
    Dice (1945).

    Examples
    --------
    >>> dice([[1, 1, 0]], [[0, 1, 1]])
    0.5
    """
    return overlaps_of(*count_pixels(*as_pair(mask, reference)))["dice"]


def precision(mask: ArrayLike, reference: ArrayLike) -> float:
    """Share of the mask that the reference confirms.

    Takes and refuses what `iou` does.

    Returns
    -------
    float
        In [0, 1]; NaN when both are empty, 0 when one is.

    Examples
    --------
    >>> precision([[1, 1, 1, 1]], [[0, 1, 1, 1]])
    0.75
    """
    return overlaps_of(*count_pixels(*as_pair(mask, reference)))["precision"]


def recall(mask: ArrayLike, reference: ArrayLike) -> float:
    """Share of the reference that the mask covers.

    Takes and refuses what `iou` does.

    Returns
    -------
    float
        In [0, 1]; NaN when both are empty, 0 when one is.

    Examples
    --------
    >>> recall([[0, 1, 1, 1]], [[1, 1, 1, 1]])
    0.75
    """
    return overlaps_of(*count_pixels(*as_pair(mask, reference)))["recall"]


def volume_difference(mask: ArrayLike, reference: ArrayLike) -> float:
    """How much larger the mask is than the reference, relative to the reference.

    Takes and refuses what `iou` does.

    Returns
    -------
    float
        Positive when the mask is too large; NaN when both are empty, infinite when only the
        reference is.

    Examples
    --------
    >>> volume_difference([[1, 1, 1, 0]], [[1, 1, 0, 0]])
    0.5
    """
    return overlaps_of(*count_pixels(*as_pair(mask, reference)))["volume_difference"]


def count_pixels(mask: NDArray[np.bool_], reference: NDArray[np.bool_]) -> tuple[int, int, int]:
    """Pixels in both masks, only in the first, only in the second."""
    both = int(np.count_nonzero(mask & reference))
    return both, int(np.count_nonzero(mask)) - both, int(np.count_nonzero(reference)) - both


def overlaps_of(both: int, only_mask: int, only_reference: int) -> dict[str, float]:
    """All overlaps, by name, from the pixel counts."""
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
