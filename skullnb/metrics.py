"""How well a mask agrees with a reference mask: overlap and surface distances.

A border is the pixels of a mask with at least one of the face neighbours (4 in 2D, 6 in 3D) outside
it; beyond the array counts as outside. Distances are from the centre of a border pixel to that of
the nearest border pixel of the other mask, in mm when a spacing is given, in px otherwise.

Two empty masks have overlaps of NaN, distances of 0 and an NSD of 1; if only one is empty, overlaps
are 0, distances infinite, and the NSD is 0.

Maier-Hein et al. (2024) discuss these choices; the NSD is that of Nikolov et al. (2021).
"""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import binary_erosion

from skullnb.errors import InvalidImage, InvalidSetting, ShapeMismatch
from skullnb.pipeline.settings import as_array

Spacing = Sequence[float] | float | None

COUNTS = ("true_positive", "false_positive", "false_negative")
OVERLAPS = ("iou", "dice", "precision", "recall", "volume_difference")
DISTANCES = ("hausdorff", "hd95", "assd", "nsd")


def iou(mask: ArrayLike, reference: ArrayLike) -> float:
    """Intersection over union of two masks (Jaccard, 1912), in [0, 1]; NaN when both are empty.

    Parameters
    ----------
    mask, reference : array of bool or {0, 1}
        Same shape, any dimension (else ShapeMismatch or InvalidImage).

    Examples
    --------
    >>> iou([[1, 1, 0]], [[0, 1, 1]])
    0.333...
    """
    return overlaps(mask, reference)["iou"]


def dice(mask: ArrayLike, reference: ArrayLike) -> float:
    """Twice the intersection over the sum of the areas (Dice, 1945), in [0, 1]; as `iou`."""
    return overlaps(mask, reference)["dice"]


def precision(mask: ArrayLike, reference: ArrayLike) -> float:
    """Share of the mask that the reference confirms, in [0, 1]; as `iou`, 0 if one is empty."""
    return overlaps(mask, reference)["precision"]


def recall(mask: ArrayLike, reference: ArrayLike) -> float:
    """Share of the reference that the mask covers, in [0, 1]; as `iou`, 0 if one is empty."""
    return overlaps(mask, reference)["recall"]


def hausdorff(mask: ArrayLike, reference: ArrayLike, spacing_mm: Spacing = None) -> float:
    """Largest distance from a border pixel of either mask to the other border, in mm or px.

    Parameters
    ----------
    mask, reference : array of bool or {0, 1}
        As for `iou`.
    spacing_mm : float or sequence of float, optional
        Pixel size along each axis in mm (else InvalidSetting); px are used without it.

    Examples
    --------
    >>> hausdorff([[1, 0, 0, 0]], [[0, 0, 0, 1]], spacing_mm=(1, 0.5))
    1.5
    """
    return _distances(mask, reference, spacing_mm)["hausdorff"]


def hd95(mask: ArrayLike, reference: ArrayLike, spacing_mm: Spacing = None) -> float:
    """Larger of the directed 95th percentiles (linear) of the border distances; as `hausdorff`."""
    return _distances(mask, reference, spacing_mm)["hd95"]


def assd(mask: ArrayLike, reference: ArrayLike, spacing_mm: Spacing = None) -> float:
    """Mean distance over the border pixels of both masks, pooled; as `hausdorff`."""
    return _distances(mask, reference, spacing_mm)["assd"]


def nsd(
    mask: ArrayLike, reference: ArrayLike, tolerance: float, spacing_mm: Spacing = None
) -> float:
    """Share of both borders within a tolerance (mm or px) of the other; as `hausdorff`."""
    return _distances(mask, reference, spacing_mm, tolerance)["nsd"]


def score(mask: ArrayLike, reference: ArrayLike, spacing_mm: Spacing = None) -> dict[str, float]:
    """Every metric by name: `COUNTS` in px, `OVERLAPS`, `DISTANCES` (NSD at 1); as `hausdorff`.

    The volume difference is how much larger the mask is than the reference, as a part of that.

    >>> score([[1, 1, 0]], [[0, 1, 1]])["true_positive"]
    1
    """
    return overlaps(mask, reference) | _distances(mask, reference, spacing_mm)


