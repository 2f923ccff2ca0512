"""Tables of the validation chapter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from IPython.display import Markdown
from numpy.typing import NDArray

from skullnb.errors import InvalidSetting
from skullnb.figures.tables import MOST_ROWS, markdown_table
from skullnb.figures.validation_numbers import by_volume, settled
from skullnb.summary import spread
from skullnb.validation import (
    Control,
    Outcome,
    ScoreMatrix,
    leave_one_volume_out,
    range_covers_median,
    smallest_sign_test_p,
    zero_failure_bound,
)

# What a kernel is written with, by its unit: a tenth of a mm is finer than any choice here.
_WIDTHS = {"px": ".4g", "mm": ".1f"}


def one_volume_table(rows: NDArray[Any], matrix: ScoreMatrix) -> Markdown:
    """Each volume: the size of its pixels, its own best kernel, and what that kernel is worth.

    Volumes spread over a long list. `rows`: from `skullnb.validation.tune_on_each_volume`.
    `matrix`: what they were made from.

    Examples
    --------
    >>> from skullnb.validation import tune_on_each_volume
    >>> matrix = ScoreMatrix([[0.9, 0.8], [0.6, 0.8]], [24, 26], ("anna", "ben"))
    >>> print(one_volume_table(tune_on_each_volume(matrix), matrix).data.splitlines()[2])
    | anna | – | 24 | 0.9000 | – | 0.6000 |
    """
    first = [(matrix.groups or ()).index(name) for name in matrix.volumes]
    spacing = [None] * len(rows) if matrix.spacing_mm is None else matrix.spacing_mm[first]
    header = f"volume | mm per px | its best kernel, {matrix.unit} | "
    header += "IoU, same slices | IoU, leave one slice out | IoU, other volumes"
    shown = [
        [rows[i]["volume"], spacing[i], *rows[i].tolist()[1:]] for i in spread(len(rows), MOST_ROWS)
    ]
    formats = ["", ".3f", ".4g", ".4f", ".4f", ".4f"]
    return markdown_table(header, shown, formats, of=(len(rows), "volumes"))


def split_table(outcomes: Sequence[Outcome]) -> Markdown:
    """Scores by each way of testing, and their optimism: the same slices' minus this one.

    Examples
    --------
    >>> from skullnb.validation import compare_splits
    >>> matrix = ScoreMatrix([[0.9, 0.8], [0.6, 0.8]], [24, 26], ("anna", "ben"))
    >>> print(split_table(compare_splits(matrix)).data.splitlines()[4])
    | px | leave one volume out | 2 | 24, 26 | 0.7000 | 0.1000 |
    """
    best = {one.unit: one.score for one in outcomes if len(one.held_out) == 1}
    rows = [
        [
            one.unit,
            one.method,
            len(one.held_out),
            ", ".join(format(width, _WIDTHS[one.unit]) for width in np.unique(one.widths)),
            one.score,
            settled(best[one.unit] - one.score),
        ]
        for one in outcomes
    ]
    header = ["kernel in", "tested on", "folds", "kernels chosen", "IoU", "optimism"]
    return markdown_table(header, rows, ["", "", "", "", ".4f", ".4f"])


def fold_table(outcomes: Sequence[Outcome]) -> Markdown:
    """The kernel chosen without each volume, and its score there.

    Volumes spread over a long list.

    Examples
    --------
    >>> from skullnb.validation import compare_splits
    >>> matrix = ScoreMatrix([[0.9, 0.8], [0.6, 0.8]], [24, 26], ("anna", "ben"))
    >>> print(fold_table(compare_splits(matrix)).data.splitlines()[2])
    | anna | 26 | 0.8000 |
    """
    folds = by_volume(outcomes)
    header = ["volume held out"]
    for one in folds:
        header += [f"kernel, {one.unit}", f"IoU, kernel in {one.unit}"]
    rows = [
        [
            folds[0].held_out[i],
            *(value for one in folds for value in (one.widths[i], one.scores[i])),
        ]
        for i in spread(len(folds[0].held_out), MOST_ROWS)
    ]
    formats = ["", *(spec for one in folds for spec in (_WIDTHS[one.unit], ".4f"))]
    return markdown_table(header, rows, formats, of=(len(folds[0].held_out), "volumes"))


def refusal_table(matrix: ScoreMatrix) -> Markdown:
    """What leave-one-volume-out answers when the volumes are hidden from it.

    Examples
    --------
    >>> matrix = ScoreMatrix([[0.9, 0.8], [0.6, 0.8]], [24, 26], ("anna", "ben"))
    >>> print(refusal_table(matrix).data.splitlines()[2][:56])
    | no group labels | It is not known which slices belong
    """
    rows = []
    for name, groups in (
        ("no group labels", None),
        ("one label for all", ("one head",) * len(matrix)),
    ):
        try:
            leave_one_volume_out(replace(matrix, groups=groups))
        except InvalidSetting as refusal:
            rows.append([name, str(refusal)])
    return markdown_table(["given", "answer"], rows)


def curve_table(curve: NDArray[Any]) -> Markdown:
    """Optimism by the number of volumes tuned on.

    `curve`: from `skullnb.validation.tuning_curve`.

    Examples
    --------
    >>> from skullnb.validation import tuning_curve
    >>> matrix = ScoreMatrix([[0.9, 0.8], [0.6, 0.8]], [24, 26], ("anna", "ben"))
    >>> print(curve_table(tuning_curve(matrix)).data.splitlines()[2])
    | 1 | 0.8500 | 0.7000 | 0.1500 |
    """
    header = ["volumes tuned on", "IoU on them", "IoU on the others", "optimism"]
    rows = [[*row.tolist()[:3], settled(row["optimism"])] for row in curve]
    return markdown_table(header, rows, ["", ".4f", ".4f", ".4f"])


def control_table(control: Control, fixed: float) -> Markdown:
    """What both splits say of the selector that knows nothing.

    `fixed`: nested score of one kernel for all.

    Examples
    --------
    >>> control = Control(np.array([0.9]), np.array([0.5]), 0.5)
    >>> print(control_table(control, 0.7).data.splitlines()[2])
    | selector, held out by slice | 0.9000 | 0.4000 |
    """
    rows = [
        ["selector, held out by slice", control.by_slice.mean()],
        ["selector, held out by volume", control.by_volume.mean()],
        ["selector, its worth on a new volume", control.worth],
    ]
    rows = [[name, score, settled(score - control.worth)] for name, score in rows]
    rows.append(["one kernel for all, held out by volume", fixed, None])
    return markdown_table(["what", "IoU", "above its worth"], rows, ["", ".4f", ".4f"])


def small_table(sizes: Sequence[int]) -> Markdown:
    """Exact statements for several numbers of independent cases.

    `sizes`: each is shown once, in rising order.

    Examples
    --------
    >>> print(small_table([5]).data.splitlines()[2])
    | 5 | 93.75% | 45.1% | 60.0% | 0.0625 |
    """
    header = "independent cases | chance that their range covers the median | "
    header += "failure rate left by zero failures | rule of three | smallest sign-test p"
    rows = [
        [n, _almost(range_covers_median(n)), zero_failure_bound(n), 3 / n, smallest_sign_test_p(n)]
        for n in sorted(set(sizes))
    ]
    return markdown_table(header, rows, ["", "", ".1%", ".1%", ".3g"])


def coverage_rows(table: NDArray[Any]) -> Markdown:
    """How often nominal 95% intervals cover, by sample size.

    `table`: from `skullnb.validation.coverage_table`.

    Examples
    --------
    >>> names = ("bootstrap", "t", "bootstrap_skewed", "t_skewed")
    >>> row = (5, 0.83, 0.95, 0.78, 0.88)
    >>> table = np.array([row], dtype=[("n", int), *((name, float) for name in names)])
    >>> print(coverage_rows(table).data.splitlines()[2])
    | 5 | 83% | 95% | 78% | 88% |
    """
    header = "independent values | bootstrap, normal | "
    header += "Student's t, normal | bootstrap, skewed | Student's t, skewed"
    return markdown_table(header, [row.tolist() for row in table], ["", *[".0%"] * 4])


def _almost(chance: float) -> str:
    """Write a chance in per cent; what is nearly sure is not rounded to certainty."""
    return ">99.99%" if 0.9999 < chance < 1 else f"{chance:.2%}"
