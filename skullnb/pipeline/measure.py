"""Masks, and the row that a table needs of each: the doors that everything else goes through.

The kernels of `skullnb.pipeline.fast` do the work, or without numba the steps, to the same bits.
"""

from __future__ import annotations

import importlib
import sys
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from skullnb.errors import InvalidSetting
from skullnb.pipeline.settings import DARK_GROWTH, PipelineSettings, as_stack
from skullnb.pipeline.signs import neighbour_signs, warnings_of
from skullnb.pipeline.steps import Mask
from skullnb.pipeline.trace import empty_reason, trace_skull_mask

if TYPE_CHECKING:
    import pandas as pd

Row = dict[str, Any]


@dataclass(frozen=True, eq=False)
class SliceMeasure:
    """The mask of one slice, (H, W) uint8 {0, 1}, and what a table says of it.

    `threshold` is a level in 0..255 (bright is strictly above), `n_components` and
    `n_edge_touching` count bright components and those that touch the frame; `brain_px`,
    `dilated_px` and `mask_px` are the areas of the chosen component, after dilation, after filling;
    `reason` says why the mask is empty, `warnings` what looks wrong.
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
        return "empty" if self.reason else "warned" if self.warnings else "ok"

    def row(self) -> Row:
        """Give everything but the mask, by name."""
        return {name: value for name, value in vars(self).items() if name != "mask"}


def create_skull_mask(image: ArrayLike, dilation_size: int = 26) -> Mask:
    """Mark the outer surface of the skull and everything inside it.

    Parameters
    ----------
    image : (H, W) array, real
        One slice, any intensities; what is not finite or no slice is refused (InvalidImage).
    dilation_size : int
        Kernel width in px, 0 to 1023 (the article's name for it); it reaches half as far.

    Returns
    -------
    (H, W) uint8 {0, 1}
        Empty when the slice is flat or no inner component exists; `trace_skull_mask` says why.

    Examples
    --------
    >>> image = np.zeros((60, 60))
    >>> image[20:40, 20:40] = 1.0
    >>> print(create_skull_mask(image, dilation_size=3).sum())
    480
    """
    return next(masks_by_width(image, [dilation_size]))


def create_skull_masks(
    images: ArrayLike,
    settings: PipelineSettings | None = None,
    spacing_mm: tuple[float, float] | None = None,
) -> Mask:
    """Skull masks of all slices of a stack, (N, H, W) uint8 {0, 1}.

    `spacing_mm`, (row, column), is what a reach in mm and dark growth need.

    >>> create_skull_masks(np.zeros((2, 8, 8))).shape
    (2, 8, 8)
    """
    settings = (settings or PipelineSettings()).at(spacing_mm)
    stack = as_stack(images)
    masks = np.empty(stack.shape, dtype=np.uint8)
    for number, image in enumerate(stack):
        masks[number] = measure_slice(image, settings, spacing_mm, slice_number=number).mask
    return masks


def masks_by_width(
    image: ArrayLike,
    widths: Iterable[int],
    settings: PipelineSettings | None = None,
    *,
    slice_number: int | None = None,
) -> Iterator[Mask]:
    """Masks of one slice, (H, W) uint8 {0, 1}, at several kernel widths (px) instead of its own."""
    settings = replace(settings or PipelineSettings(), reach_mm=None)
    if settings.border == DARK_GROWTH:
        raise InvalidSetting('Dark growth has no kernel width; use border="dilation" to vary it.')
    fast, found = load(), None
    for width in widths:
        settings = replace(settings, kernel_width=width)
        if fast:
            found = found or fast.cut(image, settings, slice_number)
            yield fast.grow(found, settings)[0]
        else:
            yield trace_skull_mask(image, settings, slice_number=slice_number).mask


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
        Named where the image is refused (InvalidImage).

    Examples
    --------
    >>> image = np.zeros((60, 60))
    >>> image[20:40, 20:40] = 1.0
    >>> measure_slice(image, PipelineSettings(kernel_width=3)).mask_px
    480
    """
    settings = (settings or PipelineSettings()).at(spacing_mm)
    fast = load()
    if fast and settings.border != DARK_GROWTH:
        found = fast.cut(image, settings, slice_number)
        mask, dilated_px, facts = fast.measure(found, settings)
        threshold, touching = found.threshold, found.framed[found.areas > 0] > 0
    else:
        trace = trace_skull_mask(image, settings, spacing_mm=spacing_mm, slice_number=slice_number)
        mask, facts, threshold = trace.mask, trace.facts, trace.threshold
        dilated_px, touching = np.count_nonzero(trace.dilated), trace.components["touches_edge"]
    counts = threshold, len(touching), int(np.count_nonzero(touching))
    areas = facts.chosen_px, int(dilated_px), facts.mask_px
    reason = empty_reason(facts, len(touching))
    told = tuple(warnings_of(facts, settings, spacing_mm, reason).values())
    return SliceMeasure(mask, *counts, *areas, reason, told)


def measure_stack(stack: Any, settings: PipelineSettings | None = None) -> pd.DataFrame:
    """Measure every slice of a Stack, and hold each against its neighbours: a row a slice.

    Columns are source (its file, where there are several), slice (its number there), group, those
    of `SliceMeasure`, and status ("ok", "warned" or "empty").

    >>> from skullnb.stack import Stack
    >>> measure_stack(Stack(np.zeros((2, 8, 8))))["status"].tolist()
    ['empty', 'empty']
    """
    import pandas as pd

    settings = (settings or PipelineSettings()).at(stack.spacing_mm)
    rows, several = [], len(stack.sources) > 1
    for index, number in enumerate(stack.slice_numbers):
        image, group = stack.images[index], stack.groups[index] if stack.groups else ""
        found = measure_slice(image, settings, stack.spacing_mm, slice_number=number)
        row = {"source": stack.sources[stack.volume_numbers[index]].name} if several else {}
        rows.append({**row, "slice": number, "group": group, **found.row()})
    add_neighbour_signs(rows, *_volumes_of(stack))
    return pd.DataFrame(rows)


def _volumes_of(stack: Any) -> tuple[list[str], list[float]]:
    """Name the volume of each slice, "" where none is known, and give mm from slice to slice.

    A grid makes a volume, and so does a label that was given and is not just the file's name.
    """
    volumes, steps_mm, n_slices = [], [], Counter(stack.volume_numbers)
    for index, number in enumerate(stack.volume_numbers):
        label = stack.groups[index] if stack.groups else ""
        grid = stack.grids[number] if stack.grids else None
        name = stack.sources[number].name if stack.sources else ""
        if grid is None and name and f"{name}.".startswith(f"{label}."):
            label = ""
        # One file of several slices is a volume of its own; files of one make up one together.
        several = n_slices[number] > 1
        volumes.append(f"{number} {label}" if label and several else label)
        steps_mm.append(grid.steps_mm[0] if grid is not None and several else 0.0)
    return volumes, steps_mm


def add_neighbour_signs(rows: list[Row], volumes: list[str], steps_mm: list[float]) -> None:
    """Add to rows what tells each from its volume's nearby slices; words as `neighbour_signs`."""
    areas, levels = [row["mask_px"] for row in rows], [row["threshold"] for row in rows]
    numbers, warned = [row["slice"] for row in rows], [bool(row["warnings"]) for row in rows]
    beside = neighbour_signs(areas, levels, volumes, numbers, steps_mm, warned)
    for row, signs in zip(rows, beside, strict=True):
        row["warnings"] = told = (*row["warnings"], *dict.fromkeys(signs.values()))
        row["status"] = "empty" if row["reason"] else "warned" if told else "ok"


@lru_cache(maxsize=1)
def load() -> ModuleType | None:
    """Give the fast kernels, or None where numba does not work; compiling takes half a minute."""
    words = "Compiling the fast masks, once for this installation ..."
    patience = threading.Timer(3.0, print, [words], {"file": sys.stderr})
    if sys.stderr and sys.stderr.isatty():  # there may be none
        patience.start()
    try:
        fast = importlib.import_module("skullnb.pipeline.fast")
        for kind in (np.float32, np.float64):
            fast.measure(fast.cut(np.eye(3, dtype=kind), PipelineSettings()), PipelineSettings())
    except (ImportError, RuntimeError):  # no numba, or nowhere to keep what it compiles
        return None
    finally:
        patience.cancel()
    return fast
