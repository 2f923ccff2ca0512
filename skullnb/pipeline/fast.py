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
from skullnb.pipeline.signs import HOT_QUANTILE, SliceFacts, quantile_of_counts
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


@_kernel((_read(types.uint16, 2), _read(types.uint8), _write(types.uint8, 2)))
def levels_by_table(places: Any, table: Any, levels: Any) -> None:
    """Look levels up."""
    for row in range(len(places)):
        source, target = places[row], levels[row]
        for i in range(source.size):
            target[i] = table[source[i]]


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


# ---- step 3: bright pixels, runs, components ----


@_part
def _pack_bright(eights: Any, threshold: int) -> Any:
    """Pack pixels into bits, lit where a level is above the threshold; a number holds eight."""
    # With its highest bit set, a byte minus 0..127 borrows from no other, and the bit is left where
    # the seven others are no less. Pixel j leaves a bit at 8 j, which the factor's bit at 56 - 7 j
    # carries to 56 + j; no two of the 64 products meet there or below.
    lowest, gather = np.uint64(0x0101010101010101), np.uint64(0x0102040810204080)
    highest, least = lowest << np.uint64(7), threshold + 1
    low_part = lowest * np.uint64(least & 127)
    either = _ALL if least < 128 else _NONE
    all_or_none = _ALL if least < 256 else _NONE
    packed = np.empty(eights.size, dtype=np.uint8)
    for i in range(eights.size):
        over = (eights[i] | highest) - low_part
        bright = (over & eights[i] | (over | eights[i]) & either) & highest & all_or_none
        packed[i] = np.uint8(((bright >> np.uint64(7)) * gather) >> np.uint64(56))
    return packed.view(np.uint64)


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
            before = word >> _LAST
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
        count += _bits_set(here[i] ^ (here[i] << _ONE | words[i] >> _LAST))
    return int(count)


@_part
def _join(edges: Any, first: Any, diagonal: int) -> Any:
    """For every run the first run of its component."""
    n_runs = first[-1]
    parent = np.empty(n_runs, dtype=np.int32)
    for row in range(first.size - 1):
        above, stop = first[max(row - 1, 0)], first[row]
        for run in range(first[row], first[row + 1]):
            start, end = edges[2 * run] - diagonal, edges[2 * run + 1] + diagonal
            while above < stop and edges[2 * above + 1] <= start:
                above += 1
            own, other = run, above
            while other < stop and edges[2 * other] < end:
                root = _root(parent, other)
                if root < own:
                    if own != run:
                        parent[own] = root
                    own = root
                elif root > own:
                    parent[root] = own
                other += 1
            parent[run] = own
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


@_kernel((_read(types.uint64), *[types.int64] * 3, types.boolean, types.boolean))
def components_of(
    eights: Any, height: int, width: int, threshold: int, diagonal: bool, drop: bool
) -> Any:
    """Cut levels into runs and components.

    Returns edges and first as `_cut_into_runs`; for every run the first run of its component; by
    first run the area and whether it touches the frame; the chosen one's first run (-1: none), and
    how many are as large.
    """
    edges, first = _cut_into_runs(_pack_bright(eights, threshold), height, False)
    owner = _join(edges, first, int(diagonal))
    areas = np.zeros(owner.size, dtype=np.int64)
    touching = np.zeros(owner.size, dtype=np.bool_)
    for row in range(height):
        at_frame = row in (0, height - 1)
        for run in range(first[row], first[row + 1]):
            start, end = edges[2 * run], edges[2 * run + 1]
            areas[owner[run]] += end - start
            if at_frame or start == 0 or end == width:
                touching[owner[run]] = True
    largest, chosen, n_equal = 0, -1, 0
    for run in range(owner.size):
        if owner[run] == run and not (drop and touching[run]):
            if areas[run] > largest:
                largest, chosen, n_equal = areas[run], run, 1
            elif areas[run] == largest:
                n_equal += 1
    return edges, first, owner, areas, touching, chosen, n_equal


