"""The five steps with numba: the masks of `skullnb.pipeline.steps`, bit for bit, and their facts.

What makes it quick, and why it is exact:

* **One pass to the levels**, in numpy's order and precision: no fast-math, so nothing is fused.
* **Pairs are counted**: of neighbouring levels, in a table that holds the histogram; eight dark
  pixels are one, as counting the same again waits. Otsu's criterion has some 15 digits, and is
  believed where the best level wins in the first 6; else OpenCV is asked, whose builds differ.
* **64 pixels a word.** Runs (bright stretches of a row) start and end where bits change. Dilating
  by a row of the kernel is ORing shifted words, from what a narrower row has done.
* **Runs, not labels.** A component is a set of runs joined by union-find. Of equal ones OpenCV
  tells which label is first. Holes are runs of the background not joined to the outermost.
* **A hull from row ends**, the first and last pixel of each row, which have the same hull as all.
* **One kind of array each.** Whatever a slice is stored in, no kernel is compiled anew.
"""

# mypy: allow-untyped-defs, allow-untyped-decorators, allow-untyped-calls
import threading
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import ArrayLike

from skullnb.pipeline import signs, steps
from skullnb.pipeline.settings import PipelineSettings, as_slice
from skullnb.pipeline.signs import Array, SliceFacts

_ALL, _NONE, _ONE, _LAST = (np.uint64(value) for value in (2**64 - 1, 0, 1, 63))
_part = njit(nogil=True, error_model="numpy")  # compiled into the kernels that call it
_kernel = njit(nogil=True, error_model="numpy", cache=True)
_held = threading.local()  # memory for the next slice: fresh memory costs more than what fills it


class Cut(NamedTuple):
    """What steps 1 to 3 found."""

    width: int
    levels: Array  # with dark columns at the right, up to a multiple of 64
    counts: Array  # pixels by level
    threshold: int
    edges: Array  # first and end column of every run
    first: Array  # how many runs there are before a row
    owner: Array  # for every run, the first run of its component
    areas: Array  # of components, at their first run, else 0
    framed: Array  # the same: 1 where they touch the frame, 2 where they hold a corner
    boxes: Array  # the same: first and last row, first and end column
    chosen: int  # first run of the chosen component, -1 when there is none


