"""What a ledger says about one rule: its status, by fixed definitions, and the counts behind it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

EXERCISED = "exercised"
INERT = "inert"
NEVER_FIRED = "never fired"
SYNTHETIC_ONLY = "synthetic only"
STATUSES = (EXERCISED, INERT, NEVER_FIRED, SYNTHETIC_ONLY)


@dataclass(frozen=True)
class RuleEvidence:
    """What a ledger says about one rule.

    Attributes
    ----------
    rule, status : str
        Names in `skullnb.pipeline.RULES` and in `STATUSES`.
    n_slices, n_fired, n_changed : int
        Slices in all, where the rule fired, and where switching it off changes the mask.
    n_real, n_fired_real, n_changed_real : int
        The same of the slices that are not synthetic.
    stage_px, changed_px : int
        Sums over slices, px: what the rule set or removed at its own stage, and how much of the
        final mask differs when it is switched off.
    iou, iou_off, dice, dice_off : float
        Means with the rule and without it, over the slices with a reference mask: the real ones
        where there are real slices at all, for a score on phantoms is none on scans. NaN without
        any.
    """

    rule: str
    status: str
    n_slices: int
    n_fired: int
    n_changed: int
    n_real: int
    n_fired_real: int
    n_changed_real: int
    stage_px: int
    changed_px: int
    iou: float
    iou_off: float
    dice: float
    dice_off: float

    def __str__(self) -> str:
        """Say the status with the count that it rests on.

        Examples
        --------
        >>> from skullnb.evidence import build_ledger
        >>> from skullnb.stack import Stack
        >>> ledger = build_ledger(Stack(np.zeros((5, 8, 8))))
        >>> print(ledger.evidence("drop edge-touching"))
        never fired, 0 of 5
        """
        if self.status == NEVER_FIRED:
            return f"{self.status}, 0 of {self.n_slices}"
        if self.status == INERT:
            return f"{self.status}, fired on {self.n_fired} of {self.n_slices}"
        if self.status == EXERCISED:
            return f"{self.status}, changed {self.n_changed} of {self.n_slices}"
        n_synthetic = self.n_slices - self.n_real
        return (
            f"{self.status}, changed {self.n_changed - self.n_changed_real} of {n_synthetic} "
            f"synthetic slices; fired on {self.n_fired_real} of {self.n_real} real ones"
        )


def status_of(
    fired: NDArray[np.bool_], changed: NDArray[np.bool_], synthetic: NDArray[np.bool_]
) -> str:
    """Status of a rule, from what it did on each slice.

    Over all slices a rule is *exercised* when it fired and changed a mask, *inert* when it fired
    and changed none, and *never fired* otherwise. Where there are real slices, and they alone
    would not earn the rule that status, it is *synthetic only*: what is known about it comes from
    phantoms. Where every slice is synthetic the status is about these slices, and whoever shows it
    says that they are synthetic; *synthetic only* is an answer about real slices, so it needs some.

    Parameters
    ----------
    fired, changed, synthetic : (N,) bool
        Whether the rule fired, whether switching it off changes the mask, whether the slice was
        drawn.

    Returns
    -------
    str
        One of `STATUSES`.

    Examples
    --------
    >>> yes, no = np.array([True]), np.array([False])
    >>> status_of(no, no, no), status_of(yes, no, no), status_of(yes, yes, yes)
    ('never fired', 'inert', 'exercised')
    >>> status_of(np.array([False, True]), np.array([False, True]), np.array([False, True]))
    'synthetic only'
    """
    found, real = _reached(fired, changed), ~synthetic
    if found != NEVER_FIRED and real.any() and _reached(fired[real], changed[real]) != found:
        return SYNTHETIC_ONLY
    return found


def _reached(fired: NDArray[np.bool_], changed: NDArray[np.bool_]) -> str:
    if not fired.any():
        return NEVER_FIRED
    return EXERCISED if (fired & changed).any() else INERT
