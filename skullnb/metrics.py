"""How well a mask agrees with a reference mask: overlap and surface distances.

A border is the pixels of a mask with at least one of the face neighbours (4 in 2D, 6 in 3D) outside
it; beyond the array counts as outside. Distances are from the centre of a border pixel to that of
the nearest border pixel of the other mask, in mm when a spacing is given, in px otherwise.

Two empty masks have overlaps of NaN (there is nothing to overlap), distances of 0 and a surface
overlap of 1; if one is empty, overlaps are 0, distances infinite, and the surface overlap is 0.

These are the choices discussed in Maier-Hein et al. (2024), "Metrics reloaded"; Nikolov et al.
(2021) define the normalised surface distance.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import binary_erosion

from skullnb.errors import InvalidImage, InvalidSetting, ShapeMismatch
from skullnb.pipeline.settings import as_array

if TYPE_CHECKING:
    import pandas as pd

Spacing = Sequence[float] | float | None

COUNTS = ("true_positive", "false_positive", "false_negative")
OVERLAPS = ("iou", "dice", "precision", "recall", "volume_difference")
DISTANCES = ("hausdorff", "hd95", "assd", "nsd")


def iou(mask: ArrayLike, reference: ArrayLike) -> float:
    """Intersection over union of two masks (Jaccard, 1912), in [0, 1]; NaN when both are empty.

    Parameters
    ----------
    mask, reference : array of bool or {0, 1}
        Same shape, any dimension.

    Raises
    ------
    ShapeMismatch, InvalidImage
        If the shapes differ, or a mask is not binary.

    Examples
    --------
    >>> iou([[1, 1, 0]], [[0, 1, 1]])
    0.333...
    """
    return _overlaps(mask, reference)["iou"]


def dice(mask: ArrayLike, reference: ArrayLike) -> float:
    """Twice the intersection over the sum of the areas (Dice, 1945), in [0, 1]; as `iou`.

    >>> dice([[1, 1, 0]], [[0, 1, 1]])
    0.5
    """
    return _overlaps(mask, reference)["dice"]


def precision(mask: ArrayLike, reference: ArrayLike) -> float:
    """Share of the mask that the reference confirms, in [0, 1]; as `iou`, and 0 when one is empty.

    >>> precision([[1, 1, 1, 1]], [[0, 1, 1, 1]])
    0.75
    """
    return _overlaps(mask, reference)["precision"]


def recall(mask: ArrayLike, reference: ArrayLike) -> float:
    """Share of the reference that the mask covers, in [0, 1]; as `iou`, and 0 when one is empty.

    >>> recall([[0, 1, 1, 1]], [[1, 1, 1, 1]])
    0.75
    """
    return _overlaps(mask, reference)["recall"]


def volume_difference(mask: ArrayLike, reference: ArrayLike) -> float:
    """How much larger the mask is than the reference, as a part of that; as `iou`.

    Negative when the mask is too small, infinite when only the reference is empty.

    >>> volume_difference([[1, 1, 1, 0]], [[1, 1, 0, 0]])
    0.5
    """
    return _overlaps(mask, reference)["volume_difference"]


def hausdorff(mask: ArrayLike, reference: ArrayLike, spacing_mm: Spacing = None) -> float:
    """Largest distance from a border pixel of either mask to the other border, in mm or px.

    Parameters
    ----------
    mask, reference : array of bool or {0, 1}
        Same shape, any dimension.
    spacing_mm : float or sequence of float, optional
        Pixel size along each axis in mm; px are used without it.

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
    """Larger of the two directed 95th percentiles of the border distances; as `hausdorff`.

    Percentiles are linear between order statistics.

    >>> round(hd95([[1, 1, 0, 0]], [[1, 1, 1, 1]]), 3)
    1.85
    """
    return _distances(*_pair(mask, reference), spacing_mm)["hd95"]


def assd(mask: ArrayLike, reference: ArrayLike, spacing_mm: Spacing = None) -> float:
    """Mean distance over the border pixels of both masks, pooled; as `hausdorff`.

    >>> assd([[1, 1, 0]], [[1, 1, 1]])
    0.2
    """
    return _distances(*_pair(mask, reference), spacing_mm)["assd"]


def nsd(
    mask: ArrayLike, reference: ArrayLike, tolerance: float, spacing_mm: Spacing = None
) -> float:
    """Share of both borders within a tolerance of the other (Nikolov et al., 2021), in [0, 1].

    As `hausdorff`; the tolerance, zero or more, is in mm with a spacing, in px without.

    >>> nsd([[1, 1, 0, 0]], [[1, 1, 1, 1]], tolerance=1)
    0.833...
    """
    return _distances(*_pair(mask, reference), spacing_mm, tolerance)["nsd"]


def score(mask: ArrayLike, reference: ArrayLike, spacing_mm: Spacing = None) -> dict[str, float]:
    """Every metric of one slice by name: `COUNTS` in px, `OVERLAPS`, `DISTANCES`; as `hausdorff`.

    Distances are in mm with a spacing, in px without; the NSD is at a tolerance of 1.

    >>> score([[1, 1, 0]], [[0, 1, 1]])["true_positive"]
    1
    """
    pair = _pair(mask, reference)
    counts = count_pixels(*pair)
    named = dict(zip(COUNTS, counts, strict=True))
    return {**named, **overlaps_of(*counts), **_distances(*pair, spacing_mm)}


