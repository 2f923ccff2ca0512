"""What the chapters on dilation, metrics and your data say about the data at hand.

Numbers come under the names that pages quote them by; sentences are for
`skullnb.chapter.Chapter.say`, so that no number is typed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skullnb.metrics import SliceScore, aggregate
from skullnb.sweep import summarise

_MEANS = ("iou", "dice", "assd", "hd95", "nsd")
_POOLED = ("iou", "dice")


def sweep_numbers(sweep: NDArray[Any] | None) -> dict[str, Any]:
    """Bring a sweep under the names that pages quote it by.

    Parameters
    ----------
    sweep : (n,) structured array or None
        From `skullnb.sweep.sweep_kernel_width`, with iou and dice; None = no reference.

    Returns
    -------
    dict
        sweep_width, sweep_iou and sweep_dice (lists), best_width (by mean IoU), and
        best_width_per_slice (list, None where every IoU is NaN); all None without a reference.

    Examples
    --------
    >>> fields = [("slice", int), ("kernel_width", int), ("iou", float), ("dice", float)]
    >>> numbers = sweep_numbers(np.array([(0, 24, 0.8, 0.9), (0, 26, 0.9, 0.95)], dtype=fields))
    >>> numbers["best_width"], numbers["best_width_per_slice"]
    (26, [26])
    """
    names = ("sweep_width", "sweep_iou", "sweep_dice", "best_width", "best_width_per_slice")
    if sweep is None:
        return dict.fromkeys(names)
    rows = summarise(sweep)
    per_slice = [
        _best(sweep["kernel_width"][chosen], sweep["iou"][chosen])
        for chosen in (sweep["slice"] == number for number in np.unique(sweep["slice"]))
    ]
    best = _best(rows["kernel_width"], rows["iou"])
    values = (rows["kernel_width"], rows["iou"], rows["dice"], best, per_slice)
    return dict(zip(names, values, strict=True))


def sweep_verdict(sweep_width: Sequence[int] | None, best_width: int | None) -> str:
    """Say which width did best, and whether that can be believed.

    Parameters
    ----------
    sweep_width : sequence of int or None
        The widths tried, rising; None = no reference.
    best_width : int or None
        None = none did.

    Returns
    -------
    str
        Markdown for `Chapter.say`; needs what `sweep_numbers` returns.

    Examples
    --------
    >>> sweep_verdict([24, 26], 26)[:40]
    'Mean IoU is highest at the widest kernel'
    >>> sweep_verdict(None, None)
    'Without a reference mask no width can be called best. What can be said is above: ...'
    """
    if sweep_width is None:
        return (
            "Without a reference mask no width can be called best. What can be said is above: how "
            "far the element reaches, and how much the mask grows with it. Choose a width by "
            "looking at the flip-book, or better, draw a reference on a few slices."
        )
    if best_width is None:
        return "Mask and reference mask are empty on every slice, so no width can be called best."
    for end, name, beyond in ((0, "narrowest", "below"), (-1, "widest", "above")):
        if best_width == sweep_width[end]:
            return (
                f"Mean IoU is highest at the {name} kernel tried, **{{best_width}} px**. The best "
                f"may lie {beyond} it: run again with `kernel_width={best_width}` to look there."
            )
    return (
        "Mean IoU is highest at a kernel **{best_width} px** wide. Slice by slice, the best widths "
        "are {best_width_per_slice} px."
    )


def physical_width(spacing_mm: tuple[float, float] | None) -> str:
    """Say what the kernel width is in millimetres.

    Parameters
    ----------
    spacing_mm : (row, column) or None
        In mm per pixel.

    Returns
    -------
    str
        Markdown for `Chapter.say`; needs width, and width_mm where the spacing is known.

    Examples
    --------
    >>> physical_width(None)[:34]
    'The size of a pixel is not known, '
    """
    if spacing_mm is None:
        return (
            "The size of a pixel is not known, so it cannot be said what {width} px are in the "
            "head. Give `spacing_mm` to find out."
        )
    return (
        "With pixels of {spacing_mm} mm (row, column), the kernel of {width} px spans "
        "{width_mm} mm and reaches about half as far. On a scan with other pixels the same number "
        "is another distance."
    )


def score_numbers(scores: Sequence[SliceScore] | None) -> dict[str, Any]:
    """Bring the scores under the names that pages quote them by.

    Parameters
    ----------
    scores : sequence of SliceScore or None
        Those of the slices; None = there is no reference.

    Returns
    -------
    dict
        mean_iou, mean_dice, mean_assd, mean_hd95, mean_nsd, pooled_iou, pooled_dice, slice_iou
        (list) and unit; all None without a reference.

    Examples
    --------
    >>> from skullnb.metrics import score
    >>> numbers = score_numbers([score([[1, 1, 0]], [[0, 1, 1]])])
    >>> numbers["mean_dice"], numbers["unit"], score_numbers(None)["mean_dice"]
    (0.5, 'px', None)
    """
    names = [*(f"mean_{name}" for name in _MEANS), *(f"pooled_{name}" for name in _POOLED)]
    if scores is None:
        return dict.fromkeys([*names, "slice_iou", "unit"])
    both = aggregate(scores)
    values = [*(both.mean[name] for name in _MEANS), *(both.pooled[name] for name in _POOLED)]
    per_slice = [one.iou for one in scores]
    return {**dict(zip(names, values, strict=True)), "slice_iou": per_slice, "unit": both.unit}


def score_verdict(mean_iou: float | None, is_published_stack: bool) -> str:
    """Say what the scores are, and what they are not.

    Parameters
    ----------
    mean_iou : float or None
        None = there is no reference, or nothing to overlap.
    is_published_stack : bool

    Returns
    -------
    str
        Markdown for `Chapter.say`; needs what `score_numbers` returns, and n_slices.

    Examples
    --------
    >>> score_verdict(None, is_published_stack=False)[:41]
    'There is no score: no reference mask was '
    """
    if mean_iou is None:
        return (
            "There is no score: no reference mask was given, or it is empty where the mask is. "
            "Nothing on this page says how good the masks are. Look at every one of them."
        )
    text = (
        "Over {n_slices} slices the mean IoU is **{mean_iou:.4f}** and the mean Dice "
        "**{mean_dice:.4f}**; pooled over all pixels they are **{pooled_iou:.4f}** and "
        "**{pooled_dice:.4f}**. The borders lie {mean_assd:.2f} {unit} apart on average (ASSD); "
        "HD95 is {mean_hd95:.2f} {unit}, and {mean_nsd:.0%} of the borders are within 1 {unit}."
    )
    if is_published_stack:
        return text + (
            " The head is synthetic and *calibrated to* the published figures: that these scores "
            "agree with them is by construction and no evidence."
        )
    return text + " Scores say how well the masks agree with *this* reference on *these* slices."


def mask_verdict(n_slices: int, n_empty: int, n_warned: int) -> str:
    """Say in one sentence what to look at first.

    Parameters
    ----------
    n_slices, n_empty, n_warned : int
        Slices, those with an empty mask, and those with a warning.

    Returns
    -------
    str
        Markdown for `Chapter.say`; needs n_slices, n_empty and n_warnings.

    Examples
    --------
    >>> mask_verdict(5, 0, 0)[:37]
    '**Every slice has a mask and none was'
    """
    if n_empty == n_slices:
        return "**No slice has a mask.** The table below says why, slice by slice."
    if n_empty:
        return (
            "**{n_empty} of {n_slices} slices have no mask.** The table below says why; look at "
            "the others too, since a mask that exists may still be wrong."
        )
    if n_warned:
        return (
            "**Every slice has a mask, but {n_warnings} of {n_slices} look wrong.** The table below"
            " says what is odd about them."
        )
    return (
        "**Every slice has a mask and none was warned about.** That is not a promise: a mask of a "
        "plausible size in the wrong place gives no warning. Look at the outlines."
    )


def _best(widths: NDArray[Any], values: NDArray[Any]) -> int | None:
    """Width of the highest value, the narrowest of equals; None when all are NaN."""
    return None if np.all(np.isnan(values)) else int(widths[np.nanargmax(values)])
