"""The kernel-width sweep: how the score depends on the one number that was tuned.

Everything before the dilation does not depend on the kernel, so it runs once a slice.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from skullnb import metrics as _metrics
from skullnb.errors import InvalidSetting
from skullnb.pipeline import MAX_KERNEL_WIDTH, PipelineSettings, masks_by_width
from skullnb.reach import reach_mm
from skullnb.stack import Stack

if TYPE_CHECKING:
    import pandas as pd

DEFAULT_WIDTHS = tuple(range(16, 37, 2))


def sweep_kernel_width(
    stack: Stack,
    widths: Iterable[int] = DEFAULT_WIDTHS,
    metrics: Sequence[str] = ("iou", "dice"),
    settings: PipelineSettings | None = None,
) -> pd.DataFrame:
    """Score every slice at every kernel width.

    Parameters
    ----------
    stack : Stack
        With a reference mask (else InvalidSetting).
    widths : iterable of int
        Kernel widths in px.
    metrics : sequence of str
        Any of `skullnb.metrics.OVERLAPS` and `skullnb.metrics.DISTANCES`; distances are in mm
        when the stack has a spacing, in px otherwise.
    settings : PipelineSettings, optional
        All the rest; its kernel width or reach is not used.

    Returns
    -------
    DataFrame
        A row for each slice and width: position (in the stack), slice (its number in its file),
        group ("" where unknown), kernel_width in px, reach_mm (the kernel's mean reach; only where
        the spacing is known), and a column for each metric.

    Examples
    --------
    >>> images = np.zeros((1, 40, 40))
    >>> images[0, 15:25, 15:25] = 1.0
    >>> reference = np.zeros((1, 40, 40), dtype=np.uint8)
    >>> reference[0, 13:27, 13:27] = 1
    >>> sweep = sweep_kernel_width(Stack(images, reference), widths=(1, 3, 5))
    >>> best_width(sweep)
    5
    """
    import pandas as pd

    settings = replace(settings or PipelineSettings(), reach_mm=None)
    spacing = stack.spacing_mm
    if stack.reference is None:
        raise InvalidSetting(
            "The sweep compares masks with a reference mask, and this stack has none; give one."
        )
    known = _metrics.OVERLAPS + _metrics.DISTANCES
    for name in metrics:
        if name not in known:
            raise InvalidSetting(f"Unknown metric {name!r}; there are {', '.join(known)}")
    widths = [replace(settings, kernel_width=width).kernel_width for width in widths]
    if not widths:
        raise InvalidSetting("The sweep needs at least one kernel width.")
    is_far = not set(metrics).isdisjoint(_metrics.DISTANCES)  # overlaps cost a hundredth
    rows: list[dict[str, object]] = []
    for i, number in enumerate(stack.slice_numbers):
        reference = np.asarray(stack.reference[i]).astype(np.bool_)
        about = {"position": i, "slice": number, "group": stack.groups[i] if stack.groups else ""}
        masks = masks_by_width(stack.images[i], widths, settings, slice_number=number)
        for width, mask in zip(widths, masks, strict=True):
            pair = mask.view(np.bool_), reference
            overlaps = _metrics.overlaps_of(*_metrics.count_pixels(*pair))
            scores = _metrics.score(*pair, spacing) if is_far else overlaps
            row = {**about, "kernel_width": width, **{name: scores[name] for name in metrics}}
            rows.append(row)
    table = pd.DataFrame(rows)
    if spacing:
        reach = {one: np.mean(reach_mm(one, spacing, settings.kernel_shape)) for one in widths}
        table.insert(4, "reach_mm", table["kernel_width"].map(reach))
    return table


def summarise(sweep: pd.DataFrame) -> pd.DataFrame:
    """Average a sweep over its slices.

    A row for each width, in rising order: kernel_width, reach_mm where it is known, and the mean of
    each metric over the slices that have one (mask and reference not both empty).
    """
    means = sweep.groupby("kernel_width", as_index=False).mean(numeric_only=True)
    return means.drop(columns=["position", "slice"], errors="ignore")


def best_width(sweep: pd.DataFrame, metric: str = "iou") -> int:
    """Kernel width with the best mean score, in px; the narrowest of equals.

    Overlaps and NSD are best when large, distances when small, the volume difference when near
    zero. A sweep without any score is refused.
    """
    means = summarise(sweep).set_index("kernel_width")[metric]
    if metric == "volume_difference":
        means = -means.abs()
    elif metric in ("hausdorff", "hd95", "assd"):
        means = -means
    if means.isna().all():
        raise InvalidSetting("No width can be chosen: masks and reference masks are all empty.")
    return int(means.index[int(means.argmax())])


def parse_widths(text: str) -> tuple[int, ...]:
    """Read kernel widths in px: "first:end[:step]" without the end, as in Python, or with commas.

    >>> parse_widths("22:31:2"), parse_widths("25, 26")
    ((22, 24, 26, 28, 30), (25, 26))
    """
    try:
        if ":" in text:
            first, end, *step = (int(part) for part in text.split(":"))
            asked = range(first, end, *step)
            # A typing error may ask for more widths than memory holds.
            widths = tuple(asked[: MAX_KERNEL_WIDTH + 2])
        else:
            widths = tuple(int(part) for part in text.split(","))
    except (TypeError, ValueError):
        widths = ()
    if not widths:
        raise InvalidSetting(
            f'The kernel widths {text!r} are not understood; write "16:37:2" or "22,24,26".'
        )
    return widths
