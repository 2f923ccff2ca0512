"""How far a structuring element reaches: in pixels, to each side, and in millimetres.

The article says "26 px". That is the width of the element, not how far a mask grows.
Widths and reaches are in px where nothing else is said, masks (H, W) uint8 {0, 1}; `shape` is
"ellipse" or "rectangle", and `brain` the component to dilate.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from skullnb.errors import InvalidSetting
from skullnb.phantom import BUILT_IN_SPACING_MM
from skullnb.pipeline import (
    MAX_KERNEL_WIDTH,
    Mask,
    PipelineSettings,
    dilate,
    structuring_element,
)

# A kernel's span in mm may differ by this part from the default's on the built-in head.
SPAN_TOLERANCE = 0.25


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
    """Measure how far a kernel makes a mask grow towards each side.

    Returns
    -------
    Reach
        top, bottom, left, right, in px.

    Examples
    --------
    >>> kernel_reach(26)
    Reach(top=12, bottom=13, left=12, right=13)
    >>> kernel_reach(27)
    Reach(top=13, bottom=13, left=13, right=13)
    """
    rows, columns = np.nonzero(grown_pixel(kernel_width, shape))
    middle = kernel_width
    return Reach(
        top=int(middle - rows.min()),
        bottom=int(rows.max() - middle),
        left=int(middle - columns.min()),
        right=int(columns.max() - middle),
    )


def kernel_shift(kernel_width: int, shape: str = "ellipse") -> tuple[float, float]:
    """Measure how far a kernel moves the middle of what it grows.

    Returns
    -------
    (row, column) : floats
        Centroid of a grown pixel minus that pixel, in px; positive towards bottom and right.

    Examples
    --------
    An even rectangle moves by half a pixel. OpenCV's even ellipse is an odd one with a row and a
    column cut off; only a few pixels are lost with them, so its centroid moves less.

    >>> kernel_shift(26, "rectangle"), kernel_shift(27)
    ((0.5, 0.5), (0.0, 0.0))
    >>> [round(shift, 2) for shift in kernel_shift(26)]
    [0.02, 0.17]
    """
    row, column = np.argwhere(grown_pixel(kernel_width, shape)).mean(axis=0) - kernel_width
    return float(row), float(column)


def radial_reach(
    kernel_width: int, angles: NDArray[np.float64], shape: str = "ellipse"
) -> NDArray[np.float64]:
    """Measure how far a straight border moves, by the direction it faces.

    Parameters
    ----------
    angles : (n,) float64
        Directions in radians; 0 faces right, pi / 2 faces the bottom of the image.

    Returns
    -------
    (n,) float64
        In px. A disc would give the same in every direction.

    Examples
    --------
    >>> radial_reach(27, np.array([0.0, np.pi / 2]))
    array([13., 13.])
    """
    offsets = np.argwhere(grown_pixel(kernel_width, shape)) - kernel_width
    facing = np.stack([np.sin(angles), np.cos(angles)])
    return np.asarray((offsets @ facing).max(axis=0), dtype=np.float64)


def disc_element(kernel_width: int) -> Mask:
    """Draw the true disc as wide as a kernel.

    Returns
    -------
    (kernel_width, kernel_width) uint8 {0, 1}
        Pixels whose centre lies within half a width of the middle; the same when mirrored.

    Examples
    --------
    >>> disc_element(4)
    array([[0, 1, 1, 0],
           [1, 1, 1, 1],
           [1, 1, 1, 1],
           [0, 1, 1, 0]], dtype=uint8)
    """
    steps = np.arange(kernel_width) - (kernel_width - 1) / 2
    inside = np.add.outer(steps**2, steps**2) <= kernel_width**2 / 4
    return np.asarray(inside, dtype=np.uint8)


def mirror_asymmetry(brain: Mask, kernel_width: int, shape: str = "ellipse", axis: int = 1) -> int:
    """Count the pixels that change when a slice is mirrored before the dilation.

    Parameters
    ----------
    axis : {1, 0}
        1 mirrors left and right, 0 top and bottom.

    Returns
    -------
    int
        In px; 0 for a symmetric kernel.

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


def disc_difference(brain: Mask, kernel_width: int) -> int:
    """Count the pixels that would change if OpenCV's ellipse were a true disc.

    Returns
    -------
    int
        In px, after one dilation with each.

    Examples
    --------
    >>> brain = np.zeros((60, 60), dtype=np.uint8)
    >>> brain[30, 30] = 1
    >>> disc_difference(brain, 26)
    31
    """
    disc = cv2.dilate(brain, disc_element(kernel_width))
    return int(np.count_nonzero(dilate(brain, kernel_width) != disc))


