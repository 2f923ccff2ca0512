"""Figures of the chapters on components and on holes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.colors import to_rgb
from numpy.typing import NDArray

from skullnb.figures.layout import (
    ACCENT,
    LEGEND,
    box_aspect,
    colour,
    crop,
    head_box,
    headline,
    panels,
    show_framed,
)
from skullnb.figures.style import PALETTE, PageFigure, new_figure
from skullnb.figures.trials import fill_after
from skullnb.pipeline import PipelineSettings, SkullMaskTrace, dilate, fill_holes

Array = NDArray[Any]
Mask = NDArray[np.uint8]


def components(traces: Sequence[SkullMaskTrace], captions: Sequence[str]) -> PageFigure:
    """Show bright components by what becomes of them.

    Chosen: the colour of brain; dropped for touching the frame: of scalp; too small: grey.

    Examples
    --------
    >>> from skullnb.pipeline import trace_skull_mask
    >>> image = np.zeros((9, 9))
    >>> image[4, 4] = image[0, :] = 1
    >>> components([trace_skull_mask(image)], ["slice 0"]).get_suptitle()
    'Green is taken for the brain; orange touches the frame: dropped'
    """
    shape = traces[0].binary.shape
    figure, axes = panels(len(traces), shape[0] / shape[1])
    for axis, trace, caption in zip(axes, traces, captions, strict=True):
        show_framed(axis, coloured_components(trace), caption)
    chosen = any(trace.chosen for trace in traces)
    dropped = any(_dropped(trace).any() for trace in traces)
    first = "Green is taken for the brain" if chosen else "Nothing is taken for the brain"
    rest = "orange touches the frame: dropped" if dropped else "grey is smaller, and left out"
    headline(figure, f"{first}; {rest}")
    return figure


def coloured_components(trace: SkullMaskTrace) -> NDArray[np.float64]:
    """Paint the components of a slice in the colours of what becomes of them.

    Gives (H, W, 3) float64: red, green, blue in [0, 1]; background black.

    Examples
    --------
    >>> from skullnb.pipeline import trace_skull_mask
    >>> coloured_components(trace_skull_mask(np.eye(8))).shape
    (8, 8, 3)
    """
    picture = np.zeros((*trace.labels.shape, 3))
    picture[trace.labels > 0] = 0.62
    picture[_dropped(trace)] = colour("scalp")
    picture[trace.brain > 0] = colour("brain")
    return picture


def connectivity() -> PageFigure:
    """Draw two pixels that share a corner, joined and not joined.

    Examples
    --------
    >>> connectivity().get_suptitle()
    'A shared corner joins with 8 neighbours, not with 4'
    """
    figure, axes = panels(4)
    picture = np.zeros((4, 4))
    picture[1, 1], picture[2, 2] = 1, 1
    apart = np.where(np.arange(16).reshape(4, 4) < 8, picture, 2 * picture)
    for axis, cells, text in (
        (axes[0], _neighbours(corners=True), "8 neighbours"),
        (axes[1], picture, "one component"),
        (axes[2], _neighbours(corners=False), "4 neighbours"),
        (axes[3], apart, "two components"),
    ):
        _grid(axis, cells, text, ACCENT)
    headline(figure, "A shared corner joins with 8 neighbours, not with 4")
    return figure


def filled(trace: SkullMaskTrace) -> PageFigure:
    """Show a component with its holes, its dilation, and the filled mask, each step's gain blue.

    Examples
    --------
    >>> from skullnb.pipeline import trace_skull_mask
    >>> image = np.zeros((9, 9))
    >>> image[2:7, 2:7] = 1
    >>> image[4, 4] = 0
    >>> trace = trace_skull_mask(image, PipelineSettings(kernel_width=0))
    >>> filled(trace).get_suptitle()
    'The fill adds 1 px to this slice'
    """
    box = head_box(trace.mask[None])
    figure, axes = panels(3, box_aspect(box))
    holes = fill_holes(trace.brain) > trace.brain
    chosen = added(trace.brain, trace.brain)
    chosen[holes] = to_rgb(ACCENT)
    steps = (
        (chosen, f"chosen; holes {np.count_nonzero(holes):,} px"),
        (added(trace.brain, trace.dilated), "dilated"),
        (added(trace.dilated, trace.mask), "filled"),
    )
    for axis, (picture, caption) in zip(axes, steps, strict=True):
        show_framed(axis, picture, caption)
        crop(axis, box)
    n_filled = np.count_nonzero(trace.mask) - np.count_nonzero(trace.dilated)
    headline(figure, f"The fill adds {n_filled:,} px to this slice")
    return figure


def added(before: Mask, after: Mask) -> NDArray[np.float64]:
    """Paint what was there grey, and what a step added in the mask's colour.

    Examples
    --------
    >>> picture = added(np.eye(2, dtype=np.uint8), np.ones((2, 2), dtype=np.uint8))
    >>> picture[0, 0].round(2).tolist()
    [0.62, 0.62, 0.62]
    """
    picture = np.zeros((*after.shape, 3))
    picture[after > 0] = colour("mask")
    picture[before > 0] = 0.62
    return picture


def left_to_fill(brain: Mask, settings: PipelineSettings, widths: Sequence[int]) -> PageFigure:
    """Draw how much the fill adds after dilations of growing width.

    `settings`: shape of the kernel, and the width that is marked. `widths`: kernel widths in px,
    ascending.

    Examples
    --------
    >>> brain = np.zeros((40, 40), dtype=np.uint8)
    >>> brain[10:30, 10:30], brain[18:22, 18:22] = 1, 0
    >>> left_to_fill(brain, PipelineSettings(), [0, 8]).get_suptitle()
    'From width 8 px on, the dilation leaves nothing to fill'
    """
    pixels = fill_after(brain, settings, widths)
    figure, axes = new_figure(2.9)
    axes.plot(widths, pixels, "o-", color=PALETTE["mask"], markersize=4)
    axes.axvline(settings.kernel_width, color=ACCENT, label="width used here")
    axes.set_ylim(bottom=0)
    axes.set_xlabel("kernel width [px]")
    axes.set_ylabel("px that the fill adds")
    axes.legend(**LEGEND)
    # The first width from which on nothing is left.
    empty = max((index + 1 for index, count in enumerate(pixels) if count), default=0)
    if empty < len(widths):
        text = f"From width {widths[empty]} px on, the dilation leaves nothing to fill"
    else:
        text = f"Even after a dilation of width {widths[-1]} px, {pixels[-1]:,} px are left to fill"
    headline(figure, text)
    return figure


def background() -> PageFigure:
    """Draw a ring whose only gaps are at its corners, before and after the fill.

    Examples
    --------
    >>> background().get_suptitle()
    'A ring closed only at its corners is filled all the same'
    """
    ring = np.zeros((5, 5), dtype=np.uint8)
    ring[[1, 2, 2, 3], [2, 1, 3, 2]] = 1
    open_ring = ring.copy()
    open_ring[1, 2] = 0
    figure, axes = panels(4)
    for pair, shape, name in ((axes[:2], ring, "closed"), (axes[2:], open_ring, "open")):
        _grid(pair[0], shape, name)
        after = fill_holes(shape)
        n_added = int(after.sum()) - int(shape.sum())
        _grid(pair[1], shape + 2 * (after - shape), f"filled: + {n_added} px")
    headline(figure, "A ring closed only at its corners is filled all the same")
    return figure


def channels(shapes: Mapping[int, Mask], settings: PipelineSettings) -> PageFigure:
    """Show discs with an opened cavity after dilation and fill, by the width of the opening.

    `shapes`: width of the channel to the disc, from `trials.keyhole`.

    Examples
    --------
    >>> from skullnb.figures.trials import keyhole
    >>> channels({width: keyhole(width) for width in (10, 40)}, PipelineSettings()).get_suptitle()
    'Behind a channel wider than the kernel, nothing is filled'
    """
    figure, axes = panels(len(shapes))
    for axis, (width, shape) in zip(axes, shapes.items(), strict=True):
        dilated = dilate(shape, settings.kernel_width, settings.kernel_shape)
        mask = fill_holes(dilated)
        picture = added(dilated, mask)
        picture[(dilated > shape) & (shape == 0)] = 0.35
        n_added = np.count_nonzero(mask) - np.count_nonzero(dilated)
        show_framed(axis, picture, f"channel {width} px: + {n_added:,} px")
    headline(figure, "Behind a channel wider than the kernel, nothing is filled")
    return figure


def _dropped(trace: SkullMaskTrace) -> NDArray[np.bool_]:
    touching = trace.components["label"][trace.components["touches_edge"]]
    return np.isin(trace.labels, touching) & trace.settings.drop_edge_touching


def _neighbours(corners: bool) -> Array:
    cells = np.full((3, 3), 2 if corners else 0)
    cells[1, :], cells[:, 1] = 2, 2
    cells[1, 1] = 1
    return cells


def _grid(axes: Any, cells: Array, text: str, second: str = PALETTE["mask"]) -> None:
    """Draw a few pixels large, with lines between them: 1 grey, 2 in a second colour."""
    picture = np.zeros((*cells.shape, 3))
    picture[cells == 1] = 0.62
    picture[cells == 2] = to_rgb(second)
    show_framed(axes, picture, text)
    for edge in np.arange(0.5, len(cells) - 1):
        axes.axhline(edge, color=PALETTE["text"], lw=0.6)
        axes.axvline(edge, color=PALETTE["text"], lw=0.6)
