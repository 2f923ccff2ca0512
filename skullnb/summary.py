"""One pass over a stack: the masks, and what the trace of every slice said, without the traces."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skullnb.pipeline import PipelineSettings, SkullMaskTrace, trace_skull_mask
from skullnb.stack import Stack

# Neighbouring slices of a head differ by less, unless the pipeline chose something else on one.
JUMP = 0.25

_NUMBER = re.compile(r"\d+(?:\.\d+)?(?:e[+-]\d+)?")

_TABLE_DTYPE = np.dtype(
    [
        ("slice", np.int64),
        ("threshold", np.int64),
        ("n_components", np.int64),
        ("n_edge_touching", np.int64),
        ("brain_px", np.int64),
        ("dilated_px", np.int64),
        ("mask_px", np.int64),
    ]
)


@dataclass(frozen=True, eq=False)
class Summary:
    """What the pipeline found on every slice of a stack.

    Attributes
    ----------
    masks : (N, H, W) uint8 {0, 1}
    table : (N,) structured array
        slice (its number in the file it came from), threshold, n_components, n_edge_touching,
        brain_px, dilated_px, mask_px.
    reasons : tuple of str
        Why a slice's mask is empty; "" when it is not.
    warnings : tuple of tuple of str
        What looks wrong, slice by slice.
    """

    masks: NDArray[np.uint8]
    table: NDArray[Any]
    reasons: tuple[str, ...]
    warnings: tuple[tuple[str, ...], ...]

    @property
    def n_empty(self) -> int:
        """Number of slices with an empty mask."""
        return sum(bool(reason) for reason in self.reasons)

    @property
    def n_warned(self) -> int:
        """Number of slices whose mask is not empty and looks wrong."""
        return sum(
            bool(texts) and not reason
            for texts, reason in zip(self.warnings, self.reasons, strict=True)
        )

    def warning_lines(self) -> list[str]:
        """One line for every kind of warning, with the slices it is about.

        Returns
        -------
        list of str
            In order of the first slice, such as "slices 0-3, 7: the mask is empty: ...". Numbers
            that differ from slice to slice are given as ranges, such as "fills only 20-60% of".
        """
        about: dict[tuple[str, ...], tuple[list[int], list[list[str]]]] = {}
        for number, texts in zip(self.table["slice"].tolist(), self.warnings, strict=True):
            for text in texts:
                # A kind is the words; what stands between them are its numbers.
                words, found = tuple(_NUMBER.split(text)), _NUMBER.findall(text)
                slices, values = about.setdefault(words, ([], []))
                slices.append(number)
                values.append(found)
        return [
            f"slice{'s' * (len(slices) > 1)} {ranges_of(slices)}: {_with_ranges(words, values)}"
            for words, (slices, values) in about.items()
        ]


def _with_ranges(words: Sequence[str], values: Sequence[Sequence[str]]) -> str:
    """Put the lowest and the highest of each number of a sentence back between its words."""
    text = words[0]
    for word, found in zip(words[1:], zip(*values, strict=True), strict=True):
        low, high = min(found, key=float), max(found, key=float)
        text += (low if low == high else f"{low}-{high}") + word
    return text


def ranges_of(numbers: Sequence[int]) -> str:
    """Write whole numbers as ranges.

    Parameters
    ----------
    numbers : sequence of int
        Ascending.

    Returns
    -------
    str

    Examples
    --------
    >>> ranges_of([0, 1, 2, 7, 9, 10])
    '0-2, 7, 9-10'
    """
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else f"{run[0]}" for run in runs)


def spread(n: int, most: int) -> list[int]:
    """Choose positions spread evenly over a stack, all of them when they are few.

    Parameters
    ----------
    most : int
        How many to choose at most.

    Examples
    --------
    >>> spread(3, 5), spread(9, 3)
    ([0, 1, 2], [0, 4, 8])
    """
    return [int(index) for index in np.unique(np.linspace(0, n - 1, min(n, most)).round())]


def summarise_stack(
    stack: Stack,
    settings: PipelineSettings | None = None,
    visit: Callable[[int, SkullMaskTrace], object] | None = None,
) -> Summary:
    """Run the pipeline over a stack, one slice in memory at a time.

    Parameters
    ----------
    stack : Stack
    settings : PipelineSettings, optional
        The article's when left out.
    visit : callable, optional
        Called as ``visit(index, trace)`` after each slice.

    Returns
    -------
    Summary

    Raises
    ------
    InvalidImage
        If a slice cannot be worked on; the message gives its number.

    Examples
    --------
    >>> summary = summarise_stack(Stack(np.zeros((2, 8, 8))))
    >>> summary.n_empty, summary.table["mask_px"]
    (2, array([0, 0]))
    """
    settings = settings or PipelineSettings()
    masks = np.empty(stack.images.shape, dtype=np.uint8)
    table = np.zeros(len(stack), dtype=_TABLE_DTYPE)
    reasons, warnings = [], []
    for index, number in enumerate(stack.slice_numbers):
        trace = trace_skull_mask(stack.images[index], settings, slice_number=number)
        masks[index] = trace.mask
        table[index] = (
            number,
            trace.threshold,
            len(trace.components),
            trace.n_edge_touching,
            np.count_nonzero(trace.brain),
            np.count_nonzero(trace.dilated),
            np.count_nonzero(trace.mask),
        )
        reasons.append(trace.reason)
        warnings.append(trace.warnings)
        if visit:
            visit(index, trace)
    return Summary(masks, table, tuple(reasons), tuple(warnings))


def area_changes(
    areas_px: NDArray[Any], groups: Sequence[str] | None = None
) -> NDArray[np.float64]:
    """Compare the area of every mask with those of the slices around it.

    Parameters
    ----------
    areas_px : (N,) array of int
        Areas of the masks; 0 = no mask.
    groups : sequence of str, optional
        One label a slice; a slice is only compared with others of its group.

    Returns
    -------
    (N,) float64
        By how much an area differs from the median of the five slices nearest to it that have a
        mask, as a share of that. 0 where there is no mask, or there are fewer than two such slices.

    Examples
    --------
    >>> print(area_changes(np.array([100, 101, 60, 99, 100])).round(2)[2])
    -0.4
    """
    labels = np.array(["" if groups is None else groups[i] for i in range(len(areas_px))])
    changes = np.zeros(len(areas_px))
    for number, area in enumerate(areas_px):
        same = np.flatnonzero((labels == labels[number]) & (areas_px > 0))
        same = same[same != number]
        near = same[np.argsort(np.abs(same - number), kind="stable")[:5]]
        if area and len(near) >= 2:
            changes[number] = area / np.median(areas_px[near]) - 1
    return changes