@_kernel((_read(types.int32), _read(types.int32), _read(types.int32), types.int64))
def brain_of(edges: Any, first: Any, owner: Any, chosen: int) -> Any:
    """Runs of the chosen component, as row, first and end column; its left and right end."""
    n_own = 0
    for run in range(chosen, owner.size):
        n_own += owner[run] == chosen
    runs = np.empty((n_own, 3), dtype=np.int32)
    left, right, n_own = edges[2 * chosen], 0, 0
    for row in range(first.size - 1):
        for run in range(first[row], first[row + 1]):
            if owner[run] == chosen:
                start, end = edges[2 * run], edges[2 * run + 1]
                runs[n_own, 0], runs[n_own, 1], runs[n_own, 2] = row, start, end
                left, right, n_own = min(left, start), max(right, end), n_own + 1
    return runs, left, right


# ---- step 4: dilation ----


# These loops run over views that start where they are needed: an index that might be negative
# would keep the compiler from doing eight words at once.


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


@_kernel((_read(types.int32, 2), *[types.int64] * 4, _read(types.int64, 2)))
def dilate(runs: Any, top: int, left: int, height: int, n_words: int, rows: Any) -> Any:
    """Draw runs as bits, the first for row `top` and column `left`, and dilate them.

    `rows` are those of the kernel, the narrowest first: how far down, left and right each carries
    a pixel. The margins are as wide as the kernel reaches, so nothing is shifted from a row of the
    picture into the next.
    """
    now = np.zeros(height * n_words, dtype=np.uint64)
    for i in range(len(runs)):
        start = (runs[i, 0] - top) * n_words * WORD - left
        _light(now, start + runs[i, 1], start + runs[i, 2])
    wider, grown = np.empty_like(now), np.zeros_like(now)
    to_left = to_right = 0
    for i in range(len(rows)):
        # Each pixel has become a run from `to_left` before it to `to_right` behind it: ORed with
        # itself shifted by no more than its length, it stays in one piece.
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


# ---- step 5: holes, and the mask ----


@_part
def _inside(grown: Any, height: int, top: int, left: int, shape: Any) -> Any:
    """Bits that lie in the frame, and how many they are."""
    n_words = grown.size // height
    keep = np.zeros(n_words, dtype=np.uint64)
    _light(keep, max(0, -left), min(n_words * WORD, shape[1] - left))
    words, n_bits = np.zeros_like(grown), _NONE
    for row in range(max(0, -top), min(height, shape[0] - top)):
        for k in range(n_words):
            word = grown[row * n_words + k] & keep[k]
            words[row * n_words + k] = word
            n_bits += _bits_set(word)
    return words, int(n_bits)


@_kernel((_read(types.uint64), *[types.int64] * 3, types.boolean, _write(types.uint8, 2)))
def draw(grown: Any, height: int, top: int, left: int, fill: bool, mask: Any) -> Any:
    """Fill the holes of a dilated component, or do not, and write it into a mask.

    Returns the area before and after; and first and last column of the mask by row of the picture.
    """
    words, dilated_px = _inside(grown, height, top, left, mask.shape)
    edges, first = _cut_into_runs(words, height, True)
    owner = _join(edges, first, 0)
    first_column = np.full(height, 1, dtype=np.int32)
    last_column = np.zeros(height, dtype=np.int32)

    # The margin joins everything outside, and its first run is the first of all: run 0.
    mask[:] = 0
    mask_px = 0
    for row in range(max(0, -top), min(height, len(mask) - top)):
        line = mask[row + top]
        start = left + edges[2 * first[row] + 1]
        first_column[row] = start
        for run in range(first[row] + 1, first[row + 1]):
            if owner[run] == 0 or not fill:
                end = left + edges[2 * run]
                line[start:end] = 1
                mask_px += end - start
                last_column[row] = end - 1
                start = left + edges[2 * run + 1]
    return dilated_px, mask_px, first_column, last_column


# ---- facts ----


