"""The frames of the kernel-width flip-book: one slice, its mask at every width."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from skullnb.errors import InvalidSetting
from skullnb.figures.drawing import grey_levels
from skullnb.figures.layout import colour
from skullnb.metrics import iou

Image = NDArray[Any]
Mask = NDArray[np.uint8]
Box = tuple[slice, slice]

# Height of a frame in px, enlargement of its detail, and quality of its WebP: a dozen frames
# stay under a quarter of a megabyte.
_HEIGHT = 380
_ZOOM = 4
_QUALITY = 50

# Around the head, relative to its size; and around a cut, in px.
_MARGIN = 0.12
_PAD = 8


def sweep_frames(
    image: Image, masks: Mask, reference: Mask | None, widths: Sequence[int]
) -> list[tuple[str, bytes]]:
    """Draw one slice with the outline of its mask at every kernel width.

    Parameters
    ----------
    image : (H, W) array
    masks : (len(widths), H, W) uint8 {0, 1}
        From `skullnb.figures.dilation.grown_masks`.
    reference : (H, W) uint8 {0, 1} or None
    widths : sequence of int
        In px.

    Returns
    -------
    list of (label, WebP)
        For `skullnb.figures.flipbook.flipbook_html`. Each frame has the slice on the left and on
        the right an enlarged detail of the border, framed on the left.

    Raises
    ------
    InvalidSetting
        If there is not one mask for each width.

    Examples
    --------
    >>> mask = np.zeros((1, 60, 60), dtype=np.uint8)
    >>> mask[0, 20:40, 20:40] = 1
    >>> [(label, picture)] = sweep_frames(np.zeros((60, 60)), mask, mask[0], [26])
    >>> label, picture[:4]
    ('kernel width 26 px, IoU 1.0000', b'RIFF')
    """
    if len(masks) != len(widths):
        raise InvalidSetting(
            f"There are {len(masks)} masks for {len(widths)} kernel widths; give one for each."
        )
    largest = np.max(masks if reference is None else [*masks, reference], axis=0)
    head = head_box(largest)
    detail = _detail_box(largest, head)
    grey = (grey_levels(image) * 255).astype(np.uint8)
    frames = []
    for mask, width in zip(masks, widths, strict=True):
        label = f"kernel width {width} px"
        outlines = [(mask, "mask")]
        if reference is not None:
            outlines.insert(0, (reference, "reference"))
            label += f", IoU {iou(mask, reference):.4f}"
        whole = _drawn(grey, head, outlines, thickness=2)
        _mark(whole, head, detail)
        close = _drawn(grey, detail, outlines, thickness=3)
        gap = np.zeros((_HEIGHT, 8, 4), dtype=np.uint8)
        frames.append((label, _webp(np.hstack([whole, gap, close]))))
    return frames


def head_box(mask: Mask) -> Box:
    """Find the part of a slice to show: around a mask, with a margin.

    Parameters
    ----------
    mask : (H, W) uint8 {0, 1}

    Returns
    -------
    rows, columns : slice
        The whole slice when the mask is empty.

    Examples
    --------
    >>> mask = np.zeros((40, 40), dtype=np.uint8)
    >>> mask[10:20, 0:10] = 1
    >>> head_box(mask)
    (slice(8, 22, None), slice(0, 12, None))
    """
    if not mask.any():
        return slice(0, mask.shape[0]), slice(0, mask.shape[1])
    ranges = []
    for axis in (0, 1):
        found = np.flatnonzero(mask.any(axis=1 - axis))
        first, last = int(found[0]), int(found[-1])
        margin = int(_MARGIN * (last - first + 1)) + 1
        ranges.append(slice(max(0, first - margin), min(mask.shape[axis], last + 1 + margin)))
    return ranges[0], ranges[1]


def outlined_slice(image: Image, outlines: Sequence[tuple[Mask, str]], box: Box) -> bytes:
    """Draw one slice with outlines over it.

    Parameters
    ----------
    image : (H, W) array
    outlines : sequence of (mask, kind)
        Masks of (H, W), each with a name in `PALETTE`; later ones are drawn over earlier ones.
    box : (rows, columns)
        The part to show, for instance from `head_box`.

    Returns
    -------
    bytes
        A WebP file.

    Examples
    --------
    >>> mask = np.zeros((60, 60), dtype=np.uint8)
    >>> mask[20:40, 20:40] = 1
    >>> outlined_slice(np.zeros((60, 60)), [(mask, "mask")], head_box(mask))[:4]
    b'RIFF'
    """
    grey = (grey_levels(image) * 255).astype(np.uint8)
    return _webp(_drawn(grey, box, outlines, thickness=2))


def _detail_box(largest: Mask, head: Box) -> Box:
    """Rows and columns of a detail around the rightmost border of the largest mask."""
    rows, columns = head
    height = max(1, (rows.stop - rows.start) // _ZOOM)
    width = max(1, (columns.stop - columns.start) // _ZOOM)
    row, column = rows.start, columns.start
    found = np.argwhere(largest)
    if len(found):
        column = int(found[:, 1].max())
        row = int(np.median(found[found[:, 1] == column, 0]))
    top = int(np.clip(row - height // 2, 0, largest.shape[0] - height))
    left = int(np.clip(column - 2 * width // 3, 0, largest.shape[1] - width))
    return slice(top, top + height), slice(left, left + width)


def _drawn(
    grey: Mask, box: Box, outlines: Sequence[tuple[Mask, str]], thickness: int
) -> NDArray[np.uint8]:
    """Cut a box out, bring it to the frame's height, and draw outlines over it; BGRA."""
    part = grey[box]
    scale = _scale(box)
    size = (max(1, round(part.shape[1] * scale)), max(1, round(part.shape[0] * scale)))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    picture = cv2.cvtColor(cv2.resize(part, size, interpolation=how), cv2.COLOR_GRAY2BGRA)
    for mask, kind in outlines:
        large = cv2.resize(mask[box] * np.uint8(255), size, interpolation=cv2.INTER_LINEAR)
        inside = (large > 127).astype(np.uint8)
        # A wider mask, so that no outline is drawn along the cut.
        inside = np.pad(inside, _PAD, mode="edge")
        borders, _ = cv2.findContours(
            inside, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE, offset=(-_PAD, -_PAD)
        )
        red, green, blue = 255 * colour(kind)
        cv2.drawContours(picture, borders, -1, (blue, green, red, 255), thickness, cv2.LINE_AA)
    below = np.zeros((_HEIGHT - size[1], size[0], 4), dtype=np.uint8)
    return np.vstack([picture, below]).astype(np.uint8)


def _scale(box: Box) -> float:
    """Enlargement that brings a box to the frame's height, unless it gets too wide."""
    rows, columns = box
    height, width = rows.stop - rows.start, columns.stop - columns.start
    return float(min(_HEIGHT / height, 2 * _HEIGHT / width))


def _mark(picture: NDArray[np.uint8], box: Box, detail: Box) -> None:
    """Draw where the detail lies in a picture of the box."""
    scale = _scale(box)
    rows, columns = detail
    top, bottom = (round((end - box[0].start) * scale) for end in (rows.start, rows.stop))
    left, right = (round((end - box[1].start) * scale) for end in (columns.start, columns.stop))
    white = (255, 255, 255, 255)
    cv2.rectangle(picture, (left, top), (right, bottom), white, 1, cv2.LINE_AA)


def _webp(picture: NDArray[np.uint8]) -> bytes:
    _, encoded = cv2.imencode(".webp", picture, [cv2.IMWRITE_WEBP_QUALITY, _QUALITY])
    return encoded.tobytes()
