"""The five steps with numba: the masks of `skullnb.pipeline.steps`, bit for bit, and their facts.

What makes it quick, and why it is exact:

* **One look at the extremes.** The bits of floats sort like whole numbers on either side of zero,
  and infinities and NaN lie outside all finite numbers. One pass of whole-number comparisons finds
  the minimum, the maximum, and whether anything is not finite.
* **One pass to the levels.** numpy's operations in numpy's order and precision: no fast-math, so
  nothing is reordered or fused. Whole numbers take their levels from a table of all there are.
* **Pairs are counted.** One look at two neighbouring levels counts both: a table of 65,536 pairs
  holds the histogram. Otsu's criterion is computed from it to some 15 digits, and believed only
  where the best level wins in the first 6. Else OpenCV is asked: how it decides between levels that
  split equally well differs from build to build.
* **64 pixels a word.** Bright pixels are packed into bits, and runs (bright stretches of a row) are
  read off where bits change.
* **Runs, not labels.** A component is a set of runs joined by union-find. The work grows with the
  number of runs, never with that of the components. Where equal components compete, OpenCV's
  order of labels decides, and OpenCV is asked.
* **A kernel is a stack of rows.** Dilating by a row is ORing shifted words, a wider row starts from
  what the narrower one has done, and two rows of one width are added in one pass.
* **Holes among few runs.** Those of the result's background that are not joined to the outermost.
* **A hull from row ends.** The first and last pixel of each row have the same convex hull as all.

Every signature is fixed beforehand, and for arrays that may be read-only: a memory-mapped slice
runs the same machine code as any other, and no argument can start another compilation.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numba import njit, types
from numpy.typing import NDArray

from skullnb.pipeline.settings import PipelineSettings, refuse_not_finite
from skullnb.pipeline.signs import SliceFacts, quantile_of_counts
from skullnb.pipeline.steps import (
    Mask,
    binarise,
    choose_brain,
    label_components,
    normalise,
    otsu_threshold,
    structuring_element,
)

WORD = 64
_MOST_COUNTED = 2**22  # in a larger frame OpenCV's Otsu leaves out levels that few pixels have
_LONGEST_TABLE = 2**16
_HOT = 0.999

_Function = TypeVar("_Function", bound=Callable[..., Any])

_ALL, _NONE, _ONE = np.uint64(2**64 - 1), np.uint64(0), np.uint64(1)
_LAST = np.uint64(WORD - 1)
_OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy"}
_held = threading.local()


def _part(function: _Function) -> _Function:
    """Compile as a part of the kernels that call it."""
    compiled: _Function = njit(**_OPTIONS)(function)
    return compiled


def _kernel(*signatures: tuple[Any, ...]) -> Callable[[_Function], _Function]:
    """Compile, or load from the cache, for these arguments and no others."""

    def compile_now(function: _Function) -> _Function:
        try:
            compiled: _Function = njit(list(signatures), cache=True, **_OPTIONS)(function)
        except RuntimeError:  # there is nowhere to write the cache: compile in every process
            compiled = njit(list(signatures), **_OPTIONS)(function)
        return compiled

    return compile_now


def _read(kind: Any, n_axes: int = 1) -> Any:
    return types.Array(kind, n_axes, "C", readonly=True)


def _write(kind: Any, n_axes: int = 1) -> Any:
    return types.Array(kind, n_axes, "C")


# ---- single words ----


@_part
def _bits_set(word: Any) -> Any:
    """Count bits; the compiler knows this way of counting, and has an instruction for it."""
    word = word - (word >> _ONE & np.uint64(0x5555555555555555))
    twos = np.uint64(0x3333333333333333)
    word = (word & twos) + (word >> np.uint64(2) & twos)
    word = (word + (word >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return word * np.uint64(0x0101010101010101) >> np.uint64(56)


@_part
def _trailing_zeros(word: Any) -> Any:
    """Count zeros behind the last bit that is set."""
    return _bits_set(~word & (word - _ONE))


@_part
def _light(words: Any, start: int, end: int) -> None:
    """Set the bits from start to end - 1."""
    a, b = start // WORD, (end - 1) // WORD
    head, tail = _ALL << np.uint64(start % WORD), _ALL >> np.uint64(-end % WORD)
    if a == b:
        words[a] |= head & tail
    else:
        words[a] |= head
        words[a + 1 : b] = _ALL
        words[b] |= tail


# ---- step 1 and 2: levels, their histogram, Otsu's threshold ----


@_kernel(
    (_read(types.int32), _read(types.uint32), _write(types.uint32)),
    (_read(types.int64), _read(types.uint64), _write(types.uint64)),
)
def extremes(signed: Any, unsigned: Any, found: Any) -> None:
    """Find the smallest and the largest of floats that are given, and returned, as their bits."""
    # Among those with the sign bit set a larger pattern is a smaller number.
    low, high = signed[0], signed[0]
    lowest, highest = unsigned[0], unsigned[0]
    for i in range(signed.size):
        low, high = min(low, signed[i]), max(high, signed[i])
        lowest, highest = min(lowest, unsigned[i]), max(highest, unsigned[i])
    found[0] = highest if low < 0 else lowest
    found[1] = high if high >= 0 else lowest


@_kernel(
    (_read(types.float32, 2), *[types.float32] * 3, _write(types.uint8, 2)),
    (_read(types.float64, 2), *[types.float64] * 3, _write(types.uint8, 2)),
)
def levels_of_floats(pixels: Any, low: Any, span: Any, top: Any, levels: Any) -> None:
    """Scale pixels to 0..`top` and cut the decimals off; `span` is highest minus lowest."""
    for row in range(len(pixels)):
        source, target = pixels[row], levels[row]
        for i in range(source.size):
            target[i] = np.uint8(np.int32((source[i] - low) / span * top))


@_kernel(
    *((_read(kind, 2), kind, _read(types.uint8), _write(types.uint8, 2))
      for kind in (types.uint8, types.uint16, types.uint32))
)  # fmt: skip
def levels_of_integers(pixels: Any, low: Any, table: Any, levels: Any) -> None:
    """Look levels up; signed numbers come as their bits, and the differences are the same."""
    for row in range(len(pixels)):
        source, target = pixels[row], levels[row]
        for i in range(source.size):
            target[i] = table[low.dtype.type(source[i] - low)]


@_kernel((_read(types.uint16), types.int64, _write(types.uint32), _write(types.int64)))
def count_levels(pairs: Any, n_dark: int, table: Any, counts: Any) -> None:
    """Count the levels of a frame, given as pairs, without `n_dark` zeros that were added."""
    table[:] = 0
    for i in range(pairs.size):
        table[pairs[i]] += np.uint32(1)
    lower = np.zeros(256, dtype=np.uint32)
    for upper in range(256):
        part, n_upper = table[upper * 256 : upper * 256 + 256], np.uint32(0)
        for level in range(256):
            n_upper += part[level]
            lower[level] += part[level]
        counts[upper] = n_upper
    for level in range(256):
        counts[level] += lower[level]
    counts[0] -= n_dark


@_kernel((_read(types.int64),))
def clear_otsu(counts: Any) -> int:
    """Level that splits a histogram best, or -1 where another one comes near."""
    n_all, sum_all = 0, 0
    for level in range(256):
        n_all += counts[level]
        sum_all += level * counts[level]
    best, second, chosen = 0.0, 0.0, -1
    n_below, sum_below = 0, 0
    for level in range(255):
        n_below += counts[level]
        sum_below += level * counts[level]
        if 0 < n_below < n_all:
            apart = np.float64(sum_all * n_below - n_all * sum_below)
            between = apart * apart / (np.float64(n_below) * np.float64(n_all - n_below))
            if between > best:
                best, second, chosen = between, best, level
            elif between > second:
                second = between
    return chosen if second < best * (1 - 1e-6) else -1