@_part
def _envelope(columns: Any, present: Any, rows: Any, sign: int, found: Any) -> None:
    """Lower convex envelope of `sign` times a column by row, rounded up; `rows` is for work."""
    n = 0
    for y in range(columns.size):
        if present[y]:
            x = sign * columns[y]
            while n > 1:
                y0, y1 = rows[n - 2], rows[n - 1]
                x0 = sign * columns[y0]
                if (sign * columns[y1] - x0) * (y - y0) < (x - x0) * (y1 - y0):
                    break
                n -= 1
            rows[n] = y
            n += 1
    for k in range(n - 1):
        y0, y1 = rows[k], rows[k + 1]
        x0, fall = sign * columns[y0], sign * (columns[y0] - columns[y1])
        for y in range(y0, y1):
            found[y] = x0 - fall * (y - y0) // (y1 - y0)
    found[rows[n - 1]] = sign * columns[rows[n - 1]]


@_part
def _hull_rows(first: Any, last: Any) -> Any:
    """Do as `signs.hull_rows`, where rows at the top and bottom may be empty, and stay so."""
    left, right = np.ones(first.size, dtype=np.int64), np.zeros(first.size, dtype=np.int64)
    present, rows = last >= first, np.empty(first.size, dtype=np.int64)
    if present.any():
        _envelope(first, present, rows, 1, left)
        _envelope(last, present, rows, -1, right)
    return left, -right


@_kernel((_read(types.int32), _read(types.int32)))
def hull_px(first: Any, last: Any) -> int:
    """Pixels in the convex hull of a mask that is given by first and last column of each row."""
    left, right = _hull_rows(first, last)
    return int((right - left + 1).sum())


@_part
def _is_padding(levels: Any, edges: Any, rows: Any, following: Any, run: int, area: int) -> bool:
    """Whether nine in ten pixels of a component have one level; seldom are all looked at."""
    counts = np.zeros(256, dtype=np.int64)
    seen, most, most_of_others = 0, 0, area - (9 * area + 9) // 10
    while run >= 0:
        line = levels[rows[run]]
        for column in range(edges[2 * run], edges[2 * run + 1]):
            counts[line[column]] += 1
            most = max(most, counts[line[column]])
        seen += edges[2 * run + 1] - edges[2 * run]
        if seen - most > most_of_others:
            return False
        run = following[run]
    return True


@_kernel(
    (
        _read(types.uint8, 2),
        *[_read(types.int32)] * 3,
        _read(types.int64),
        _read(types.boolean),
        types.int64,
    )
)
def facts_of(
    levels: Any, edges: Any, first: Any, owner: Any, areas: Any, touching: Any, chosen: int
) -> Any:
    """Count components, those at the frame, and what `SliceFacts` asks from bright_px to edge_px."""
    height, n_runs = first.size - 1, owner.size
    rows, following = np.empty(n_runs, dtype=np.int32), np.full(n_runs, -1, dtype=np.int32)
    latest, bottom = np.empty(n_runs, dtype=np.int32), np.empty(n_runs, dtype=np.int32)
    left, right = np.empty(n_runs, dtype=np.int32), np.empty(n_runs, dtype=np.int32)
    first_column, last_column = np.ones(height, dtype=np.int32), np.zeros(height, dtype=np.int32)
    for row in range(height):
        for run in range(first[row], first[row + 1]):
            own, start, end = owner[run], edges[2 * run], edges[2 * run + 1]
            rows[run] = row
            if own == run:
                left[run], right[run] = start, end
            else:
                following[latest[own]] = run
                left[own], right[own] = min(left[own], start), max(right[own], end)
            latest[own], bottom[own] = run, row
            if own == chosen:
                if last_column[row] < first_column[row]:
                    first_column[row] = start
                last_column[row] = end - 1

    n_components, n_touching = 0, 0
    bright, padding, beside, edge = 0, 0, 0, 0
    for run in range(n_runs):
        if owner[run] != run:
            continue
        n_components += 1
        n_touching += touching[run]
        bright += areas[run]
        if run == chosen:
            continue
        if touching[run]:
            if _is_padding(levels, edges, rows, following, run, areas[run]):
                padding += areas[run]
            else:
                edge = max(edge, areas[run])
        elif chosen >= 0 and areas[run] > beside:
            before = rows[chosen] - rows[run], left[chosen] - left[run]
            behind = bottom[run] - bottom[chosen], right[run] - right[chosen]
            around = min(before[0], before[1], behind[0], behind[1]) >= 0
            within = max(before[0], before[1], behind[0], behind[1]) <= 0
            if not (around or within):
                beside = areas[run]

    hull, in_hull = 0, 0
    if chosen >= 0:
        hull_left, hull_right = _hull_rows(first_column, last_column)
        for row in range(height):
            start, end = hull_left[row], hull_right[row] + 1
            hull += end - start
            if start < end:
                for run in range(first[row], first[row + 1]):
                    in_hull += max(0, min(edges[2 * run + 1], end) - max(edges[2 * run], start))
    return n_components, n_touching, bright, padding, hull, in_hull, beside, edge


