"""Figures of the chapter on what a kernel width means."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skullnb.figures.drawing import draw_cells, draw_slice
from skullnb.figures.layout import LEGEND, caption, headline, mask_box, panels
from skullnb.figures.style import PALETTE, PageFigure, new_figure, outline
from skullnb.head_model import Reading
from skullnb.metrics import dice
from skullnb.offset import same_dice
from skullnb.pipeline import Mask, dilate
from skullnb.reach import grown_pixel, radial_reach

# Lines of one figure differ in dash as well as in colour.
_LINES = (("skull", "--"), ("mask", "-"), ("brain", ":"))


def heads_in_frame(shape: tuple[int, int], readings: Sequence[Reading]) -> PageFigure:
    """Draw, to scale, the smallest skull mask that each reading of a sweep leaves possible.

    Masks are drawn as discs. One with more pixels than the frame fits in no shape at all.

    Examples
    --------
    >>> readings = [Reading("as a width", 22, 30, 34, 48000, 149000),
    ...             Reading("as a reach", 45, 61, 176, 251000, 597000)]
    >>> heads_in_frame((768, 624), readings).get_suptitle()
    'Read as a reach, no head fits the frame'
    """
    from matplotlib.patches import Circle, Rectangle

    height, width = shape
    figure, axes = panels(len(readings), aspect=1.0, extra_inches=0.9)
    half = 1.05 * max(height / 2, width / 2, *(one.model_radius for one in readings))
    for axis, one in zip(axes, readings, strict=True):
        corner = (-width / 2, -height / 2)
        axis.add_patch(Rectangle(corner, width, height, fill=False, ec=PALETTE["text"], lw=1.5))
        for radius, kind, dash in (
            (one.least_radius, "mask", "-"),
            (one.model_radius, "reference", "--"),
        ):
            style = {"fill": False, "ec": PALETTE[kind], "ls": dash, "lw": 2}
            axis.add_patch(Circle((0, 0), radius, **style))
        axis.set(xlim=(-half, half), ylim=(half, -half), xticks=[], yticks=[])
        axis.set_aspect("equal")
        axis.spines[:].set_visible(False)
        caption(axis, f"{one.name}: {one.least_radius:.0f} and {one.model_radius:.0f} px")
    axes[0].set_xlabel("grey: frame; blue: by the inequality;\norange, dashed: by the model")
    outside = [one.name for one in readings if one.model_area > height * width]
    finding = f"Read {' or '.join(outside)}, no head fits the frame"
    headline(figure, finding if outside else "A head fits the frame in every reading")
    return figure


def grown_pixels(widths: Sequence[int], shape: str = "ellipse") -> PageFigure:
    """Draw what kernels of several widths make of a single pixel.

    Pixels whose mirror image, left-right or top-bottom, is missing are orange.

    Examples
    --------
    >>> grown_pixels([25, 26, 27]).get_suptitle()
    'Of these kernels, 26 px is not symmetric'
    """
    figure, axes = panels(len(widths), extra_inches=0.8)
    half = max(widths) / 2 + 2
    lopsided = []
    for axis, width in zip(axes, widths, strict=True):
        grown = grown_pixel(width, shape)
        alone = grown & ~(grown[::-1] & grown[:, ::-1])
        draw_cells(axis, grown & ~alone, "mask", offset=-width)
        draw_cells(axis, alone, "reference", alpha=0.9, offset=-width)
        draw_cells(axis, np.ones((1, 1)), "text", alpha=1.0)
        axis.set(xlim=(-half, half), ylim=(half, -half))
        axis.set_aspect("equal")
        axis.grid(visible=False)
        caption(axis, f"{width} px wide, {int(alone.sum())} unpaired")
        if alone.any():
            lopsided.append(f"{width} px")
    finding = f"Of these kernels, {' and '.join(lopsided)} is not symmetric"
    headline(figure, finding if lopsided else "These kernels are symmetric")
    return figure


def reach_by_direction(widths: Sequence[int], shape: str = "ellipse") -> PageFigure:
    """Draw how far a straight border moves, by the direction it faces.

    `widths`: at most three, in px.

    Examples
    --------
    >>> reach_by_direction([25, 26, 27]).get_suptitle()
    'At 26 px the reach is from 12.0 to 13.4 px'
    """
    degrees = np.arange(0, 361, 3)
    figure, axes = new_figure(2.9)
    reaches = [radial_reach(width, np.deg2rad(degrees), shape) for width in widths]
    for width, reach, (kind, dash) in zip(widths, reaches, _LINES, strict=False):
        axes.plot(degrees, reach, dash, color=PALETTE[kind], label=f"{width} px wide")
    axes.set_xticks([0, 90, 180, 270, 360], ["right", "bottom", "left", "top", "right"])
    axes.set(xlabel="direction that the border faces", ylabel="reach (px)")
    axes.legend(loc="upper center", ncols=len(widths), **LEGEND)
    low = min(float(reach.min()) for reach in reaches)
    high = max(float(reach.max()) for reach in reaches)
    axes.set_ylim(low - 0.3, high + 0.25 * (high - low) + 0.5)
    middle = len(widths) // 2
    reach = reaches[middle]
    headline(
        figure,
        f"At {widths[middle]} px the reach is from {reach.min():.1f} to {reach.max():.1f} px",
    )
    return figure


def mirrored_masks(image: NDArray[Any], brain: Mask, kernel_width: int) -> PageFigure:
    """Show which pixels change when a slice is mirrored before the dilation.

    On the left the whole mask, on the right an enlarged detail of its right border.

    Examples
    --------
    >>> brain = np.zeros((60, 60), dtype=np.uint8)
    >>> brain[20:40, 20:40] = 1
    >>> mirrored_masks(np.zeros((60, 60)), brain, 26).get_suptitle()
    'Mirroring the slice changes 52 px of the mask'
    """
    there = dilate(brain, kernel_width)
    back = dilate(np.ascontiguousarray(brain[:, ::-1]), kernel_width)[:, ::-1]
    changed = (there != back).astype(np.uint8)
    box = mask_box(there | back)
    rows, columns = np.nonzero(changed) if changed.any() else np.nonzero(there | back)
    figure, (left, right) = panels(2, image[box].shape[0] / image[box].shape[1])
    whole = [(changed[box], "reference"), (there[box] & ~changed[box], "mask")]
    draw_slice(left, image[box], "orange: changed", tints=whole)
    if len(rows):
        row, column = int(rows[np.argmax(columns)]), int(columns.max())
        side = max(4, min(kernel_width * 2, *image.shape))
        top = int(np.clip(row - side // 2, 0, image.shape[0] - side))
        start = int(np.clip(column - 3 * side // 4, 0, image.shape[1] - side))
        close = (slice(top, top + side), slice(start, start + side))
        tints = [(changed[close], "reference"), (there[close] & ~changed[close], "mask")]
        draw_slice(right, image[close], f"detail, {side} px across", tints=tints)
    else:
        right.remove()
    headline(figure, f"Mirroring the slice changes {int(changed.sum()):,} px of the mask")
    return figure


def two_errors(image: NDArray[Any], mask: Mask, offset: float) -> PageFigure | None:
    """Draw two masks with the same Dice: a border moved everywhere, and a bump in one place.

    None, so that nothing is shown, when the mask is empty. `mask`: what both are compared with.
    `offset`: in px, outward.

    Examples
    --------
    >>> mask = np.zeros((60, 60), dtype=np.uint8)
    >>> mask[20:40, 20:40] = 1
    >>> two_errors(np.zeros((60, 60)), mask, 2).get_suptitle()
    'Both have a Dice of 0.8299'
    """
    if not mask.any():
        return None
    moved, bumped = same_dice(mask, offset)
    box = mask_box(moved | bumped)
    figure, axes = panels(2, image[box].shape[0] / image[box].shape[1])
    texts = (f"border {offset:g} px out everywhere", "the same pixels in one place")
    for axis, other, text in zip(axes, (moved, bumped), texts, strict=True):
        draw_slice(axis, image[box], text, tints=[((other & ~mask)[box], "mask")])
        outline(axis, mask[box], "reference")
        outline(axis, other[box], "mask", linewidths=0.9)
    headline(figure, f"Both have a Dice of {dice(moved, mask):.4f}")
    return figure
