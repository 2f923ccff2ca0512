"""Figures and tables of the development story: one slice through the versions, and their scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from IPython.display import HTML, Markdown
from numpy.typing import NDArray

from skullnb.figures.drawing import draw_slice
from skullnb.figures.flipbook import flipbook_html
from skullnb.figures.frames import head_box, outlined_slice
from skullnb.figures.layout import LEGEND, headline
from skullnb.figures.style import PALETTE, WIDTH_INCHES, new_figure, outline
from skullnb.figures.tables import markdown_table
from skullnb.history import Recipe
from skullnb.journey import Measured
from skullnb.metrics import iou

Image = NDArray[Any]
Mask = NDArray[np.uint8]

# Lines of one figure differ in dash as well as in colour.
_LINES = (("mask", "-"), ("skull", "--"), ("brain", ":"))


def version_strip(image: Image, reference: Mask | None, recipes: Sequence[Recipe]) -> Any:
    """Draw one slice as each recipe masks it.

    Parameters
    ----------
    image : (H, W) array
    reference : (H, W) uint8 {0, 1} or None
    recipes : sequence of Recipe

    Returns
    -------
    PageFigure
        The mask tinted, the reference outlined.

    Examples
    --------
    >>> from skullnb.history import recipe
    >>> version_strip(np.eye(40), None, [recipe("v1"), recipe("v2")]).get_suptitle()
    'One slice, 2 recipes'
    """
    masks = [one.make_mask(image) for one in recipes]
    box = head_box(np.max(masks if reference is None else [*masks, reference], axis=0))
    height, width = image[box].shape
    columns = min(3, len(recipes))
    rows = -(-len(recipes) // columns)
    cell = WIDTH_INCHES / columns * height / width + 0.3
    figure, panels = new_figure(min(rows * cell + 0.4, 8.0), rows, columns, squeeze=False)
    for axes in panels.flat[len(recipes) :]:
        axes.remove()
    scores = [_iou(mask, reference) for mask in masks]
    for axes, one, mask, score in zip(panels.flat, recipes, masks, scores, strict=False):
        found = "" if score is None else f", IoU {score:.2f}"
        draw_slice(axes, image[box], f"{one.version}{found}", tints=[(mask[box], "mask")], rows=260)
        if reference is not None:
            outline(axes, reference[box], "reference")
    known = [score for score in scores if score is not None]
    finding = f"One slice, {len(recipes)} recipes"
    if known:
        finding += f": IoU from {min(known):.2f} to {max(known):.2f}"
    headline(figure, finding)
    return figure


def version_flipbook(image: Image, reference: Mask | None, recipes: Sequence[Recipe]) -> HTML:
    """Make a flip-book of one slice through the recipes.

    Parameters
    ----------
    image : (H, W) array
    reference : (H, W) uint8 {0, 1} or None
    recipes : sequence of Recipe

    Returns
    -------
    IPython.display.HTML
        Opens at the last recipe.

    Examples
    --------
    >>> from skullnb.history import recipe
    >>> version_flipbook(np.eye(40), None, [recipe("v1"), recipe("v7")]).data.count("<img")
    2
    """
    masks = [one.make_mask(image) for one in recipes]
    box = head_box(np.max(masks if reference is None else [*masks, reference], axis=0))
    behind = [] if reference is None else [(reference, "reference")]
    frames = []
    for one, mask in zip(recipes, masks, strict=True):
        score = _iou(mask, reference)
        label = f"{one.version}: {one.name}" + ("" if score is None else f", IoU {score:.2f}")
        frames.append((label, outlined_slice(image, [*behind, (mask, "mask")], box)))
    alt = "The same slice with the outline of the mask that each version of the recipe gives"
    return HTML(flipbook_html(frames, default=len(frames) - 1, alt=alt))


def journey_table(measured: Sequence[Measured], is_published_stack: bool) -> Markdown:
    """List the recipes with their scores, the published ones beside them where they apply.

    Parameters
    ----------
    measured : sequence of Measured
        From `skullnb.journey.measure`.
    is_published_stack : bool

    Returns
    -------
    IPython.display.Markdown

    Examples
    --------
    >>> from skullnb.history import recipe
    >>> rows = [Measured(recipe("v1"), (0.71, 0.76), 0.735)]
    >>> print(journey_table(rows, is_published_stack=True).data.splitlines()[2])
    | v1 | Otsu, largest component | 0.73 | 0.735 | yes |
    >>> print(journey_table(rows, is_published_stack=False).data.splitlines()[2])
    | v1 | Otsu, largest component | 0.735 | 0.710 | 0.760 |
    """
    if is_published_stack:
        header = ["version", "recipe", "IoU, published", "IoU, measured", "agrees"]
        rows = [
            [one.recipe.version, one.recipe.name, one.recipe.published_iou, one.iou, one.agrees]
            for one in measured
        ]
        return markdown_table(header, rows, ["", "", ".2f", ".3f", ""])
    header = ["version", "recipe", "mean IoU", "lowest slice", "highest slice"]
    rows = [
        [
            one.recipe.version,
            one.recipe.name,
            one.iou,
            min(one.slice_iou, default=None),
            max(one.slice_iou, default=None),
        ]
        for one in measured
    ]
    return markdown_table(header, rows, ["", "", ".3f", ".3f", ".3f"])


def journey_chart(measured: Sequence[Measured], is_published_stack: bool) -> Any:
    """Draw the scores of the recipes in the order of the story.

    Parameters
    ----------
    measured : sequence of Measured
    is_published_stack : bool
        Whether to set the published scores beside them.

    Returns
    -------
    PageFigure or None
        None, so that nothing is shown, without a reference mask.

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
    headline(figure, f"The largest gain comes with {_largest_gain(measured)}")
    return figure