# ---- a slice ----


class Components(NamedTuple):
    """A frame cut into components by `components_of`, and what it was cut from."""

    levels: Mask  # with dark columns added at the right
    counts: NDArray[np.int64]
    threshold: int
    edges: NDArray[np.int32]
    first: NDArray[np.int32]
    owner: NDArray[np.int32]
    areas: NDArray[np.int64]
    touching: NDArray[np.bool_]
    chosen: int


class Kernel(NamedTuple):
    """A structuring element as its rows, and how far it reaches, plus one pixel for a margin."""

    rows: NDArray[np.int64]
    above: int
    below: int
    to_left: int
    to_right: int


def cut(pixels: NDArray[Any], settings: PipelineSettings, number: int | None) -> Components | None:
    """Do steps 1 to 3; None for a flat slice. Valid until the thread cuts the next slice."""
    height, width = pixels.shape
    # Dark columns fill up the last word of each row, and there is always one.
    levels = _scratch("levels", (height, (width // WORD + 1) * WORD), np.uint8)
    levels[:, width:] = 0
    if not _find_levels(pixels, levels, number):
        return None
    counts = np.empty(256, dtype=np.int64)
    n_dark = levels.size - pixels.size
    count_levels(
        levels.ravel().view(np.uint16), n_dark, _scratch("pairs", (2**16,), np.uint32), counts
    )
    if settings.threshold != "otsu":
        threshold = int(settings.threshold)
    else:
        threshold = clear_otsu(counts) if pixels.size <= _MOST_COUNTED else -1
        if threshold < 0:
            threshold = otsu_threshold(levels[:, :width])
    drop, diagonal = bool(settings.drop_edge_touching), settings.connectivity == 8
    eights = levels.ravel().view(np.uint64)
    *runs, chosen, n_equal = components_of(eights, height, width, threshold, diagonal, drop)
    if n_equal > 1:
        edges, first, owner = runs[:3]
        binary = binarise(levels[:, :width], threshold)
        labels, components = label_components(binary, settings.connectivity)
        row, column = divmod(int(np.argmax(labels == choose_brain(components, drop))), width)
        starts = edges[2 * first[row] : 2 * first[row + 1] : 2]
        chosen = int(owner[first[row] + np.searchsorted(starts, column)])
    return Components(levels, counts, threshold, *runs, chosen)


class Brain(NamedTuple):
    """The chosen component: a row, first column and end column for each run; and its columns."""

    runs: NDArray[np.int32]
    left: int
    right: int


def brain_in(components: Components | None) -> Brain | None:
    """Take the chosen component out; None when there is none."""
    if components is None or components.chosen < 0:
        return None
    return Brain(*brain_of(components.edges, components.first, components.owner, components.chosen))


def grow(brain: Brain | None, settings: PipelineSettings, mask: Mask) -> Any:
    """Do steps 4 and 5, into a mask that is there already; what `draw` returns, None for empty."""
    if brain is None:
        mask[...] = 0
        return None
    kernel = _kernel_rows(settings.kernel_width, settings.kernel_shape)
    top, left = int(brain.runs[0, 0]) - kernel.above, brain.left - kernel.to_left
    height = int(brain.runs[-1, 0]) + 1 + kernel.below - top
    n_words = -(-(brain.right + kernel.to_right - left) // WORD)
    words = dilate(brain.runs, top, left, height, n_words, kernel.rows)
    return draw(words, height, top, left, bool(settings.fill_holes), mask)


def measure(
    pixels: NDArray[Any], settings: PipelineSettings, number: int | None, mask: Mask
) -> tuple[SliceFacts, int, int, int, int]:
    """Write the mask; its facts, threshold, numbers of components and at the frame, dilated px."""
    height, width = pixels.shape
    found = cut(pixels, settings, number)
    grown = grow(brain_in(found), settings, mask)
    if found is None:
        level = 0 if settings.threshold == "otsu" else int(settings.threshold)
        return SliceFacts(height, width, 1, *[0] * 10), level, 0, 0, 0
    n_components, n_touching, bright, padding, hull, in_hull, beside, edge = facts_of(
        found.levels, *found[3:]
    )
    dilated_px, mask_px, first_column, last_column = grown or (0, 0, None, None)
    facts = SliceFacts(
        height=height,
        width=width,
        n_levels=int(np.count_nonzero(found.counts)),
        hot_level=quantile_of_counts(found.counts, HOT_QUANTILE),
        bright_px=bright,
        padding_px=padding,
        chosen_px=int(found.areas[found.chosen]) if grown else 0,
        hull_px=hull,
        bright_in_hull_px=in_hull,
        beside_px=beside,
        edge_px=edge,
        mask_px=mask_px,
        mask_hull_px=hull_px(first_column, last_column) if grown else 0,
    )
    return facts, found.threshold, n_components, n_touching, dilated_px


def _find_levels(pixels: NDArray[Any], levels: Mask, number: int | None) -> bool:
    """Do step 1; False for a flat slice."""
    kind = pixels.dtype.newbyteorder("=")
    pixels = np.ascontiguousarray(pixels, dtype=kind)
    width = pixels.shape[1]
    if kind in (np.float32, np.float64):
        signed, unsigned = np.dtype(f"i{kind.itemsize}"), np.dtype(f"u{kind.itemsize}")
        bits, found = pixels.ravel(), np.empty(2, dtype=unsigned)
        extremes(bits.view(signed), bits.view(unsigned), found)
        low, high = found.view(kind)
        if not (np.isfinite(low) and np.isfinite(high)):
            refuse_not_finite(pixels, number)
        with np.errstate(over="ignore"):
            span = high - low
        if np.isfinite(span):
            if span:
                levels_of_floats(pixels, low, span, kind.type(255), levels)
            return bool(span)
    elif kind.kind in "iu":
        low, high = int(pixels.min()), int(pixels.max())
        if high - low < _LONGEST_TABLE:
            if low < high:
                table = normalise((np.arange(high - low + 1).astype(kind) + kind.type(low))[None])[0]
                places = pixels.astype(np.uint16) - np.uint16(low % 2**16)  # both wrap around alike
                levels_by_table(places, table, levels)
            return low < high
    elif kind.kind == "f" and not np.isfinite(pixels).all():
        refuse_not_finite(pixels, number)
    if pixels.min() == pixels.max():
        return False
    levels[:, :width] = normalise(pixels)
    return True


@lru_cache(maxsize=128)
def _kernel_rows(width: int, shape: str) -> Kernel:
    """Cut a structuring element into its rows, the narrowest first.

    Each row of the kernels there are is one run about the anchor, and of two rows one reaches as
    far as the other on both sides or farther, so that every row can start from the one before.
    """
    element, anchor = structuring_element(max(width, 1), shape), width // 2
    found = []
    for y, row in enumerate(element):
        columns = np.flatnonzero(row)
        # OpenCV looks from the result to the source; seen from the source it is the other way.
        found.append((anchor - y, int(columns[-1]) - anchor, anchor - int(columns[0])))
    rows = np.array(sorted(found, key=lambda row: row[1] + row[2]), dtype=np.int64)
    rows.flags.writeable = False
    below, to_left, to_right = (rows.max(axis=0) + 1).tolist()
    return Kernel(rows, 1 - int(rows[:, 0].min()), below, to_left, to_right)


def _scratch(name: str, shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
    """Memory for one step, never to be returned: each thread keeps its own for the next slice.

    Fresh memory can cost more than the step that fills it: the system hands it out page by page.
    """
    held = vars(_held)
    if name not in held or held[name].shape != shape:
        held[name] = np.empty(shape, dtype=dtype)
    buffer: NDArray[Any] = held[name]
    return buffer
