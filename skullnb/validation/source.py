"""Which scores the validation is about: those of the data at hand, or the synthetic cohort's."""

from __future__ import annotations

from dataclasses import dataclass

from skullnb.pipeline import MAX_KERNEL_WIDTH, PipelineSettings
from skullnb.stack import Stack
from skullnb.sweep import sweep_kernel_width
from skullnb.validation.cohort import cohort_scores
from skullnb.validation.scores import ScoreMatrix, from_sweep


@dataclass(frozen=True, eq=False)
class Source:
    """Scores to validate with, and where they are from.

    Attributes
    ----------
    matrix : ScoreMatrix
        With at least two volumes.
    is_cohort : bool
        Whether they are the synthetic cohort's.
    why : str
        What the data lacks, when they are; "" otherwise.
    """

    matrix: ScoreMatrix
    is_cohort: bool
    why: str


def scores_to_validate(
    stack: Stack, settings: PipelineSettings | None = None, reach: int = 16
) -> Source:
    """Sweep a stack that has a reference mask and two volumes; else take the synthetic cohort.

    Parameters
    ----------
    reach : int
        Kernel widths up to so many px above and below that of the settings are tried, in steps of
        2.

    Raises
    ------
    InvalidSetting
        If the masks and reference masks of the stack are all empty.

    Examples
    --------
    >>> import numpy as np
    >>> images = np.zeros((2, 40, 40))
    >>> images[:, 15:25, 15:25] = 1.0
    >>> reference = np.zeros((2, 40, 40), dtype=np.uint8)
    >>> reference[:, 13:27, 13:27] = 1
    >>> stack = Stack(images, reference, groups=("anna", "ben"))
    >>> scores_to_validate(stack, PipelineSettings(kernel_width=5), reach=2).matrix.widths
    array([3., 5., 7.])
    """
    settings = settings or PipelineSettings()
    lack = _what_is_missing(stack)
    if lack:
        return Source(cohort_scores(), True, lack)
    width = settings.kernel_width
    tried = range(width - reach, width + reach + 1, 2)
    widths = [one for one in tried if 1 <= one <= MAX_KERNEL_WIDTH]
    table = sweep_kernel_width(stack, widths, ("iou",), settings)
    matrix = from_sweep(table, "iou", stack.groups, stack.spacing_mm)
    return Source(matrix, False, "")


def _what_is_missing(stack: Stack) -> str:
    """Why a stack cannot be split by volume, as part of a sentence; "" when it can."""
    if stack.reference is None:
        return "there is no reference mask"
    if stack.groups is None:
        return "the slices have no group labels, so it is not known which belong to one head"
    if len(set(stack.groups)) < 2:
        return "all slices are of one head"
    return ""
