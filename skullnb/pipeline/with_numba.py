"""The five steps with numba: the same masks as `skullnb.pipeline.steps`, bit for bit.

The work is done in `skullnb.pipeline.kernels`, which explains its ways. Numbers of a type that
numba does not compute with take the steps of `with_numpy`. Where equal components compete,
OpenCV's order of labels decides, and OpenCV is asked.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from skullnb.pipeline import kernels, with_numpy
from skullnb.pipeline.steps import Mask, choose_brain, component_mask, label_components
from skullnb.pipeline.with_numpy import Grown, Kernel, words_for


class Brain(NamedTuple):
    """The chosen component: a row, first column and end column for each run; and its columns."""

    runs: NDArray[np.int32]
    left: int
    right: int


def extremes(pixels: NDArray[Any]) -> tuple[Any, Any]:
    """Smallest and largest pixel; not finite when there is any pixel that is not."""
    if not _is_compiled_for(pixels):
        return with_numpy.extremes(pixels)
    bits = np.dtype(f"i{pixels.itemsize}")
    found = np.empty(2, dtype=bits)
    kernels.extremes(np.ascontiguousarray(pixels).ravel().view(bits), np.iinfo(bits).max, found)
    low, high = found.view(pixels.dtype)
    return low, high


def normalise(pixels: NDArray[Any], low: Any, high: Any, levels: Mask) -> None:
    """Step 1: levels 0..255 of floating-point pixels; `levels` may have more columns."""
    if not _is_compiled_for(pixels):
        return with_numpy.normalise(pixels, low, high, levels)
    kernels.levels(np.ascontiguousarray(pixels), low, high - low, pixels.dtype.type(255), levels)


def find_brain(
    bright: Mask, width: int, connectivity: int, drop_edge_touching: bool
) -> Brain | None:
    """Step 3: the largest inner component of a frame with dark columns added at its right."""
    eights = bright.ravel().view(np.uint64)
    height, diagonal = len(bright), connectivity == 8
    n_equal, runs, left, right = kernels.find_brain(
        eights, height, width, diagonal, drop_edge_touching
    )
    if n_equal > 1:
        labels, components = label_components(bright[:, :width], connectivity)
        alone = np.zeros_like(bright)
        alone[:, :width] = component_mask(labels, choose_brain(components, drop_edge_touching))
        return find_brain(alone, width, connectivity, drop_edge_touching)
    return Brain(runs, left, right) if n_equal else None


def dilate(brain: Brain, kernel: Kernel) -> Grown:
    """Step 4: the component grown by a kernel."""
    top, left = int(brain.runs[0, 0]) - kernel.above, brain.left - kernel.to_left
    height = int(brain.runs[-1, 0]) + 1 + kernel.below - top
    n_words = words_for(brain.right + kernel.to_right - left)
    words = kernels.dilate(brain.runs, top, left, height, n_words, kernel.rows)
    return Grown(words, height, top, left)


def draw(grown: Grown, mask: Mask, fill: bool) -> None:
    """Step 5: fill the holes and write the mask, over whatever was there."""
    kernels.draw(grown.words, grown.height, grown.top, grown.left, fill, mask)


def _is_compiled_for(pixels: NDArray[Any]) -> bool:
    return pixels.dtype in (np.float32, np.float64)
