"""What the sweep and the scores say about the data at hand.

Numbers come under the names that pages quote them by; sentences are for
`skullnb.chapter.Chapter.say`, so that no number is typed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skullnb.metrics import SliceScore, aggregate
from skullnb.published import SOURCE
from skullnb.reach import span_remark
from skullnb.sweep import summarise

_MEANS = ("iou", "dice", "assd", "hd95", "nsd")
_POOLED = ("iou", "dice")


def sweep_numbers(sweep: NDArray[Any] | None) -> dict[str, Any]:
    """Bring a sweep under the names that pages quote it by.

    Gives sweep_width, sweep_iou and sweep_dice (lists), best_width (by mean IoU),
    best_width_per_slice (list, None where every IoU is NaN), and the least and the largest of
    these, lowest_best and highest_best; all None without a reference. `sweep`: from
    `skullnb.sweep.sweep_kernel_width`, with iou and dice; None = no reference.

    Examples
    --------
    >>> fields = [("slice", int), ("kernel_width", int), ("iou", float), ("dice", float)]
    >>> numbers = sweep_numbers(np.array([(0, 24, 0.8, 0.9), (0, 26, 0.9, 0.95)], dtype=fields))
    >>> numbers["best_width"], numbers["best_width_per_slice"]
    (26, [26])
    """
    if sweep is None:
        names = ("sweep_width", "sweep_iou", "sweep_dice", "best_width", "best_width_per_slice")
        return dict.fromkeys([*names, "lowest_best", "highest_best"])
    rows = summarise(sweep)
    per_slice = [
        _best(sweep["kernel_width"][chosen], sweep["iou"][chosen])
        for chosen in (sweep["slice"] == number for number in np.unique(sweep["slice"]))
    ]
    known = [width for width in per_slice if width is not None]
    return {
        "sweep_width": rows["kernel_width"],
        "sweep_iou": rows["iou"],
        "sweep_dice": rows["dice"],
        "best_width": _best(rows["kernel_width"], rows["iou"]),
        "best_width_per_slice": per_slice,
        "lowest_best": min(known, default=None),
        "highest_best": max(known, default=None),
    }


def sweep_verdict(numbers: Mapping[str, Any]) -> str:
    """Say which width did best, and whether that can be believed.

    Needs the same numbers. `numbers`: from `sweep_numbers`.

    Examples
    --------
    >>> sweep_verdict({"sweep_width": [24, 26], "best_width": 26})[:40]
    'Mean IoU is highest at the widest kernel'
    >>> sweep_verdict({"sweep_width": None})[:52]
    'Without a reference mask no width can be called best'
    """
    widths = numbers["sweep_width"]
    if widths is None:
        return (
            "Without a reference mask no width can be called best. What can be said is above: how "
            "far the element reaches, and how much the mask grows with it. Choose a width by "
            "looking at the picture below, or better, draw a reference on a few slices."
        )
    best = numbers["best_width"]
    if best is None:
        return "Mask and reference mask are empty on every slice, so no width can be called best."
    for end, name, beyond in ((0, "narrowest", "below"), (-1, "widest", "above")):
        if best == widths[end]:
            return (
                f"Mean IoU is highest at the {name} kernel tried, **{{best_width}} px**. The best "
                f"may lie {beyond} it: run again with `kernel_width={best}` to look there."
            )
    text = "Mean IoU is highest at a kernel **{best_width} px** wide. Taken slice by slice, "
    if numbers["lowest_best"] == numbers["highest_best"]:
        return text + "the best width is the same on every slice."
    return text + "the best width runs from {lowest_best} to {highest_best} px."


def sweep_origin(is_published_stack: bool, has_reference: bool) -> str:
    """Say what the agreement of a sweep with the published one means.

    Examples
    --------
    >>> sweep_origin(is_published_stack=False, has_reference=False)
    'There is nothing to compare with the article: its figures belong to other images.'
    """
    if is_published_stack:
        return (
            f"{SOURCE}. Measured: on the built-in stack, which is synthetic "
            "and *calibrated to* these figures. The thickness of its skull was tuned until the "
            "sweep came out, so the agreement is by construction and is not evidence."
        )
    if has_reference:
        return (
            "The article's sweep belongs to other images, so it is not set beside this one. Its "
            "best width need not be yours."
        )
    return "There is nothing to compare with the article: its figures belong to other images."


def physical_width(kernel_width: int, spacing_mm: tuple[float, float] | None) -> str:
    """Say what the kernel width is in millimetres.

    Examples
    --------
    >>> physical_width(26, (0.5, 0.5))[:56]
    'With pixels of 0.5 mm, the kernel of 26 px spans **13 mm'
    """
    if not kernel_width:
        return "The kernel width is 0, so there is **no dilation**."
    if spacing_mm is None:
        return (
            f"The size of a pixel is not known, so it cannot be said what {kernel_width} px are in "
            "the head. Give `spacing_mm` to find out."
        )
    sides = list(dict.fromkeys(spacing_mm))
    pixels = " × ".join(f"{side:g}" for side in sides)
    spans = " × ".join(f"{side * kernel_width:.3g}" for side in sides)
    text = (
        f"With pixels of {pixels} mm, the kernel of {kernel_width} px spans **{spans} mm** and "
        "reaches about half as far. "
    )
    remark = span_remark(kernel_width, spacing_mm)
    if remark:
        option = "--kernel-width"
        return f"{text}**Look at the kernel width first**: {remark.replace(option, f'`{option}`')}."
    return text + "On a scan with other pixels the same number is another distance."


def score_numbers(scores: Sequence[SliceScore] | None) -> dict[str, Any]:
    """Bring the scores under the names that pages quote them by.

    Gives mean_iou, mean_dice, mean_assd, mean_hd95, mean_nsd, pooled_iou, pooled_dice, slice_iou
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


