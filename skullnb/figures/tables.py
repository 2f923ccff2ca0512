"""Numbers as Markdown tables, so that no cell of a table is typed by hand."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np
from IPython.display import Markdown
from numpy.typing import NDArray

from skullnb.chapter import escape
from skullnb.errors import InvalidSetting
from skullnb.metrics import Aggregate, SliceScore

MISSING = "–"

# A table longer than this is not read; what it leaves out is in the results file.
MOST_ROWS = 40

_LABELS = {
    "iou": "IoU",
    "dice": "Dice",
    "precision": "precision",
    "recall": "recall",
    "volume_difference": "volume difference",
    "assd": "ASSD",
    "hd95": "HD95",
    "hausdorff": "Hausdorff",
    "nsd": "NSD",
}


def markdown_table(
    header: Sequence[str], rows: Iterable[Sequence[Any]], formats: Sequence[str] | None = None
) -> Markdown:
    """Set a table.

    Parameters
    ----------
    header : sequence of str
        Column titles.
    rows : iterable of sequences
        One value a column. Texts are escaped; None and NaN are shown as a dash, infinity as ∞,
        truth values as yes and no.
    formats : sequence of str, optional
        A format for the numbers of each column, such as ".4f"; "" = as they are.

    Returns
    -------
    IPython.display.Markdown
        Columns that hold numbers are set flush right.

    Raises
    ------
    InvalidSetting
        If a row or `formats` has another length than the header.

    Examples
    --------
    >>> print(markdown_table(["slice", "IoU"], [[0, 0.97941], [1, None]], ["", ".3f"]).data)
    | slice | IoU |
    | ---: | ---: |
    | 0 | 0.979 |
    | 1 | – |
    """
    rows = [list(row) for row in rows]
    formats = list(formats) if formats is not None else [""] * len(header)
    for length in [len(formats), *map(len, rows)]:
        if length != len(header):
            raise InvalidSetting(
                f"A table with {len(header)} columns cannot hold a row of {length}; "
                "give one value and one format for each column."
            )
    numeric = [any(_is_number(row[column]) for row in rows) for column in range(len(header))]
    lines = [
        [escape(title) for title in header],
        ["---:" if right else ":---" for right in numeric],
        *([_cell(value, spec) for value, spec in zip(row, formats, strict=True)] for row in rows),
    ]
    return Markdown("\n".join(f"| {' | '.join(line)} |" for line in lines))


def sweep_table(
    summary: NDArray[Any] | None, published: Mapping[int, tuple[float, float]] | None = None
) -> Markdown:
    """Scores by kernel width, measured and, where there are any, published.

    Parameters
    ----------
    summary : (w,) structured array or None
        From `skullnb.sweep.summarise`, with iou and dice; None = there is no reference.
    published : mapping of int to (iou, dice), optional
        Published scores by kernel width.

    Returns
    -------
    IPython.display.Markdown

    Examples
    --------
    >>> rows = np.array([(26, 0.97942, 0.98960)],
    ...                 dtype=[("kernel_width", int), ("iou", float), ("dice", float)])
    >>> print(sweep_table(rows, {26: (0.9794, 0.9896)}).data.splitlines()[2])
    | 26 | 0.9794 | 0.9794 | 0.9896 | 0.9896 |
    """
    if summary is None:
        return no_reference("how the scores depend on the kernel width")
    if published is None:
        header = ["kernel width (px)", "IoU, measured", "Dice, measured"]
        rows = [[row["kernel_width"], row["iou"], row["dice"]] for row in summary]
        return markdown_table(header, rows, ["", ".4f", ".4f"])
    header = [
        "kernel width (px)",
        "IoU, published",
        "IoU, measured",
        "Dice, published",
        "Dice, measured",
    ]
    rows = []
    for row in summary:
        iou, dice = published.get(int(row["kernel_width"]), (None, None))
        rows.append([row["kernel_width"], iou, row["iou"], dice, row["dice"]])
    return markdown_table(header, rows, ["", *[".4f"] * 4])


def aggregate_table(aggregate: Aggregate | None) -> Markdown:
    """Every metric as the mean over slices and, where that exists, pooled over pixels.

    Parameters
    ----------
    aggregate : Aggregate or None
        From `skullnb.metrics.aggregate`; None = there is no reference.

    Returns
    -------
    IPython.display.Markdown

    Examples
    --------
    >>> from skullnb.metrics import aggregate, score
    >>> one = aggregate([score([[1, 1, 0]], [[0, 1, 1]])])
    >>> print(aggregate_table(one).data.splitlines()[2])
    | IoU | 0.3333 | 0.3333 |
    """
    if aggregate is None:
        return no_reference("the scores")
    rows = [
        [_label(name, aggregate.unit), aggregate.mean[name], aggregate.pooled.get(name)]
        for name in _LABELS
    ]
    header = ["metric", "mean over slices", "pooled over pixels"]
    return markdown_table(header, rows, ["", ".4f", ".4f"])


def published_table(
    aggregate: Aggregate | None, published: Mapping[str, tuple[float, float]] | None
) -> Markdown:
    """Published IoU and Dice beside the two ways of bringing slices together.

    Parameters
    ----------
    aggregate : Aggregate or None
        From `skullnb.metrics.aggregate`; None = there is no reference.
    published : mapping of str to (iou, dice) or None
        Published scores by what they are called; None = they are about other data.

    Returns
    -------
    IPython.display.Markdown

    Examples
    --------
    >>> from skullnb.metrics import aggregate, score
    >>> one = aggregate([score([[1, 1, 0]], [[0, 1, 1]])])
    >>> print(published_table(one, {"final": (0.9795, 0.9896)}).data.splitlines()[3])
    | final | Dice | 0.9896 | 0.5000 | 0.5000 |
    """
    if aggregate is None:
        return no_reference("the scores")
    if published is None:
        return Markdown(
            "The published scores are about other data, so they are not set beside these."
        )
    rows = [
        [name, _LABELS[metric], value, aggregate.mean[metric], aggregate.pooled[metric]]
        for metric, column in (("iou", 0), ("dice", 1))
        for name, scores in published.items()
        for value in [scores[column]]
    ]
    header = [
        "published as",
        "metric",
        "published",
        "measured, mean over slices",
        "measured, pooled over pixels",
    ]
    return markdown_table(header, rows, ["", "", ".4f", ".4f", ".4f"])


def score_table(
    scores: Sequence[SliceScore] | None, slice_numbers: Sequence[int] | None = None
) -> Markdown:
    """Every metric of every slice; of a long stack, slices spread over it.

    Parameters
    ----------
    scores : sequence of SliceScore or None
        None = there is no reference.
    slice_numbers : sequence of int, optional
        What to call the slices; counted from 0 when left out.

    Returns
    -------
    IPython.display.Markdown

    Examples
    --------
    >>> from skullnb.metrics import score
    >>> print(score_table([score([[1, 1, 0]], [[0, 1, 1]])], [104]).data.splitlines()[2])
    | 104 | 0.3333 | 0.5000 | 0.5000 | 0.5000 | +0.0% | 0.50 | 0.95 | 1.00 | 1.000 |
    """
    if scores is None:
        return no_reference("the scores of each slice")
    if slice_numbers is None:
        slice_numbers = range(len(scores))
    names = ["iou", "dice", "precision", "recall", "volume_difference"]
    names += ["assd", "hd95", "hausdorff", "nsd"]
    rows = [
        [slice_numbers[index], *(getattr(scores[index], name) for name in names)]
        for index in spread(len(scores), MOST_ROWS)
    ]
    header = ["slice", *(_label(name, scores[0].unit) for name in names)]
    return markdown_table(header, rows, ["", *[".4f"] * 4, "+.1%", *[".2f"] * 3, ".3f"])


def score_numbers(aggregate: Aggregate | None) -> dict[str, Any]:
    """Bring the scores under the names that pages quote them by.

    Parameters
    ----------
    aggregate : Aggregate or None
        From `skullnb.metrics.aggregate`; None = there is no reference.

    Returns
    -------
    dict
        mean_iou, mean_dice, pooled_iou, pooled_dice, mean_assd, mean_hd95, mean_nsd and unit;
        all None without a reference.

    Examples
    --------
    >>> score_numbers(None)["mean_iou"] is None
    True
    """
    means, pools = ("iou", "dice", "assd", "hd95", "nsd"), ("iou", "dice")
    if aggregate is None:
        names = [*(f"mean_{name}" for name in means), *(f"pooled_{name}" for name in pools), "unit"]
        return dict.fromkeys(names)
    return {
        **{f"mean_{name}": aggregate.mean[name] for name in means},
        **{f"pooled_{name}": aggregate.pooled[name] for name in pools},
        "unit": aggregate.unit,
    }


def slice_table(
    summary: NDArray[Any],
    warnings: Sequence[Sequence[str]],
    reasons: Sequence[str],
    slice_numbers: Sequence[int],
    groups: Sequence[str] | None = None,
    spacing_mm: tuple[float, float] | None = None,
) -> Markdown:
    """What the pipeline did on each slice, with everything it complained about.

    Parameters
    ----------
    summary : (N,) structured array
        From `skullnb.chapter.Chapter.summary`.
    warnings : sequence of sequences of str
        One a slice.
    reasons : sequence of str
        Why a slice's mask is empty; "" when it is not.
    slice_numbers : sequence of int
        What to call the slices.
    groups : sequence of str, optional
        One label a slice.
    spacing_mm : (row, column), optional
        In mm per pixel; the area is given in cm² too when it is known.

    Returns
    -------
    IPython.display.Markdown
        Of a stack longer than `MOST_ROWS`, the slices with a remark come first; the line below
        the table says how many are left out.

    Examples
    --------
    >>> fields = ["slice", "threshold", "n_components", "n_edge_touching", "mask_px"]
    >>> row = np.array([(0, 23, 4, 0, 1000)], dtype=[(name, int) for name in fields])
    >>> print(slice_table(row, [()], [""], [104], spacing_mm=(1, 1)).data.splitlines()[2])
    | 104 | 23 | 4 | 0 | 1000 | 10.0 | none |
    """
    remarks = [
        "; ".join(filter(None, [*one, why])) or "none"
        for one, why in zip(warnings, reasons, strict=True)
    ]
    chosen = _worth_a_row([text != "none" for text in remarks])

    header = ["slice", "threshold", "components", "touching the frame", "mask (px)"]
    counts = ("threshold", "n_components", "n_edge_touching", "mask_px")
    columns: list[Any] = [slice_numbers, *(summary[name] for name in counts)]
    formats = [""] * len(header)
    if groups is not None:
        header, columns, formats = ["group", *header], [groups, *columns], ["", *formats]
    if spacing_mm is not None:
        header.append("mask (cm²)")
        columns.append(areas_cm2(summary["mask_px"], spacing_mm))
        formats.append(".1f")
    rows = [[column[index] for column in [*columns, remarks]] for index in chosen]
    table = markdown_table([*header, "remarks"], rows, [*formats, ""])
    left_out = len(summary) - len(chosen)
    if left_out:
        return Markdown(f"{table.data}\n\n{left_out} more slices are in the results file.")
    return table


def areas_cm2(areas_px: NDArray[Any], spacing_mm: tuple[float, float]) -> NDArray[np.float64]:
    """Turn areas from px into cm².

    Parameters
    ----------
    areas_px : (N,) array of int
    spacing_mm : (row, column)
        In mm per pixel.

    Returns
    -------
    (N,) float64

    Examples
    --------
    >>> areas_cm2(np.array([1000]), (1.0, 0.5))
    array([5.])
    """
    return np.asarray(areas_px, dtype=np.float64) * spacing_mm[0] * spacing_mm[1] / 100


def spread(n: int, most: int) -> list[int]:
    """Choose positions spread evenly over a stack, all of them when they are few.

    Parameters
    ----------
    n : int
        Number of slices.
    most : int
        How many to choose at most.

    Returns
    -------
    list of int
        Rising.

    Examples
    --------
    >>> spread(3, 5), spread(9, 3)
    ([0, 1, 2], [0, 4, 8])
    """
    return [int(index) for index in np.unique(np.linspace(0, n - 1, min(n, most)).round())]


def no_reference(what: str) -> Markdown:
    """Say that something cannot be computed because no reference mask was given.

    Parameters
    ----------
    what : str
        Names what is missing.

    Returns
    -------
    IPython.display.Markdown

    Examples
    --------
    >>> no_reference("the scores").data
    '*No reference mask was given, so the scores cannot be computed.*'
    """
    return Markdown(f"*No reference mask was given, so {what} cannot be computed.*")


def _worth_a_row(remarkable: Sequence[bool]) -> list[int]:
    n = len(remarkable)
    if n <= MOST_ROWS:
        return list(range(n))
    first = [index for index in range(n) if remarkable[index]][:MOST_ROWS]
    rest = [index for index in range(n) if index not in first]
    room = MOST_ROWS - len(first)
    return sorted(first + [rest[index] for index in (spread(len(rest), room) if room else [])])


def _label(name: str, unit: str) -> str:
    if name == "nsd":
        return f"NSD at 1 {unit}"
    return f"{_LABELS[name]} ({unit})" if name in ("assd", "hd95", "hausdorff") else _LABELS[name]


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool | np.bool_)


def _cell(value: Any, spec: str) -> str:
    if value is None:
        return MISSING
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if not _is_number(value):
        return escape(str(value))
    if isinstance(value, Integral):
        return format(int(value), spec)
    number = float(value)
    if math.isnan(number):
        return MISSING
    if math.isinf(number):
        return "∞" if number > 0 else "−∞"
    return format(number, spec)
