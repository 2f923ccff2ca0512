"""How far a structuring element reaches: in pixels, to each side, and in millimetres.

The article says "26 px". That is the width of the element, not how far a mask grows. Widths and
reaches are in px where nothing else is said, masks (H, W) uint8 {0, 1}; `shape` is "ellipse" or
"rectangle".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from skullnb.errors import InvalidSetting
from skullnb.pipeline import Mask, PipelineSettings, dilate, structuring_element
from skullnb.pipeline.signs import say_nearest, say_reach

# What four open heads chose for one another (chapter 12; a test holds it to the stored rows).
CHOSEN_REACHES_MM = (7.0, 8.0)
# How far beyond these, as a part of them, costs little: on the same heads about .02 of the IoU.
TOLERANCE = 0.25


class Reach(NamedTuple):
    """How far a mask grows towards each side of the image, in px."""

    top: int
    bottom: int
    left: int
    right: int


def grown_pixel(kernel_width: int, shape: str = "ellipse") -> Mask:
    """Show what a dilation makes of a single pixel, and so all that a kernel does.

    Parameters
    ----------
    kernel_width : int
        In px; 0 leaves the pixel alone.

    Returns
    -------
    (2 w + 1, 2 w + 1) uint8 {0, 1}
        With w the kernel width; the pixel was in the middle.

    Raises
    ------
    InvalidSetting
        If the width or the shape is not possible.

    Examples
    --------
    >>> grown_pixel(2, "rectangle")[1:4, 1:4]
    array([[0, 0, 0],
           [0, 1, 1],
           [0, 1, 1]], dtype=uint8)
    """
    grown = np.zeros((2 * kernel_width + 1,) * 2, dtype=np.uint8)
    if kernel_width == 0:
        grown[0, 0] = 1
        return grown
    # A dilation turns the element round its anchor; drawing that is quicker than dilating.
    first = kernel_width // 2 + 1
    place = slice(first, first + kernel_width)
    grown[place, place] = structuring_element(kernel_width, shape)[::-1, ::-1]
    return grown


def kernel_reach(kernel_width: int, shape: str = "ellipse") -> Reach:
    """Measure how far a kernel makes a mask grow towards each side, in px.

    Examples
    --------
    >>> kernel_reach(26)
    Reach(top=12, bottom=13, left=12, right=13)
    >>> kernel_reach(27)
    Reach(top=13, bottom=13, left=13, right=13)
    """
    rows, columns = np.nonzero(grown_pixel(kernel_width, shape))
    top, bottom, left, right = rows.min(), rows.max(), columns.min(), columns.max()
    middle = kernel_width
    return Reach(int(middle - top), int(bottom - middle), int(middle - left), int(right - middle))


def reach_mm(
    kernel_width: int, spacing_mm: Sequence[float] | float, shape: str = "ellipse"
) -> tuple[float, float]:
    """Mean reach of a kernel in mm: up and down, left and right.

    Each is the mean of its two sides; they differ where pixels are not square. `spacing_mm` is
    (row, column), or one number for both.

    Examples
    --------
    >>> reach_mm(26, 0.375)
    (4.6875, 4.6875)
    >>> reach_mm(27, (0.5, 1.0))
    (6.5, 13.0)
    """
    row, column = np.broadcast_to(np.asarray(spacing_mm, dtype=np.float64), (2,))
    sides = kernel_reach(kernel_width, shape)
    return (
        float((sides.top + sides.bottom) / 2 * row),
        float((sides.left + sides.right) / 2 * column),
    )


def kernel_width_for(reach: float, spacing_mm: Sequence[float] | float) -> int:
    """Choose the kernel that reaches nearest to a distance in mm, among those of odd width.

    An odd width reaches equally far to all sides.

    Parameters
    ----------
    reach : float
        How far the mask shall grow, in mm.
    spacing_mm : (row, column) or float
        In mm per pixel. Where pixels are not square, the mean of both sides decides: the mask then
        grows a little too far one way and not far enough the other, as `reach_mm` tells.

    Returns
    -------
    int
        Kernel width in px; the narrower of two that are equally near.

    Raises
    ------
    InvalidSetting
        If a number makes no sense, or the kernel would be wider than the pipeline takes.

    Examples
    --------
    >>> kernel_width_for(4.9, 0.375), kernel_width_for(7.5, (1.0, 1.0))
    (27, 15)
    """
    row, column = np.broadcast_to(spacing_mm, (2,)).tolist()
    return PipelineSettings(reach_mm=reach).at((row, column)).kernel_width


def span_remark(kernel_width: int, spacing_mm: Sequence[float] | None) -> str:
    """Say when a kernel reaches another distance than those that real heads chose.

    Parameters
    ----------
    kernel_width : int
        In px.
    spacing_mm : (row, column) or None
        In mm per pixel; None = not known.

    Returns
    -------
    str
        A sentence without its full stop; "" when the reach is within `TOLERANCE` of
        `CHOSEN_REACHES_MM`, when no width would be nearer, or when it cannot be told.

    Examples
    --------
    >>> print(span_remark(26, (1.0, 1.0)))
    a kernel of 26 px reaches 12.5 mm here, where the border of the open heads was best met by 7 to
    8 mm, and --reach-mm 7.5, or --kernel-width 15, is the nearest of odd width and reaches 7 mm
    >>> span_remark(15, (1.0, 1.0))
    ''
    """
    if not kernel_width or spacing_mm is None:
        return ""
    here, (least, most) = reach_mm(kernel_width, spacing_mm), CHOSEN_REACHES_MM
    if all(least * (1 - TOLERANCE) <= one <= most * (1 + TOLERANCE) for one in here):
        return ""
    aim = (least + most) / 2
    try:
        width = kernel_width_for(aim, spacing_mm)
    except InvalidSetting:  # of a width that the pipeline does not take
        advice = "no kernel that the pipeline takes would, so check the spacing"
    else:
        if abs(width - kernel_width) <= 1:
            return ""
        advice = say_nearest(width, spacing_mm)
    return (
        f"a kernel of {kernel_width} px reaches {say_reach(kernel_width, spacing_mm)} here, where "
        f"the border of the open heads was best met by {least:g} to {most:g} mm, and {advice}"
    )


def asked_remark(settings: PipelineSettings, spacing_mm: tuple[float, float] | None) -> str:
    """Say when the kernel that a reach in mm became reaches another distance, by a tenth or more.

    Examples
    --------
    >>> print(asked_remark(PipelineSettings(reach_mm=7.5), (3.0, 3.0)))
    a reach of 7.5 mm was asked for, and 5 px, the nearest of odd width, reaches 6 mm here
    """
    asked = settings.reach_mm
    if asked is None or spacing_mm is None:
        return ""
    width = settings.at(spacing_mm).kernel_width
    if all(abs(one - asked) < 0.1 * asked or one == asked for one in reach_mm(width, spacing_mm)):
        return ""
    return (
        f"a reach of {asked:g} mm was asked for, and {width} px, the nearest of odd width, "
        f"reaches {say_reach(width, spacing_mm)} here"
    )


def mirror_asymmetry(brain: Mask, kernel_width: int, shape: str = "ellipse", axis: int = 1) -> int:
    """Count the pixels that change when a slice is mirrored before the dilation.

    `axis` 1 mirrors left and right, 0 top and bottom. A symmetric kernel gives 0.

    Examples
    --------
    >>> brain = np.zeros((60, 60), dtype=np.uint8)
    >>> brain[20:40, 20:40] = 1
    >>> [mirror_asymmetry(brain, width) for width in (25, 26, 27)]
    [0, 52, 0]
    """
    there = dilate(brain, kernel_width, shape)
    mirrored = np.ascontiguousarray(np.flip(brain, axis))
    back = np.flip(dilate(mirrored, kernel_width, shape), axis)
    return int(np.count_nonzero(there != back))


def same_dice(mask: Mask, offset: float) -> tuple[Mask, Mask]:
    """Make two masks with the same Dice and very different borders.

    Parameters
    ----------
    mask : (H, W) uint8 {0, 1}
        What both are compared with; not empty.
    offset : float
        In px, outward.

    Returns
    -------
    moved, bumped : (H, W) uint8 {0, 1}
        The border moved by the offset everywhere, cut off by the frame; and a bump on the right
        side with as many wrong pixels, the border perfect elsewhere.

    Examples
    --------
    >>> mask = np.zeros((9, 9), dtype=np.uint8)
    >>> mask[3:6, 3:6] = 1
    >>> [int(one.sum()) for one in same_dice(mask, 1)]
    [21, 21]
    """
    if not mask.any() or not offset >= 0:
        raise InvalidSetting("Only the border of a mask that is not empty can be moved outwards.")
    moved = (ndimage.distance_transform_edt(mask == 0) <= offset).astype(np.uint8)
    background = np.argwhere(mask == 0)
    column = int(np.flatnonzero(mask.any(axis=0))[-1])
    row = int(np.median(np.flatnonzero(mask[:, column])))
    order = np.argsort(((background - (row, column + 1)) ** 2).sum(axis=1), kind="stable")
    bumped = mask.copy()
    bumped[tuple(background[order[: np.count_nonzero(moved & ~mask)]].T)] = 1
    return moved, bumped
