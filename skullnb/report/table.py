"""The landing page's table: what the article published, what was measured here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from skullnb import published
from skullnb.text import escape


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
    """Write the table, under its heading, as Markdown.

    Parameters
    ----------
    chapters : mapping
        Recorded values by chapter, as in the collated results.
    is_phantom : bool
        Whether the published figures apply. On other data the table shows what was measured and
        says that the article's figures are about other slices.
    has_reference : bool
        Whether there is a reference mask; without one, what needs it is left out.

    Examples
    --------
    >>> measured = {"03-threshold": {"threshold": [23, 23]}}
    >>> print(published_table(measured, is_phantom=False, has_reference=False))
    ## Measured
    ...
    | Otsu’s threshold, of 0–255 | 23 on each of the 2 slices |
    | Edge-touching bright components | not measured: no results from 04-components |
    ...
    """
    if is_phantom:
        lines = ["## Published and measured", ""]
        lines += ["| Quantity | Published | Measured |", "| :--- | :--- | :--- |"]
        after = (
            "What is measured at a kernel width is the mean over the slices. The article does not"
            " say how it averaged: its sweep and its final figure differ at 26 px, and each is set"
            " beside the average that it fits."
        )
    else:
        lines = ["## Measured", "", "| Quantity | Measured |", "| :--- | :--- |"]
        after = (
            "The article’s figures are about its own five slices, so they are not shown beside"
            " yours."
        )
        if not has_reference:
            after += " The best kernel width and the overlaps need a reference mask."
    for row in ROWS:
        if has_reference or not row.needs_reference:
            cells = [row.quantity, row.published] if is_phantom else [row.quantity]
            lines.append("| " + " | ".join([*cells, _measured(row, chapters)]) + " |")
    return "\n".join([*lines, "", after]) + "\n"


def _measured(row: Row, chapters: Mapping[str, Mapping[str, Any]]) -> str:
    if row.chapter not in chapters:
        return f"not measured: no results from {row.chapter}"
    values = [chapters[row.chapter].get(key) for key in row.keys]
    return "not measured" if None in values else escape(row.form(*values))


def _range(low: float, high: float) -> str:
    """Write two numbers, neither of which a line may end within."""
    return f"{low:.3g} to {high:.3g}".replace("-", "\N{NON-BREAKING HYPHEN}")


def _each_slice(values: Sequence[int]) -> str:
    """Write one value a slice; many slices as a range."""
    if len(values) > 1 and len(set(values)) == 1:
        return f"{values[0]} on each of the {len(values)} slices"
    if len(values) > 8:
        return f"{min(values)} to {max(values)}"
    return ", ".join(str(value) for value in values)


def _size(n_slices: int, shape: Sequence[int]) -> str:
    return f"{n_slices} of {shape[0]} × {shape[1]}"


def _width(width: int) -> str:
    return f"{width} px"


def _overlap(iou: float, dice: float) -> str:
    return f"{iou:.4f}, {dice:.4f}"


def _overlap_at(
    width: int, widths: Sequence[int], ious: Sequence[float], dices: Sequence[float]
) -> str:
    if width not in widths:
        return "not measured at this width"
    index = widths.index(width)
    return _overlap(ious[index], dices[index])


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
        ("threshold",),
        _each_slice,
    ),
    Row(
        "Edge-touching bright components",
        _each_slice(published.EDGE_TOUCHING),
        "04-components",
        ("n_edge_touching",),
        _each_slice,
    ),
    Row(
        "Kernel width with the highest IoU",
        _width(published.KERNEL_WIDTH),
        "05-dilation",
        ("best_width",),
        _width,
        needs_reference=True,
    ),
    *(
        Row(
            f"IoU, Dice at kernel width {width} px",
            _overlap(*overlap),
            "05-dilation",
            ("sweep_width", "sweep_iou", "sweep_dice"),
            partial(_overlap_at, width),
            needs_reference=True,
        )
        for width, overlap in published.SWEEP.items()
    ),
    Row(
        "IoU, Dice pooled over all pixels, at the kernel width chosen",
        f"{_overlap(*published.FINAL)} at {published.KERNEL_WIDTH} px",
        "07-metrics",
        ("pooled_iou", "pooled_dice"),
        _overlap,
        needs_reference=True,
    ),
)
