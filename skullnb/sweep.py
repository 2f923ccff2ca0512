"""The kernel-width sweep: how the score depends on the one number that was tuned.

Everything before the dilation does not depend on the kernel, so it runs once a slice.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skullnb import metrics as _metrics
from skullnb.errors import InvalidSetting
from skullnb.metrics.overlap import count_pixels, overlaps_of
from skullnb.pipeline import PipelineSettings, masks_by_width
from skullnb.pipeline.settings import MAX_KERNEL_WIDTH
from skullnb.results import write_text
from skullnb.stack import Stack

DEFAULT_WIDTHS = tuple(range(16, 37, 2))


def sweep_kernel_width(
    stack: Stack,
    widths: Iterable[int] = DEFAULT_WIDTHS,
    metrics: Sequence[str] = ("iou", "dice"),
    settings: PipelineSettings | None = None,
) -> NDArray[Any]:
    """Score every slice at every kernel width.

    Parameters
    ----------
    stack : Stack
        With a reference mask.
    widths : iterable of int
        Kernel widths in px.
    metrics : sequence of str
        Any of `skullnb.metrics.OVERLAPS` and `skullnb.metrics.DISTANCES`; distances are in mm
        when the stack has a spacing, in px otherwise.
    settings : PipelineSettings, optional
        All the rest; its kernel width is not used.

    Returns
    -------
    (n,) structured array
        One row a slice and width: slice (its index in the stack), kernel_width, and one field a
        metric.

    Raises
    ------
    InvalidSetting
        If there is no reference mask, no width, or an unknown metric.
    InvalidImage
        If a slice cannot be worked on; the message gives its number in its file.

    Examples
    --------
    >>> images = np.zeros((1, 40, 40))
    >>> images[0, 15:25, 15:25] = 1.0
    >>> reference = np.zeros((1, 40, 40), dtype=np.uint8)
    >>> reference[0, 13:27, 13:27] = 1
    >>> table = sweep_kernel_width(Stack(images, reference), widths=(1, 3, 5))
    >>> best_width(table)
    5
    """
    widths = tuple(widths)
    settings = settings or PipelineSettings()
    if stack.reference is None:
        raise InvalidSetting(
            "The sweep compares masks with a reference mask, and this stack has none; give one."
        )
    if not widths:
        raise InvalidSetting("The sweep needs at least one kernel width.")
    unknown = [name for name in metrics if name not in _metrics.OVERLAPS + _metrics.DISTANCES]
    if unknown:
        raise InvalidSetting(
            f"Unknown metric {unknown[0]!r}; there are "
            + ", ".join(_metrics.OVERLAPS + _metrics.DISTANCES)
        )
    widths = tuple(replace(settings, kernel_width=width).kernel_width for width in widths)

    rows = []
    for number, image in enumerate(stack.images):
        reference = stack.reference[number].astype(np.bool_)
        masks = masks_by_width(image, widths, settings, slice_number=stack.slice_numbers[number])
        for width, mask in zip(widths, masks, strict=True):
            values = _values(mask.view(np.bool_), reference, stack.spacing_mm, metrics)
            rows.append((number, width, *values))
    fields = [("slice", np.int64), ("kernel_width", np.int64)]
    return np.array(rows, dtype=[*fields, *((name, np.float64) for name in metrics)])


def parse_widths(text: str) -> tuple[int, ...]:
    """Read kernel widths as a person writes them.

    Parameters
    ----------
    text : str
        "first:end" or "first:end:step" (the end is left out), or widths with commas.

    Returns
    -------
    tuple of int
        In px.

    Raises
    ------
    InvalidSetting
        If it is neither, or there is no width in it.

    Examples
    --------
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


def write_csv(table: NDArray[Any], path: str | Path) -> Path:
    """Write a sweep as a CSV file, whole or not at all.

    Parameters
    ----------
    table : (n,) structured array
        From `sweep_kernel_width`.
    path : path
        Replaced when it is there.

    Returns
    -------
    Path
    """
    path = Path(path)
    names = table.dtype.names or ()
    lines = [",".join(names), *(",".join(repr(value.item()) for value in row) for row in table)]
    return write_text("\n".join(lines) + "\n", path)


def summarise(table: NDArray[Any]) -> NDArray[Any]:
    """Average a sweep over its slices.

    Parameters
    ----------
    table : (n,) structured array
        From `sweep_kernel_width`.

    Returns
    -------
    (w,) structured array
        One row a width, in rising order: kernel_width and the mean of each metric; NaN slices
        (mask and reference both empty) are left out.

    Examples
    --------
    >>> dtype = [("slice", int), ("kernel_width", int), ("iou", float)]
    >>> summarise(np.array([(0, 26, 0.5), (1, 26, 1.0)], dtype=dtype))["iou"]
    array([0.75])
    """
    names = [name for name in table.dtype.names or () if name not in ("slice", "kernel_width")]
    rows = []
    for width in np.unique(table["kernel_width"]):
        chosen = table[table["kernel_width"] == width]
        rows.append((width, *(_mean(chosen[name]) for name in names)))
    fields = [("kernel_width", np.int64), *((name, np.float64) for name in names)]
    return np.array(rows, dtype=fields)


def best_width(table: NDArray[Any], metric: str = "iou") -> int:
    """Kernel width with the best mean score.

    Parameters
    ----------
    table : (n,) structured array
        From `sweep_kernel_width`.
    metric : str
        One of its fields. Overlaps and NSD are best when large, distances when small, the
        volume difference when near zero.

    Returns
    -------
    int
        In px; the narrowest of equals.

    Raises
    ------
    InvalidSetting
        If every score is NaN.
    """
    rows = summarise(table)
    values = rows[metric]
    if metric == "volume_difference":
        values = -np.abs(values)
    elif metric in ("hausdorff", "hd95", "assd"):
        values = -values
    if np.all(np.isnan(values)):
        raise InvalidSetting("No width can be chosen: masks and reference masks are all empty.")
    return int(rows["kernel_width"][np.nanargmax(values)])


def _values(
    mask: NDArray[np.bool_],
    reference: NDArray[np.bool_],
    spacing_mm: tuple[float, float] | None,
    names: Sequence[str],
) -> list[float]:
    overlaps = overlaps_of(*count_pixels(mask, reference))
    values: list[float] = []
    for name in names:
        if name in overlaps:
            values.append(overlaps[name])
        elif name == "nsd":
            values.append(_metrics.nsd(mask, reference, _metrics.NSD_TOLERANCE, spacing_mm))
        else:
            values.append(getattr(_metrics, name)(mask, reference, spacing_mm))
    return values


def _mean(values: NDArray[np.float64]) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")
