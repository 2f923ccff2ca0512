"""The landing page's table: what the article published, what was measured here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
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
    chapter, key : str
        Which chapter records the measured value, and under which name.
    form : callable
        Writes the value as text.
    needs_reference : bool
        Whether the value exists only with a reference mask.
    """

    quantity: str
    published: str
    chapter: str
    key: str
    form: Callable[[Any], str]
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
    return "\n".join(lines) + "\n"


def _measured(row: Row, chapters: Mapping[str, Mapping[str, Any]]) -> str:
    if row.chapter not in chapters:
        return f"not measured: no results from {row.chapter}"
    value = chapters[row.chapter].get(row.key)
    return "not measured" if value is None else escape(row.form(value))


def _decimals(value: Any) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def _scientific(values: Any) -> str:
    return " to ".join(f"{value:.3g}" for value in values)


def _listed(values: Any) -> str:
    """Write one value a slice; many slices as a range."""
    if len(set(values)) == 1 and len(values) > 1:
        return f"{values[0]} on each of the {len(values)} slices"
    if len(values) > 8:
        return f"{min(values)} to {max(values)}"
    return ", ".join(str(value) for value in values)


def _size(shape: Any) -> str:
    n, height, width = shape
    return f"{n}, {height} × {width}"


ROWS = (
    Row("Slices, rows × columns", _size(published.SHAPE), "01-data", "shape", _size),
    Row(
        "Range of the intensities",
        _scientific(published.INTENSITY_RANGE),
        "01-data",
        "intensity_range",
        _scientific,
    ),
    Row(
        "Otsu’s threshold, of 0–255",
        f"{published.OTSU_THRESHOLD} on each of the {published.SHAPE[0]} slices",
        "03-threshold",
        "thresholds",
        _listed,
    ),
    Row(
        "Edge-touching bright components",
        _listed(published.EDGE_TOUCHING),
        "04-components",
        "edge_touching",
        _listed,
    ),
    Row(
        "Kernel width with the highest mean IoU, px",
        str(published.KERNEL_WIDTH),
        "05-dilation",
        "best_width",
        str,
        needs_reference=True,
    ),
    Row(
        "IoU in the sweep at its best width (measured: mean over slices)",
        _decimals(published.SWEEP[published.KERNEL_WIDTH].iou),
        "07-metrics",
        "iou_mean",
        _decimals,
        needs_reference=True,
    ),
    Row(
        "IoU, all slices (measured: pooled over pixels)",
        _decimals(published.FINAL.iou),
        "07-metrics",
        "iou_pooled",
        _decimals,
        needs_reference=True,
    ),
    Row(
        "Dice in the sweep at its best width (measured: mean over slices)",
        _decimals(published.SWEEP[published.KERNEL_WIDTH].dice),
        "07-metrics",
        "dice_mean",
        _decimals,
        needs_reference=True,
    ),
    Row(
        "Dice, all slices (measured: pooled over pixels)",
        _decimals(published.FINAL.dice),
        "07-metrics",
        "dice_pooled",
        _decimals,
        needs_reference=True,
    ),
)
