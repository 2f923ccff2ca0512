"""Masks, and the row that a table needs of each: the doors that everything else goes through.

Where numba works, the kernels of `skullnb.pipeline.fast` do the work; elsewhere the steps do, to
the same bits.
"""

from __future__ import annotations

import importlib
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from skullnb.errors import InvalidSetting
from skullnb.pipeline import steps
from skullnb.pipeline.settings import DARK_GROWTH, PipelineSettings, as_slice, as_stack
from skullnb.pipeline.signs import (
    HOT_QUANTILE,
    SliceFacts,
    neighbour_signs,
    quantile_of_counts,
    warnings_of,
)
from skullnb.pipeline.steps import Mask
from skullnb.pipeline.trace import empty_reason, trace_skull_mask

if TYPE_CHECKING:
    import pandas as pd

COMPILING = "Compiling the fast masks, once for this installation (about half a minute) ..."
_PATIENCE = 3.0  # seconds until a slow start is explained
_held = threading.local()


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
        return "empty" if self.reason else "warned" if self.warnings else "ok"

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
    InvalidImage, InvalidSetting
        If it is not a finite, real, non-empty 2D array, or the width no whole number up to 1023.

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

    Parameters
    ----------
    images : (N, H, W) array, real
    settings : PipelineSettings, optional
        The article's when left out.
    spacing_mm : (row, column), optional
        In mm per pixel: what a reach in mm and dark growth need.

    Raises
    ------
    InvalidImage, InvalidSetting
        As `create_skull_mask`, with the number of the slice; or a spacing is needed.

    Examples
    --------
    >>> create_skull_masks(np.zeros((2, 8, 8))).shape
    (2, 8, 8)
    """
    settings = (settings or PipelineSettings()).at(spacing_mm)
    stack, fast = as_stack(images), load()
    masks = np.empty(stack.shape, dtype=np.uint8)
    for number, image in enumerate(stack):
        if fast and settings.border != DARK_GROWTH:
            _grow(fast, _cut(fast, image, settings, number), settings, masks[number])
        else:
            found = measure_slice(image, settings, spacing_mm, slice_number=number)
            masks[number] = found.mask
    return masks


def masks_by_width(
    image: ArrayLike,
    widths: Iterable[int],
    settings: PipelineSettings | None = None,
    *,
    slice_number: int | None = None,
) -> Iterator[Mask]:
    """Masks of one slice, (H, W) uint8 {0, 1}, at several kernel widths (px).

    All before the dilation is done once; the width and reach of the settings are not used. Refused
    as by `create_skull_mask`, and so is dark growth.

    Examples
    --------
    >>> image = np.zeros((60, 60))
    >>> image[20:40, 20:40] = 1.0
    >>> [int(mask.sum()) for mask in masks_by_width(image, (1, 3, 5))]
    [400, 480, 568]
    """
    settings = replace(settings or PipelineSettings(), reach_mm=None)
    if settings.border == DARK_GROWTH:
        raise InvalidSetting('Dark growth has no kernel width; use border="dilation" to vary it.')
    fast = load()
    found: Any = None
    for width in widths:
        settings = replace(settings, kernel_width=width)
        if fast:
            found = found or _cut(fast, image, settings, slice_number)
            mask = np.empty(np.shape(image), dtype=np.uint8)
            _grow(fast, found, settings, mask)
        else:
            found = found or trace_skull_mask(image, settings, slice_number=slice_number)
            mask = steps.dilate(found.brain, width, settings.kernel_shape)
            mask = steps.fill_holes(mask) if settings.fill_holes else mask
        yield mask


def measure_slice(
    image: ArrayLike,
    settings: PipelineSettings | None = None,
    spacing_mm: tuple[float, float] | None = None,
    *,
    slice_number: int | None = None,
) -> SliceMeasure:
    """Mask a slice and say what a table needs to know of it, at about the price of the mask.

    Mask, numbers, warnings and refusals are those of `trace_skull_mask`.

    Parameters
    ----------
    image : (H, W) array, real
    settings : PipelineSettings, optional
        The article's when left out.
    spacing_mm : (row, column), optional
        In mm per pixel: what a reach in mm needs, and warnings about the size of a head.
    slice_number : int, optional
        Named in error messages.

    Examples
    --------
    >>> image = np.zeros((60, 60))
    >>> image[20:40, 20:40] = 1.0
    >>> measure_slice(image, PipelineSettings(kernel_width=3)).mask_px
    480
    """
    settings = (settings or PipelineSettings()).at(spacing_mm)
    if not (fast := load()) or settings.border == DARK_GROWTH:
        trace = trace_skull_mask(image, settings, spacing_mm=spacing_mm, slice_number=slice_number)
        mask, facts, threshold = trace.mask, trace.facts, trace.threshold
        n_components, n_edge_touching = len(trace.components), trace.n_edge_touching
        dilated_px = int(np.count_nonzero(trace.dilated))
    else:
        found = levels, counts, threshold, components = _cut(fast, image, settings, slice_number)
        mask = np.empty(np.shape(image), dtype=np.uint8)
        dilated_px, mask_px, columns = _grow(fast, found, settings, mask)
        n_components, n_edge_touching, areas, hull_px = fast.facts_of(levels, *components, columns)
        n_levels, hot_level = np.count_nonzero(counts), quantile_of_counts(counts, HOT_QUANTILE)
        one = *mask.shape, int(n_levels), hot_level, *areas, mask_px, hull_px
        facts = SliceFacts._make(one)
    reason = empty_reason(facts, n_components)
    return SliceMeasure(
        mask=mask,
        threshold=threshold,
        n_components=n_components,
        n_edge_touching=n_edge_touching,
        brain_px=facts.chosen_px,
        dilated_px=dilated_px,
        mask_px=facts.mask_px,
        reason=reason,
        warnings=tuple(warnings_of(facts, settings, spacing_mm, reason).values()),
    )


def measure_stack(
    stack: Any,
    settings: PipelineSettings | None = None,
    visit: Callable[[int, SliceMeasure], object] | None = None,
) -> pd.DataFrame:
    """Measure every slice of a stack, and hold each against its neighbours.

    Slices are refused as by `measure_slice`, with their number.

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
        A row a slice: source (its file, where there are several), slice (its number there), group,
        threshold, n_components, n_edge_touching, brain_px, dilated_px, mask_px, reason, warnings (a
        tuple of str), and status ("ok", "warned" or "empty").

    Examples
    --------
    >>> from skullnb.stack import Stack
    >>> measure_stack(Stack(np.zeros((2, 8, 8))))["status"].tolist()
    ['empty', 'empty']
    """
    import pandas as pd

    settings = (settings or PipelineSettings()).at(stack.spacing_mm)
    groups = stack.groups or [""] * len(stack.images)
    files = [{"source": one.name} for one in stack.sources] if len(stack.sources) > 1 else []
    rows = []
    for index, number in enumerate(stack.slice_numbers):
        image = stack.images[index]
        measure = measure_slice(image, settings, stack.spacing_mm, slice_number=number)
        own = files[stack.volume_numbers[index]] if files else {}
        rows.append({**own, "slice": number, "group": groups[index], **measure.row()})
        if visit:
            visit(index, measure)
    add_neighbour_signs(rows, *_volumes_of(stack))
    return pd.DataFrame(rows)


def _volumes_of(stack: Any) -> tuple[list[str], list[float]]:
    """Name the volume of each slice, "" where none is known, and give mm from slice to slice.

    A grid makes a volume, and so does a label that was given and is not just the file's name.
    """
    volumes, steps_mm = [], []
    several = Counter(stack.volume_numbers)
    for index, number in enumerate(stack.volume_numbers):
        label = stack.groups[index] if stack.groups else ""
        grid = stack.grids[number] if stack.grids else None
        path = stack.sources[number] if stack.sources else None
        if grid is None and path and f"{path.name}.".startswith(f"{label}."):
            label = ""
        # One file of several slices is a volume of its own; files of one make up one together.
        volumes.append(f"{number} {label}" if label and several[number] > 1 else label)
        steps_mm.append(grid.steps_mm[0] if grid is not None and several[number] > 1 else 0.0)
    return volumes, steps_mm


def add_neighbour_signs(
    rows: list[dict[str, Any]], volumes: list[str], steps_mm: list[float]
) -> None:
    """Add to rows what tells each from its volume's nearby slices; words as `neighbour_signs`."""
    areas, levels, numbers = (
        [row[name] for row in rows] for name in ("mask_px", "threshold", "slice")
    )
    warned = [bool(row["warnings"]) for row in rows]
    beside = neighbour_signs(areas, levels, volumes, numbers, steps_mm, warned)
    for row, signs in zip(rows, beside, strict=True):
        row["warnings"] = told = (*row["warnings"], *dict.fromkeys(signs.values()))
        row["status"] = "empty" if row["reason"] else "warned" if told else "ok"


