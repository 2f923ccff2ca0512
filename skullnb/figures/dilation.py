"""Figures about the dilation: its structuring element, what it adds, how the mask grows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skullnb.figures.drawing import draw_cells, draw_slice
from skullnb.figures.layout import caption, headline, mask_box, panels
from skullnb.figures.style import PALETTE, PageFigure, new_figure, outline
from skullnb.pipeline import (
    MAX_KERNEL_WIDTH,
    PipelineSettings,
    dilate,
    fill_holes,
    structuring_element,
)
from skullnb.reach import grown_pixel, kernel_reach

Image = NDArray[Any]
Mask = NDArray[np.uint8]


def widths_around(kernel_width: int) -> tuple[int, ...]:
    """Kernel widths to compare with the chosen one: 10 px to either side, in steps of 2.

    Rising, at least 2 and at most what the pipeline takes, with `kernel_width` among them.

    Examples
    --------
    >>> widths_around(26)
    (16, 18, 20, 22, 24, 26, 28, 30, 32, 34, 36)
    >>> widths_around(5)
    (3, 5, 7, 9, 11, 13, 15)
    """
    tried = range(kernel_width - 10, kernel_width + 11, 2)
    return tuple(sorted({kernel_width, *(one for one in tried if 2 <= one <= MAX_KERNEL_WIDTH)}))


def kernel_figure(kernel_width: int, kernel_shape: str = "ellipse") -> PageFigure:
    """Draw a structuring element, and what it makes of a single pixel.

    On the left the element with its anchor, on the right one pixel before and after.
    `kernel_width`: in px; 0 draws no element.

    Examples
    --------
    >>> kernel_figure(26).get_suptitle()
    'The element is 26 px wide; a pixel grows by 12 or 13 px'
    """
    sides = kernel_reach(kernel_width, kernel_shape)._asdict()
    anchor = kernel_width // 2
    grown, middle = grown_pixel(kernel_width, kernel_shape), kernel_width
    point = np.zeros_like(grown)
    point[middle, middle] = 1

    figure, (left, right) = panels(2, extra_inches=0.35)
    if kernel_width:
        draw_cells(left, structuring_element(kernel_width, kernel_shape), "skull")
        draw_cells(left, np.ones((1, 1)), "text", alpha=1.0, offset=anchor)
    draw_cells(right, grown, "mask", offset=-middle)
    draw_cells(right, point, "brain", alpha=1.0, offset=-middle)
    _arrow(right, sides, "top", "left")
    _arrow(right, sides, "bottom", "right")

    size = kernel_width / 2 + 6
    for axes, centre in ((left, (kernel_width - 1) / 2), (right, 0)):
        axes.set(xlim=(centre - size, centre + size), ylim=(centre + size, centre - size))
        axes.set_aspect("equal")
        axes.grid(visible=False)
    left.set(xlabel="column of the element", ylabel="row of the element")
    right.set(xlabel="columns from the pixel", ylabel="rows from the pixel")
    caption(left, f"Its anchor (grey): row {anchor}, column {anchor}")
    caption(right, "One pixel (green) becomes this")
    extents = " or ".join(str(extent) for extent in sorted(set(sides.values())))
    found = f"The element is {kernel_width} px wide; a pixel grows by {extents} px"
    headline(figure, found if kernel_width else "No dilation: the kernel width is 0")
    return figure


def before_after(image: Image, brain: Mask, dilated: Mask, kernel_width: int) -> PageFigure:
    """Draw the chosen component on its slice, and what the dilation adds to it.

    `kernel_width`: in px; drawn to scale in the corner.

    Examples
    --------
    >>> brain = np.zeros((40, 40), dtype=np.uint8)
    >>> brain[10:30, 10:30] = 1
    >>> before_after(np.zeros((40, 40)), brain, dilate(brain, 5), 5).get_suptitle()
    'The dilation makes the component 42% larger'
    """
    from matplotlib.patches import Rectangle

    box = mask_box(dilated)
    picture, brain, dilated = image[box], brain[box], dilated[box]
    height, width = picture.shape
    figure, (left, right) = panels(2, height / width)
    chosen, added = (brain, "brain"), (dilated - brain, "mask")
    draw_slice(left, picture, "before: the chosen component", rows=320, tints=[chosen])
    draw_slice(right, picture, "after: blue is new", rows=320, tints=[chosen, added])
    outline(right, dilated, "mask")

    column, row = 0.03 * width, 0.97 * height - kernel_width
    square = Rectangle((column, row), kernel_width, kernel_width, fill=False)
    square.set(edgecolor=PALETTE["skull"], linewidth=1.5)
    right.add_patch(square)
    right.text(
        column + kernel_width + 0.02 * width,
        row + kernel_width / 2,
        f"{kernel_width} px",
        va="center",
        fontsize=9,
        color=PALETTE["skull"],
    )
    n_before = int(np.count_nonzero(brain))
    if n_before:
        growth = np.count_nonzero(dilated) / n_before - 1
        headline(figure, f"The dilation makes the component {growth:.0%} larger")
    else:
        headline(figure, "No component was chosen, so there is nothing to dilate")
    return figure


def grown_masks(brain: Mask, widths: Sequence[int], settings: PipelineSettings) -> Mask:
    """Dilate and fill one component with kernels of several widths.

    `settings`: shape of the kernel, and whether holes are filled.

    Examples
    --------
    >>> brain = np.zeros((9, 9), dtype=np.uint8)
    >>> brain[4, 4] = 1
    >>> grown_masks(brain, (1, 3), PipelineSettings())[:, 4, 3:6]
    array([[0, 1, 0],
           [1, 1, 1]], dtype=uint8)
    """
    masks = np.zeros((len(widths), *brain.shape), dtype=np.uint8)
    for index, width in enumerate(widths):
        dilated = dilate(brain, width, settings.kernel_shape)
        masks[index] = fill_holes(dilated) if settings.fill_holes else dilated
    return masks


def grown_areas(
    brains: Sequence[Mask], widths: Sequence[int], settings: PipelineSettings
) -> NDArray[np.int64]:
    """Count the mask's pixels for several slices and kernel widths.

    Examples
    --------
    >>> brain = np.zeros((9, 9), dtype=np.uint8)
    >>> brain[4, 4] = 1
    >>> grown_areas([brain], (1, 3), PipelineSettings())
    array([[1, 5]])
    """
    return np.array(
        [np.count_nonzero(grown_masks(brain, widths, settings), axis=(1, 2)) for brain in brains],
        dtype=np.int64,
    )


def area_curve(widths: Sequence[int], areas: NDArray[np.int64], kernel_width: int) -> PageFigure:
    """Draw the area of the mask against the kernel width, relative to the chosen width.

    `widths`: in px, with `kernel_width` among them. `areas`: in px, from `grown_areas`; slices with
    an empty mask are left out.

    Examples
    --------
    >>> area_curve((24, 26), np.array([[90, 100]]), 26).get_suptitle()
    'From 24 to 26 px the mask grows by 11%'
    """
    figure, axes = new_figure(3.0)
    chosen = list(widths).index(kernel_width)
    known = areas[areas[:, chosen] > 0]
    for row in known:
        axes.plot(widths, row / row[chosen], "o-", color=PALETTE["mask"], alpha=0.6, markersize=3)
    axes.axvline(kernel_width, color=PALETTE["text"], linestyle=":", linewidth=1)
    axes.set_xticks(widths)
    axes.set(xlabel="kernel width (px)", ylabel=f"area / area at {kernel_width} px")
    if len(known):
        growth = float(np.median(known[:, -1] / known[:, 0])) - 1
        headline(figure, f"From {widths[0]} to {widths[-1]} px the mask grows by {growth:.0%}")
    else:
        headline(figure, "No slice has a mask")
    return figure


def _arrow(axes: Any, sides: dict[str, int], vertical: str, horizontal: str) -> None:
    """Draw how far a pixel grew, from its centre to the last pixel's centre."""
    line = {"arrowstyle": "->", "color": PALETTE["text"], "shrinkA": 0, "shrinkB": 0}
    sign = -1 if vertical == "top" else 1
    for side, column, row in (
        (vertical, 0, sign * sides[vertical]),
        (horizontal, sign * sides[horizontal], 0),
    ):
        axes.annotate("", (column, row), (0, 0), arrowprops=line)
        outside = (1.18 * column + sign * (column != 0), 1.1 * row + sign * (row != 0))
        axes.text(*outside, f"{sides[side]} px", ha="center", va="center", color=PALETTE["text"])
