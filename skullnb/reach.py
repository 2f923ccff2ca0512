"""How far a structuring element reaches: in pixels, to each side, and in millimetres.

The article says "26 px". That is the width of the element, not how far a mask grows. Widths and
reaches are in px where nothing else is said; `shape` is "ellipse" or "rectangle".
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from skullnb.errors import InvalidSetting
from skullnb.pipeline import Mask, PipelineSettings, dilate, structuring_element
from skullnb.pipeline.signs import say_nearest, say_reach

# What four open heads chose for one another (chapter 12; a test holds it to the stored rows).
CHOSEN_REACHES_MM = (7.0, 8.0)
TOLERANCE = 0.25  # beyond these, as a part of them: costs about .02 of the IoU on the same heads


class Reach(NamedTuple):
    """How far a mask grows towards each side of the image, in px."""

    top: int
    bottom: int
    left: int
    right: int


def kernel_reach(kernel_width: int, shape: str = "ellipse") -> Reach:
    """Measure how far a kernel makes a mask grow towards each side, in px.

    >>> kernel_reach(26)
    Reach(top=12, bottom=13, left=12, right=13)
    """
    # A dilation turns the element round its anchor; a width of 0 reaches no farther than one of 1.
    offsets = np.argwhere(structuring_element(kernel_width or 1, shape)) - kernel_width // 2
    (top, left), (bottom, right) = offsets.max(axis=0).tolist(), (-offsets.min(axis=0)).tolist()
    return Reach(top, bottom, left, right)


def reach_mm(
    kernel_width: int, spacing_mm: Sequence[float] | float, shape: str = "ellipse"
) -> tuple[float, float]:
    """Mean reach of a kernel in mm, up and down, left and right; spacing (row, column) or one.

    >>> reach_mm(27, (0.5, 1.0))
    (6.5, 13.0)
    """
    row, column = np.broadcast_to(spacing_mm, (2,)).tolist()
    top, bottom, left, right = kernel_reach(kernel_width, shape)
    return (top + bottom) / 2 * row, (left + right) / 2 * column


def kernel_width_for(reach: float, spacing_mm: Sequence[float] | float) -> int:
    """Choose the odd kernel width in px whose reach is nearest to a distance in mm.

    It reaches equally far to all sides; of two that are equally near it is the narrower. Where
    pixels are not square, the mean of row and column decides. What makes no sense, or asks for a
    wider kernel than the pipeline takes, is refused (InvalidSetting).

    >>> kernel_width_for(4.9, 0.375), kernel_width_for(7.5, (1.0, 1.0))
    (27, 15)
    """
    row, column = np.broadcast_to(spacing_mm, (2,)).tolist()
    return PipelineSettings(reach_mm=reach).at((row, column)).kernel_width


def span_remark(kernel_width: int, spacing_mm: Sequence[float] | None) -> str:
    """Say, or "", when a kernel (px) does not reach as far as real heads chose, and one would."""
    if not kernel_width or spacing_mm is None:
        return ""
    here, (least, most) = reach_mm(kernel_width, spacing_mm), CHOSEN_REACHES_MM
    if all(least * (1 - TOLERANCE) <= one <= most * (1 + TOLERANCE) for one in here):
        return ""
    told = f"a kernel of {kernel_width} px reaches {say_reach(kernel_width, spacing_mm)} here"
    try:
        width = kernel_width_for((least + most) / 2, spacing_mm)
    except InvalidSetting:  # of a width that the pipeline does not take
        return f"{told}, so check the spacing"
    if abs(width - kernel_width) <= 1:
        return ""
    best = f"the border of the open heads was best met by {least:g} to {most:g} mm"
    return f"{told}, where {best}, and {say_nearest(width, spacing_mm)}"


def asked_remark(settings: PipelineSettings, spacing_mm: tuple[float, float] | None) -> str:
    """Say when the kernel for a reach in mm reaches another distance, by a tenth or more."""
    asked = settings.reach_mm
    if asked is None or spacing_mm is None:
        return ""
    width = settings.at(spacing_mm).kernel_width
    if all(abs(one - asked) < 0.1 * asked or one == asked for one in reach_mm(width, spacing_mm)):
        return ""
    nearest = f"{width} px, the nearest of odd width, reaches {say_reach(width, spacing_mm)} here"
    return f"a reach of {asked:g} mm was asked for, and {nearest}"


def mirror_asymmetry(brain: Mask, kernel_width: int, shape: str = "ellipse", axis: int = 1) -> int:
    """Count the pixels that change when a slice is mirrored along an axis before the dilation."""
    there = dilate(brain, kernel_width, shape)
    mirrored = np.ascontiguousarray(np.flip(brain, axis))
    back = np.flip(dilate(mirrored, kernel_width, shape), axis)
    return int(np.count_nonzero(there != back))