def score_slices(
    masks: ArrayLike,
    references: ArrayLike,
    spacing_mm: Spacing = None,
    slices: Sequence[int] | None = None,
) -> pd.DataFrame:
    """Compute every metric of every slice of two (N, H, W) stacks of masks; as `hausdorff`.

    A row a slice: slice (0 to N - 1, or as given), what `score` gives, and unit ("mm" or "px").

    >>> score_slices([[[1, 1, 0]]], [[[0, 1, 1]]])["dice"].tolist()
    [0.5]
    """
    first, second = np.asarray(masks), np.asarray(references)
    if first.ndim != 3 or first.shape != second.shape:
        shapes = f"{first.shape} and {second.shape}"
        raise ShapeMismatch(f"Give equally many slices of one size, not shapes {shapes}.")
    table = pd.DataFrame([score(*pair, spacing_mm) for pair in zip(first, second, strict=True)])
    table.insert(0, "slice", range(len(table)) if slices is None else list(slices))
    return table.assign(unit="px" if spacing_mm is None else "mm")


def aggregate(scores: pd.DataFrame) -> pd.DataFrame:
    """Bring scores from `score_slices`, at least one and all in one unit, together in two rows.

    "mean" is over the slices (without NaN), so each slice has the same weight; "pooled" are the
    overlaps of the pixels of all slices, so each pixel has, and NaN for the distances.

    >>> scores = score_slices([[[1, 1, 0, 0]], [[1, 0, 0, 0]]], [[[1, 1, 1, 1]], [[1, 0, 0, 0]]])
    >>> aggregate(scores)["iou"].tolist()
    [0.75, 0.6]
    """
    if scores.empty or scores["unit"].nunique() != 1:
        raise InvalidSetting("Give scores of at least one slice, all of them in one unit.")
    columns = [*OVERLAPS, *DISTANCES]
    together = [scores[columns].mean().to_dict(), _overlaps_of(*scores[list(COUNTS)].sum())]
    return pd.DataFrame(together, index=["mean", "pooled"], columns=columns)


def overlaps(mask: ArrayLike, reference: ArrayLike) -> dict[str, float]:
    """`COUNTS` and `OVERLAPS` by name, at a hundredth of the price of `score`."""
    first, second = _pair(mask, reference)
    both, *areas = (int(np.count_nonzero(one)) for one in (first & second, first, second))
    return _overlaps_of(both, *(area - both for area in areas))


def _overlaps_of(both: int, only_mask: int, only_reference: int) -> dict[str, float]:
    counts = dict(zip(COUNTS, (both, only_mask, only_reference), strict=True))
    in_mask, in_reference = both + only_mask, both + only_reference
    if in_mask + in_reference == 0:
        return counts | dict.fromkeys(OVERLAPS, math.nan)
    difference = only_mask - only_reference
    return counts | {
        "iou": both / (in_mask + only_reference),
        "dice": 2 * both / (in_mask + in_reference),
        "precision": both / in_mask if in_mask else 0.0,
        "recall": both / in_reference if in_reference else 0.0,
        "volume_difference": difference / in_reference if in_reference else math.inf,
    }


def _pair(mask: ArrayLike, reference: ArrayLike) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Two masks as arrays of bool, or the reason why they cannot be compared."""
    pair = []
    for given, what in ((mask, "The mask"), (reference, "The reference mask")):
        pixels = np.asarray(as_array(given, what))
        if pixels.dtype.kind not in "biuf" or not np.all((pixels == 0) | (pixels == 1)):
            raise InvalidImage(f"{what} is not binary; give an array of bool or of zeros and ones.")
        pair.append(pixels.astype(np.bool_))
    if pair[0].shape != pair[1].shape:
        shapes = f"{pair[0].shape}, its reference {pair[1].shape}"
        raise ShapeMismatch(f"The mask is {shapes}; they must be the same.")
    return pair[0], pair[1]


def _distances(
    mask: ArrayLike, reference: ArrayLike, spacing_mm: Spacing, tolerance: float = 1.0
) -> dict[str, float]:
    """All border distances, by name; the borders are looked up once for all."""
    pair = _pair(mask, reference)
    try:
        given = np.asarray(1.0 if spacing_mm is None else spacing_mm, dtype=np.float64)
        spacing = np.broadcast_to(given, pair[0].ndim)
    except ValueError:
        spacing = np.zeros(1)
    if not np.all(np.isfinite(spacing) & (spacing > 0)):
        told = f"The spacing must be finite and above zero, in mm: one for all {pair[0].ndim} axes"
        raise InvalidSetting(f"{told} of the mask, or one for each; not {spacing_mm!r}.")
    if not tolerance >= 0:
        raise InvalidSetting(f"The tolerance must be zero or more, not {tolerance!r}.")
    n_empty = sum(not one.any() for one in pair)
    if n_empty:
        far = math.inf if n_empty == 1 else 0.0
        return {"hausdorff": far, "hd95": far, "assd": far, "nsd": n_empty - 1.0}

    from scipy.spatial import KDTree  # it costs with the border, a distance map with the frame

    ours, theirs = (np.argwhere(one & ~binary_erosion(one)) * spacing for one in pair)
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
