"""What chapters compute to illustrate a step: arrays in, arrays or numbers out.

The step itself is always `skullnb.pipeline`'s.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from skullnb.errors import InvalidImage
from skullnb.pipeline import SkullMaskTrace

Array = NDArray[Any]

# How far to look on either side of the reference border.
REACH_MM, REACH_PX = 20.0, 40.0


def intensity_histogram(images: Array, n_bins: int = 100) -> tuple[Array, Array]:
    """Count the pixels of a stack in bins of equal width.

    Returns
    -------
    counts : (n_bins,) int64
    edges : (n_bins + 1,) float64
        In the images' own units.

    Raises
    ------
    InvalidImage
        If a pixel is NaN or infinite.

    Examples
    --------
    >>> intensity_histogram(np.array([[[0, 1], [1, 4]]]), n_bins=4)[0]
    array([1, 2, 0, 1])
    """
    low, high = float(images.min()), float(images.max())
    if not np.isfinite([low, high]).all():
        raise InvalidImage("The images hold NaN or infinite pixels; replace or crop them first.")
    edges = np.linspace(low, high if high > low else low + 1, n_bins + 1)
    counts = np.zeros(n_bins, dtype=np.int64)
    for image in images:
        counts += np.histogram(image, bins=edges)[0]
    return counts, edges


def share_of_range(images: Array, quantile: float) -> float:
    """Find the part of the intensity range that a share of the pixels fits in.

    In [0, 1]; 1 when all pixels are equal. `quantile`: share of the pixels, in [0, 1], counted from
    the darkest.

    Examples
    --------
    >>> share_of_range(np.array([[0, 1, 1, 1, 10]]), 0.75)
    0.1
    """
    low, high = float(images.min()), float(images.max())
    if low == high:
        return 1.0
    # A level that occurs: between two of them, versions of numpy round in different precision.
    within = np.quantile(images, quantile, method="inverted_cdf")
    return (float(within) - low) / (high - low)


def border_profile(
    images: Array, reference: Array, spacing_mm: tuple[float, float] | None = None
) -> Array:
    """Describe the intensities at each distance from the border of the reference mask.

    Gives (n,) structured array: `distance` (negative inside the mask), `low`, `median`, `high`:
    quartiles of the intensities there. Bins are as wide as a pixel, and none is empty. `reference`:
    slices where it is empty or full have no border and are left out. `spacing_mm`: distances are in
    mm with it, in px without.

    Examples
    --------
    >>> image = np.array([[[5, 5, 0, 9, 9]]])
    >>> border_profile(image, np.array([[[1, 1, 1, 0, 0]]]))["median"]
    array([5., 5., 0., 9., 9.])
    """
    step = 1.0 if spacing_mm is None else min(spacing_mm)
    reach = REACH_PX if spacing_mm is None else REACH_MM
    distances, values = [], []
    for image, mask in zip(images, reference, strict=True):
        if mask.min() == mask.max():
            continue
        inside = ndimage.distance_transform_edt(mask, sampling=spacing_mm)
        outside = ndimage.distance_transform_edt(mask == 0, sampling=spacing_mm)
        # Half a step off: the border runs between pixels, not through their centres.
        signed = np.where(mask, step / 2 - inside, outside - step / 2)
        near = np.abs(signed) <= reach
        distances.append(signed[near])
        values.append(np.asarray(image[near], dtype=np.float64))
    table = [
        (centre, *np.quantile(group, [0.25, 0.5, 0.75]))
        for centre, group in _grouped(distances, values, step)
    ]
    fields = ("distance", "low", "median", "high")
    return np.array(table, dtype=[(name, np.float64) for name in fields])


def between_class_variance(normalised: NDArray[np.uint8]) -> NDArray[np.float64]:
    """How far apart dark and bright pixels are, for every possible threshold.

    Gives (256,) float64: for each level t: share of dark (<= t) x share of bright (> t) x squared
    difference of their means. 0 where a class is empty. Otsu's threshold is where it is largest.

    References
    ----------
    Otsu (1979), A threshold selection method from gray-level histograms.

    Examples
    --------
    >>> curve = between_class_variance(np.array([[10, 10, 200, 200]], dtype=np.uint8))
    >>> curve[9], curve[10], curve[200]
    (np.float64(0.0), np.float64(9025.0), np.float64(0.0))
    """
    share = np.bincount(normalised.ravel(), minlength=256) / normalised.size
    dark, moment = np.cumsum(share), np.cumsum(share * np.arange(256))
    bright = 1 - dark
    both = (dark > 0) & (bright > 1e-12)
    curve = np.zeros(256)
    curve[both] = (moment[-1] * dark - moment)[both] ** 2 / (dark * bright)[both]
    return curve


def class_means(normalised: NDArray[np.uint8], threshold: int) -> tuple[float, float]:
    """Mean level of the dark and of the bright pixels.

    NaN for a class without pixels. `threshold`: bright is strictly above.

    Examples
    --------
    >>> class_means(np.array([[0, 10, 40, 60]], dtype=np.uint8), 10)
    (5.0, 50.0)
    """
    bright = normalised > threshold
    return tuple(  # type: ignore[return-value]
        float(normalised[chosen].mean()) if chosen.any() else float("nan")
        for chosen in (~bright, bright)
    )


def bright_in_upper_half(traces: Sequence[SkullMaskTrace]) -> float:
    """Share of the bright pixels that lie at level 128 or above.

    In [0, 1]; NaN when nothing is bright.

    Examples
    --------
    >>> from skullnb.pipeline import trace_skull_mask
    >>> bright_in_upper_half([trace_skull_mask(np.array([[0, 0, 0, 0, 125, 255.0]]))])
    0.5
    """
    n_bright = sum(int(np.count_nonzero(trace.binary)) for trace in traces)
    n_upper = sum(
        int(np.count_nonzero((trace.binary > 0) & (trace.normalised > 127))) for trace in traces
    )
    return n_upper / n_bright if n_bright else float("nan")


def _grouped(distances: list[Array], values: list[Array], step: float) -> list[tuple[float, Array]]:
    """Collect the values that lie in the same bin of distance."""
    if not distances:
        return []
    bins = np.rint(np.concatenate(distances) / step - 0.5).astype(np.int64)
    order = np.argsort(bins, kind="stable")
    found, starts = np.unique(bins[order], return_index=True)
    groups = np.split(np.concatenate(values)[order], starts[1:])
    return [((number + 0.5) * step, group) for number, group in zip(found, groups, strict=True)]
