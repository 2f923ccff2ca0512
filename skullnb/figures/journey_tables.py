"""Tables and sentences of the development story."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from IPython.display import Markdown
from numpy.typing import NDArray

from skullnb.figures.journey import masked_slice
from skullnb.figures.tables import markdown_table, no_reference
from skullnb.history import Recipe
from skullnb.journey import Measured, meetings
from skullnb.metrics import precision, recall
from skullnb.stack import Stack


def area_table(stack: Stack, index: int, recipes: Sequence[Recipe]) -> Markdown:
    """List how large each recipe's mask of one slice is, and how it compares with the reference.

    Parameters
    ----------
    stack : Stack
    index : int
        Which slice.
    recipes : sequence of Recipe

    Returns
    -------
    IPython.display.Markdown
        Without a reference mask only the area.

    Examples
    --------
    >>> from skullnb.history import recipe
    >>> image = np.zeros((1, 30, 30))
    >>> image[0, 10:20, 10:20] = 1
    >>> print(area_table(Stack(image), 0, [recipe("v1")]).data.splitlines()[2])
    | v1 | Otsu, largest component | 100 | – | – |
    """
    _, reference, masks, _ = masked_slice(stack, index, recipes)
    rows = []
    for one, mask in zip(recipes, masks, strict=True):
        compared = (
            [None, None]
            if reference is None
            else [precision(mask, reference), recall(mask, reference)]
        )
        rows.append([one.version, one.name, int(np.count_nonzero(mask)), *compared])
    header = ["version", "recipe", "area (px)", "precision", "recall"]
    return markdown_table(header, rows, ["", "", ",d", ".3f", ".3f"])


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
    if any(one.iou is None for one in measured):
        return no_reference("the scores of the versions")
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


def scan_table(
    scans: Mapping[str, NDArray[Any]], targets: Mapping[str, float], what: str
) -> Markdown:
    """List where families of recipes are best, and where they meet published IoUs.

    Parameters
    ----------
    scans : mapping of str to (n,) structured array
        Family to its `skullnb.journey.scan`.
    targets : mapping of str to float
        Published IoUs by version; none where they do not apply.
    what : str
        Name of the free number.

    Returns
    -------
    IPython.display.Markdown

    Examples
    --------
    >>> fields = [("value", int), ("iou", float)]
    >>> scan = np.array([(18, 0.94), (26, 0.98), (34, 0.94)], dtype=fields)
    >>> print(scan_table({"ellipse": scan}, {"v5": 0.96}, "width").data.splitlines()[2])
    | ellipse | 0.980 | 26 | 22.0, 30.0 |
    """
    if any(np.all(np.isnan(rows["iou"])) for rows in scans.values()):
        return no_reference("the scores of other recipes")
    header = ["recipe", "best mean IoU", f"at {what}"]
    header += [f"meets {value} ({version}) at" for version, value in targets.items()]
    lines = []
    for name, rows in scans.items():
        best = rows[np.nanargmax(rows["iou"])]
        met = [
            ", ".join(f"{place:.1f}" for place in meetings(rows, value)) or "nowhere"
            for value in targets.values()
        ]
        lines.append([name, best["iou"], best["value"], *met])
    return markdown_table(header, lines, ["", ".3f", "", *[""] * len(targets)])


def journey_verdict(measured: Sequence[Measured], is_published_stack: bool) -> str:
    """Say what the scores of the versions show.

    Parameters
    ----------
    measured : sequence of Measured
    is_published_stack : bool

    Returns
    -------
    str
        Markdown for `Chapter.say`; with a reference mask it needs what
        `skullnb.journey.recorded` gives.

    Examples
    --------
    >>> journey_verdict([], is_published_stack=False)[:31]
    '*No reference mask was given, s'
    """
    if not measured or any(one.iou is None for one in measured):
        return str(no_reference("what the versions brought").data)
    text = (
        "The largest gain is the step to **{largest_gain_version}**, {largest_gain:+.2f} in IoU; "
        "after it, all tuning together changes it by {gain_after_v5:+.3f}."
    )
    if is_published_stack:
        text += (
            " Of {n_recipes} recipes, {n_agreeing} come within {agrees_within} of the published "
            "IoU of their version. The built-in slices were calibrated to v1, v2 and v7, so their "
            "agreement is by construction; and the candidates for the others were *chosen* because "
            "they agree. What the table shows is not which recipe the author used, but that the "
            "story hangs together: there are such recipes for every line of it."
        )
    return text


def openness(is_published_stack: bool, has_reference: bool) -> str:
    """Say how many recipes fit what the article says of v3 to v6, and how well a threshold can do.

    Parameters
    ----------
    is_published_stack, has_reference : bool

    Returns
    -------
    str
        Markdown for `Chapter.say`; with a reference mask it needs best_ending, best_threshold
        and best_threshold_iou, on the built-in stack also what `skullnb.journey.crossings` gives.

    Examples
    --------
    >>> openness(is_published_stack=False, has_reference=True)[:27]
    'The published IoUs are abou'
    """
    threshold = (
        " One thing the story does not tell: of all thresholds tried here, {best_threshold} with "
        "“{best_ending}” does best, and reaches {best_threshold_iou:.2f} with no dilation at all. "
        "It was found by looking at the reference, like every tuned number."
    )
    if is_published_stack:
        return (
            "The lines cross v3-v4's {published_v3_v4} at **{crossings_v3_v4}** places, v5's "
            "{published_v5} at **{crossings_v5}** and v6's {published_v6} at **{crossings_v6}**: "
            "low thresholds and high ones, kernels too narrow and kernels too wide. A score to two "
            "decimals does not tell them apart, and the words do not either. *To repeat a method, "
            "a reader needs its numbers, not its name.*" + threshold
        )
    if has_reference:
        return (
            "The published IoUs are about other slices, so there is nothing here to meet. The "
            "lines show how much each recipe's free number matters on these." + threshold
        )
    return str(no_reference("how the free numbers matter").data)
