"""The landing page's table: what the article published, what was measured here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from skullnb import published
from skullnb.chapter import escape

__all__ = ["ROWS", "Row", "published_table"]


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes
    ----------
    quantity : str
        What it is, with its unit.
    published : str
        As the article prints it; "" where it reports nothing.
    chapter : str
        Which chapter records the measured values.
    keys : tuple of str
        Under which names.
    form : callable
        Takes the values, writes them as text.
    needs_reference : bool
        Whether the value exists only with a reference mask.
    """

    quantity: str
    published: str
    chapter: str
    keys: tuple[str, ...]
    form: Callable[..., str]
    needs_reference: bool = False


def published_table(
    chapters: Mapping[str, Mapping[str, Any]], *, is_phantom: bool, has_reference: bool
) -> str:
    """Write the table as Markdown.

    Parameters
    ----------
    chapters : mapping
        Recorded values by chapter, as in the collated results.
    is_phantom : bool
        Whether the published figures apply. On other data the table shows what was measured and
        says that the article's figures are about other slices.
    has_reference : bool
        Whether there is a reference mask; without one, overlaps read "no reference mask".

    Returns
    -------
    str

    Examples
    --------
    >>> measured = {"03-threshold": {"thresholds": [23, 23]}}
    >>> print(published_table(measured, is_phantom=False, has_reference=False))
    The article’s figures are about its own five slices...
    <BLANKLINE>
    | Quantity | Measured |
    | :--- | :--- |
    | Slices, rows × columns | not measured: no results from 01-data |
    ...
    """
    lines = []
    if is_phantom:
        lines += ["| Quantity | Published | Measured |", "| :--- | :--- | :--- |"]
    else:
        lines += [
            "The article’s figures are about its own five slices, not about yours, so this table"
            " shows only what was measured.",
            "",
            "| Quantity | Measured |",
            "| :--- | :--- |",
        ]
    for row in ROWS:
        reported = [row.published] if is_phantom else []
        if row.needs_reference and not has_reference:
            measured = "not measured: no reference mask"
        else:
            measured = _measured(row, chapters)
        lines.append("| " + " | ".join([row.quantity, *reported, measured]) + " |")
    if is_phantom:
        lines += [
            "",
            "The article does not say how it averaged; each of its two IoUs is set beside"
            " the average that it fits.",
        ]
    return "\n".join(lines) + "\n"


def _measured(row: Row, chapters: Mapping[str, Mapping[str, Any]]) -> str:
    if row.chapter not in chapters:
        return f"not measured: no results from {row.chapter}"
    values = [chapters[row.chapter].get(key) for key in row.keys]
    return "not measured" if None in values else escape(row.form(*values))


def _decimals(value: float) -> str:
    return f"{value:.4f}"


def _range(low: float, high: float) -> str:
    return f"{low:.3g} to {high:.3g}"


def _each_slice(values: Sequence[int]) -> str:
    """Write one value a slice; many slices as a range."""
    if len(values) > 1 and len(set(values)) == 1:
        return f"{values[0]} on each of the {len(values)} slices"
    if len(values) > 8:
        return f"{min(values)} to {max(values)}"
    return ", ".join(str(value) for value in values)


def _size(n_slices: int, shape: Sequence[int]) -> str:
    return f"{n_slices} of {shape[0]} × {shape[1]}"


_SWEEP = published.SWEEP[published.KERNEL_WIDTH]

ROWS = (
    Row(
        "Slices, rows × columns",
        _size(published.SHAPE[0], published.SHAPE[1:]),
        "01-data",
        ("n_slices", "shape"),
        _size,
    ),
    Row(
        "Range of the intensities",
        _range(*published.INTENSITY_RANGE),
        "01-data",
        ("intensity_min", "intensity_max"),
        _range,
    ),
    Row(
        "Otsu’s threshold, of 0–255",
        f"{published.OTSU_THRESHOLD} on each of the {published.SHAPE[0]} slices",
        "03-threshold",
        ("thresholds",),
        _each_slice,
    ),
    Row(
        "Edge-touching bright components",
        _each_slice(published.EDGE_TOUCHING),
        "04-components",
        ("edge_touching",),
        _each_slice,
    ),
    Row(
        "Kernel width with the highest mean IoU, px",
        str(published.KERNEL_WIDTH),
        "05-dilation",
        ("best_width",),
        str,
        needs_reference=True,
    ),
    Row(
        "IoU, mean over the slices",
        f"{_decimals(_SWEEP.iou)}, in the sweep",
        "07-metrics",
        ("iou_mean",),
        _decimals,
        needs_reference=True,
    ),
    Row(
        "IoU, pooled over all pixels",
        f"{_decimals(published.FINAL.iou)}, final",
        "07-metrics",
        ("iou_pooled",),
        _decimals,
        needs_reference=True,
    ),
    Row(
        "Dice, mean over the slices",
        f"{_decimals(_SWEEP.dice)}, in the sweep",
        "07-metrics",
        ("dice_mean",),
        _decimals,
        needs_reference=True,
    ),
    Row(
        "Dice, pooled over all pixels",
        f"{_decimals(published.FINAL.dice)}, final",
        "07-metrics",
        ("dice_pooled",),
        _decimals,
        needs_reference=True,
    ),
)
