"""Tables and sentences about what an overlap says about the border."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from IPython.display import Markdown

from skullnb.figures.tables import markdown_table, no_reference
from skullnb.metrics import SliceScore, aggregate, score
from skullnb.offset import dice_of_offset, equivalent_radius, offset_of_dice, same_dice
from skullnb.pipeline import Mask


def offset_table(
    mask: Mask, offsets: Sequence[float], spacing_mm: tuple[float, float] | None = None
) -> Markdown:
    """Score a mask whose border is moved, and one with as many wrong pixels in one place.

    Parameters
    ----------
    mask : (H, W) uint8 {0, 1}
        What both are compared with.
    offsets : sequence of float
        In px, outward.
    spacing_mm : (row, column), optional
        Distances are in mm with it.

    Returns
    -------
    IPython.display.Markdown

    Examples
    --------
    >>> import numpy as np
    >>> mask = np.zeros((60, 60), dtype=np.uint8)
    >>> mask[20:40, 20:40] = 1
    >>> for line in offset_table(mask, [2]).data.splitlines()[2:]:
    ...     print(line)
    | 2 px everywhere | 0.8299 | 1.97 | 2.00 | 2.00 | 0.000 |
    | as many in one place | 0.8299 | 1.72 | 10.00 | 10.00 | 0.730 |
    """
    if not mask.any():
        return Markdown("No slice has a mask, so there is no border to move.")
    rows: list[list[Any]] = []
    unit = "px" if spacing_mm is None else "mm"
    for offset in offsets:
        moved, bumped = same_dice(mask, offset)
        rows.append([f"{offset:g} px everywhere", *_distances(score(moved, mask, spacing_mm))])
        rows.append(["as many in one place", *_distances(score(bumped, mask, spacing_mm))])
    header = ["border", "Dice", f"ASSD ({unit})", f"HD95 ({unit})", f"Hausdorff ({unit})"]
    header.append(f"NSD at 1 {unit}")
    return markdown_table(header, rows, ["", ".4f", ".2f", ".2f", ".2f", ".3f"])


def size_table(radii: Sequence[tuple[str, float]], offsets: Sequence[float]) -> Markdown:
    """List the Dice that a border off by so much has on heads of several sizes.

    Parameters
    ----------
    radii : sequence of (name, radius)
        Of discs, in px.
    offsets : sequence of float
        In px, outward.

    Returns
    -------
    IPython.display.Markdown

    Examples
    --------
    >>> print(size_table([("small", 100.0)], [1, 2]).data.splitlines()[2])
    | small | 100 | 0.9900 | 0.9802 |
    """
    header = ["head", "radius (px)", *(f"{offset:g} px out" for offset in offsets)]
    rows = [
        [name, radius, *(dice_of_offset(radius, offset) for offset in offsets)]
        for name, radius in radii
    ]
    return markdown_table(header, rows, ["", ".0f", *[".4f"] * len(offsets)])


def head_sizes(
    smallest_radius: float, mask: Mask, shape: tuple[int, int]
) -> list[tuple[str, float]]:
    """Name the heads between which the published ones lie, with the one at hand.

    Parameters
    ----------
    smallest_radius : float
        In px, from `skullnb.head_model.smallest_head`.
    mask : (H, W) uint8 {0, 1}
        The head at hand; left out when it is empty.
    shape : (H, W)
        Of a published slice, in px.

    Returns
    -------
    list of (name, radius)
        In px.

    Examples
    --------
    >>> import numpy as np
    >>> head_sizes(218.0, np.ones((10, 10), dtype=np.uint8), (768, 624))[1:]
    [('largest slice here', 5.64...), ('largest ellipse in the published frame', 346.13...)]
    """
    sizes = [("smallest that the published table allows", smallest_radius)]
    if mask.any():
        sizes.append(("largest slice here", equivalent_radius(mask)))
    return [*sizes, ("largest ellipse in the published frame", math.sqrt(math.prod(shape)) / 2)]


def offsets_of(dice: float, sizes: Sequence[tuple[str, float]]) -> dict[str, float]:
    """Turn a published Dice into distances, under the names that a chapter records.

    Parameters
    ----------
    dice : float
    sizes : sequence of (name, radius)
        From `head_sizes`.

    Returns
    -------
    dict
        published_dice, offset_smallest and offset_largest, in px.

    Examples
    --------
    >>> offsets_of(0.99, [("small", 100.0), ("large", 200.0)])["offset_largest"]
    2.01...
    """
    radii = [sizes[0][1], sizes[-1][1]]
    near, far = (offset_of_dice(radius, dice) for radius in radii)
    return {"published_dice": dice, "offset_smallest": near, "offset_largest": far}


def measured_distances(scores: Sequence[SliceScore] | None) -> dict[str, float | str | None]:
    """Bring the distances of these slices under the names that a chapter records.

    Parameters
    ----------
    scores : sequence of SliceScore or None
        None = there is no reference.

    Returns
    -------
    dict
        mean_dice, mean_assd, mean_hd95, mean_nsd and unit; all None without a reference.

    Examples
    --------
    >>> measured_distances([score([[1, 1, 0]], [[1, 1, 1]])])["mean_assd"]
    0.2
    """
    names = ("dice", "assd", "hd95", "nsd")
    if scores is None:
        return dict.fromkeys([*(f"mean_{name}" for name in names), "unit"])
    both = aggregate(scores)
    return {**{f"mean_{name}": both.mean[name] for name in names}, "unit": both.unit}


def distance_verdict(scores: Sequence[SliceScore] | None) -> str:
    """Say how far off the border is on the slices at hand.

    Parameters
    ----------
    scores : sequence of SliceScore or None
        None = there is no reference.

    Returns
    -------
    str
        Markdown for `Chapter.say`; needs what `measured_distances` gives.

    Examples
    --------
    >>> distance_verdict(None)[:30]
    '*No reference mask was given, '
    """
    if scores is None:
        return str(no_reference("how far off the border is").data)
    return (
        "On these slices, at the kernel width chosen: Dice {mean_dice:.4f}; the border is off by "
        "**{mean_assd:.2f} {unit}** on average (ASSD), 95% of it by less than "
        "{mean_hd95:.2f} {unit} (HD95), and {mean_nsd:.0%} of it lies within 1 {unit} (NSD)."
    )


def _distances(one: SliceScore) -> list[float]:
    return [one.dice, one.assd, one.hd95, one.hausdorff, one.nsd]
