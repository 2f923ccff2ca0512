"""Figures of the first three chapters: the data, its intensities, the threshold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from IPython.display import Markdown
from numpy.typing import NDArray

from skullnb.figures.layout import (
    ACCENT,
    LEGEND,
    box_aspect,
    crop,
    head_box,
    headline,
    joined,
    panels,
    show_framed,
    window,
)
from skullnb.figures.lessons import (
    between_class_variance,
    border_profile,
    class_means,
    intensity_histogram,
    share_of_range,
)
from skullnb.figures.style import PALETTE, PageFigure, new_figure, outline
from skullnb.figures.trials import differences
from skullnb.pipeline import SkullMaskTrace

Array = NDArray[Any]


def slices_with_reference(
    images: Array,
    numbers: Sequence[int],
    reference: Array | None,
    spacing_mm: tuple[float, float] | None = None,
) -> PageFigure:
    """Show slices side by side, with the outline of the reference mask where there is one.

    `spacing_mm`: areas are in px without it.

    Examples
    --------
    >>> figure = slices_with_reference(np.zeros((2, 8, 6)), [0, 1], None)
    >>> figure.get_suptitle()
    'The slices; no reference mask was given'
    """
    box = head_box(images)
    figure, axes = panels(len(images), box_aspect(box))
    for axis, number, image in zip(axes, numbers, images, strict=True):
        show_framed(axis, image, f"slice {number}", **window(image))
    if reference is None:
        headline(figure, "The slices; no reference mask was given")
    else:
        for axis, mask in zip(axes, reference, strict=True):
            outline(axis, mask, "reference", linewidths=2.2)
        areas, unit = [int(np.count_nonzero(mask)) for mask in reference], "px"
        if spacing_mm is not None:
            areas, unit = [round(area * np.prod(spacing_mm) / 100) for area in areas], "cm²"
        low, high = f"{min(areas):,}", f"{max(areas):,}"
        size = low if low == high else f"{low} to {high}"
        headline(figure, f"The target, outlined in orange, covers {size} {unit} of a slice")
    for axis in axes:
        crop(axis, box)
    return figure


def intensity_near_border(
    images: Array, reference: Array | None, spacing_mm: tuple[float, float] | None
) -> PageFigure | Markdown:
    """Draw the intensities met on the way out through the border of the reference mask.

    A sentence instead of a figure when there is no reference. `spacing_mm`: distances are in px
    without it.

    Examples
    --------
    >>> image = np.array([[[5.0] * 9 + [0.0] * 3 + [9.0] * 9]])
    >>> mask = np.array([[[1] * 12 + [0] * 9]], dtype=np.uint8)
    >>> intensity_near_border(image, mask, None).get_suptitle()
    'The border of the target is the outer edge of a dark band'
    """
    if reference is None:
        return Markdown("No reference mask was given, so there is no border to look at.")
    profile = border_profile(images, reference, spacing_mm)
    unit = "px" if spacing_mm is None else "mm"
    figure, axes = new_figure(3.1)
    where = profile["distance"]
    axes.fill_between(
        where, profile["low"], profile["high"], color=PALETTE["text"], alpha=0.3, lw=0
    )
    axes.plot(where, profile["median"], color=PALETTE["text"])
    axes.axvline(0, color=PALETTE["reference"], label="border of the reference mask")
    axes.legend(**LEGEND)
    axes.set_xlabel(f"distance from the border [{unit}], negative inside")
    axes.set_ylabel("intensity [a.u.]")
    headline(
        figure,
        "The border of the target is the outer edge of a dark band"
        if _has_dark_band(profile)
        else "Intensities on both sides of the border of the target",
    )
    return figure


def _has_dark_band(profile: Array) -> bool:
    """Whether medians dip just inside the border, to below half of those on both sides."""
    inside, outside = profile[profile["distance"] < 0], profile[profile["distance"] > 0]
    if len(inside) < 2 or len(outside) == 0:
        return False
    near = inside["distance"] > inside["distance"].min() / 5
    if near.all() or not near.any():
        return False
    dip, floor = inside["median"][near].min(), profile["median"].min()
    deep, beyond = inside["median"][~near].max(), outside["median"].max()
    return bool(dip - floor < (deep - floor) / 2 and dip - floor < (beyond - floor) / 2)


def intensities(images: Array) -> PageFigure:
    """Draw the histogram of a stack's intensities, counts on a logarithmic axis.

    Examples
    --------
    >>> intensities(np.arange(1001.0).reshape(1, 7, 143)).get_suptitle()
    '99% of the pixels fit in the lowest 99% of the range'
    """
    counts, edges = intensity_histogram(images)
    share = share_of_range(images, 0.99)
    figure, axes = new_figure(2.9)
    axes.stairs(counts, edges, fill=True, color=PALETTE["text"], alpha=0.6)
    axes.axvline(edges[0] + share * (edges[-1] - edges[0]), color=ACCENT, label="99% lie below")
    axes.legend(**LEGEND)
    axes.set_yscale("log")
    axes.set_xlabel("intensity [a.u.]")
    axes.set_ylabel("pixels in a bin")
    headline(figure, f"99% of the pixels fit in the lowest {share:.0%} of the range")
    return figure


def before_and_after(image: Array, normalised: NDArray[np.uint8]) -> PageFigure:
    """Show a slice on its own scale beside the same slice on the scale 0 to 255.

    Examples
    --------
    >>> before_and_after(np.eye(8), np.eye(8, dtype=np.uint8) * 255).get_suptitle()
    'The picture stays, the scale changes'
    """
    box = head_box(image[None])
    figure, axes = panels(2, 0.8 * box_aspect(box))
    for axis, pixels, caption, unit in (
        (axes[0], image, "before", "intensity [a.u.]"),
        (axes[1], normalised, "after", "level"),
    ):
        show_framed(axis, pixels, caption, vmin=pixels.min(), vmax=pixels.max())
        crop(axis, box)
        bar = figure.colorbar(axis.images[0], ax=axis, shrink=0.9, anchor=(0, 1))
        bar.outline.set_visible(False)
        bar.ax.tick_params(colors=PALETTE["text"], labelsize=9)
        bar.set_label(unit, color=PALETTE["text"])
        bar.ax.yaxis.offsetText.set_color(PALETTE["text"])
    headline(figure, "The picture stays, the scale changes")
    return figure


def hot_pixel(traces: Sequence[SkullMaskTrace], factors: Sequence[float]) -> PageFigure:
    """Show normalised slices, and their masks, as one pixel gets hotter.

    `factors`: the pixel's value, in ranges of the slice.

    Examples
    --------
    >>> from skullnb.figures.trials import hot_pixel_traces
    >>> from skullnb.pipeline import PipelineSettings
    >>> image = np.zeros((60, 60))
    >>> image[15:45, 15:45] = 1.0
    >>> traces = hot_pixel_traces(image, [1, 1000], PipelineSettings(kernel_width=3))
    >>> hot_pixel(traces, [1, 1000]).get_suptitle()
    'One hot pixel takes the mask from 1,020 px to 5 px'
    """
    box = joined(head_box(traces[0].normalised[None]), head_box(traces[0].mask[None]))
    figure, axes = panels(len(traces), box_aspect(box))
    shade = window(traces[0].normalised)
    for axis, trace, factor in zip(axes, traces, factors, strict=True):
        show_framed(axis, trace.normalised, f"hot pixel × {factor:g}", **shade)
        outline(axis, trace.mask, "mask", linewidths=1.6)
        crop(axis, box)
    first, last = (int(np.count_nonzero(traces[i].mask)) for i in (0, -1))
    headline(figure, f"One hot pixel takes the mask from {first:,} px to {last:,} px")
    return figure


def wrapped(image: NDArray[np.int16]) -> PageFigure:
    """Show a slice of small integers beside its differences from the minimum, which wrap.

    `image`: from `trials.as_int16`.

    Examples
    --------
    >>> wrapped(np.array([[-32768, 0, 32767]], dtype=np.int16)).get_suptitle()
    'In int16, 2 of 3 differences from the minimum turn negative'
    """
    result = differences(image)
    box = head_box(image.astype(np.float64)[None])
    figure, axes = panels(2, 0.7 * box_aspect(box))
    show_framed(axes[0], image, "slice in int16", vmin=-32768, vmax=32767)
    show_framed(axes[1], result, "slice - minimum, in int16", vmin=-32768, vmax=32767)
    for axis in axes:
        crop(axis, box)
    n_negative = int(np.count_nonzero(result < 0))
    headline(
        figure,
        f"In int16, {n_negative:,} of {image.size:,} differences from the minimum turn negative",
    )
    return figure


def otsu(normalised: NDArray[np.uint8], threshold: int) -> PageFigure:
    """Draw the histogram of levels, and below it the curve that Otsu's method climbs.

    `threshold`: the level that the pipeline chose.

    Examples
    --------
    >>> levels = np.array([[10, 10, 60, 60]], dtype=np.uint8)
    >>> otsu(levels, 10).get_suptitle()
    'Dark and bright are furthest apart when split at level 10'
    """
    counts, curve = (
        np.bincount(normalised.ravel(), minlength=256),
        between_class_variance(normalised),
    )
    figure, (top, bottom) = new_figure(4.6, rows=2, sharex=True, height_ratios=[3, 2])
    for low, high, strength, name in (
        (0, threshold, 1.0, f"dark: up to {threshold}"),
        (threshold + 1, 255, 0.45, f"bright: above {threshold}"),
    ):
        part, edges = counts[low : high + 1], np.arange(low, high + 2) - 0.5
        top.stairs(part, edges, fill=True, color=PALETTE["text"], alpha=strength, label=name)
    for mean in class_means(normalised, threshold):
        top.plot(mean, 1.06, "v", color=ACCENT, clip_on=False, transform=top.get_xaxis_transform())
    top.set_yscale("log")
    top.set_ylabel("pixels")
    top.legend(**LEGEND)
    bottom.plot(curve, color=PALETTE["text"])
    bottom.plot(threshold, curve[threshold], "o", color=ACCENT)
    for axes in (top, bottom):
        axes.axvline(threshold + 0.5, color=ACCENT, linewidth=1)
    bottom.set_ylabel("between-class\nvariance")
    bottom.set_xlabel("level; triangles: mean of each class")
    headline(figure, f"Dark and bright are furthest apart when split at level {threshold}")
    return figure


def bright_pixels(traces: Sequence[SkullMaskTrace], numbers: Sequence[int]) -> PageFigure:
    """Show what is bright in each slice.

    Examples
    --------
    >>> from skullnb.pipeline import trace_skull_mask
    >>> bright_pixels([trace_skull_mask(np.eye(8))], [0]).get_suptitle()
    '12% of the pixels are bright'
    """
    shape = traces[0].binary.shape
    figure, axes = panels(len(traces), shape[0] / shape[1])
    for axis, number, trace in zip(axes, numbers, traces, strict=True):
        show_framed(axis, trace.binary, f"slice {number}", vmin=0, vmax=1)
    share = np.mean([trace.binary.mean() for trace in traces])
    headline(figure, f"{share:.0%} of the pixels are bright")
    return figure
