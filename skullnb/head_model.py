"""A round head as a model: the smallest one that a table of overlaps leaves possible."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skullnb.errors import InvalidSetting
from skullnb.implied import ROUNDING, difference_element, error_share, least_area, solid_cells


@dataclass(frozen=True)
class Reading:
    """What a sweep implies when its sizes are read in one way.

    Attributes
    ----------
    name : str
    narrow, wide : int
        Widths in px of the kernels that the first and the last row would have used.
    cells : int
        Solid area of the element between them, in px.
    least_area, model_area : float
        Smallest reference mask by the inequality, and by the model of a round head with one hump,
        in px.
    """

    name: str
    narrow: int
    wide: int
    cells: int
    least_area: float
    model_area: float

    @property
    def least_radius(self) -> float:
        """Radius of the disc of `least_area`, in px."""
        return math.sqrt(self.least_area / math.pi)

    @property
    def model_radius(self) -> float:
        """Radius of the disc of `model_area`, in px."""
        return math.sqrt(self.model_area / math.pi)


def read_sweep(overlaps: Mapping[int, float], rounding: float = ROUNDING) -> list[Reading]:
    """Read a sweep's sizes once as widths of the kernel, and once as how far it reaches.

    Parameters
    ----------
    overlaps : mapping of size to IoU
        In px; at least two rows.
    rounding : float
        How far a printed IoU may be from the exact one.

    Returns
    -------
    list of Reading
        "as a width" and "as a reach", in this order.

    Examples
    --------
    >>> width, reach = read_sweep({10: 0.90, 14: 0.95, 18: 0.90})
    >>> (width.narrow, width.wide), (reach.narrow, reach.wide)
    ((10, 18), (21, 37))
    >>> bool(reach.least_area > 3 * width.least_area)
    True
    """
    first, last = min(overlaps), max(overlaps)
    share = error_share(overlaps[first], overlaps[last], rounding)
    # The model has no pixels: half the reach needs half the head, so it is solved once.
    radius = smallest_head({float(size): iou for size, iou in overlaps.items()}, rounding)
    readings = []
    # An ellipse that reaches r px to every side is 2 r + 1 px wide.
    for name, narrow, wide, size in (
        ("as a width", first, last, radius / 2),
        ("as a reach", 2 * first + 1, 2 * last + 1, radius),
    ):
        cells = solid_cells(difference_element(narrow, wide))
        least = least_area(share, cells)
        readings.append(Reading(name, narrow, wide, cells, least, math.pi * size**2))
    return readings


def smallest_head(
    overlaps: Mapping[float, float], rounding: float = ROUNDING, one_hump: bool = True
) -> float:
    """Find the smallest round head that could have given a table of overlaps.

    A model, not an inequality: the masks are concentric discs whose radii differ by the reach, and
    the reference's border lies at a distance from the brain that varies around the head by any
    law at all, or by any law with one hump. A linear program finds such a law, if there is one.

    Parameters
    ----------
    overlaps : mapping of reach to IoU
        Reach in px; at least two rows.
    rounding : float
        How far a printed IoU may be from the exact one.
    one_hump : bool
        Only laws whose density rises to one peak and falls after it.

    Returns
    -------
    float
        Radius in px of the disc as large as the reference mask; infinite when no head up to forty
        times the largest reach fits. Found to about 0.5%, from above.

    Raises
    ------
    InvalidSetting
        If there are fewer than two rows.

    Examples
    --------
    >>> rows = {10: 0.90, 14: 0.95, 18: 0.90}
    >>> bool(smallest_head(rows) < smallest_head({2 * reach: j for reach, j in rows.items()}))
    True
    """
    if len(overlaps) < 2:
        raise InvalidSetting("One row says nothing about the size; give at least two.")
    reaches = np.array(list(overlaps), dtype=np.float64)
    values = np.array(list(overlaps.values()), dtype=np.float64)
    unit = reaches.max()
    distances = np.linspace(0, 2.5, 151)
    radii = np.geomspace(1, 40, 75)

    def smallest(radius: float, laws: Sequence[NDArray[Any]]) -> float:
        return min(_fit(law, distances, radius, reaches / unit, values, rounding) for law in laws)

    def first_that_fits(start: int, laws: Sequence[NDArray[Any]]) -> int | None:
        fits = (n for n in range(start, len(radii)) if math.isfinite(smallest(radii[n], laws)))
        return next(fits, None)

    laws = [np.eye(len(distances))]
    first = first_that_fits(0, laws)
    if one_hump and first is not None:  # a law with one hump is a law
        laws = _one_hump(distances, reaches / unit)
        first = first_that_fits(first, laws)
    if first is None:
        return math.inf
    low, high = radii[max(first - 1, 0)], radii[first]
    best = smallest(high, laws)
    for _ in range(4):  # narrows the 5% between two radii to less than half a percent
        middle = math.sqrt(low * high)
        size = smallest(middle, laws)
        if math.isfinite(size):
            high, best = middle, min(best, size)
        else:
            low = middle
    # Versions of the solver differ in digits that the half percent makes meaningless.
    return float(f"{unit * best:.5g}")


def _one_hump(distances: NDArray[Any], reaches: NDArray[Any]) -> list[NDArray[Any]]:
    """Laws with one hump at a mode, as mixtures of uniform ones that end there (Khinchin)."""
    index = np.arange(len(distances))
    near = np.flatnonzero((distances > reaches.min() / 2) & (distances < 1.5 * reaches.max()))
    laws = []
    for mode in near[::2]:
        low, high = np.minimum(index, mode)[:, None], np.maximum(index, mode)[:, None]
        between = ((index >= low) & (index <= high)).astype(np.float64)
        laws.append(between / between.sum(axis=1, keepdims=True))
    return laws


def _fit(
    laws: NDArray[Any],
    distances: NDArray[Any],
    brain_radius: float,
    reaches: NDArray[Any],
    overlaps: NDArray[Any],
    rounding: float,
) -> float:
    """Radius of the smallest reference around one brain that fits all rows; inf when none does."""
    from scipy.optimize import linprog

    reference = (brain_radius + distances) ** 2
    masks = (brain_radius + reaches[:, None]) ** 2
    both = np.minimum(reference, masks)
    union = reference + masks - both
    low, high = ((overlaps + sign * rounding)[:, None] for sign in (-1, 1))
    rows = np.vstack([low * union - both, both - high * union]) @ laws.T
    scale = brain_radius**2
    answer = linprog(
        laws @ reference / scale,
        A_ub=rows / scale,
        b_ub=np.zeros(len(rows)),
        A_eq=np.ones((1, len(laws))),
        b_eq=[1.0],
        method="highs",
    )
    return math.sqrt(answer.fun * scale) if answer.status == 0 else math.inf
