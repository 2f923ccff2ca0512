"""One pass over a stack: the masks, and what the trace of every slice said, without the traces."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skullnb.pipeline import PipelineSettings, SkullMaskTrace, trace_skull_mask
from skullnb.stack import Stack

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
