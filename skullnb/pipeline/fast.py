"""The five steps with numba: the masks of `skullnb.pipeline.steps`, bit for bit, and their facts.

What makes it quick, and why it is exact:

* **One look at the extremes.** The bits of floats sort like whole numbers, those of negative ones
  the other way round, and infinities and NaN lie outside all finite numbers. Four places of the
  frame are looked at in turn, so that memory is not waited for long.
* **One pass to the levels.** numpy's operations in numpy's order and precision: no fast-math, so
  nothing is reordered or fused. Whole numbers take their levels from a table of all there are.
* **Pairs are counted.** A table of the 65,536 pairs of neighbouring levels holds the histogram;
  eight dark pixels are counted as one, as the processor waits where it counts the same again.
  Otsu's criterion is computed from it to some 15 digits, and believed where the best level wins in
  the first 6; else OpenCV is asked, whose builds differ in how they decide between equal levels.
* **64 pixels a word.** Runs (bright stretches of a row) start and end where bits change. Dilating
  by a row of the kernel is ORing shifted words, from what a narrower row has done.
* **Runs, not labels.** A component is a set of runs joined by union-find, whatever the number of
  components. Where equal ones compete, OpenCV is asked for the order of its labels. Holes are
  runs of the background that are not joined to the outermost.
* **A hull from row ends.** The first and last pixel of each row have the same convex hull as all.

Every signature is fixed beforehand, for arrays that may be read-only: a memory-mapped slice runs
the same machine code as any other, and no argument can start another compilation.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from numba import from_dtype, njit, types

from skullnb.pipeline.signs import PADDING_SHARE

_Function = TypeVar("_Function", bound=Callable[..., Any])
WORD = 64
_ALL, _NONE, _ONE, _LAST = (np.uint64(value) for value in (2**64 - 1, 0, 1, WORD - 1))
_OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy"}
_part: Callable[[_Function], _Function] = njit(**_OPTIONS)  # compiled into the kernels that call it


def _kernel(*signatures: str) -> Callable[[_Function], _Function]:
    """Compile, or load from the cache, for arguments `i8`, arrays `[i8]`, or to write, `[i8]=`."""

    def typed(code: str) -> Any:
        kind, n_axes = from_dtype(np.dtype(code.strip("[]="))), code.count("[")
        return types.Array(kind, n_axes, "C", readonly="=" not in code) if n_axes else kind

    def compiled(function: _Function) -> _Function:
        exact = [tuple(typed(code) for code in one.split()) for one in signatures]
        try:
            kernel: _Function = njit(exact, cache=True, **_OPTIONS)(function)
        except RuntimeError:  # there is nowhere to write the cache: compile in every process
            kernel = njit(exact, **_OPTIONS)(function)
        return kernel

    return compiled


@_part
def _extremes(signed: Any, bits: Any, found: Any) -> None:
    """Find the smallest and the largest of floats that are given, and returned, as their bits."""
    n, last = -(-bits.size // 4), bits.size + -bits.size // 4
    a, b, c, d = bits[:n], bits[min(n, last) :], bits[min(2 * n, last) :], bits[last:]
    low, high = bits[0], bits[0]
    for i in range(n):
        low = min(low, min(min(a[i], b[i]), min(c[i], d[i])))
        high = max(high, max(max(a[i], b[i]), max(c[i], d[i])))
    highest, found[0], found[1] = signed.dtype.type(high), low, high
    if highest < 0:  # some are negative, and of these the one with the largest bits is the lowest
        for i in range(signed.size):
            highest = max(highest, signed[i])
        found[0], found[1] = high, low if highest < 0 else bits.dtype.type(highest)


@_part
def _count(levels: Any, width: int, eights: Any, table: Any) -> None:
    """Darken the columns that were added to a row, and count it in pairs."""
    levels[width:] = 0
    dark = 0
    for i in range(eights.size):
        if eights[i]:
            for k in range(0, WORD, 16):
                table[eights[i] >> np.uint64(k) & np.uint64(0xFFFF)] += np.uint32(1)
        else:
            dark += 4
    table[0] += np.uint32(dark)


@_part
def _otsu(table: Any, n_added: int, counts: Any) -> int:
    """Count levels by their pairs; the one that splits them best, or -1 where one comes near."""
    lower = np.zeros(256, dtype=np.uint32)
    for upper in range(256):
        part = table[upper * 256 : upper * 256 + 256]
        counts[upper] = part.sum()
        lower += part
        part[:] = 0  # for the next frame
    counts += lower
    counts[0] -= n_added
    below, sum_below = counts.cumsum(), (counts * np.arange(256)).cumsum()
    best, second, chosen = 0.0, 0.0, -1
    for level in range(255):
        apart = np.float64(sum_below[-1] * below[level] - below[-1] * sum_below[level])
        if apart:
            between = apart * apart / np.float64(below[level] * (below[-1] - below[level]))
            if between > best:
                best, second, chosen = between, best, level
            else:
                second = max(second, between)
    # In a very large frame OpenCV leaves out levels that split off only a few pixels.
    return chosen if second < best * (1 - 1e-6) and below[-1] < 2**22 else -1


@_kernel(*(f"[[f{n}]] f{n} [i{n}] [u{n}] [[u1]]= [[u8]] [u4]= [i8]=" for n in (4, 8)))
def levels_of_floats(
    pixels: Any, top: Any, signed: Any, bits: Any, levels: Any, eights: Any, table: Any, counts: Any
) -> int:
    """Scale pixels to 0..`top`, cut the decimals off, and count; Otsu's threshold, or why not.

    -1: ask OpenCV. -2: the slice is flat. -3: nothing was done, as the range is not finite.
    """
    found = np.empty(2, dtype=bits.dtype)
    _extremes(signed, bits, found)
    low, high = found.view(pixels.dtype)
    span = high - low
    if not np.isfinite(span) or span == 0:
        return -2 if span == 0 else -3
    for row in range(len(pixels)):
        source, target = pixels[row], levels[row]
        for i in range(source.size):
            target[i] = np.uint8(np.int32((source[i] - low) / span * top))
        _count(target, source.size, eights[row], table)
    return _otsu(table, levels.size - pixels.size, counts)


@_kernel("[[u2]] [u1] [[u1]]= [[u8]] [u4]= [i8]=")
def levels_by_table(
    places: Any, level_of: Any, levels: Any, eights: Any, table: Any, counts: Any
) -> int:
    """Look levels up, and count; Otsu's threshold, or -1: ask OpenCV."""
    for row in range(len(places)):
        source, target = places[row], levels[row]
        for i in range(source.size):
            target[i] = level_of[source[i]]
        _count(target, source.size, eights[row], table)
    return _otsu(table, levels.size - places.size, counts)


