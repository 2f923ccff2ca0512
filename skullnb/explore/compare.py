"""One slice under several settings, side by side: what a move of the controls changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from skullnb import metrics
from skullnb.explore.stages import Stages
from skullnb.figures.tables import markdown_table
from skullnb.pipeline import PipelineSettings
from skullnb.stack import Stack


def compare_settings(stack: Stack, settings: Mapping[str, PipelineSettings], number: int) -> Any:
    """Run the pipeline on one slice under several settings and set the results as a table.

    Parameters
    ----------
    stack : Stack
        The scores are left out when it has no reference mask.
    settings : mapping of str to PipelineSettings
        What to call each row, and its settings; the first row is what the others are held to.
    number : int
        Index of the slice.

    Returns
    -------
    IPython.display.Markdown
        One row a setting: threshold, brain and mask in px, and the pixels in which the mask
        differs from the first row's; IoU and Dice where there is a reference.

    Raises
    ------
    InvalidImage
        If the slice cannot be worked on.

    Examples
    --------
    >>> images = np.zeros((1, 20, 20))
    >>> images[0, 5:15, 5:15] = 1.0
    >>> rows = {"as is": PipelineSettings(), "no dilation": PipelineSettings(kernel_width=0)}
    >>> print(compare_settings(Stack(images), rows, 0).data.splitlines()[3])
    | no dilation | 0 | 100 | 100 | 300 |
    """
    stages = Stages(stack)
    traces = [stages.trace(number, one) for one in settings.values()]
    header = ["settings", "threshold", "brain (px)", "mask (px)", "changed (px)"]
    rows: list[list[Any]] = [
        [
            name,
            trace.threshold,
            np.count_nonzero(trace.brain),
            np.count_nonzero(trace.mask),
            np.count_nonzero(trace.mask != traces[0].mask),
        ]
        for name, trace in zip(settings, traces, strict=True)
    ]
    formats = ["", "", ",", ",", ","]
    if stack.reference is not None:
        header += ["IoU", "Dice"]
        formats += [".4f", ".4f"]
        reference = np.asarray(stack.reference[number])
        for row, trace in zip(rows, traces, strict=True):
            row += [metrics.iou(trace.mask, reference), metrics.dice(trace.mask, reference)]
    return markdown_table(header, rows, formats)