def score_slices(
    masks: ArrayLike,
    references: ArrayLike,
    spacing_mm: Spacing = None,
    slices: Sequence[int] | None = None,
) -> pd.DataFrame:
    """Compute every metric of every slice; refused as by `hausdorff`.

    Parameters
    ----------
    masks, references : (N, H, W) array of bool or {0, 1}
    spacing_mm : (row, column), optional
        In mm per pixel.
    slices : sequence of int, optional
        Their numbers; 0 to N - 1 when left out.

    Returns
    -------
    DataFrame
        A row a slice: slice, what `score` gives, and unit ("mm" or "px").

    Examples
    --------
    >>> score_slices([[[1, 1, 0]]], [[[0, 1, 1]]])["dice"].tolist()
    [0.5]
    """
    import pandas as pd

    if len(np.shape(masks)) != 3 or np.shape(masks) != np.shape(references):
        raise ShapeMismatch(
            f"The masks have shape {np.shape(masks)}, the reference masks "
            f"{np.shape(references)}; both must be the same (slices, rows, columns)."
        )
    pairs = zip(np.asarray(masks), np.asarray(references), strict=True)
    table = pd.DataFrame([score(*pair, spacing_mm) for pair in pairs])
    table.insert(0, "slice", range(len(table)) if slices is None else list(slices))
    return table.assign(unit="px" if spacing_mm is None else "mm")


def aggregate(scores: pd.DataFrame) -> pd.DataFrame:
    """Bring the scores of several slices together, in two ways.

    Parameters
    ----------
    scores : DataFrame
        From `score_slices`; at least one slice, all in the same unit (else InvalidSetting).

    Returns
    -------
    DataFrame
        Two rows. "mean": every metric averaged over the slices, without those where it is NaN: each
        slice has the same weight. "pooled": the overlaps of the pixels of all slices together: each
        pixel has; NaN for the distances.

    Examples
    --------
    >>> scores = score_slices([[[1, 1, 0, 0]], [[1, 0, 0, 0]]], [[[1, 1, 1, 1]], [[1, 0, 0, 0]]])
    >>> aggregate(scores)["iou"].tolist()
    [0.75, 0.6]
    """
    import pandas as pd

    if scores.empty or scores["unit"].nunique() != 1:
        found = "no slice" if scores.empty else "mixed units"
        raise InvalidSetting(f"Cannot aggregate {found}; give scores of slices in one unit.")
    pooled = overlaps_of(*(int(scores[name].sum()) for name in COUNTS))
    together = [scores[[*OVERLAPS, *DISTANCES]].mean().to_dict(), pooled]
    return pd.DataFrame(together, index=["mean", "pooled"])


def count_pixels(mask: NDArray[np.bool_], reference: NDArray[np.bool_]) -> tuple[int, int, int]:
    """Pixels in both masks, only in the first, only in the second."""
    both = int(np.count_nonzero(mask & reference))
    return both, int(np.count_nonzero(mask)) - both, int(np.count_nonzero(reference)) - both


def overlaps_of(both: int, only_mask: int, only_reference: int) -> dict[str, float]:
    """All overlaps, by name, from the pixel counts."""
    in_mask, in_reference = both + only_mask, both + only_reference
    union = in_mask + only_reference
    if union == 0:
        return dict.fromkeys(OVERLAPS, float("nan"))
    difference = in_mask - in_reference
    return {
        "iou": both / union,
        "dice": 2 * both / (in_mask + in_reference),
        "precision": both / in_mask if in_mask else 0.0,
        "recall": both / in_reference if in_reference else 0.0,
        "volume_difference": difference / in_reference if in_reference else float("inf"),
    }


def _overlaps(mask: ArrayLike, reference: ArrayLike) -> dict[str, float]:
    return overlaps_of(*count_pixels(*_pair(mask, reference)))


def _pair(mask: ArrayLike, reference: ArrayLike) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Two masks as arrays of bool, or the reason why they cannot be compared."""
    first, second = _binary(mask, "The mask"), _binary(reference, "The reference mask")
    if first.shape != second.shape:
        raise ShapeMismatch(
            f"The mask has shape {first.shape}, the reference mask {second.shape}; "
            "they must be the same."
        )
    return first, second


def _binary(mask: ArrayLike, what: str) -> NDArray[np.bool_]:
    pixels = np.asarray(as_array(mask, what))
    if pixels.dtype == np.bool_:
        return pixels
    if pixels.dtype.kind not in "iuf" or not np.all((pixels == 0) | (pixels == 1)):
        raise InvalidImage(f"{what} is not binary; give an array of bool or of zeros and ones.")
    return pixels.astype(np.bool_)


def _distances(
    mask: NDArray[np.bool_],
    reference: NDArray[np.bool_],
    spacing_mm: Spacing,
    tolerance: float = 1.0,
) -> dict[str, float]:
    """All border distances, by name; the borders are looked up once for all."""
    try:
        given = np.asarray(1.0 if spacing_mm is None else spacing_mm, dtype=np.float64)
        spacing = np.broadcast_to(given, mask.ndim)
    except ValueError:
        spacing = np.zeros(1)
    if not np.all(np.isfinite(spacing) & (spacing > 0)):
        raise InvalidSetting(
            f"The spacing must be finite and above zero, in mm: one for each of the {mask.ndim} "
            f"axes of the mask, or one for all; not {spacing_mm!r}."
        )
    if not tolerance >= 0:
        raise InvalidSetting(f"The tolerance must be zero or more, not {tolerance!r}.")
    if not mask.any() or not reference.any():
        same = mask.any() == reference.any()
        far = 0.0 if same else float("inf")
        return {"hausdorff": far, "hd95": far, "assd": far, "nsd": float(same)}

    from scipy.spatial import KDTree  # it costs with the border, a distance map with the frame

    ours, theirs = (np.argwhere(one & ~binary_erosion(one)) * spacing for one in (mask, reference))
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