def cut(image: ArrayLike, settings: PipelineSettings, number: int | None = None) -> Cut:
    """Do steps 1 to 3."""
    pixels = as_slice(image, number, finite=False)
    kind = np.dtype(np.float64) if pixels.dtype.kind in "iu" else pixels.dtype.newbyteorder("=")
    pixels = np.ascontiguousarray(pixels, dtype=kind)
    with np.errstate(all="ignore"):
        low, top = pixels.min(), kind.type(255)
        span = pixels.max() - low
    if kind not in (np.float32, np.float64) or not np.isfinite(span):
        pixels = steps.normalise(as_slice(pixels, number)).astype(np.float32)
        low, span, top = np.array([0, 1, 1], dtype=np.float32)
    pixels = pixels.view()
    pixels.flags.writeable = False  # as those of a memory map are
    width = pixels.shape[1]
    shape = len(pixels), (width // 64 + 1) * 64  # a dark column ends every row
    if getattr(_held, "shape", None) != shape:
        _held.shape, _held.levels = shape, np.empty(shape, dtype=np.uint8)
        _held.pairs = np.empty(2**16, dtype=np.uint32)
    levels = _held.levels
    counts, threshold = _levels_of(pixels, low, span or top, top, levels, _held.pairs)
    if threshold < 0 or settings.threshold != "otsu":
        threshold = steps.threshold_of(levels[:, :width], settings)
    drop, diagonal = settings.drop_edge_touching, settings.connectivity == 8
    *found, chosen, n_equal = _components_of(levels, width, threshold, diagonal, drop)
    if n_equal > 1:
        edges, first, owner = found[:3]
        binary = steps.binarise(levels[:, :width], threshold)
        labels, components = steps.label_components(binary, settings.connectivity)
        row, column = divmod(int(np.argmax(labels == steps.choose_brain(components, drop))), width)
        starts = edges[2 * first[row] : 2 * first[row + 1] : 2]
        chosen = int(owner[first[row] + np.searchsorted(starts, column)])
    return Cut._make([width, levels, counts, threshold, *found, chosen])


def grow(found: Cut, settings: PipelineSettings) -> Any:
    """Do steps 4 and 5: the mask, px before filling, and by row its and the component's ends."""
    rows = _kernel_rows(settings.kernel_width, settings.kernel_shape)
    runs = found.edges, found.first, found.owner, found.boxes, found.chosen
    return _grow(*runs, found.width, rows, settings.fill_holes)


def measure(found: Cut, settings: PipelineSettings) -> tuple[Array, int, SliceFacts]:
    """Do steps 4 and 5: the mask, how many px before filling, and the facts."""
    mask, n_dilated, columns = grow(found, settings)
    hot_level = signs.quantile_of_counts(found.counts, signs.HOT_QUANTILE)
    *in_px, hull_px = _facts(found.levels, *found[4:], columns)
    n_levels, mask_px = (int(np.count_nonzero(one)) for one in (found.counts, mask))
    facts = [*mask.shape, n_levels, hot_level, *in_px, mask_px, hull_px]
    return mask, n_dilated, SliceFacts._make(facts)


@lru_cache(maxsize=128)
def _kernel_rows(width: int, shape: str) -> Array:
    """Cut a kernel into rows: how far down, left and right each carries a pixel.

    Each is one run about the anchor. The narrowest comes first: of two rows one reaches as far as
    the other on both sides or farther, so that every row can start from the one before.
    """
    element, anchor = steps.structuring_element(max(width, 1), shape), width // 2
    found = []
    for y, row in enumerate(element):
        # OpenCV looks from the result to the source; seen from the source it is the other way.
        first, last = np.flatnonzero(row)[[0, -1]]
        found.append((anchor - y, last - anchor, anchor - first))
    return np.array(sorted(found, key=lambda row: row[1] + row[2]), dtype=np.int64)


@_kernel
def _levels_of(pixels, low, span, top, levels, pairs):
    """Scale pixels from low to low + span to 0..top; count; Otsu's threshold, or -1: ask OpenCV."""
    height, width = pixels.shape
    for row in range(height):
        source, target = pixels[row], levels[row]
        target[width:] = 0
        for i in range(width):
            target[i] = np.uint8(np.int32((source[i] - low) / span * top))
    pairs[:], eights, dark = 0, levels.ravel().view(np.uint64), 0
    for i in range(eights.size):
        if eights[i]:
            for k in range(0, 64, 16):
                pairs[eights[i] >> np.uint64(k) & np.uint64(0xFFFF)] += np.uint32(1)
        else:
            dark += 4
    counts, lower = np.zeros(256, dtype=np.int64), np.zeros(256, dtype=np.uint32)
    for upper in range(256):
        counts[upper] = pairs[upper * 256 : upper * 256 + 256].sum()
        lower += pairs[upper * 256 : upper * 256 + 256]
    counts += lower
    counts[0] += 2 * dark - (levels.size - pixels.size)

    below, sum_below = counts.cumsum(), (counts * np.arange(256)).cumsum()
    best, second, chosen = 0.0, 0.0, -1
    for level in range(255):
        apart = np.float64(sum_below[-1] * below[level] - below[-1] * sum_below[level])
        if apart:
            between = apart * apart / np.float64(below[level] * (below[-1] - below[level]))
            second = max(second, min(best, between))
            if between > best:
                best, chosen = between, level
    # In a very large frame OpenCV leaves out levels that split off only a few pixels.
    is_clear = second < best * (1 - 1e-6) and below[-1] < 2**22
    return counts, chosen if is_clear else -1


@_part
def _bits_set(word):
    """Count bits; the compiler knows this way of counting, and has an instruction for it."""
    word = word - (word >> _ONE & np.uint64(0x5555555555555555))
    twos = np.uint64(0x3333333333333333)
    word = (word & twos) + (word >> np.uint64(2) & twos)
    word = (word + (word >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return word * np.uint64(0x0101010101010101) >> np.uint64(56)


@_part
def _pack(eights, threshold):
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
def _cut_into_runs(words, n_rows):
    """Cut rows into runs: first and end column of each; and how many there are before a row."""
    n, n_words = 0, words.size // n_rows
    edges = np.empty(64 * words.size + 2 * n_rows, dtype=np.int32)  # most is never touched
    first = np.empty(n_rows + 1, dtype=np.int32)
    for row in range(n_rows):
        first[row] = n // 2
        before = _NONE
        for k in range(n_words):
            word = words[row * n_words + k]
            changes = word ^ (word << _ONE | before)
            before = word >> _LAST
            while changes:
                edges[n] = k * 64 + _bits_set(~changes & (changes - _ONE))
                n += 1
                changes &= changes - _ONE
        if before:
            edges[n] = n_words * 64
            n += 1
    first[n_rows] = n // 2
    return edges[:n], first


@_part
def _join(edges, first, diagonal):
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


@_kernel
def _components_of(levels, width, threshold, diagonal, drop):
    """Cut levels into runs, and join these: `Cut` from `edges` on, and how many are as large."""
    height = len(levels)
    words = _pack(levels.ravel().view(np.uint64), threshold)
    edges, first = _cut_into_runs(words, height)
    owner = _join(edges, first, int(diagonal))
    areas, framed = np.zeros(owner.size, dtype=np.int64), np.zeros(owner.size, dtype=np.int64)
    boxes = np.empty((4, owner.size), dtype=np.int32)
    top, bottom, left, right = boxes
    for row in range(height):
        for run in range(first[row], first[row + 1]):
            own, start, end = owner[run], edges[2 * run], edges[2 * run + 1]
            if own == run:
                top[own], left[own], right[own] = row, start, end
            bottom[own], left[own], right[own] = row, min(left[own], start), max(right[own], end)
            areas[own] += end - start
            at_frame = int(row in (0, height - 1)) + int(start == 0 or end == width)
            framed[own] = max(framed[own], at_frame)
    largest, chosen, n_equal = 0, -1, 0
    for run in range(owner.size):
        if not (drop and framed[run]):
            if areas[run] > largest:
                largest, chosen, n_equal = areas[run], run, 1
            elif areas[run] == largest > 0:
                n_equal += 1
    return edges, first, owner, areas, framed, boxes, chosen, n_equal


@_part
def _light(words, start, end):
    """Set the bits from start to end - 1."""
    a, b = start // 64, (end - 1) // 64
    head, tail = _ALL << np.uint64(start % 64), _ALL >> np.uint64(-end % 64)
    if a == b:
        words[a] |= head & tail
    else:
        words[a] |= head
        words[a + 1 : b] = _ALL
        words[b] |= tail


@_part
def _dilate(now, n_words, rows):
    """Dilate a picture of bits, whose first and last word stay dark, by a kernel's rows."""
    wider, grown, to_left, to_right = np.zeros_like(now), np.zeros_like(now), 0, 0
    for down, most_left, most_right in rows:
        # Each pixel has become a run from `to_left` before it to `to_right` behind it: ORed with
        # itself shifted by no more than its length, it stays in one piece.
        while to_left < most_left or to_right < most_right:
            most = min(to_left + to_right + 1, 63)
            left, right = min(most, most_left - to_left), min(most, most_right - to_right)
            to_left, to_right = to_left + left, to_right + right
            less, more = np.uint64(left), np.uint64(right)
            # An index that might be negative would keep the compiler from doing eight at once.
            here, behind, there = now[1:], now[2:], wider[1:]
            for i in range(behind.size):
                before = here[i] >> less | behind[i] << (_LAST - less) << _ONE
                there[i] = here[i] | before | here[i] << more | now[i] >> (_LAST - more) >> _ONE
            now, wider = wider, now
        there, here = grown[max(down, 0) * n_words :], now[max(-down, 0) * n_words :]
        for i in range(min(there.size, here.size)):
            there[i] |= here[i]
    return grown


@_kernel
def _grow(edges, first, owner, boxes, brain, width, rows, fill):
    """Dilate a component and fill its holes, or do not; what `grow` returns."""
    height = first.size - 1
    mask, columns = np.zeros((height, width), np.uint8), np.zeros((4, height), dtype=np.int32)
    columns[::2] = width
    if brain < 0:
        return mask, 0, columns
    top, bottom, left, right = boxes[:, brain]
    # The margins of the picture are wider than the kernel reaches, so that nothing is shifted from
    # one of its rows into the next, and all that is outside is in one piece.
    top, left = top + min(0, rows[:, 0].min()) - 1, left - rows[:, 1].max() - 1
    n_rows = bottom + max(0, rows[:, 0].max()) + 2 - top
    n_words = -(-(right + rows[:, 2].max() + 1 - left) // 64)
    words, keep = np.zeros(n_rows * n_words, dtype=np.uint64), np.zeros(n_words, dtype=np.uint64)
    for row in range(boxes[0, brain], bottom + 1):
        start = (row - top) * n_words * 64 - left
        for run in range(first[row], first[row + 1]):
            if owner[run] == brain:
                _light(words, start + edges[2 * run], start + edges[2 * run + 1])
                columns[2, row] = min(columns[2, row], edges[2 * run])
                columns[3, row] = edges[2 * run + 1] - 1
    grown = _dilate(words, n_words, rows)

    dark, n_dilated = np.full_like(grown, _ALL), 0
    _light(keep, max(0, -left), min(n_words * 64, width - left))
    inside = range(max(0, top), min(top + n_rows, height))
    for row in inside:
        for k in range(n_words):
            i = (row - top) * n_words + k
            dark[i] = ~(grown[i] & keep[k])
    edges, first = _cut_into_runs(dark, n_rows)
    owner = _join(edges, first, 0)
    # The margin joins everything outside, and its first run is the first of all: run 0.
    for row in inside:
        start = left + edges[2 * first[row - top] + 1]
        columns[0, row] = start
        for run in range(first[row - top] + 1, first[row - top + 1]):
            n_dilated += edges[2 * run] - edges[2 * run - 1]
            if owner[run] == 0 or not fill:
                end = left + edges[2 * run]
                mask[row, start:end] = 1
                columns[1, row] = end - 1
                start = left + edges[2 * run + 1]
    return mask, n_dilated, columns


@_part
def _hull_rows(columns):
    """Give by row the first and last column of the hull; outer rows may be empty, and stay so."""
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


@_kernel
def _facts(levels, edges, first, owner, areas, framed, boxes, brain, columns):
    """Measure in px what `SliceFacts` has from bright_px on, but for mask_px."""
    top, bottom, left, right = boxes
    padding, beside, edge = 0, 0, 0
    for run in range(owner.size):
        if owner[run] != run or run == brain:
            continue
        if framed[run] > 1:
            counts = np.zeros(256, dtype=np.int64)
            for row in range(top[run], bottom[run] + 1):
                for other in range(first[row], first[row + 1]):
                    if owner[other] == run:
                        for column in range(edges[2 * other], edges[2 * other + 1]):
                            counts[levels[row, column]] += 1
            if counts.max() >= signs.PADDING_SHARE * areas[run]:  # it has one level
                padding += areas[run]
                continue
        if framed[run]:
            edge = max(edge, areas[run])
        if brain >= 0:
            down, across = top[run] - top[brain], left[run] - left[brain]
            up, back = bottom[brain] - bottom[run], right[brain] - right[run]
            # Neither box holds the other.
            if min(down, across, up, back) < 0 < max(down, across, up, back):
                beside = max(beside, areas[run])

    hull, in_hull = 0, 0
    starts, ends = _hull_rows(columns[2:])
    for row in range(starts.size):
        start, end = starts[row], ends[row] + 1
        hull += end - start
        for run in range(first[row], first[row + 1]):
            in_hull += max(0, min(edges[2 * run + 1], end) - max(edges[2 * run], start))
    starts, ends = _hull_rows(columns[:2])
    own = areas[brain] if brain >= 0 else 0
    return areas.sum(), padding, own, hull, in_hull, beside, edge, (ends - starts + 1).sum()