@_part
def _bits_set(word: Any) -> Any:
    """Count bits; the compiler knows this way of counting, and has an instruction for it."""
    word = word - (word >> _ONE & np.uint64(0x5555555555555555))
    twos = np.uint64(0x3333333333333333)
    word = (word & twos) + (word >> np.uint64(2) & twos)
    word = (word + (word >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return word * np.uint64(0x0101010101010101) >> np.uint64(56)


@_part
def _pack(eights: Any, threshold: int) -> Any:
    """Pack levels into bits, lit above the threshold; a number holds eight of them."""
    # Seven bits of a byte reach the eighth when 127 less those of the threshold are added to more.
    # The factor's bit 56 - 7 j carries pixel j from bit 8 j to 56 + j; no two products meet below.
    every, factor = np.uint64(0x0101010101010101), np.uint64(0x0102040810204080)
    seven, more = every * np.uint64(127), every * np.uint64(127 - threshold % 128)
    either, packed = _ALL if threshold < 128 else _NONE, np.empty(eights.size, dtype=np.uint8)
    for i in range(eights.size):
        over = (eights[i] & seven) + more
        bright = (over & eights[i] | (over | eights[i]) & either) >> np.uint64(7) & every
        packed[i] = np.uint8(bright * factor >> np.uint64(56))
    return packed.view(np.uint64)


@_part
def _cut_into_runs(words: Any, n_rows: int, background: bool) -> Any:
    """Cut rows into runs: first and end column of each; and how many there are before a row."""
    n_words, here = words.size // n_rows, words[1:]
    n_edges = _bits_set(words[0] ^ words[0] << _ONE) + np.uint64(2 * n_rows * int(background))
    for i in range(here.size):  # no row ends with a bit that is set
        n_edges += _bits_set(here[i] ^ (here[i] << _ONE | words[i] >> _LAST))
    edges, first = np.empty(n_edges, dtype=np.int32), np.empty(n_rows + 1, dtype=np.int32)
    n = 0
    for row in range(n_rows):
        first[row] = n // 2
        if background:
            edges[n] = 0
            n += 1
        before = _NONE
        for k in range(n_words):
            word = words[row * n_words + k]
            changes = word ^ (word << _ONE | before)
            before = word >> _LAST
            while changes:
                edges[n] = k * WORD + _bits_set(~changes & (changes - _ONE))
                n += 1
                changes &= changes - _ONE
        if background:
            edges[n] = n_words * WORD
            n += 1
    first[n_rows] = n // 2
    return edges, first


@_part
def _join(edges: Any, first: Any, diagonal: int) -> Any:
    """For every run the first run of its component."""
    parent = np.empty(first[-1], dtype=np.int32)
    for row in range(first.size - 1):
        above, stop = first[max(row - 1, 0)], first[row]
        for run in range(first[row], first[row + 1]):
            start, end = edges[2 * run] - diagonal, edges[2 * run + 1] + diagonal
            while above < stop and edges[2 * above + 1] <= start:
                above += 1
            parent[run] = run
            own, other = run, above
            while other < stop and edges[2 * other] < end:
                root = other
                while parent[root] != root:
                    parent[root] = parent[parent[root]]
                    root = parent[root]
                own, behind = min(own, root), max(own, root)
                parent[behind] = own
                other += 1
    # A parent is never behind its child, so by now one step leads to the first run.
    for run in range(parent.size):
        parent[run] = parent[parent[run]]
    return parent


@_kernel("[u8] i8 i8 i8 ? ?")
def components_of(
    eights: Any, height: int, width: int, threshold: int, diagonal: bool, drop: bool
) -> Any:
    """Cut levels into runs (see `_cut_into_runs`), and these into components.

    Returns also for every run the first of its component; by first run the area, and 1 where it is
    at the frame, 2 at a corner; the chosen one's first run (-1: none), and how many are as large.
    """
    edges, first = _cut_into_runs(_pack(eights, threshold), height, False)
    owner = _join(edges, first, int(diagonal))
    areas, framed = np.zeros(owner.size, dtype=np.int64), np.zeros(owner.size, dtype=np.int64)
    for row in range(height):
        for run in range(first[row], first[row + 1]):
            own, start, end = owner[run], edges[2 * run], edges[2 * run + 1]
            areas[own] += end - start
            at_frame = int(row in (0, height - 1)) + int(start == 0 or end == width)
            framed[own] = max(framed[own], at_frame)
    largest, chosen, n_equal = 0, -1, 0
    for run in range(owner.size):
        if owner[run] == run and not (drop and framed[run]):
            if areas[run] > largest:
                largest, chosen, n_equal = areas[run], run, 1
            elif areas[run] == largest > 0:
                n_equal += 1
    return edges, first, owner, areas, framed, chosen, n_equal


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


# Here and in `_dilate` loops run over views that start where they are needed: an index that might
# be negative would keep the compiler from doing eight words at once.
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
def _dilate(now: Any, n_words: int, rows: Any) -> Any:
    """Dilate a picture of bits by a kernel's rows, given as in `grow`."""
    wider, grown, to_left, to_right = np.empty_like(now), np.zeros_like(now), 0, 0
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
        there, here = grown[max(shift, 0) :], now[max(-shift, 0) :]
        for k in range(min(there.size, here.size)):
            there[k] |= here[k]
    return grown


@_kernel("[i4] [i4] [i4] i8 [[i8]] ? [[u1]]=")
def grow(edges: Any, first: Any, owner: Any, chosen: int, rows: Any, fill: bool, mask: Any) -> Any:
    """Dilate a component, fill its holes or do not, and write it into a mask.

    `rows` are those of the kernel, the narrowest first: how far down, left and right each carries
    a pixel. Returns the area before and after filling; first and last column of the mask by row.
    """
    top, bottom, left, right = -1, 0, mask.shape[1], 0
    for row in range(first.size - 1):
        for run in range(first[row], first[row + 1]):
            if owner[run] == chosen:
                top, bottom = row if top < 0 else top, row
                left, right = min(left, edges[2 * run]), max(right, edges[2 * run + 1])
    # The margins of the picture are wider than the kernel reaches, so that nothing is shifted from
    # one of its rows into the next, and all that is outside is in one piece.
    top, left = top + min(0, rows[:, 0].min()) - 1, left - rows[:, 1].max() - 1
    height = bottom + max(0, rows[:, 0].max()) + 2 - top
    n_words = -(-(right + rows[:, 2].max() + 1 - left) // WORD)
    words = np.zeros(height * n_words, dtype=np.uint64)
    for row in range(first.size - 1):
        start = (row - top) * n_words * WORD - left
        for run in range(first[row], first[row + 1]):
            if owner[run] == chosen:
                _light(words, start + edges[2 * run], start + edges[2 * run + 1])
    grown = _dilate(words, n_words, rows)

    keep, words, n_bits = np.zeros(n_words, dtype=np.uint64), np.zeros_like(grown), _NONE
    _light(keep, max(0, -left), min(n_words * WORD, mask.shape[1] - left))
    for row in range(max(0, -top), min(height, len(mask) - top)):
        for k in range(row * n_words, row * n_words + n_words):
            words[k] = grown[k] & keep[k - row * n_words]
            n_bits += _bits_set(words[k])
    edges, first = _cut_into_runs(words, height, True)
    owner = _join(edges, first, 0)
    # The margin joins everything outside, and its first run is the first of all: run 0.
    columns, area = np.zeros((2, height), dtype=np.int32), 0
    columns[0] = 1
    for y in range(len(mask)):
        line, row = mask[y], y - top
        line[:] = 0
        if 0 <= row < height:
            start = left + edges[2 * first[row] + 1]
            columns[0, row] = start
            for run in range(first[row] + 1, first[row + 1]):
                if owner[run] == 0 or not fill:
                    end = left + edges[2 * run]
                    line[start:end] = 1
                    columns[1, row], area = end - 1, area + end - start
                    start = left + edges[2 * run + 1]
    return int(n_bits), area, columns


@_part
def _hull_rows(columns: Any) -> Any:
    """Do as `signs.hull_rows`; outer rows may be empty, and stay so."""
    size = columns.shape[1]
    found, kept = np.zeros((2, size), dtype=np.int64), np.empty(size, dtype=np.int64)
    found[0] = 1
    for side, sign in ((0, 1), (1, -1)):
        line, n = sign * columns[side], 0
        for y in range(size):
            if columns[0, y] <= columns[1, y]:
                while n > 1:
                    y0, y1 = kept[n - 2], kept[n - 1]
                    if (line[y1] - line[y0]) * (y - y0) < (line[y] - line[y0]) * (y1 - y0):
                        break
                    n -= 1
                kept[n], n = y, n + 1
        for k in range(n):
            y0, y1 = kept[k], kept[min(k + 1, n - 1)]
            found[side, y0] = sign * line[y0]
            for y in range(y0 + 1, y1):
                fall = (line[y0] - line[y1]) * (y - y0) // (y1 - y0)
                found[side, y] = sign * (line[y0] - fall)
    return found


@_part
def _is_padding(levels: Any, edges: Any, rows: Any, following: Any, run: int, area: int) -> bool:
    """Whether a component has one level almost everywhere; seldom are all pixels looked at."""
    counts = np.zeros(256, dtype=np.int64)
    while run >= 0:
        for column in range(edges[2 * run], edges[2 * run + 1]):
            counts[levels[rows[run], column]] += 1
        if area - counts.sum() + counts.max() < PADDING_SHARE * area:
            return False
        run = following[run]
    return True


@_kernel("[[u1]] [i4] [i4] [i4] [i8] [i8] i8 [[i4]]")
def facts_of(
    levels: Any, edges: Any, first: Any, owner: Any, areas: Any, framed: Any, brain: int, mask: Any
) -> Any:
    """Count components and those at the frame; `SliceFacts` from bright_px on; mask_hull_px."""
    n_rows, n_runs = first.size - 1, owner.size
    columns = np.zeros((2, n_rows), dtype=np.int32)
    columns[0] = 1
    rows, bottom, left, right, latest, following = np.full((6, n_runs), -1, dtype=np.int32)
    for row in range(n_rows):
        for run in range(first[row], first[row + 1]):
            own, start, end = owner[run], edges[2 * run], edges[2 * run + 1]
            if own == run:
                left[run], right[run] = start, end
            else:
                following[latest[own]] = run
                left[own], right[own] = min(left[own], start), max(right[own], end)
            rows[run], latest[own], bottom[own] = row, run, row
            if own == brain:
                columns[0, row] = start if columns[1, row] < columns[0, row] else columns[0, row]
                columns[1, row] = end - 1

    n_components, padding, beside, edge = 0, 0, 0, 0
    for run in range(n_runs):
        n_components += int(owner[run] == run)
        if owner[run] != run or run == brain:
            continue
        if framed[run]:
            if framed[run] > 1 and _is_padding(levels, edges, rows, following, run, areas[run]):
                padding += areas[run]
                continue
            edge = max(edge, areas[run])
        if brain >= 0 and areas[run] > beside:
            down, across = rows[run] - rows[brain], left[run] - left[brain]
            up, back = bottom[brain] - bottom[run], right[brain] - right[run]
            within, around = min(down, across, up, back) >= 0, max(down, across, up, back) <= 0
            if not (within or around):
                beside = areas[run]

    hull, in_hull = 0, 0
    starts, ends = _hull_rows(columns)
    for row in range(n_rows):
        start, end = starts[row], ends[row] + 1
        hull += end - start
        for run in range(first[row], first[row + 1]):
            in_hull += max(0, min(edges[2 * run + 1], end) - max(edges[2 * run], start))
    starts, ends = _hull_rows(mask)
    areas_px = areas.sum(), padding, areas[brain] if brain >= 0 else 0, hull, in_hull, beside, edge
    return n_components, (framed > 0).sum(), areas_px, (ends - starts + 1).sum()
