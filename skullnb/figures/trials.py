"""Small experiments that chapters make with the pipeline, to see where it breaks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

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


def twins() -> NDArray[np.uint8]:
    """Draw two pixels that are components of equal size.

    Returns
    -------
    (3, 6) uint8 {0, 1}

    Examples
    --------
    >>> int(twins().sum())
    2
    """
    picture = np.zeros((3, 6), dtype=np.uint8)
    picture[1, [1, 4]] = 1
    return picture


def holes_before_and_after(traces: Sequence[SkullMaskTrace]) -> tuple[list[int], list[int]]:
    """Count the pixels that components enclose, before the dilation and after it.

    Parameters
    ----------
    traces : sequence of SkullMaskTrace

    Returns
    -------
    before, after : list of int
        One number a trace.

    Examples
    --------
    >>> image = np.zeros((40, 40))
    >>> image[10:30, 10:30], image[18:22, 18:22] = 1, 0
    >>> holes_before_and_after([trace_skull_mask(image, PipelineSettings(kernel_width=8))])
    ([16], [0])
    """
    pairs = ([trace.brain for trace in traces], [trace.dilated for trace in traces])
    before, after = (
        [int(np.count_nonzero(fill_holes(mask) > mask) if mask.any() else 0) for mask in masks]
        for masks in pairs
    )
    return before, after


def filled_cavities(
    shapes: Mapping[int, NDArray[np.uint8]], settings: PipelineSettings
) -> list[int]:
    """Count what the fill adds to each shape after the dilation.

    Parameters
    ----------
    shapes : mapping of int to (H, W) uint8 {0, 1}
    settings : PipelineSettings

    Returns
    -------
    list of int

    Examples
    --------
    >>> filled_cavities({0: keyhole(0)}, PipelineSettings(kernel_width=0))
    [3209]
    """
    return [fill_after(shape, settings, [settings.kernel_width])[0] for shape in shapes.values()]
