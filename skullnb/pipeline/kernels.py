"""The kernels of `with_numba`; importing this module compiles them, or loads them from a cache.

What makes them quick, and why they are exact:

* **One look at the extremes.** Floats sort like whole numbers once the bits below the sign of the
  negative ones are flipped, and infinities and NaN then lie outside all finite numbers. One pass
  of whole-number comparisons finds minimum, maximum and whether anything is not finite.
* **One pass to the levels.** numpy's operations in numpy's order and precision: no fast-math, so
  nothing is reordered or fused.
* **Runs, not labels.** A component is a set of runs (bright stretches of a row) joined by
  union-find. The work grows with the number of runs, never with that of the components.
* **64 pixels a word.** Runs are found, and the component is dilated, on rows packed into bits; the
  holes are found among the few runs of the result's background.

Every signature is fixed beforehand, and for arrays that may be read-only: a memory-mapped slice
runs the same machine code as any other, and no argument can start another compilation.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from skullnb.pipeline.with_numpy import WORD

_Function = TypeVar("_Function", bound=Callable[..., Any])

_ALL, _NONE, _ONE = np.uint64(2**64 - 1), np.uint64(0), np.uint64(1)
_NEVER_ZERO = ir.Constant(ir.IntType(1), 1)
_OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy"}


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


@_part
def _pack(eights: Any) -> Any:
    """Pack pixels, whose lowest bits say whether they are bright; each number holds eight."""
    # Pixel j leaves a bit at 8 j, which the factor's bit at 56 - 7 j carries to 56 + j. No two of
    # the 64 products meet there or below, so nothing is carried over from one place to the next.
    lowest, gather = np.uint64(0x0101010101010101), np.uint64(0x0102040810204080)
    packed = np.empty(eights.size, dtype=np.uint8)
    for i in range(eights.size):
        packed[i] = np.uint8(((eights[i] & lowest) * gather) >> np.uint64(56))
    return packed.view(np.uint64)


def _instruction(emit: Callable[[Any, Any], Any]) -> Any:
    """Make a function of one word out of an instruction that numba has no name for."""

    def typed(_typing: Any, _word: Any) -> Any:
        def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            return emit(builder, arguments[0])

        return types.uint64(types.uint64), generate

    return intrinsic(typed)


_bits_set = _instruction(lambda builder, word: builder.ctpop(word))
_trailing_zeros = _instruction(lambda builder, word: builder.cttz(word, _NEVER_ZERO))


@_part
def _cut_into_runs(words: Any, n_rows: int, background: bool) -> Any:
    """Cut rows into runs: first and end column of each; and how many there are before a row."""
    n_words = words.size // n_rows
    n_edges = _count_changes(words) + 2 * n_rows * int(background)
    edges, first = np.empty(n_edges, dtype=np.int32), np.empty(n_rows + 1, dtype=np.int32)
    n_edges = 0
    for row in range(n_rows):
        first[row] = n_edges // 2
        if background:
            edges[n_edges] = 0
            n_edges += 1
        before = _NONE
        for k in range(n_words):
            word = words[row * n_words + k]
            changes = word ^ (word << _ONE | before)
            before = word >> np.uint64(WORD - 1)
            while changes:
                edges[n_edges] = k * WORD + _trailing_zeros(changes)
                n_edges += 1
                changes &= changes - _ONE
        if background:
            edges[n_edges] = n_words * WORD
            n_edges += 1
    first[n_rows] = n_edges // 2
    return edges, first


@_part
def _count_changes(words: Any) -> int:
    """Bits that differ from the one before; no row ends with a bit that is set."""
    count, here = _bits_set(words[0] ^ words[0] << _ONE), words[1:]
    for i in range(here.size):
        count += _bits_set(here[i] ^ (here[i] << _ONE | words[i] >> np.uint64(WORD - 1)))
    return int(count)


@_part
def _join(edges: Any, first: Any, diagonal: int) -> Any:
    """For every run the first run of its component."""
    n_runs = first[-1]
    parent = np.empty(n_runs, dtype=np.int32)
    for row in range(first.size - 1):
        above, stop = first[max(row - 1, 0)], first[row]
        for run in range(first[row], first[row + 1]):
            parent[run] = run
            start, end = edges[2 * run] - diagonal, edges[2 * run + 1] + diagonal
            while above < stop and edges[2 * above + 1] <= start:
                above += 1
            other = above
            while other < stop and edges[2 * other] < end:
                a, b = _root(parent, run), _root(parent, other)
                parent[max(a, b)] = min(a, b)
                other += 1
    # A parent is never behind its child, so by now one step leads to the first run.
    for run in range(n_runs):
        parent[run] = parent[parent[run]]
    return parent


@_part
def _root(parent: Any, run: int) -> int:
    while parent[run] != run:
        parent[run] = parent[parent[run]]
        run = parent[run]
    return run


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


# These three loops run over views that start where they are needed: an index that might be
# negative would keep the compiler from doing eight words at once.


@_part
def _widen_left(words: Any, step: Any, wider: Any) -> None:
    behind, rest = words[1:], np.uint64(WORD) - step
    for i in range(behind.size):
        wider[i] = words[i] | words[i] >> step | behind[i] << rest
    wider[-1] = words[-1] | words[-1] >> step


@_part
def _widen_right(words: Any, step: Any, wider: Any) -> None:
    here, there, rest = words[1:], wider[1:], np.uint64(WORD) - step
    for i in range(here.size):
        there[i] = here[i] | here[i] << step | words[i] >> rest
    wider[0] = words[0] | words[0] << step


@_part
def _add(words: Any, more: Any) -> None:
    for i in range(min(words.size, more.size)):
        words[i] |= more[i]


@_part
def _inside(grown: Any, height: int, top: int, left: int, shape: Any) -> Any:
    """Bits that lie in the frame."""
    n_words = grown.size // height
    keep = np.zeros(n_words, dtype=np.uint64)
    _light(keep, max(0, -left), min(n_words * WORD, shape[1] - left))
    words = np.zeros_like(grown)
    for row in range(max(0, -top), min(height, shape[0] - top)):
        for k in range(n_words):
            words[row * n_words + k] = grown[row * n_words + k] & keep[k]
    return words


@_kernel(
    (_read(types.int32), types.int64, _write(types.int32)),
    (_read(types.int64), types.int64, _write(types.int64)),
)
def extremes(bits: Any, below_sign: int, found: Any) -> None:
    """Find the smallest and the largest of floats that are given, and returned, as their bits."""
    kind = bits.dtype.type
    flip = kind(below_sign)
    low, high = flip, kind(-below_sign - 1)
    for i in range(bits.size):
        key = kind(bits[i] ^ flip) if bits[i] < 0 else bits[i]
        low = min(low, key)
        high = max(high, key)
    found[0] = low ^ flip if low < 0 else low
    found[1] = high ^ flip if high < 0 else high


@_kernel(
    (_read(types.float32, 2), *[types.float32] * 3, _write(types.uint8, 2)),
    (_read(types.float64, 2), *[types.float64] * 3, _write(types.uint8, 2)),
)
def levels(pixels: Any, low: Any, span: Any, top: Any, levels: Any) -> None:
    """Scale pixels to 0..`top` and cut the decimals off; `span` is highest minus lowest."""
    for row in range(len(pixels)):
        source, target = pixels[row], levels[row]
        for i in range(source.size):
            target[i] = np.uint8(np.int32((source[i] - low) / span * top))


@_kernel((_read(types.uint64), types.int64, types.int64, types.boolean, types.boolean))
def find_brain(eights: Any, height: int, width: int, diagonal: bool, drop: bool) -> Any:
    """Tell how many components are the largest, and of one its runs, first and end column."""
    words = _pack(eights)
    edges, first = _cut_into_runs(words, height, False)
    owner = _join(edges, first, int(diagonal))
    n_runs = owner.size

    areas = np.zeros(n_runs, dtype=np.int64)
    dropped = np.zeros(n_runs, dtype=np.bool_)
    for row in range(height):
        at_frame = row in (0, height - 1)
        for run in range(first[row], first[row + 1]):
            start, end = edges[2 * run], edges[2 * run + 1]
            areas[owner[run]] += end - start
            if drop and (at_frame or start == 0 or end == width):
                dropped[owner[run]] = True

    largest, chosen, n_equal = 0, -1, 0
    for run in range(n_runs):
        if not dropped[run] and areas[run] > largest:
            largest, chosen, n_equal = areas[run], run, 1
        elif not dropped[run] and areas[run] == largest > 0:
            n_equal += 1

    n_own = 0
    for run in range(n_runs):
        n_own += owner[run] == chosen
    runs = np.empty((n_own, 3), dtype=np.int32)
    left, right, n_own = width, 0, 0
    for row in range(height):
        for run in range(first[row], first[row + 1]):
            if owner[run] == chosen:
                start, end = edges[2 * run], edges[2 * run + 1]
                runs[n_own, 0], runs[n_own, 1], runs[n_own, 2] = row, start, end
                left, right, n_own = min(left, start), max(right, end), n_own + 1
    return n_equal, runs, left, right


@_kernel((_read(types.int32, 2), *[types.int64] * 4, _read(types.int64, 2)))
def dilate(runs: Any, top: int, left: int, height: int, n_words: int, rows: Any) -> Any:
    """Draw runs as bits and dilate them, as `with_numpy.spread` does."""
    now = np.zeros(height * n_words, dtype=np.uint64)
    for i in range(len(runs)):
        start = (runs[i, 0] - top) * n_words * WORD - left
        _light(now, start + runs[i, 1], start + runs[i, 2])
    wider, grown = np.empty_like(now), np.zeros_like(now)
    to_left = to_right = 0
    for i in range(len(rows)):
        while to_left < rows[i, 1]:
            step = min(to_left + to_right + 1, rows[i, 1] - to_left, WORD - 1)
            _widen_left(now, np.uint64(step), wider)
            now, wider, to_left = wider, now, to_left + step
        while to_right < rows[i, 2]:
            step = min(to_left + to_right + 1, rows[i, 2] - to_right, WORD - 1)
            _widen_right(now, np.uint64(step), wider)
            now, wider, to_right = wider, now, to_right + step
        shift = rows[i, 0] * n_words
        if shift >= 0:
            _add(grown[shift:], now)
        else:
            _add(grown, now[-shift:])
    return grown


@_kernel((_read(types.uint64), *[types.int64] * 3, types.boolean, _write(types.uint8, 2)))
def draw(grown: Any, height: int, top: int, left: int, fill: bool, mask: Any) -> None:
    """Fill the holes of a dilated component, or do not, and write it into a mask."""
    words = _inside(grown, height, top, left, mask.shape)
    edges, first = _cut_into_runs(words, height, True)
    owner = _join(edges, first, 0)

    # The margin joins everything outside, and its first run is the first of all: run 0.
    mask[:] = 0
    for row in range(max(0, -top), min(height, len(mask) - top)):
        line = mask[row + top]
        start = left + edges[2 * first[row] + 1]
        for run in range(first[row] + 1, first[row + 1]):
            if owner[run] == 0 or not fill:
                line[start : left + edges[2 * run]] = 1
                start = left + edges[2 * run + 1]