@lru_cache(maxsize=1)
def load() -> ModuleType | None:
    """Give the fast kernels, compiled or from their cache; None where numba does not work.

    Loading takes a second or more in every process. Compiling comes before it, once for an
    installation, and a terminal is told. Call this before starting workers, or a clock.
    """
    patience = threading.Timer(_PATIENCE, _tell_a_terminal)
    patience.start()
    try:
        return importlib.import_module("skullnb.pipeline.fast")
    except ImportError:
        return None
    finally:
        patience.cancel()


def _tell_a_terminal() -> None:
    if sys.stderr.isatty():
        print(COMPILING, file=sys.stderr)


def _cut(
    fast: ModuleType, image: ArrayLike, settings: PipelineSettings, number: int | None
) -> tuple[NDArray[Any], NDArray[Any], int, Any]:
    """Do steps 1 to 3: levels, counts, threshold, and components.

    The components are what `fast.components_of` gives, up to the chosen one's first run.
    """
    pixels = as_slice(image, number, finite=False)
    height, width = pixels.shape
    # Dark columns fill up the last word of each row, and there is always one. The memory stays the
    # thread's for its next slice: fresh memory can cost more than the step that fills it.
    shape = height, (width // fast.WORD + 1) * fast.WORD
    if getattr(_held, "shape", None) != shape:
        _held.shape, _held.levels = shape, np.empty(shape, dtype=np.uint8)
        _held.pairs = np.zeros(2**16, dtype=np.uint32)
    levels, counts = _held.levels, np.zeros(256, dtype=np.int64)
    room = levels, levels.view(np.uint64), _held.pairs, counts
    threshold = _find_levels(fast, pixels, number, room)
    if settings.threshold != "otsu":
        threshold = int(settings.threshold)
    elif threshold < 0:
        threshold = steps.otsu_threshold(levels[:, :width])
    drop, diagonal = bool(settings.drop_edge_touching), settings.connectivity == 8
    eights = levels.ravel().view(np.uint64)
    *parts, chosen, n_equal = fast.components_of(eights, height, width, threshold, diagonal, drop)
    if n_equal > 1:
        edges, first, owner = parts[:3]
        binary = steps.binarise(levels[:, :width], threshold)
        labels, components = steps.label_components(binary, settings.connectivity)
        row, column = divmod(int(np.argmax(labels == steps.choose_brain(components, drop))), width)
        starts = edges[2 * first[row] : 2 * first[row + 1] : 2]
        chosen = int(owner[first[row] + np.searchsorted(starts, column)])
    return levels, counts, threshold, (*parts, chosen)


def _grow(fast: ModuleType, found: Any, settings: PipelineSettings, mask: Mask) -> Any:
    """Do steps 4 and 5 with what `_cut` found; what `fast.grow` gives."""
    edges, first, owner, _, _, chosen = found[3]
    if chosen < 0:
        mask[...] = 0
        return 0, 0, np.empty((2, 0), dtype=np.int32)
    rows = _kernel_rows(settings.kernel_width, settings.kernel_shape)
    return fast.grow(edges, first, owner, chosen, rows, bool(settings.fill_holes), mask)


def _find_levels(
    fast: ModuleType, pixels: NDArray[Any], number: int | None, room: tuple[NDArray[Any], ...]
) -> int:
    """Do step 1, and count; Otsu's threshold, or -1 where OpenCV must be asked."""
    kind = pixels.dtype.newbyteorder("=")
    pixels = np.ascontiguousarray(pixels, dtype=kind)
    if kind in (np.float32, np.float64):
        bits = (pixels.ravel().view(f"{code}{kind.itemsize}") for code in "iu")
        threshold: int = fast.levels_of_floats(pixels, kind.type(255), *bits, *room)
        if threshold >= -1:
            return threshold
    as_slice(pixels, number)  # refuses what is not finite
    low, high = pixels.min(), pixels.max()
    if low == high:
        room[0][...], room[-1][0] = 0, pixels.size
        return 0
    if kind.kind in "iu" and int(high) - int(low) < 2**16:
        # Differences of 16 bits are right even where the numbers themselves wrap around.
        places = pixels.astype(np.uint16) - low.astype(np.uint16)
        values = np.arange(int(high) - int(low) + 1).astype(kind) + low
        level_of = steps.normalise(values[None])[0]
    else:
        places = steps.normalise(pixels).astype(np.uint16)
        level_of = np.arange(256, dtype=np.uint8)
    return int(fast.levels_by_table(places, level_of, *room))


@lru_cache(maxsize=128)
def _kernel_rows(width: int, shape: str) -> NDArray[np.int64]:
    """Cut a structuring element into its rows, as `fast.grow` takes them.

    Each row of the kernels there are is one run about the anchor, and of two rows one reaches as
    far as the other on both sides or farther, so that every row can start from the one before.
    """
    element, anchor = steps.structuring_element(max(width, 1), shape), width // 2
    found = []
    for y, row in enumerate(element):
        columns = np.flatnonzero(row)
        # OpenCV looks from the result to the source; seen from the source it is the other way.
        found.append((anchor - y, int(columns[-1]) - anchor, anchor - int(columns[0])))
    return np.array(sorted(found, key=lambda row: row[1] + row[2]), dtype=np.int64)
