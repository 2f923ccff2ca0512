"""The kernel-width sweep: how the score depends on the one number that was tuned."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from skullnb.errors import InvalidSetting
from skullnb.metrics import DISTANCES, OVERLAPS, overlaps, score
from skullnb.pipeline import MAX_KERNEL_WIDTH, PipelineSettings, masks_by_width
from skullnb.reach import reach_mm
from skullnb.stack import Stack


def sweep_kernel_width(
    stack: Stack,
    widths: Iterable[int] = range(16, 37, 2),
    metrics: Sequence[str] = ("iou", "dice"),
    settings: PipelineSettings | None = None,
) -> pd.DataFrame:
    """Score every slice of a stack with reference masks at every kernel width, in px.

    `metrics` are any of `skullnb.metrics.OVERLAPS` and `skullnb.metrics.DISTANCES`; distances are
    in mm when the stack has a spacing, in px otherwise. `settings` are all the rest; their kernel
    width or reach is not used. What cannot be swept is refused (InvalidSetting).

    Gives a row for each slice and width: position (in the stack), slice (its number in its file),
    group ("" where unknown), kernel_width in px, reach_mm (the kernel's mean reach; only where the
    spacing is known), and a column for each metric: NaN where the reference is empty, head or not.
    """
    settings, spacing = replace(settings or PipelineSettings(), reach_mm=None), stack.spacing_mm
    widths = [replace(settings, kernel_width=width).kernel_width for width in widths]
    if not stack.drawn:
        raise InvalidSetting(stack.coverage or "A sweep needs a reference mask; give one.")
    if not widths or not set(metrics) <= {*OVERLAPS, *DISTANCES}:
        raise InvalidSetting(f"Give widths, and metrics of {', '.join(OVERLAPS + DISTANCES)}.")
    rows, is_far = list[dict[str, Any]](), bool(set(metrics) & set(DISTANCES))
    for i, number in enumerate(stack.slice_numbers):
        place = {"position": i, "slice": number, "group": stack.groups[i] if stack.groups else ""}
        if (reference := stack.drawn.get(i)) is None:
            rows += ({**place, "kernel_width": width} for width in widths)  # the scores are NaN
            continue
        masks = masks_by_width(stack.images[i], widths, settings, slice_number=number)
        for width, mask in zip(widths, masks, strict=True):
            found = score(mask, reference, spacing) if is_far else overlaps(mask, reference)
            rows.append({**place, "kernel_width": width, **{name: found[name] for name in metrics}})
    table = pd.DataFrame(rows)
    if spacing:
        reach = {one: np.mean(reach_mm(one, spacing, settings.kernel_shape)) for one in widths}
        table.insert(4, "reach_mm", table["kernel_width"].map(reach))
    return table


def summarise(sweep: pd.DataFrame) -> pd.DataFrame:
    """Average a sweep over its slices, those without a score left out: a row a width, rising."""
    means = sweep.groupby("kernel_width", as_index=False).mean(numeric_only=True)
    return means.drop(columns=["position", "slice"], errors="ignore")


def best_width(sweep: pd.DataFrame, metric: str = "iou") -> int:
    """Kernel width (px) with the best mean score; the narrowest of equals."""
    means = summarise(sweep).set_index("kernel_width")[metric]
    if metric in ("volume_difference", "hausdorff", "hd95", "assd"):
        means = -means.abs()
    if means.isna().all():
        raise InvalidSetting("No width can be chosen: masks and reference masks are all empty.")
    return int(means.index[int(means.argmax())])


def parse_widths(text: str) -> tuple[int, ...]:
    """Read kernel widths in px: "first:end[:step]" without the end, as in Python, or with commas.

    >>> parse_widths("22:31:2"), parse_widths("25, 26")
    ((22, 24, 26, 28, 30), (25, 26))
    """
    try:
        numbers = [int(part) for part in text.split(":" if ":" in text else ",")]
        # A typing error may ask for more widths than memory holds.
        widths = range(*numbers)[: MAX_KERNEL_WIDTH + 2] if ":" in text else numbers
    except (TypeError, ValueError):
        widths = []
    if not widths:
        raise InvalidSetting(f'Widths {text!r} are not understood; write "16:37:2" or "22,24,26".')
    return tuple(widths)
