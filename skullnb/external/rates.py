"""How often a sign showed where the pipeline failed, and where it did not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from skullnb.external.choice import BRAIN
from skullnb.pipeline.signs import SIGNS
from skullnb.summary import JUMP

ANY = "any of these"
AREA_JUMP = "area jumps"
BRIGHT_FAT = "bright fat"
TRIED = (AREA_JUMP, BRIGHT_FAT)
"""Signs that were tried and give no warning of their own in a trace."""

POOR_IOU = 0.9
# The other bright pixels against the chosen ones, by their medians.
FAT_BRIGHTER = 1.1


class Rate(NamedTuple):
    """Hits and false alarms of one sign.

    Attributes
    ----------
    sign : str
    n_hits, n_failures : int
        Failed slices with the sign, and failed slices: their ratio is the sensitivity.
    n_false, n_others : int
        Other slices with the sign, and other slices: 1 minus their ratio is the specificity.
    """

    sign: str
    n_hits: int
    n_failures: int
    n_false: int
    n_others: int


def failed(slices: Mapping[str, Sequence[Any]], by: str = "choice") -> NDArray[np.bool_]:
    """Tell on which slices the pipeline failed.

    Parameters
    ----------
    slices : mapping
        Columns `chosen` and `iou_mm`.
    by : {"choice", "iou"}
        Not the brain was chosen, or the IoU with the kernel in mm is below `POOR_IOU`.

    Returns
    -------
    (N,) bool

    Examples
    --------
    >>> failed({"chosen": ["brain", "merged"], "iou_mm": [0.8, 0.7]})
    array([False,  True])
    """
    if by == "choice":
        return np.array([one != BRAIN for one in slices["chosen"]])
    return np.array(slices["iou_mm"]) < POOR_IOU


def sign_rates(slices: Mapping[str, Sequence[Any]], failures: NDArray[np.bool_]) -> list[Rate]:
    """Count hits and false alarms of every sign.

    Parameters
    ----------
    slices : mapping
        Columns `signs`, and for the signs in `TRIED` also `area_change` and `brightness`.
    failures : (N,) bool

    Returns
    -------
    list of Rate
        One a sign, then one for any of them, then the signs that were tried.

    Examples
    --------
    >>> slices = {"signs": [["merged"], []], "area_change": [0, 0], "brightness": [2.0, None]}
    >>> rates = sign_rates(slices, np.array([True, False]))
    >>> [rate.sign for rate in rates if rate.n_hits]
    ['merged', 'any of these', 'bright fat']
    """
    shown = {sign: np.array([sign in one for one in slices["signs"]]) for sign in SIGNS}
    shown[ANY] = np.array([bool(one) for one in slices["signs"]])
    shown[AREA_JUMP] = np.abs(np.array(slices["area_change"], dtype=float)) > JUMP
    # A slice without other bright pixels has no such ratio: None, which is NaN.
    shown[BRIGHT_FAT] = np.array(slices["brightness"], dtype=float) > FAT_BRIGHTER
    return [
        Rate(
            sign,
            int(np.count_nonzero(there & failures)),
            int(np.count_nonzero(failures)),
            int(np.count_nonzero(there & ~failures)),
            int(np.count_nonzero(~failures)),
        )
        for sign, there in shown.items()
    ]
