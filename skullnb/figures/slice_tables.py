"""Tables about the slices themselves: what was given, and what the pipeline made of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from IPython.display import Markdown
from numpy.typing import NDArray

from skullnb.figures.tables import MOST_ROWS, markdown_table, spread
from skullnb.stack import Stack


def given_table(stack: Stack, inputs: Mapping[str, str]) -> Markdown:
    """Say what a report is about: names, shapes, spacing, groups, and a hash of each input.

    Parameters
    ----------
    stack : Stack
    inputs : mapping of str to str
        sha256 by name, from `Stack.fingerprint`.

    Returns
    -------
    IPython.display.Markdown

    Examples
    --------
    >>> stack = Stack(np.zeros((2, 8, 6)), spacing_mm="0.5", name="demo")
    >>> print(given_table(stack, {"demo.npy": "0123456789abcdef"}).data.splitlines()[4])
    | size of a pixel, mm | 0.5 × 0.5 |
    """
    n, height, width = stack.images.shape
    spacing = "not given"
    if stack.spacing_mm is not None:
        spacing = f"{stack.spacing_mm[0]:g} × {stack.spacing_mm[1]:g}"
    groups = "not given: it is not known which slices belong to one head"
    if stack.groups is not None:
        names = list(dict.fromkeys(stack.groups))
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        groups = f"{len(names)}: {', '.join(names[:3])}{more}"
    rows = [
        ["name", stack.name or "no name"],
        ["slices", f"{n} of {height} × {width} px, {stack.images.dtype.name}"],
        ["size of a pixel, mm", spacing],
        ["groups", groups],
        ["reference mask", "none" if stack.reference is None else "one for each slice"],
        *([f"sha256 of {name}", f"{digest[:12]}…"] for name, digest in inputs.items()),
    ]
    return markdown_table(["what", "given"], rows)


def slice_table(
    summary: NDArray[Any],
    warnings: Sequence[Sequence[str]],
    reasons: Sequence[str],
    slice_numbers: Sequence[int],
    groups: Sequence[str] | None = None,
    spacing_mm: tuple[float, float] | None = None,
) -> Markdown:
    """What the pipeline did on each slice, with everything it complained about.

    Parameters
    ----------
    summary : (N,) structured array
        From `skullnb.chapter.Chapter.summary`.
    warnings : sequence of sequences of str
        One a slice.
    reasons : sequence of str
        Why a slice's mask is empty; "" when it is not.
    slice_numbers : sequence of int
        What to call the slices.
    groups : sequence of str, optional
        One label a slice.
    spacing_mm : (row, column), optional
        In mm per pixel; the area is given in cm² too when it is known.

    Returns
    -------
    IPython.display.Markdown
        Of a stack longer than `MOST_ROWS`, the slices with a remark come first; the line below
        the table says how many are left out.

    Examples
    --------
    >>> fields = ["slice", "threshold", "n_components", "n_edge_touching", "mask_px"]
    >>> row = np.array([(0, 23, 4, 0, 1000)], dtype=[(name, int) for name in fields])
    >>> print(slice_table(row, [()], [""], [104], spacing_mm=(1, 1)).data.splitlines()[2])
    | 104 | 23 | 4 | 0 | 1000 | 10.0 | none |
    """
    remarks = [
        "; ".join(filter(None, [*one, why])) or "none"
        for one, why in zip(warnings, reasons, strict=True)
    ]
    chosen = _worth_a_row([text != "none" for text in remarks])

    header = ["slice", "threshold", "components", "touching the frame", "mask, px"]
    counts = ("threshold", "n_components", "n_edge_touching", "mask_px")
    columns: list[Any] = [slice_numbers, *(summary[name] for name in counts)]
    formats = [""] * len(header)
    if groups is not None:
        header, columns, formats = ["group", *header], [groups, *columns], ["", *formats]
    if spacing_mm is not None:
        header.append("mask, cm²")
        columns.append(areas_cm2(summary["mask_px"], spacing_mm))
        formats.append(".1f")
    rows = [[column[index] for column in [*columns, remarks]] for index in chosen]
    table = markdown_table([*header, "remarks"], rows, [*formats, ""])
    left_out = len(summary) - len(chosen)
    if left_out:
        return Markdown(f"{table.data}\n\n{left_out} more slices are in the results file.")
    return table


def areas_cm2(areas_px: NDArray[Any], spacing_mm: tuple[float, float]) -> NDArray[np.float64]:
    """Turn areas from px into cm².

    Parameters
    ----------
    areas_px : (N,) array of int
    spacing_mm : (row, column)
        In mm per pixel.

    Returns
    -------
    (N,) float64

    Examples
    --------
    >>> areas_cm2(np.array([1000]), (1.0, 0.5))
    array([5.])
    """
    return np.asarray(areas_px, dtype=np.float64) * spacing_mm[0] * spacing_mm[1] / 100


def _worth_a_row(remarkable: Sequence[bool]) -> list[int]:
    n = len(remarkable)
    if n <= MOST_ROWS:
        return list(range(n))
    first = [index for index in range(n) if remarkable[index]][:MOST_ROWS]
    rest = [index for index in range(n) if index not in first]
    room = MOST_ROWS - len(first)
    return sorted(first + [rest[index] for index in (spread(len(rest), room) if room else [])])
