"""Small experiments that chapters show: arrays in, arrays or numbers out.

They illustrate a step; the step itself is always `skullnb.pipeline`'s.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from skullnb.errors import InvalidImage
from skullnb.metrics import iou
from skullnb.phantom import VARIANTS, variant
from skullnb.pipeline import (
    PipelineSettings,
    SkullMaskTrace,
    create_skull_masks,
    dilate,
    fill_holes,
    trace_skull_mask,
)

Array = NDArray[Any]

# How far to look on either side of the reference border.
REACH_MM, REACH_PX = 20.0, 40.0


def intensity_histogram(images: Array, n_bins: int = 100) -> tuple[Array, Array]:
    """Count the pixels of a stack in bins of equal width.

    Parameters
    ----------
    images : (N, H, W) array
    n_bins : int

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

    Parameters
    ----------
    images : (..., H, W) array
    quantile : float
        Share of the pixels, in [0, 1], counted from the darkest.

    Returns
    -------
    float
        In [0, 1]; 1 when all pixels are equal.

    Examples
    --------
    >>> share_of_range(np.array([[0, 1, 1, 1, 10]]), 0.75)
    0.1
    """
    low, high = float(images.min()), float(images.max())
    if low == high:
        return 1.0
    return float((np.quantile(images, quantile) - low) / (high - low))


def border_profile(
    images: Array, reference: Array, spacing_mm: tuple[float, float] | None = None
) -> Array:
    """Describe the intensities at each distance from the border of the reference mask.

    Parameters
    ----------
    images : (N, H, W) array
    reference : (N, H, W) uint8 {0, 1}
        Slices where it is empty or full have no border and are left out.
    spacing_mm : (row, column), optional
        Distances are in mm with it, in px without.

    Returns
    -------
    (n,) structured array
        `distance` (negative inside the mask), `low`, `median`, `high`: quartiles of the
        intensities there. Bins are as wide as a pixel, and none is empty.

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

    Parameters
    ----------
    normalised : (H, W) uint8

    Returns
    -------
    (256,) float64
        For each level t: share of dark (<= t) x share of bright (> t) x squared difference of
        their means. 0 where a class is empty. Otsu's threshold is where it is largest.

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

    Parameters
    ----------
    normalised : (H, W) uint8
    threshold : int
        Bright is strictly above.

    Returns
    -------
    dark, bright : float
        NaN for a class without pixels.

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

    Parameters
    ----------
    traces : sequence of SkullMaskTrace

    Returns
    -------
    float
        In [0, 1]; NaN when nothing is bright.

    Examples
    --------
    >>> bright_in_upper_half([trace_skull_mask(np.array([[0, 0, 0, 0, 125, 255.0]]))])
    0.5
    """
    n_bright = sum(int(np.count_nonzero(trace.binary)) for trace in traces)
    n_upper = sum(
        int(np.count_nonzero((trace.binary > 0) & (trace.normalised > 127))) for trace in traces
    )
    return n_upper / n_bright if n_bright else float("nan")


def with_hot_pixel(image: Array, factor: float) -> Array:
    """Set the pixel in the middle to a multiple of the slice's range.

    Parameters
    ----------
    image : (H, W) array, real
    factor : float
        1 puts it at the slice's maximum, 100 a hundred ranges above the minimum.

    Returns
    -------
    (H, W) array of float
        A copy; integers become float64.

    Examples
    --------
    >>> with_hot_pixel(np.array([[1, 2, 3]]), 10)
    array([[ 1., 21.,  3.]])
    """
    pixels = np.array(image, dtype=image.dtype if image.dtype.kind == "f" else np.float64)
    low, high = float(pixels.min()), float(pixels.max())
    pixels[pixels.shape[0] // 2, pixels.shape[1] // 2] = low + factor * (high - low)
    return pixels


def hot_pixel_traces(
    image: Array, factors: Sequence[float], settings: PipelineSettings
) -> list[SkullMaskTrace]:
    """Run the pipeline on a slice with one pixel made hotter and hotter.

    Parameters
    ----------
    image : (H, W) array, real
    factors : sequence of float
        As in `with_hot_pixel`.
    settings : PipelineSettings

    Returns
    -------
    list of SkullMaskTrace
        One a factor.

    Examples
    --------
    >>> image = np.zeros((60, 60))
    >>> image[15:45, 15:45] = 1.0
    >>> traces = hot_pixel_traces(image, [1, 1000], PipelineSettings(kernel_width=3))
    >>> [int(trace.mask.sum()) for trace in traces]
    [1020, 5]
    """
    return [trace_skull_mask(with_hot_pixel(image, factor), settings) for factor in factors]


def as_int16(image: Array, quantile: float = 0.995) -> NDArray[np.int16]:
    """Stretch a slice over all that 16 bits with a sign can hold.

    Parameters
    ----------
    image : (H, W) array, real
    quantile : float
        Share of the pixels, in [0, 1], that the stretched range holds; brighter ones are clipped.

    Returns
    -------
    (H, W) int16
        From -32768 to 32767; all -32768 when the slice is flat.

    Examples
    --------
    >>> as_int16(np.array([[0.0, 1.0]]), quantile=1)
    array([[-32768,  32767]], dtype=int16)
    """
    pixels = np.asarray(image, dtype=np.float64)
    low, high = pixels.min(), np.quantile(pixels, quantile)
    share = np.clip((pixels - low) / (high - low if high > low else 1.0), 0, 1)
    return np.asarray(np.floor(share * 65535) - 32768).astype(np.int16)


def differences(image: Array) -> Array:
    """Subtract the minimum in the image's own data type, as the formula reads at first sight.

    Parameters
    ----------
    image : (H, W) array of integers

    Returns
    -------
    (H, W) array of the same dtype
        Negative where the difference did not fit and wrapped around.

    Examples
    --------
    >>> differences(np.array([[-100, 0, 100]], dtype=np.int8))
    array([[  0, 100, -56]], dtype=int8)
    """
    # An array of one element, not a scalar: numpy warns about scalars only.
    return np.asarray(image - image.min(keepdims=True))


def mask_by_connectivity(image: Array, settings: PipelineSettings) -> dict[int, SkullMaskTrace]:
    """Trace a slice with components joined over corners (8), and over sides only (4).

    Parameters
    ----------
    image : (H, W) array, real
    settings : PipelineSettings
        Its connectivity is replaced.

    Returns
    -------
    dict of int to SkullMaskTrace

    Examples
    --------
    >>> image = np.zeros((7, 7))
    >>> image[2, 2] = image[3, 3] = 1
    >>> traces = mask_by_connectivity(image, PipelineSettings(kernel_width=0))
    >>> {neighbours: len(trace.components) for neighbours, trace in traces.items()}
    {8: 1, 4: 2}
    """
    return {n: trace_skull_mask(image, replace(settings, connectivity=n)) for n in (8, 4)}


@dataclass(frozen=True)
class EdgeExperiment:
    """A synthetic head segmented with the edge rule and without it.

    Attributes
    ----------
    name, description : str
        As in `skullnb.phantom.VARIANTS`.
    traces : tuple of SkullMaskTrace
        With the rule, one a slice.
    n_edge_touching : tuple of int
        One a slice.
    iou_with, iou_without : float
        Mean over the slices.
    """

    name: str
    description: str
    traces: tuple[SkullMaskTrace, ...]
    n_edge_touching: tuple[int, ...]
    iou_with: float
    iou_without: float


def edge_experiments(names: Sequence[str]) -> list[EdgeExperiment]:
    """Segment synthetic heads with the edge rule and without it.

    Parameters
    ----------
    names : sequence of str
        Of `skullnb.phantom.VARIANTS`.

    Returns
    -------
    list of EdgeExperiment

    Examples
    --------
    >>> one = edge_experiments(["thick-soft-tissue-cut"])[0]
    >>> one.iou_with > one.iou_without
    True
    """
    rule = PipelineSettings()
    no_rule = replace(rule, drop_edge_touching=False)
    experiments = []
    for name in names:
        stack = variant(name)
        assert stack.reference is not None
        traces = tuple(trace_skull_mask(image, rule) for image in stack.images)
        without = create_skull_masks(stack.images, no_rule)
        pairs = zip(traces, without, stack.reference, strict=True)
        scores = [(iou(trace.mask, truth), iou(mask, truth)) for trace, mask, truth in pairs]
        means = np.mean(scores, axis=0)
        counts = tuple(trace.n_edge_touching for trace in traces)
        experiments.append(
            EdgeExperiment(name, VARIANTS[name], traces, counts, float(means[0]), float(means[1]))
        )
    return experiments


def fill_after(
    brain: NDArray[np.uint8], settings: PipelineSettings, widths: Sequence[int]
) -> list[int]:
    """Count the pixels that the fill adds after dilations of several widths.

    Parameters
    ----------
    brain : (H, W) uint8 {0, 1}
    settings : PipelineSettings
        Shape of the kernel.
    widths : sequence of int

    Returns
    -------
    list of int

    Examples
    --------
    >>> brain = np.zeros((40, 40), dtype=np.uint8)
    >>> brain[10:30, 10:30], brain[18:22, 18:22] = 1, 0
    >>> fill_after(brain, PipelineSettings(), [0, 8])
    [16, 0]
    """
    dilated = [dilate(brain, width, settings.kernel_shape) for width in widths]
    return [int(np.count_nonzero(fill_holes(mask)) - np.count_nonzero(mask)) for mask in dilated]


def channel_widths(settings: PipelineSettings) -> list[int]:
    """Pick channels that the dilation closes easily, only just, and not at all.

    Parameters
    ----------
    settings : PipelineSettings

    Returns
    -------
    list of int
        In px, ascending.

    Examples
    --------
    >>> channel_widths(PipelineSettings(kernel_width=26))
    [13, 22, 34]
    """
    width = settings.kernel_width
    return sorted({width // 2, max(width - 4, 0), width + 8})


def keyhole(channel_width: int) -> NDArray[np.uint8]:
    """Draw a disc with a cavity that a straight channel joins to the outside.

    Parameters
    ----------
    channel_width : int
        In px; 0 closes the cavity off.

    Returns
    -------
    (240, 240) uint8 {0, 1}

    Examples
    --------
    >>> [bool((fill_holes(keyhole(width)) > keyhole(width)).any()) for width in (0, 10)]
    [True, False]
    """
    shape = np.zeros((240, 240), dtype=np.uint8)
    cv2.circle(shape, (120, 120), 90, 1, cv2.FILLED)
    cv2.circle(shape, (120, 120), 32, 0, cv2.FILLED)
    left = max(120 - channel_width // 2, 0)
    shape[:120, left : left + channel_width] = 0
    return shape


def _grouped(distances: list[Array], values: list[Array], step: float) -> list[tuple[float, Array]]:
    """Collect the values that lie in the same bin of distance."""
    if not distances:
        return []
    bins = np.rint(np.concatenate(distances) / step - 0.5).astype(np.int64)
    order = np.argsort(bins, kind="stable")
    found, starts = np.unique(bins[order], return_index=True)
    groups = np.split(np.concatenate(values)[order], starts[1:])
    return [((number + 0.5) * step, group) for number, group in zip(found, groups, strict=True)]
