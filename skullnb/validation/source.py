"""Which scores the validation is about: those of the data at hand, or the synthetic cohort's."""

from __future__ import annotations

from dataclasses import dataclass

from skullnb.pipeline import PipelineSettings
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
    stack : Stack
    settings : PipelineSettings, optional
        The article's when left out.
    reach : int
        Kernel widths up to so many px above and below that of the settings are tried, in steps of
        2.

    Returns
    -------
    Source

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
    lack = what_is_missing(stack)
    if lack:
        return Source(cohort_scores(), True, lack)
    width = settings.kernel_width
    widths = [one for one in range(width - reach, width + reach + 1, 2) if one >= 1]
    table = sweep_kernel_width(stack, widths, ("iou",), settings)
    matrix = from_sweep(table, "iou", stack.groups, stack.spacing_mm)
    return Source(matrix, False, "")


def what_is_missing(stack: Stack) -> str:
    """Say why a stack cannot be split by volume.

    Parameters
    ----------
    stack : Stack

    Returns
    -------
    str
        Part of a sentence; "" when nothing is missing.

    Examples
    --------
    >>> import numpy as np
    >>> what_is_missing(Stack(np.zeros((2, 8, 8)), np.zeros((2, 8, 8), dtype=np.uint8)))
    'the slices have no group labels, so it is not known which belong to one head'
    """
    if stack.reference is None:
        return "there is no reference mask"
    if stack.groups is None:
        return "the slices have no group labels, so it is not known which belong to one head"
    if len(set(stack.groups)) < 2:
        return "all slices are of one head"
    return ""
