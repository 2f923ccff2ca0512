"""Figures of the development story: one slice through the versions, and their scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from IPython.display import HTML
from numpy.typing import NDArray

from skullnb.errors import InvalidSetting
from skullnb.figures.drawing import draw_slice
from skullnb.figures.flipbook import flipbook_html
from skullnb.figures.frames import outlined_slice
from skullnb.figures.layout import LEGEND, headline, mask_box, picture_grid
from skullnb.figures.style import PALETTE, PageFigure, new_figure, outline
from skullnb.history import Recipe
from skullnb.journey import Measured, largest_gain, meetings
from skullnb.metrics import iou
from skullnb.stack import Stack

Image = NDArray[Any]
Mask = NDArray[np.uint8]

# Lines of one figure differ in dash as well as in colour.
_LINES = (("mask", "-"), ("skull", "--"), ("brain", ":"))


def version_strip(stack: Stack, index: int, recipes: Sequence[Recipe]) -> PageFigure:
    """Draw one slice as each recipe masks it.

    The mask tinted, the reference outlined.

    Examples
    --------
    >>> from skullnb.history import recipe
    >>> version_strip(Stack(np.eye(40)[None]), 0, [recipe("v1"), recipe("v2")]).get_suptitle()
    'One slice, 2 recipes'
    """
    image, reference, masks, box = masked_slice(stack, index, recipes)
    height, width = image[box].shape
    columns = min(3, len(recipes))
    figure, panels = picture_grid(len(recipes), columns, height / width, 8.0)
    scores = [_iou(mask, reference) for mask in masks]
    for axes, one, mask, score in zip(panels, recipes, masks, scores, strict=True):
        found = "" if score is None else f", IoU {score:.2f}"
        draw_slice(axes, image[box], f"{one.version}{found}", tints=[(mask[box], "mask")], rows=200)
        if reference is not None:
            outline(axes, reference[box], "reference")
    known = [score for score in scores if score is not None]
    finding = f"One slice, {len(recipes)} recipes"
    if known:
        finding += f": IoU from {min(known):.2f} to {max(known):.2f}"
    headline(figure, finding)
    return figure


def version_flipbook(stack: Stack, index: int, recipes: Sequence[Recipe]) -> HTML:
    """Make a flip-book of one slice through the recipes.

    Opens at the last recipe.

    Examples
    --------
    >>> from skullnb.history import recipe
    >>> html = version_flipbook(Stack(np.eye(40)[None]), 0, [recipe("v1"), recipe("v7")])
    >>> html.data.count("<img")
    2
    """
    image, reference, masks, box = masked_slice(stack, index, recipes)
    behind = [] if reference is None else [(reference, "reference")]
    frames = []
    for one, mask in zip(recipes, masks, strict=True):
        score = _iou(mask, reference)
        label = f"{one.version}: {one.name}" + ("" if score is None else f", IoU {score:.2f}")
        frames.append((label, outlined_slice(image, [*behind, (mask, "mask")], box)))
    alt = "The same slice with the outline of the mask that each version of the recipe gives"
    return HTML(flipbook_html(frames, default=len(frames) - 1, alt=alt))


def journey_chart(measured: Sequence[Measured], is_published_stack: bool) -> PageFigure | None:
    """Draw the scores of the recipes in the order of the story.

    None, so that nothing is shown, without a reference mask. `is_published_stack`: whether to set
    the published scores beside them.

    Examples
    --------
    >>> from skullnb.history import recipe
    >>> rows = [Measured(recipe(name), (value,), value) for name, value in
    ...         [("v1", 0.73), ("v3-v4", 0.55), ("v5", 0.96)]]
    >>> journey_chart(rows, is_published_stack=True).get_suptitle()
    'The largest gain comes with v5'
    """
    if not measured or any(one.iou is None for one in measured):
        return None
    figure, axes = new_figure(0.6 + 0.28 * len(measured))
    places = np.arange(len(measured))[::-1]
    for place, one in zip(places, measured, strict=True):
        axes.plot(one.slice_iou, [place] * len(one.slice_iou), "|", color=PALETTE["mask"], ms=9)
    ours = [one.iou for one in measured]
    axes.plot(ours, places, "o", color=PALETTE["mask"], label="measured, mean (bars: slices)")
    if is_published_stack:
        theirs = [one.recipe.published_iou for one in measured]
        style = {"mfc": "none", "mec": PALETTE["reference"], "ms": 10}
        axes.plot(theirs, places, "o", label="published", **style)
    axes.set_yticks(places, [f"{one.recipe.version}: {one.recipe.name}" for one in measured])
    axes.set_xlabel("IoU")
    axes.legend(loc="best", **LEGEND)
    headline(figure, f"The largest gain comes with {largest_gain(measured)[0]}")
    return figure


def scan_curves(
    scans: Mapping[str, NDArray[Any]], targets: Mapping[str, float], xlabel: str
) -> PageFigure | None:
    """Draw families of recipes over their free number, with the IoUs they might explain.

    None, so that nothing is shown, without a reference mask. `scans`: family to its
    `skullnb.journey.scan`; at most three. `targets`: published IoUs by version; none where they do
    not apply.

    Examples
    --------
    >>> fields = [("value", int), ("iou", float)]
    >>> scan = np.array([(18, 0.94), (26, 0.98), (34, 0.95)], dtype=fields)
    >>> scan_curves({"ellipse": scan}, {"v5": 0.96}, "kernel width (px)").get_suptitle()
    'Crossings of 0.96 (v5): 2'
    """
    if any(np.all(np.isnan(rows["iou"])) for rows in scans.values()):
        return None
    figure, axes = new_figure(3.2)
    for (name, rows), (kind, dash) in zip(scans.items(), _LINES, strict=False):
        axes.plot(rows["value"], rows["iou"], dash, color=PALETTE[kind], label=name)
    for version, value in targets.items():
        axes.axhline(value, color=PALETTE["reference"], linewidth=1)
        where = {"transform": axes.get_yaxis_transform(), "ha": "right", "va": "bottom"}
        axes.text(0.995, value, version, color=PALETTE["reference"], fontsize=9, **where)
    axes.set(xlabel=xlabel, ylabel="mean IoU")
    axes.legend(loc="best", **LEGEND)
    found = []
    for version, value in targets.items():
        count = sum(len(meetings(rows, value)) for rows in scans.values())
        found.append(f"Crossings of {value} ({version}): {count}")
    headline(figure, "; ".join(found) or "How the score depends on the free number")
    return figure


def masked_slice(
    stack: Stack, index: int, recipes: Sequence[Recipe]
) -> tuple[Image, Mask | None, list[Mask], tuple[slice, slice]]:
    """Mask one slice with several recipes.

    Returns
    -------
    image : (H, W) array
    reference : (H, W) uint8 {0, 1} or None
    masks : list of (H, W) uint8 {0, 1}
    box : (rows, columns)
        Around all of them.

    Raises
    ------
    InvalidSetting
        If there is no recipe.

    Examples
    --------
    >>> from skullnb.history import recipe
    >>> masked_slice(Stack(np.eye(40)[None]), 0, [recipe("v2")])[3]
    (slice(0, 40, None), slice(0, 40, None))
    """
    if not recipes:
        raise InvalidSetting("Give at least one recipe to mask the slice with.")
    image = stack.images[index]
    reference = None if stack.reference is None else stack.reference[index]
    masks = [one.make_mask(image) for one in recipes]
    box = mask_box(np.max(masks if reference is None else [*masks, reference], axis=0))
    return image, reference, masks, box


def _iou(mask: Mask, reference: Mask | None) -> float | None:
    return None if reference is None else iou(mask, reference)
