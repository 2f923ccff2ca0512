"""The numbers of the validation chapter, under the names that its sentences quote."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skullnb.validation import (
    Outcome,
    ScoreMatrix,
    Source,
    apparent,
    correlation,
    effective_number,
    sign_test,
)


def source_numbers(source: Source) -> dict[str, Any]:
    """Bring what the chapter runs on under the names that sentences quote.

    Parameters
    ----------
    source : Source
        From `skullnb.validation.scores_to_validate`.

    Returns
    -------
    dict
        source, n_volumes, n_slices, n_widths, width_min, width_max (px), spacing_min and
        spacing_max (mm, None = unknown).

    Examples
    --------
    >>> matrix = ScoreMatrix([[0.9, 0.8], [0.6, 0.8]], [24, 26], ("anna", "ben"))
    >>> source_numbers(Source(matrix, False, ""))["source"]
    'the given slices'
    """
    matrix = source.matrix
    spacing = matrix.spacing_mm
    return {
        "source": "the synthetic cohort" if source.is_cohort else "the given slices",
        "n_volumes": len(matrix.volumes),
        "n_slices": len(matrix),
        "n_widths": len(matrix.widths),
        "width_min": int(matrix.widths[0]),
        "width_max": int(matrix.widths[-1]),
        "spacing_min": None if spacing is None else float(spacing.min()),
        "spacing_max": None if spacing is None else float(spacing.max()),
    }


def one_volume_numbers(rows: NDArray[Any]) -> dict[str, Any]:
    """Bring what tuning on one volume costs under the names that sentences quote.

    Parameters
    ----------
    rows : (V,) structured array
        From `skullnb.validation.tune_on_each_volume`.

    Returns
    -------
    dict
        one_width (list), one_apparent, one_slice_out, one_elsewhere (means over the volumes),
        one_optimism, and one_slice_out_saw: the part of it that leave-one-slice-out noticed.
        None where no volume has two slices, or there is no optimism.

    Examples
    --------
    >>> from skullnb.validation import tune_on_each_volume
    >>> matrix = ScoreMatrix([[0.9, 0.8], [0.6, 0.8]], [24, 26], ("anna", "ben"))
    >>> one_volume_numbers(tune_on_each_volume(matrix))["one_slice_out"] is None
    True
    """
    inside = rows["slice_out"][np.isfinite(rows["slice_out"])]
    own, elsewhere = float(rows["apparent"].mean()), float(rows["elsewhere"].mean())
    slice_out = float(inside.mean()) if len(inside) else None
    flattered = settled(own - elsewhere)
    return {
        "one_width": rows["width"],
        "one_apparent": own,
        "one_slice_out": slice_out,
        "one_elsewhere": elsewhere,
        "one_optimism": flattered,
        "one_slice_out_saw": (own - slice_out) / flattered if slice_out and flattered else None,
    }


def split_numbers(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Bring the ways of testing under the names that sentences quote.

    Parameters
    ----------
    outcomes : sequence of Outcome
        From `skullnb.validation.compare_splits`.

    Returns
    -------
    dict
        apparent, slice_out, nested, optimism, nested_widths (list) with the kernel in px; the
        same names with `_mm` for a kernel in mm; n_mm_better, n_mm_worse (volumes) and sign_p;
        None where there is no comparison.

    Examples
    --------
    >>> from skullnb.validation import compare_splits
    >>> matrix = ScoreMatrix([[0.9, 0.8], [0.6, 0.8]], [24, 26], ("anna", "ben"))
    >>> numbers = split_numbers(compare_splits(matrix))
    >>> numbers["nested_widths"], numbers["nested_mm"]
    ([26.0, 24.0], None)
    """
    numbers: dict[str, Any] = {}
    for unit, end in (("px", ""), ("mm", "_mm")):
        own = [one for one in outcomes if one.unit == unit]
        for place, name in enumerate(("apparent", "slice_out", "nested")):
            numbers[name + end] = own[place].score if own else None
        numbers[f"optimism{end}"] = settled(own[0].score - own[2].score) if own else None
        numbers[f"nested_widths{end}"] = own[2].widths.tolist() if own else None
    folds = by_volume(outcomes)
    better = worse = p = None
    if len(folds) == 2:
        better = int(np.sum(folds[1].scores > folds[0].scores))
        worse = int(np.sum(folds[1].scores < folds[0].scores))
        p = sign_test(better, worse)
    return {**numbers, "n_mm_better": better, "n_mm_worse": worse, "sign_p": p}


def dependence_numbers(matrix: ScoreMatrix) -> dict[str, Any]:
    """How alike slices of one volume are, and what they are worth together.

    Parameters
    ----------
    matrix : ScoreMatrix
        With groups, at least two.

    Returns
    -------
    dict
        correlation (of the scores at the kernel that is best over all) and effective_number;
        None where every volume has one slice, or nothing varies.

    Examples
    --------
    >>> matrix = ScoreMatrix([[0.9], [0.9], [0.6], [0.6]], [24], tuple("aabb"))
    >>> dependence_numbers(matrix)
    {'correlation': 1.0, 'effective_number': 2.0}
    """
    n_volumes = len(matrix.volumes)
    alike = float("nan")
    if n_volumes < len(matrix):
        best = int(np.searchsorted(matrix.widths, apparent(matrix).widths[0]))
        alike = correlation(matrix.scores[:, best], matrix.groups or ())
    if not np.isfinite(alike):
        return {"correlation": None, "effective_number": None}
    worth = effective_number(len(matrix), n_volumes, alike)
    return {"correlation": alike, "effective_number": worth}


def by_volume(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Pick the outcomes of leave-one-volume-out: in px and, where there is one, in mm.

    Parameters
    ----------
    outcomes : sequence of Outcome
        From `skullnb.validation.compare_splits`.

    Returns
    -------
    list of Outcome

    Examples
    --------
    >>> by_volume([])
    []
    """
    return [one for one in outcomes if one.method == "leave one volume out"]


def settled(difference: float) -> float:
    """Take the rounding error off a difference of equal means, which would show as -0.0000.

    Parameters
    ----------
    difference : float

    Returns
    -------
    float

    Examples
    --------
    >>> settled(-1e-17)
    0.0
    """
    return float(np.round(difference, 9)) + 0.0
