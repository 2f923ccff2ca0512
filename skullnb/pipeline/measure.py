"""Masks, and the row that a table needs of each: the doors that everything else goes through.

Where numba works, `skullnb.pipeline.fast` does it all; elsewhere the steps do, to the same bits.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from threading import Timer
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from skullnb.errors import InvalidSetting
from skullnb.pipeline.settings import PipelineSettings, as_pixels, as_stack
from skullnb.pipeline.signs import neighbour_signs, warnings_of
from skullnb.pipeline.steps import (
    Mask,
    binarise,
    choose_brain,
    component_mask,
    dilate,
    fill_holes,
    label_components,
    normalise,
    threshold_of,
)
from skullnb.pipeline.trace import empty_reason, trace_skull_mask

if TYPE_CHECKING:
    import pandas as pd

COMPILING = "Compiling the fast masks, once for this installation (about ten seconds) ..."

_PATIENCE = 3.0  # seconds until a slow start is explained


@dataclass(frozen=True, eq=False)
class SliceMeasure:
    """The mask of one slice, and what a table says of it.

    Attributes
    ----------
    mask : (H, W) uint8 {0, 1}
    threshold : int
        Level in 0..255; bright is strictly above.
    n_components, n_edge_touching : int
        Bright components, and how many of them touch the frame.
    brain_px, dilated_px, mask_px : int
        Areas of the chosen component, after dilation, after filling.
    reason : str
        Why the mask is empty; "" when it is not.
    warnings : tuple of str
        What succeeded and yet looks wrong, and an empty mask.
    """

    mask: Mask
    threshold: int
    n_components: int
    n_edge_touching: int
    brain_px: int
    dilated_px: int
    mask_px: int
    reason: str
    warnings: tuple[str, ...]

    @property
    def status(self) -> str:
        """Say "empty", "warned" or "ok"."""
        return status_of(self.reason, self.warnings)

    def row(self) -> dict[str, Any]:
        """Give everything but the mask, by name."""
        return {name: value for name, value in vars(self).items() if name != "mask"}


def create_skull_mask(image: ArrayLike, dilation_size: int = 26) -> Mask:
    """Mark the outer surface of the skull and everything inside it.

    Parameters
    ----------
    image : (H, W) array, real
        One slice, any intensities.
    dilation_size : int
        Kernel width in px (the article's name for it); it reaches half as far.

    Returns
    -------
    (H, W) uint8 {0, 1}
        Empty when the slice is flat or no inner component exists; `trace_skull_mask` says why.

    Raises
    ------
    InvalidImage
        If the slice is not a finite, real, non-empty 2D array.
    InvalidSetting
        If the kernel width is not a whole number from 0 to 1023.

    Examples
    --------
    >>> image = np.zeros((60, 60))
    >>> image[20:40, 20:40] = 1.0
    >>> print(create_skull_mask(image, dilation_size=3).sum())
    480
    """
    return next(masks_by_width(image, (dilation_size,)))


def create_skull_masks(images: ArrayLike, settings: PipelineSettings | None = None) -> Mask:
    """Skull masks of all slices of a stack.

    Parameters
    ----------
    images : (N, H, W) array, real
    settings : PipelineSettings, optional
        The article's when left out.

    Returns
    -------
    (N, H, W) uint8 {0, 1}

    Raises
    ------
    InvalidImage
        If a slice cannot be worked on; the message gives its number.
    InvalidSetting
        If the settings hold a reach in mm: `settings.at(spacing_mm)` settles it.

    Examples
    --------
    >>> create_skull_masks(np.zeros((2, 8, 8))).shape
    (2, 8, 8)
    """
    settings = (settings or PipelineSettings()).at(None)
    stack = as_stack(images)
    masks = np.empty(stack.shape, dtype=np.uint8)
    for number, image in enumerate(stack):
        found = masks_by_width(image, (settings.kernel_width,), settings, slice_number=number)
        masks[number] = next(found)
    return masks


def masks_by_width(
    image: ArrayLike,
    widths: Iterable[int],
    settings: PipelineSettings | None = None,
    *,
    slice_number: int | None = None,
) -> Iterator[Mask]:
    """Masks of one slice at several kernel widths; all before the dilation is done once.

    Parameters
    ----------
    image : (H, W) array, real
    widths : iterable of int
        Kernel widths in px.
    settings : PipelineSettings, optional
        All the rest; its kernel width and reach are not used.
    slice_number : int, optional
        Named in the error message when the slice cannot be worked on.

    Yields
    ------
    (H, W) uint8 {0, 1}
        The same as `create_skull_mask` gives at that width.

    Raises
    ------
    InvalidImage
        If the slice is not a finite, real, non-empty 2D array.
    InvalidSetting
        If a kernel width is not a whole number from 0 to 1023.

    Examples
    --------
    >>> image = np.zeros((60, 60))
    >>> image[20:40, 20:40] = 1.0
    >>> [int(mask.sum()) for mask in masks_by_width(image, (1, 3, 5))]
    [400, 480, 568]
    """
    settings = replace(settings or PipelineSettings(), reach_mm=None)
    pixels = as_pixels(image, slice_number)
    normalised = normalise(pixels)
    binary = binarise(normalised, threshold_of(normalised, settings))
    labels, components = label_components(binary, settings.connectivity)
    brain = component_mask(labels, choose_brain(components, settings.drop_edge_touching))
    for width in widths:
        settings = replace(settings, kernel_width=width)
        dilated = dilate(brain, settings.kernel_width, settings.kernel_shape)
        yield fill_holes(dilated) if settings.fill_holes else dilated


def measure_slice(
    image: ArrayLike,
    settings: PipelineSettings | None = None,
    spacing_mm: tuple[float, float] | None = None,
    *,
    slice_number: int | None = None,
) -> SliceMeasure:
    """Mask a slice and say what a table needs to know of it, at about the price of the mask.

    Parameters
    ----------
    image : (H, W) array, real
    settings : PipelineSettings, optional
        The article's when left out.
    spacing_mm : (row, column), optional
        In mm per pixel: what a reach in mm needs, and warnings about the size of a head.
    slice_number : int, optional
        Named in the error message when the slice cannot be worked on.

    Returns
    -------
    SliceMeasure
        The same mask, numbers and warnings as `trace_skull_mask` gives.

    Raises
    ------
    InvalidImage
        If the slice is not a finite, real, non-empty 2D array.
    InvalidSetting
        If the settings need a spacing, and none is given.

    Examples
    --------
    >>> image = np.zeros((60, 60))
    >>> image[20:40, 20:40] = 1.0
    >>> measure_slice(image, PipelineSettings(kernel_width=3)).mask_px
    480
    """
    trace = trace_skull_mask(image, settings, spacing_mm=spacing_mm, slice_number=slice_number)
    return SliceMeasure(
        mask=trace.mask,
        threshold=trace.threshold,
        n_components=len(trace.components),
        n_edge_touching=trace.n_edge_touching,
        brain_px=trace.facts.chosen_px,
        dilated_px=int(np.count_nonzero(trace.dilated)),
        mask_px=trace.facts.mask_px,
        reason=trace.reason,
        warnings=trace.warnings,
    )


def measure_stack(
    stack: Any,
    settings: PipelineSettings | None = None,
    visit: Callable[[int, SliceMeasure], object] | None = None,
) -> pd.DataFrame:
    """Measure every slice of a stack, and hold each against its neighbours.

    Parameters
    ----------
    stack : Stack
        Its `spacing_mm` settles a reach in mm.
    settings : PipelineSettings, optional
        The article's when left out.
    visit : callable, optional
        Called as ``visit(index, measure)`` after each slice; the masks are there and nowhere else.

    Returns
    -------
    DataFrame
        A row a slice: slice (its number in its file), group, threshold, n_components,
        n_edge_touching, brain_px, dilated_px, mask_px, reason, warnings (a tuple of str), and
        status ("ok", "warned" or "empty").

    Raises
    ------
    InvalidImage
        If a slice cannot be worked on; the message gives its number.
    InvalidSetting
        If the settings need a spacing that the stack has not.

    Examples
    --------
    >>> from skullnb.stack import Stack
    >>> measure_stack(Stack(np.zeros((2, 8, 8))))["status"].tolist()
    ['empty', 'empty']
    """
    settings = (settings or PipelineSettings()).at(stack.spacing_mm)
    groups = stack.groups or [""] * len(stack.images)
    rows = []
    for index, number in enumerate(stack.slice_numbers):
        measure = measure_slice(
            stack.images[index], settings, stack.spacing_mm, slice_number=number
        )
        rows.append({"slice": number, "group": groups[index], **measure.row()})
        if visit:
            visit(index, measure)
    return with_neighbours(rows)


def with_neighbours(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Make a table of the rows of `measure_slice` (with group), with signs beside neighbours.

    The rows are in the order of their slices; those of one group are neighbours.
    """
    import pandas as pd

    areas = [row["mask_px"] for row in rows]
    thresholds = [row["threshold"] for row in rows]
    groups = [row["group"] for row in rows]
    warned = [bool(row["warnings"]) for row in rows]
    beside = neighbour_signs(areas, thresholds, groups, warned)
    for row, signs in zip(rows, beside, strict=True):
        row["warnings"] = (*row["warnings"], *signs.values())
        row["status"] = status_of(row["reason"], row["warnings"])
    return pd.DataFrame(rows)


def status_of(reason: str, warnings: tuple[str, ...]) -> str:
    """Sum a slice up in a word: "empty", "warned" or "ok"."""
    return "empty" if reason else "warned" if warnings else "ok"
