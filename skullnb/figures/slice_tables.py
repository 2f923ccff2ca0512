"""About the slices themselves: what was given, and what the pipeline made of each.

Sentences are for `skullnb.chapter.Chapter.say`, so that no number is typed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from IPython.display import Markdown
from numpy.typing import NDArray

from skullnb.figures.tables import MOST_ROWS, markdown_table
from skullnb.pipeline import PipelineSettings
from skullnb.stack import Stack
from skullnb.summary import JUMP, area_changes, spread


def given_table(stack: Stack, inputs: Mapping[str, str], settings: PipelineSettings) -> Markdown:
    """Say what a report is about: names, shapes, spacing, groups, and a hash of each input.

    `inputs`: sha256 by name, from `Stack.fingerprint`.

    Examples
    --------
    >>> stack = Stack(np.zeros((2, 8, 6)), spacing_mm="0.5", name="demo")
    >>> table = given_table(stack, {"demo.npy": "0123456789abcdef"}, PipelineSettings())
    >>> print(table.data.splitlines()[4])
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
        ["kernel width, px", str(settings.kernel_width)],
        *([f"sha256 of {name}", f"{digest[:12]}…"] for name, digest in inputs.items()),
    ]
    return markdown_table(["what", "given"], rows)


def slice_table(
    summary: NDArray[Any],
    remarks: Sequence[Sequence[str]],
    slice_numbers: Sequence[int],
    groups: Sequence[str] | None = None,
    spacing_mm: tuple[float, float] | None = None,
) -> Markdown:
    """What the pipeline did on each slice, with everything it complained about.

    Of a stack longer than `MOST_ROWS`, the slices with a remark come first; a line below the
    table says that not all are shown.

    Parameters
    ----------
    summary : (N,) structured array
        From `skullnb.chapter.Chapter.summary`.
    remarks : sequence of sequences of str
        What is odd about each slice, from `slice_remarks`.
    spacing_mm : (row, column), optional
        In mm per pixel; the area is given in cm² too when it is known.

    Examples
    --------
    >>> fields = ["slice", "threshold", "n_components", "n_edge_touching", "mask_px"]
    >>> row = np.array([(0, 23, 4, 0, 1000)], dtype=[(name, int) for name in fields])
    >>> print(slice_table(row, [()], [104], spacing_mm=(1, 1)).data.splitlines()[2])
    | 104 | 1,000 | 10.0 | none | 23 | 4 | 0 |
    """
    texts = ["; ".join(one) or "none" for one in remarks]
    chosen = _worth_a_row([text != "none" for text in texts])

    columns: dict[str, tuple[Any, str]] = {"slice": (slice_numbers, "")}
    if groups is not None and len(set(groups)) > 1:
        columns["group"] = (groups, "")
    columns["mask, px"] = (summary["mask_px"], ",")
    if spacing_mm is not None:
        columns["mask, cm²"] = (_areas_cm2(summary["mask_px"], spacing_mm), ".1f")
    columns["remarks"] = (texts, "")
    for name, title in (
        ("threshold", "threshold"),
        ("n_components", "components"),
        ("n_edge_touching", "at the frame"),
    ):
        columns[title] = (summary[name], "")
    rows = [[values[index] for values, _ in columns.values()] for index in chosen]
    formats = [spec for _, spec in columns.values()]
    return markdown_table(list(columns), rows, formats, of=(len(summary), "slices"))


def given(is_published_stack: bool, has_reference: bool) -> str:
    """Say what the report is about.

    Examples
    --------
    >>> given(is_published_stack=False, has_reference=False)[:35]
    'This report is about **your scans**'
    """
    if is_published_stack:
        return (
            "No scans were given, so this report is about the **built-in synthetic phantom**: a "
            "drawn head, *calibrated to* the figures that the article published. It shows what a "
            "report looks like and that every step runs. At the article's kernel width its scores "
            "are good by construction; they say nothing about real heads. Run the book on your own "
            "scans to fill this page with them."
        )
    if has_reference:
        return (
            "This report is about **your scans**, compared with **your reference mask**. None of "
            "the article's figures apply to them."
        )
    return (
        "This report is about **your scans**. No reference mask was given, so it shows what the "
        "method did and cannot say how well. None of the article's figures apply to these scans."
    )


def slice_remarks(
    warnings: Sequence[Sequence[str]], areas_px: NDArray[Any], groups: Sequence[str] | None = None
) -> list[tuple[str, ...]]:
    """Collect what is odd about each slice: the pipeline's warnings, and areas that jump.

    One a slice. An area jumps when it differs by more than `JUMP` from the median of the five
    slices nearest to it that have a mask. `groups`: one label a slice; a slice is only compared
    with others of its group.

    Examples
    --------
    >>> slice_remarks([()] * 5, np.array([100, 101, 60, 99, 100]))[2]
    ('the mask is 40% smaller than those of the slices around it',)
    """
    found = []
    for texts, change in zip(warnings, area_changes(areas_px, groups), strict=True):
        if abs(change) > JUMP:
            kind = "larger" if change > 0 else "smaller"
            jump = f"the mask is {abs(change):.0%} {kind} than those of the slices around it"
            found.append((*texts, jump))
        else:
            found.append(tuple(texts))
    return found


def mask_verdict(n_slices: int, n_empty: int, n_warnings: int) -> str:
    """Say in one sentence what to look at first.

    Needs n_slices, n_empty and n_warnings. `n_slices`, `n_empty`, `n_warnings`: slices, those with
    an empty mask, and those with a remark.

    Examples
    --------
    >>> mask_verdict(5, 0, 0)[:37]
    '**Every slice has some mask and none '
    """
    if n_empty == n_slices:
        return "**No slice has a mask.** The table below says why, slice by slice."
    if n_empty:
        return (
            "**Slices without a mask: {n_empty} of {n_slices}.** The table below says why; look at "
            "the others too, since a mask that exists may still be wrong."
        )
    if n_warnings:
        return (
            "**Every slice has some mask; {n_warnings} of {n_slices} have a remark** in the table "
            "below. Where areas jump, slices differ from their neighbours, and *either may be "
            "wrong*. A mask without a remark may be wrong too."
        )
    return (
        "**Every slice has some mask and none has a remark.** That is not a promise: a mask of a "
        "plausible size in the wrong place may have none. Look at the outlines."
    )


def _areas_cm2(areas_px: NDArray[Any], spacing_mm: tuple[float, float]) -> NDArray[np.float64]:
    """Turn areas from px into cm²."""
    return np.asarray(areas_px, dtype=np.float64) * spacing_mm[0] * spacing_mm[1] / 100


def _worth_a_row(remarkable: Sequence[bool]) -> list[int]:
    n = len(remarkable)
    if n <= MOST_ROWS:
        return list(range(n))
    first = [index for index in range(n) if remarkable[index]][:MOST_ROWS]
    rest = [index for index in range(n) if index not in first]
    room = MOST_ROWS - len(first)
    return sorted(first + [rest[index] for index in (spread(len(rest), room) if room else [])])