def kernel_width_for(reach: float, spacing_mm: Sequence[float] | float, odd: bool = True) -> int:
    """Choose the kernel that reaches nearest to a distance in mm.

    Parameters
    ----------
    reach : float
        How far the mask shall grow, in mm.
    odd : bool
        Only odd widths, which reach equally far to all sides. With False an even width is chosen
        where its mean reach over the four sides is nearer.

    Returns
    -------
    int
        Kernel width in px; the narrower of two that are equally near.

    Raises
    ------
    InvalidSetting
        If a number is not finite and positive, the kernel would be wider than the pipeline takes,
        or pixels are so far from square that rows and columns ask for different widths: one width
        cannot reach equally far along both then.

    Examples
    --------
    >>> kernel_width_for(4.9, 0.375), kernel_width_for(4.9, (1.0, 1.0))
    (27, 11)
    >>> kernel_width_for(4.7, 0.375, odd=False)
    26
    """
    sides = np.atleast_1d(np.asarray(spacing_mm, dtype=np.float64))
    if sides.shape not in ((1,), (2,)) or not np.all(np.isfinite(sides) & (sides > 0)):
        raise InvalidSetting(
            f"The spacing must be one or two numbers of mm above zero, not {spacing_mm!r}."
        )
    steps = [reach / side for side in sides.tolist()]
    if not (reach >= 0 and all(map(math.isfinite, steps))):
        raise InvalidSetting(
            f"The reach must be a number of mm, zero or more, and of pixels, not {reach!r} mm in "
            f"pixels of {spacing_mm!r} mm."
        )
    widths = [_nearest_width(step, odd) for step in steps]
    if len(set(widths)) > 1:
        raise InvalidSetting(
            f"Pixels of {sides[0]:g} x {sides[1]:g} mm (row x column) need a kernel {widths[0]} px "
            f"high and {widths[1]} px wide to reach {reach:g} mm; a kernel has one width, so "
            "resample the slices to square pixels first."
        )
    if widths[0] > MAX_KERNEL_WIDTH:
        raise InvalidSetting(
            f"A reach of {reach:g} mm needs a kernel {widths[0]} px wide; the pipeline takes up to "
            f"{MAX_KERNEL_WIDTH} px. Check the spacing."
        )
    return widths[0]


def reach_mm(
    kernel_width: int, spacing_mm: Sequence[float] | float, shape: str = "ellipse"
) -> tuple[float, float]:
    """Mean reach of a kernel in mm, along rows' and columns' direction.

    Returns
    -------
    (up and down, left and right) : floats
        In mm; each the mean of its two sides. They differ where pixels are not square.

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


def span_remark(kernel_width: int, spacing_mm: Sequence[float] | None) -> str:
    """Say when a kernel spans another distance than the default one does on the built-in head.

    Parameters
    ----------
    kernel_width : int
        In px.
    spacing_mm : (row, column) or None
        In mm per pixel; None = not known.

    Returns
    -------
    str
        Without a full stop; "" when the spans differ by no more than `SPAN_TOLERANCE`, when the
        pixels are those of the built-in head, so that only the width was chosen, or when it cannot
        be told.

    Examples
    --------
    >>> print(span_remark(26, (1.0, 1.0)))
    the kernel's 26 px span 26 mm here; on the built-in head, whose pixel size was chosen for the
    drawing, they span 9.75 mm; --kernel-width 11 reaches as far
    >>> span_remark(11, (1.0, 1.0))
    ''
    """
    if not kernel_width or spacing_mm is None or tuple(spacing_mm) == BUILT_IN_SPACING_MM:
        return ""
    default = PipelineSettings().kernel_width
    usual = default * BUILT_IN_SPACING_MM[0]
    spans = [kernel_width * side for side in spacing_mm]
    if all(abs(span / usual - 1) <= SPAN_TOLERANCE for span in spans):
        return ""
    reach = reach_mm(default, BUILT_IN_SPACING_MM)[0]
    widths = []
    with suppress(InvalidSetting):  # of a width that the pipeline does not take
        widths = list(dict.fromkeys(kernel_width_for(reach, side) for side in spacing_mm))
    if len(widths) == 2:
        advice = (
            f"{widths[0]} px reach as far up and down, {widths[1]} px left and right, so resample "
            "the slices to square pixels"
        )
    elif widths:
        advice = f"--kernel-width {widths[0]} reaches as far"
    else:
        advice = "no width that the pipeline takes reaches as far; check the spacing"
    who = "they span" if kernel_width == default else f"the default of {default} px spans"
    here = " × ".join(dict.fromkeys(f"{span:.3g}" for span in spans))
    return (
        f"the kernel's {kernel_width} px span {here} mm here; on the built-in head, whose pixel "
        f"size was chosen for the drawing, {who} {usual:g} mm; {advice}"
    )


def _nearest_width(reach_px: float, odd: bool) -> int:
    """Width w whose mean reach, (w - 1) / 2, is nearest; halves go to the narrower."""
    step = 2 if odd else 1
    return 1 + step * math.ceil(2 * reach_px / step - 0.5)
