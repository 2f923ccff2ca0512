"""Tables of scores: by kernel width, by slice, and beside the published ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from IPython.display import Markdown
from numpy.typing import NDArray

from skullnb.figures.tables import MOST_ROWS, markdown_table, no_reference
from skullnb.metrics import Aggregate, SliceScore
from skullnb.summary import spread

_LABELS = {
    "iou": "IoU",
    "dice": "Dice",
    "precision": "precision",
    "recall": "recall",
    "volume_difference": "volume diff.",
    "assd": "ASSD",
    "hd95": "HD95",
    "hausdorff": "Hausdorff",
    "nsd": "NSD",
}


def sweep_table(
    summary: NDArray[Any] | None, published: Mapping[int, tuple[float, float]] | None = None
) -> Markdown:
    """Scores by kernel width, measured and, where there are any, published.

    `summary`: from `skullnb.sweep.summarise`, with iou and dice; None = there is no reference.
    `published`: published scores by kernel width.

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
        header = "kernel width, px | IoU, measured | Dice, measured"
        rows = [[row["kernel_width"], row["iou"], row["dice"]] for row in summary]
        return markdown_table(header, rows, ["", ".4f", ".4f"])
    header = "kernel width, px | IoU, published | IoU, measured | Dice, published | Dice, measured"
    rows = []
    for row in summary:
        iou, dice = published.get(int(row["kernel_width"]), (None, None))
        rows.append([row["kernel_width"], iou, row["iou"], dice, row["dice"]])
    return markdown_table(header, rows, ["", *[".4f"] * 4])


def area_table(
    widths: Sequence[int], areas: NDArray[np.int64], slice_numbers: Sequence[int]
) -> Markdown:
    """Areas of the mask by kernel width and slice.

    `areas`: in px, from `skullnb.figures.dilation.grown_areas`.

    Examples
    --------
    >>> print(area_table([24, 26], np.array([[900, 1000]]), [104]).data)
    | kernel width, px | slice 104, px |
    | ---: | ---: |
    | 24 | 900 |
    | 26 | 1,000 |
    """
    header = ["kernel width, px", *(f"slice {number}, px" for number in slice_numbers)]
    rows = [[width, *column] for width, column in zip(widths, areas.T, strict=True)]
    return markdown_table(header, rows, ["", *[","] * len(areas)])


def aggregate_table(aggregate: Aggregate | None) -> Markdown:
    """Every metric as the mean over slices and, where that exists, pooled over pixels.

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

    `published`: published scores by what they are called; None = they are about other data.

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
            "The published scores are about other data or another kernel width, so they are not "
            "set beside these."
        )
    rows = [
        [name, _LABELS[metric], value, aggregate.mean[metric], aggregate.pooled[metric]]
        for metric, column in (("iou", 0), ("dice", 1))
        for name, scores in published.items()
        for value in [scores[column]]
    ]
    header = "published as | metric | published | measured, mean | measured, pooled"
    return markdown_table(header, rows, ["", "", ".4f", ".4f", ".4f"])


def score_table(
    scores: Sequence[SliceScore] | None, slice_numbers: Sequence[int] | None = None
) -> Markdown:
    """Every metric of every slice; of a long stack, slices spread over it.

    `slice_numbers`: what to call the slices; counted from 0 when left out.

    Examples
    --------
    >>> from skullnb.metrics import score
    >>> print(score_table([score([[1, 1, 0]], [[0, 1, 1]])], [104]).data.splitlines()[2])
    | 104 | 0.3333 | 0.5000 | 0.500 | 0.500 | +0.0% | 0.50 | 0.95 | 1.000 |
    """
    if scores is None:
        return no_reference("the scores of each slice")
    if slice_numbers is None:
        slice_numbers = range(len(scores))
    names = ["iou", "dice", "precision", "recall", "volume_difference", "assd", "hd95", "nsd"]
    rows = [
        [slice_numbers[index], *(getattr(scores[index], name) for name in names)]
        for index in spread(len(scores), MOST_ROWS)
    ]
    unit = scores[0].unit
    short = {"precision": "prec.", "volume_difference": "vol. diff.", "nsd": f"NSD 1 {unit}"}
    header = ["slice", *(short.get(name, _label(name, unit)) for name in names)]
    formats = ["", ".4f", ".4f", ".3f", ".3f", "+.1%", ".2f", ".2f", ".3f"]
    return markdown_table(header, rows, formats, of=(len(scores), "slices"))


def example_table(score: SliceScore) -> Markdown:
    """Every metric of one small example.

    Examples
    --------
    >>> from skullnb.metrics import score
    >>> print(example_table(score([[1, 1, 0]], [[0, 1, 1]])).data.splitlines()[2])
    | IoU | 0.3333 |
    """
    rows = [[_label(name, score.unit), getattr(score, name)] for name in _LABELS]
    return markdown_table(["metric", "value"], rows, ["", ".4f"])


def _label(name: str, unit: str) -> str:
    if name == "nsd":
        return f"NSD at 1 {unit}"
    return f"{_LABELS[name]}, {unit}" if name in ("assd", "hd95", "hausdorff") else _LABELS[name]