def scan_curves(
    scans: Mapping[str, NDArray[Any]], targets: Mapping[str, float], xlabel: str
) -> Any:
    """Draw families of recipes over their free number, with the IoUs they might explain.

    Parameters
    ----------
    scans : mapping of str to (n,) structured array
        Family to its `skullnb.journey.scan`; at most three.
    targets : mapping of str to float
        Published IoUs by version; none where they do not apply.
    xlabel : str

    Returns
    -------
    PageFigure or None
        None, so that nothing is shown, without a reference mask.

    Examples
    --------
    >>> fields = [("value", int), ("iou", float)]
    >>> scan = np.array([(18, 0.94), (26, 0.98), (34, 0.95)], dtype=fields)
    >>> scan_curves({"ellipse": scan}, {"v5": 0.96}, "kernel width (px)").get_suptitle()
    'crossings of 0.96 (v5): 2'
    """
    if any(np.all(np.isnan(rows["iou"])) for rows in scans.values()):
        return None
    figure, axes = new_figure(3.2)
    for (name, rows), (kind, dash) in zip(scans.items(), _LINES, strict=False):
        axes.plot(rows["value"], rows["iou"], dash, color=PALETTE[kind], label=name)
    for version, value in targets.items():
        axes.axhline(value, color=PALETTE["reference"], linewidth=1)
        axes.text(
            0.995,
            value,
            version,
            transform=axes.get_yaxis_transform(),
            ha="right",
            va="bottom",
            color=PALETTE["reference"],
            fontsize=9,
        )
    axes.set(xlabel=xlabel, ylabel="mean IoU")
    axes.legend(loc="best", **LEGEND)
    found = []
    for version, value in targets.items():
        count = sum(len(meetings(rows, value)) for rows in scans.values())
        found.append(f"crossings of {value} ({version}): {count}")
    headline(figure, "; ".join(found) or "How the score depends on the free number")
    return figure


def meetings(rows: NDArray[Any], target: float) -> list[float]:
    """Find where a scan meets an IoU.

    Parameters
    ----------
    rows : (n,) structured array
        From `skullnb.journey.scan`.
    target : float

    Returns
    -------
    list of float
        Values of the free number, between two of the scan by straight lines.

    Examples
    --------
    >>> meetings(np.array([(10, 0.9), (20, 0.8)], dtype=[("value", int), ("iou", float)]), 0.85)
    [15.0]
    """
    value, off = rows["value"].astype(np.float64), rows["iou"] - target
    here = np.flatnonzero((off[:-1] < 0) != (off[1:] < 0))
    part = off[here] / (off[here] - off[here + 1])
    return [
        float(place) for place in (value[here] + part * (value[here + 1] - value[here])).round(6)
    ]


def _largest_gain(measured: Sequence[Measured]) -> str:
    first: dict[str, float] = {}
    for one in measured:
        first.setdefault(one.recipe.version, one.iou or 0.0)
    versions, values = list(first), list(first.values())
    if len(values) < 2:
        return versions[0]
    return versions[int(np.argmax(np.diff(values))) + 1]


def _iou(mask: Mask, reference: Mask | None) -> float | None:
    return None if reference is None else iou(mask, reference)