def score_verdict(numbers: Mapping[str, Any], is_published_stack: bool) -> str:
    """Say what the scores are, and what they are not.

    Needs the same numbers, and n_slices. `numbers`: from `score_numbers`.

    Examples
    --------
    >>> score_verdict(score_numbers(None), is_published_stack=False)[:37]
    'There is no score: no reference mask '
    """
    if numbers["mean_iou"] is None:
        return (
            "There is no score: no reference mask was given. Nothing on this page says how good "
            "the masks are. Look at every one of them."
        )
    if np.isnan(numbers["mean_iou"]):
        return "There is no score: mask and reference mask are empty on every slice."
    text = (
        "Over {n_slices} slices the mean IoU is **{mean_iou:.4f}** and the mean Dice "
        "**{mean_dice:.4f}**; pooled over all pixels they are **{pooled_iou:.4f}** and "
        "**{pooled_dice:.4f}**. "
    )
    if np.isfinite(numbers["mean_assd"]):
        text += (
            "The borders lie {mean_assd:.2f} {unit} apart on average (ASSD); HD95 is "
            "{mean_hd95:.2f} {unit}, and {mean_nsd:.0%} of the borders are within 1 {unit}. "
        )
    else:
        text += (
            "On some slice either the mask or the reference mask is empty, so the mean distances "
            "are infinite. "
        )
    if is_published_stack:
        return text + (
            "The head is synthetic and *calibrated to* the published figures: where these scores "
            "agree with them, it is by construction and no evidence."
        )
    return text + "Scores say how well the masks agree with *this* reference on *these* slices."


def pooling(applies: bool) -> str:
    """Say what the article's two IoU values may mean.

    Needs published_sweep_iou, published_final_iou and what `score_numbers` returns. `applies`:
    whether the scores are those of the built-in stack at the published kernel width.

    Examples
    --------
    >>> pooling(applies=False)[:35]
    'The article prints two IoU values f'
    """
    text = (
        "The article prints two IoU values for the same masks: **{published_sweep_iou:.4f}** in "
        "its sweep and **{published_final_iou:.4f}** as the final score. A mean over slices "
        "beside a value pooled over pixels would differ like that."
    )
    if applies:
        return text + (
            " On the built-in stack the two are **{mean_iou:.4f}** and **{pooled_iou:.4f}**. So "
            "the two published values are *consistent with* mean and pooled. That is not proof: "
            "the stack was calibrated to the article's figures, these two among them."
        )
    return text + " Whether it is the reason can't be told from other scores."


def _best(widths: NDArray[Any], values: NDArray[Any]) -> int | None:
    """Width of the highest value, the narrowest of equals; None when all are NaN."""
    return None if np.all(np.isnan(values)) else int(widths[np.nanargmax(values)])
