"""Figures about scores: the sweep, slices one by one, a worked distance, times, and outlines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from skullnb.figures.drawing import draw_cells, draw_slice
from skullnb.figures.layout import LEGEND, caption, headline, mask_box, picture_grid
from skullnb.figures.style import PALETTE, PageFigure, new_figure, outline
from skullnb.metrics import SliceScore
from skullnb.summary import spread

Image = NDArray[Any]

# Pictures in a gallery; more would be too small to judge.
MOST_PICTURES = 30


def sweep_curve(
    summary: NDArray[Any] | None,
    per_slice: NDArray[Any] | None,
    kernel_width: int,
    published: Mapping[int, tuple[float, float]] | None = None,
) -> PageFigure | None:
    """Draw IoU and Dice against the kernel width.

    None, so that nothing is shown, without a reference.

    Parameters
    ----------
    summary : (w,) structured array or None
        From `skullnb.sweep.summarise`: kernel_width and the means of iou and dice; None = there
        is no reference.
    per_slice : (n,) structured array or None
        From `skullnb.sweep.sweep_kernel_width`; each slice is a faint line.
    kernel_width : int
        The width that the pipeline uses; marked.
    published : mapping of int to (iou, dice), optional
        Published scores by kernel width.

    Examples
    --------
    >>> fields = [("slice", int), ("kernel_width", int), ("iou", float), ("dice", float)]
    >>> table = np.array([(0, 24, 0.8, 0.9), (0, 26, 0.9, 0.95)], dtype=fields)
    >>> sweep_curve(table[["kernel_width", "iou", "dice"]], table, 26).get_suptitle()
    'Mean IoU is highest at the widest kernel tried, 26 px'
    """
    if summary is None or per_slice is None:
        return None
    figure, panels = new_figure(3.4, columns=2)
    widths = summary["kernel_width"]
    for column, (axes, metric, name) in enumerate(
        zip(panels, ("iou", "dice"), ("IoU", "Dice"), strict=True)
    ):
        for number in np.unique(per_slice["slice"]):
            rows = per_slice[per_slice["slice"] == number]
            label = "one slice" if number == per_slice["slice"][0] else None
            faint = {"color": PALETTE["text"], "alpha": 0.45, "linewidth": 0.8}
            axes.plot(rows["kernel_width"], rows[metric], label=label, **faint)
        axes.plot(
            widths,
            summary[metric],
            "o-",
            color=PALETTE["mask"],
            markersize=4,
            label="measured, mean",
        )
        if published:
            axes.plot(
                list(published),
                [scores[column] for scores in published.values()],
                "D",
                markersize=8,
                markerfacecolor="none",
                markeredgecolor=PALETTE["reference"],
                label="published",
            )
        axes.axvline(kernel_width, color=PALETTE["text"], linestyle=":", linewidth=1)
        axes.set_xlabel("kernel width (px)")
        axes.set_ylabel(f"{name}, mean over slices")
    # Below the panels, since the line of the chosen width stands in the middle of each.
    lines, labels = panels[0].get_legend_handles_labels()
    figure.legend(lines, labels, loc="outside lower center", ncols=3, **LEGEND)
    headline(figure, _peak(widths, summary["iou"]))
    return figure


def slice_dots(
    scores: Sequence[SliceScore] | None, slice_numbers: Sequence[int]
) -> PageFigure | None:
    """Draw each slice's IoU and mean surface distance, beside their means.

    None, so that nothing is shown, without a reference.

    Examples
    --------
    >>> from skullnb.metrics import score
    >>> slice_dots([score([[1, 1, 0]], [[0, 1, 1]])], [104]).get_suptitle()
    'IoU is lowest on slice 104: 0.333'
    """
    if scores is None:
        return None
    figure, panels = new_figure(3.0, columns=2)
    overlaps = np.array([one.iou for one in scores])
    distances = np.array([one.assd for one in scores])
    labels = ("IoU", f"ASSD ({scores[0].unit})")
    for axes, values, label in zip(panels, (overlaps, distances), labels, strict=True):
        known = np.isfinite(values)
        axes.plot(np.array(slice_numbers)[known], values[known], "o", color=PALETTE["mask"])
        if known.any():
            mean = values[known].mean()
            axes.axhline(mean, color=PALETTE["text"], linestyle="--", linewidth=1, label="mean")
            axes.legend(**LEGEND)
        axes.set_xlabel("slice")
        axes.set_ylabel(label)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.margins(x=0.08, y=0.25)
    headline(figure, _lowest(overlaps, slice_numbers))
    return figure


def distance_example(mask: Image, reference: Image) -> PageFigure:
    """Draw two small masks with the distance of every border pixel written into it.

    On the left, from each border pixel of the reference to the nearest of the mask; on the right,
    the other way round. `mask`, `reference`: neither empty; up to some 20 px a side, so that the
    numbers can be read.

    Examples
    --------
    >>> square = np.zeros((5, 5), dtype=np.uint8)
    >>> square[1:4, 1:4] = 1
    >>> figure = distance_example(square, square)
    >>> {text.get_text() for text in figure.axes[0].texts}
    {'0'}
    """
    figure, panels = new_figure(4.0, columns=2)
    sides = (("reference", reference, mask, "mask"), ("mask", mask, reference, "reference"))
    largest = []
    for axes, (kind, here, there, other) in zip(panels, sides, strict=True):
        border = _border(here)
        distances = ndimage.distance_transform_edt(~_border(there))
        draw_cells(axes, there, other, alpha=0.2)
        draw_cells(axes, here, kind, alpha=0.2)
        draw_cells(axes, border, kind, alpha=1.0)
        for row, column in np.argwhere(border):
            text = f"{distances[row, column]:.3g}"
            # Near-black on the palette's middling colours, whatever the page behind.
            axes.text(column, row, text, ha="center", va="center", fontsize=9, color="#111111")
        largest.append(distances[border].max())
        caption(axes, f"from the {kind} to the {other}: at most {largest[-1]:.3g} px")
        _frame_cells(axes, mask | reference)
    headline(figure, f"The largest border distance is {max(largest):.3g} px")
    return figure


def gallery(
    images: Image, masks: Image, reference: Image | None, slice_numbers: Sequence[int]
) -> PageFigure:
    """Draw the slices with the outlines of mask and reference.

    Of a stack longer than `MOST_PICTURES`, slices spread evenly over it.

    Examples
    --------
    >>> images = np.zeros((2, 8, 8))
    >>> gallery(images, np.zeros((2, 8, 8), dtype=np.uint8), None, [104, 105]).get_suptitle()
    'Slices without a mask: 2 of 2'
    """
    chosen = spread(len(images), MOST_PICTURES)
    columns = 3 if len(chosen) <= 9 else 5
    box = mask_box(np.max(masks if reference is None else [*masks, *reference], axis=0))
    height, width = images[0][box].shape
    figure, panels = picture_grid(len(chosen), columns, height / width, 15.0)
    for axes, index in zip(panels, chosen, strict=True):
        nothing = "" if masks[index].any() else ", no mask"
        text = f"slice {slice_numbers[index]}{nothing}"
        draw_slice(axes, images[index][box], text, rows=900 // columns)
        if reference is not None:
            outline(axes, reference[index][box], "reference")
        outline(axes, masks[index][box], "mask")
    n_empty = len(masks) - int(np.count_nonzero(masks.any(axis=(1, 2))))
    without = f"Slices without a mask: {n_empty} of {len(masks)}"
    finding = without if n_empty else "Every slice has some mask"
    some = f"; {len(chosen)} of the {len(images)} slices are shown"
    headline(figure, finding + some * (len(chosen) < len(images)))
    return figure


def _peak(widths: NDArray[Any], values: NDArray[Any]) -> str:
    if np.all(np.isnan(values)):
        return "Mask and reference mask are empty on every slice"
    best = widths[np.nanargmax(values)]
    for name, end in (("narrowest", min(widths)), ("widest", max(widths))):
        if best == end:
            return f"Mean IoU is highest at the {name} kernel tried, {best} px"
    return f"Mean IoU is highest at a kernel width of {best} px"


def _lowest(values: NDArray[Any], slice_numbers: Sequence[int]) -> str:
    if np.all(np.isnan(values)):
        return "Mask and reference mask are empty on every slice"
    index = int(np.nanargmin(values))
    return f"IoU is lowest on slice {slice_numbers[index]}: {values[index]:.3f}"


def _border(mask: Image) -> NDArray[np.bool_]:
    inside = np.asarray(mask, dtype=bool)
    return np.asarray(inside & ~ndimage.binary_erosion(inside))


def _frame_cells(axes: Any, mask: Image) -> None:
    """Draw the pixel grid around what there is, square, row 0 at the top."""
    rows, columns = np.nonzero(mask)
    low = max(0, min(rows.min(), columns.min()) - 1)
    high = max(rows.max(), columns.max()) + 1
    axes.set_xlim(low - 0.5, high + 0.5)
    axes.set_ylim(high + 0.5, low - 0.5)
    axes.set_aspect("equal")
    axes.set_xticks(range(low, high + 1))
    axes.set_yticks(range(low, high + 1))
    axes.tick_params(labelsize=7, length=0)
    axes.grid(visible=False)
    axes.set_xticks(np.arange(low, high + 2) - 0.5, minor=True)
    axes.set_yticks(np.arange(low, high + 2) - 0.5, minor=True)
    axes.grid(which="minor", color=PALETTE["faint"], linewidth=0.6)
    axes.tick_params(which="minor", length=0)
    for side in axes.spines.values():
        side.set_visible(False)
