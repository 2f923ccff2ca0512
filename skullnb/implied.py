"""What a table of overlaps implies that it does not say: how large the head must have been.

Notation: P(w) is the mask at kernel width w, M the reference mask, A its area in px, and
errors(w) the pixels in exactly one of the two.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from skullnb.errors import InvalidSetting
from skullnb.metrics import iou
from skullnb.pipeline import Mask, dilate, fill_holes
from skullnb.reach import grown_pixel

__all__ = [
    "ROUNDING",
    "Chain",
    "check_chain",
    "check_slices",
    "difference_element",
    "error_share",
    "least_area",
    "least_growth",
    "recorded",
    "solid_cells",
]

# Half a unit of the last printed digit: a table with four decimals says no more than this.
ROUNDING = 5e-5


def error_share(narrow_iou: float, wide_iou: float, rounding: float = ROUNDING) -> float:
    """Bound the errors of two masks together, as a share of the reference's area.

    Let s be the sum of (1 - IoU) of both rows. In at least one slice of the table
    errors(narrow) + errors(wide) is at most s / (1 - s) of A, whether the table's rows are means
    over slices or pooled over pixels.

    Parameters
    ----------
    narrow_iou, wide_iou : float
        Two rows of a table, in [0, 1].
    rounding : float
        How far a printed value may be from the exact one; 0 for exact values.

    Returns
    -------
    float
        Infinite when the rows are too low to bound anything.

    Examples
    --------
    >>> round(error_share(0.95, 0.95, rounding=0), 4)
    0.1111
    """
    s = 2 - narrow_iou - wide_iou + 2 * rounding
    return s / (1 - s) if s < 1 else math.inf


def difference_element(narrow: int, wide: int, shape: str = "ellipse") -> Mask:
    """Find what is left to dilate by, after a narrow kernel, to stay within a wide one.

    Parameters
    ----------
    narrow, wide : int
        Kernel widths in px.
    shape : {"ellipse", "rectangle"}

    Returns
    -------
    (2 wide + 1, 2 wide + 1) uint8 {0, 1}
        All steps, counted from the middle, by which the narrow kernel can be moved inside the wide
        one. A mask dilated by the narrow kernel and then by this lies inside the mask dilated by
        the wide kernel.

    Raises
    ------
    InvalidSetting
        If the narrow kernel is wider than the wide one.

    Examples
    --------
    >>> difference_element(3, 5, "rectangle")[4:7, 4:7]
    array([[1, 1, 1],
           [1, 1, 1],
           [1, 1, 1]], dtype=uint8)
    """
    if narrow > wide:
        raise InvalidSetting(f"The narrow kernel ({narrow} px) is wider than the wide ({wide} px).")
    inner, outer = grown_pixel(narrow, shape), grown_pixel(wide, shape)
    # Pixels outside the array count as outside the kernel, which OpenCV does not assume.
    fits = cv2.erode(outer, inner, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    return np.asarray(fits, dtype=np.uint8)


def solid_cells(element: Mask) -> int:
    """Count the unit squares whose four corners are all pixels of an element.

    They are the area that an element adds in the plane, where pixels are squares and steps points.

    Parameters
    ----------
    element : (H, W) uint8 {0, 1}

    Returns
    -------
    int

    Examples
    --------
    >>> solid_cells(np.ones((3, 3), dtype=np.uint8))
    4
    """
    corners = element[:-1, :-1] & element[1:, :-1] & element[:-1, 1:] & element[1:, 1:]
    return int(np.count_nonzero(corners))


def least_growth(area: float, cells: float) -> float:
    """Bound from below how much any shape of a given area grows in a dilation.

    Parameters
    ----------
    area : float
        Of the shape, in px.
    cells : float
        Area of the element: `solid_cells`, or pi r^2 for an ideal disc.

    Returns
    -------
    float
        2 sqrt(cells x area) + cells, in px: what a disc grows; every other shape grows more.

    References
    ----------
    The Brunn-Minkowski inequality in the plane; Gardner (2002).

    Examples
    --------
    >>> least_growth(100.0, 4.0)
    44.0
    """
    return 2 * math.sqrt(cells * area) + cells


def least_area(share: float, cells: float) -> float:
    """Solve the inequality for the smallest reference mask that it leaves possible.

    Parameters
    ----------
    share : float
        From `error_share`.
    cells : float
        Area of the difference element, in px.

    Returns
    -------
    float
        The smallest A, in px, with share x A >= `least_growth` of (1 - share) x A; 0 when the
        share is 1 or more, because nothing follows then.

    Raises
    ------
    InvalidSetting
        If the share is not positive: two nested masks of different size cannot both be right.

    Examples
    --------
    >>> area = least_area(0.05, 34)
    >>> bool(np.isclose(0.05 * area, least_growth(0.95 * area, 34)))
    True
    """
    if not share > 0:
        raise InvalidSetting(f"The share of errors must be above zero, not {share!r}.")
    if share >= 1:
        return 0.0
    # A quadratic in the square root of A: share x^2 - 2 b x - cells = 0.
    b = math.sqrt(cells * (1 - share))
    return ((b + math.sqrt(b * b + share * cells)) / share) ** 2


@dataclass(frozen=True)
class Chain:
    """Every quantity of the argument on one slice, in px where it is not a ratio.

    Attributes
    ----------
    reference : int
        A.
    narrow, wide : int
        Areas of the two masks.
    narrow_errors, wide_errors : int
    narrow_iou, wide_iou : float
    growth : float
        `least_growth` of the narrow mask.
    share : float
        `error_share` of the slice's own two IoUs.
    least_reference : float
        `least_area` that follows from them.
    """

    reference: int
    narrow: int
    wide: int
    narrow_errors: int
    wide_errors: int
    narrow_iou: float
    wide_iou: float
    growth: float
    share: float
    least_reference: float

    @property
    def steps(self) -> dict[str, tuple[float, float]]:
        """Each step of the argument: its name, the side that must be smaller, and the other."""
        errors = self.narrow_errors + self.wide_errors
        follows = math.isfinite(self.share)
        allowed = self.share * self.reference if follows else math.inf
        return {
            "growth": (self.growth, self.wide - self.narrow),
            "errors": (self.wide - self.narrow, errors),
            "overlap": (errors, allowed),
            "size": ((1 - self.share) * self.reference if follows else 0.0, self.narrow),
            "reference": (self.least_reference, self.reference),
        }

    @property
    def holds(self) -> bool:
        """Whether every step is true of this slice."""
        return all(small <= large * (1 + 1e-9) for small, large in self.steps.values())


def check_chain(
    brain: Mask, reference: Mask, narrow: int, wide: int, shape: str = "ellipse"
) -> Chain:
    """Put numbers to every step of the argument on one slice.

    Parameters
    ----------
    brain, reference : (H, W) uint8 {0, 1}
        The chosen component, not empty, and the reference mask.
    narrow, wide : int
        Kernel widths in px.
    shape : {"ellipse", "rectangle"}

    Returns
    -------
    Chain
        The masks are made in a frame wide enough to cut nothing off, as the argument assumes.

    Raises
    ------
    InvalidSetting
        If a mask is empty, or narrow is not below wide.

    Examples
    --------
    >>> brain = np.zeros((60, 60), dtype=np.uint8)
    >>> brain[20:40, 20:40] = 1
    >>> check_chain(brain, dilate(brain, 9), 5, 13).holds
    True
    """
    if not brain.any() or not reference.any():
        raise InvalidSetting("The argument needs a component and a reference that are not empty.")
    if not narrow < wide:
        raise InvalidSetting(f"The first kernel ({narrow} px) must be narrower than the second.")
    brain, reference = np.pad(brain, wide), np.pad(reference, wide)
    small, large = (fill_holes(dilate(brain, width, shape)) for width in (narrow, wide))
    area = int(np.count_nonzero(small))
    cells = solid_cells(difference_element(narrow, wide, shape))
    overlaps = iou(small, reference), iou(large, reference)
    share = error_share(overlaps[0], overlaps[1], rounding=0)
    return Chain(
        reference=int(np.count_nonzero(reference)),
        narrow=area,
        wide=int(np.count_nonzero(large)),
        narrow_errors=int(np.count_nonzero(small != reference)),
        wide_errors=int(np.count_nonzero(large != reference)),
        narrow_iou=overlaps[0],
        wide_iou=overlaps[1],
        growth=least_growth(area, cells),
        share=share,
        least_reference=least_area(share, cells),
    )


def check_slices(
    brains: Sequence[Mask], references: Sequence[Mask] | None, narrow: int, wide: int
) -> list[Chain | None] | None:
    """Put numbers to every step of the argument on several slices.

    Parameters
    ----------
    brains : sequence of (H, W) uint8 {0, 1}
        The chosen component of each slice.
    references : sequence of (H, W) uint8 {0, 1} or None
    narrow, wide : int
        Kernel widths in px.

    Returns
    -------
    list of Chain, or None
        None for a slice whose component or reference is empty; None for all without references.

    Examples
    --------
    >>> brain = np.zeros((60, 60), dtype=np.uint8)
    >>> brain[20:40, 20:40] = 1
    >>> chains = check_slices([brain, 0 * brain], [dilate(brain, 9)] * 2, 5, 13)
    >>> chains[0].holds, chains[1]
    (True, None)
    """
    if references is None:
        return None
    return [
        check_chain(brain, reference, narrow, wide) if brain.any() and reference.any() else None
        for brain, reference in zip(brains, references, strict=True)
    ]


def recorded(chains: Sequence[Chain | None] | None) -> dict[str, int | float | None]:
    """Bring the check of several slices under the names that a chapter records.

    Parameters
    ----------
    chains : sequence of Chain or None
        From `check_slices`.

    Returns
    -------
    dict
        n_checked, n_holding, and tightest: the largest share of a slice's area that the
        argument recovers; None without references.

    Examples
    --------
    >>> recorded(None)
    {'n_checked': None, 'n_holding': None, 'tightest': None}
    """
    if chains is None:
        return {"n_checked": None, "n_holding": None, "tightest": None}
    known = [chain for chain in chains if chain is not None]
    return {
        "n_checked": len(known),
        "n_holding": sum(chain.holds for chain in known),
        "tightest": max((one.least_reference / one.reference for one in known), default=None),
    }
