"""The five steps with numpy and OpenCV only, on as little memory as they need.

The same masks as `skullnb.pipeline.steps`, bit for bit. What makes it quick, and why it is exact:

* **Levels in blocks of rows.** The same three operations as in `steps.normalise`, on pieces that
  stay in the processor's cache.
* **Areas from runs.** OpenCV numbers the components in one pass; looking at every label in turn, or
  asking for its statistics, costs more. A bright stretch of a row belongs to one component, so
  the labels at the starts of all stretches, weighted with their lengths, give every area.
* **64 pixels a word.** The component's box is packed into one long string of bits. An ellipse is
  a stack of rows; dilating by a row is ORing shifted bits, and a wider row starts from what the
  narrower one has already done (`spread`).
* **Holes inside the box only.** Outside it there is nothing but background joined to the frame.
"""

from __future__ import annotations

import threading
from functools import lru_cache
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from skullnb.pipeline.steps import Mask, fill_holes, structuring_element
from skullnb.pipeline.steps import extremes as extremes

WORD = 64
"""Pixels in a word."""

_ROWS_A_BLOCK = 64
_held = threading.local()


class Brain(NamedTuple):
    """The chosen component: its pixels (uint8, 0 or 1) and where their first row and column are."""

    pixels: Mask
    top: int
    left: int


class Kernel(NamedTuple):
    """A structuring element as its rows, and how far it reaches, plus one pixel for a margin.

    Each of `rows`, the narrowest first, says how many pixels it carries a pixel down, to the
    left and to the right.
    """

    rows: NDArray[np.int64]
    above: int
    below: int
    to_left: int
    to_right: int


class Grown(NamedTuple):
    """A dilated component as bits, least significant first, with a dark margin all around.

    `words` are those of all rows, one after the other; the first bit stands for row `top` and
    column `left` of the frame, which may lie outside it.
    """

    words: NDArray[np.uint64]
    height: int
    top: int
    left: int


def normalise(pixels: NDArray[Any], low: Any, high: Any, levels: Mask) -> None:
    """Step 1: levels 0..255 of floating-point pixels; `levels` may have more columns."""
    height, width = pixels.shape
    for top in range(0, height, _ROWS_A_BLOCK):
        rows = slice(top, top + _ROWS_A_BLOCK)
        block = pixels[rows] - low
        block /= high - low
        block *= 255
        levels[rows, :width] = block


def find_brain(
    bright: Mask, width: int, connectivity: int, drop_edge_touching: bool
) -> Brain | None:
    """Step 3: the largest inner component of a frame with dark columns added at its right."""
    # The dark columns end each stretch in its own row, so starts and ends take turns.
    flat = bright.ravel()
    changes = scratch("changes", flat.shape, np.bool_)
    changes[0] = flat[0] != 0
    np.not_equal(flat[1:], flat[:-1], out=changes[1:])
    edges = np.flatnonzero(changes)
    starts, ends = edges[::2], edges[1::2]

    # OpenCV starts no more labels than there are stretches.
    narrow = len(starts) < 2**16 - 1
    labels = scratch("labels", bright.shape, np.uint16 if narrow else np.int32)
    count, labels = cv2.connectedComponents(
        bright, labels, connectivity, cv2.CV_16U if narrow else cv2.CV_32S
    )
    owner = labels.ravel()[starts]
    areas = np.bincount(owner, weights=ends - starts, minlength=count)
    if drop_edge_touching:
        for side in (labels[0], labels[-1], labels[:, 0], labels[:, width - 1]):
            areas[side] = 0
    chosen = int(areas.argmax())  # the first label of equals, as in `steps.choose_brain`
    if areas[chosen] == 0:
        return None

    rows, columns = np.divmod(starts[owner == chosen], bright.shape[1])
    lengths = (ends - starts)[owner == chosen]
    box = np.s_[rows[0] : rows[-1] + 1, columns.min() : (columns + lengths).max()]
    return Brain((labels[box] == chosen).view(np.uint8), int(rows[0]), int(columns.min()))


def dilate(brain: Brain, kernel: Kernel) -> Grown:
    """Step 4: the component grown by a kernel."""
    height, width = brain.pixels.shape
    n_words = words_for(kernel.to_left + width + kernel.to_right)
    box = np.zeros((kernel.above + height + kernel.below, n_words * WORD), dtype=np.uint8)
    box[kernel.above :, kernel.to_left :][:height, :width] = brain.pixels
    words = np.packbits(box, axis=1, bitorder="little").view(np.uint64).ravel()
    grown = spread(words, n_words, kernel.rows)
    return Grown(grown, len(box), brain.top - kernel.above, brain.left - kernel.to_left)


def spread(words: NDArray[np.uint64], words_a_row: int, rows: NDArray[np.int64]) -> Any:
    """Dilate a picture that is one long string of bits.

    Its rows follow one another, and their dark margins are as wide as the kernel reaches, so that
    nothing is shifted from a row into the next.
    """
    grown = np.zeros_like(words)
    left = right = 0
    for down, to_left, to_right in rows.tolist():
        # Each pixel has become a run from `left` before it to `right` behind it: ORed with itself
        # shifted by no more than its length, it stays in one piece.
        while left < to_left:
            step = min(left + right + 1, to_left - left, WORD - 1)
            wider = words | (words >> np.uint64(step))
            wider[:-1] |= words[1:] << np.uint64(WORD - step)
            words, left = wider, left + step
        while right < to_right:
            step = min(left + right + 1, to_right - right, WORD - 1)
            wider = words | (words << np.uint64(step))
            wider[1:] |= words[:-1] >> np.uint64(WORD - step)
            words, right = wider, right + step
        shift = down * words_a_row
        grown[max(shift, 0) : len(words) + shift] |= words[max(-shift, 0) : len(words) - shift]
    return grown


def draw(grown: Grown, mask: Mask, fill: bool) -> None:
    """Step 5: fill the holes and write the mask, over whatever was there."""
    bits = grown.words.view(np.uint8).reshape(grown.height, -1)
    pixels = np.unpackbits(bits, axis=1, bitorder="little")
    top, left = max(grown.top, 0), max(grown.left, 0)
    target = mask[top : grown.top + pixels.shape[0], left : grown.left + pixels.shape[1]]
    source = pixels[top - grown.top :, left - grown.left :][: target.shape[0], : target.shape[1]]
    mask[...] = 0
    target[...] = fill_holes(source) if fill else source


@lru_cache(maxsize=128)
def kernel_of(width: int, shape: str) -> Kernel:
    """Cut a structuring element into its rows.

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


def scratch(name: str, shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
    """Memory for one step, never to be returned: each thread keeps its own for the next slice.

    Fresh memory can cost more than the step that fills it: the system hands it out page by page.
    """
    held = vars(_held)
    if name not in held or held[name].shape != shape or held[name].dtype != dtype:
        held[name] = np.empty(shape, dtype=dtype)
    buffer: NDArray[Any] = held[name]
    return buffer


def words_for(n_pixels: int) -> int:
    """Words that hold a row of so many pixels."""
    return -(-n_pixels // WORD)
