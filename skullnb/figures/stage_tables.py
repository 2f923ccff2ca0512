"""Tables of the chapters on the pipeline's stages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from IPython.display import Markdown
from numpy.typing import NDArray

from skullnb.figures.columns import columns_table, listed
from skullnb.figures.lessons import (
    REACH_MM,
    REACH_PX,
    border_profile,
    class_means,
)
from skullnb.figures.tables import markdown_table
from skullnb.figures.trials import EdgeExperiment
from skullnb.pipeline import SkullMaskTrace, fill_holes
from skullnb.stack import Stack


def intensity_table(stack: Stack) -> Markdown:
    """List each slice's intensities, and the size of its target where there is a reference.

    Parameters
    ----------
    stack : Stack

    Returns
    -------
    IPython.display.Markdown

    Examples
    --------
    >>> print(intensity_table(Stack(np.array([[[0.0, 1.0, 5.0]]]))).data)
    | slice | minimum | median | maximum |
    | ---: | ---: | ---: | ---: |
    | 0 | 0 | 1 | 5 |
    """
    columns: dict[str, Any] = {
        "slice": stack.slice_numbers,
        "minimum": [image.min().item() for image in stack.images],
        "median": [float(np.median(image)) for image in stack.images],
        "maximum": [image.max().item() for image in stack.images],
    }
    if stack.groups is not None:
        columns = {"group": stack.groups} | columns
    if stack.reference is not None:
        areas = [int(np.count_nonzero(mask)) for mask in stack.reference]
        columns["target [px]"] = areas
        if stack.spacing_mm is not None:
            square_cm = stack.spacing_mm[0] * stack.spacing_mm[1] / 100
            columns["target [cm²]"] = [area * square_cm for area in areas]
    return columns_table(columns, {"target [cm²]": ".1f"} if "target [cm²]" in columns else {})


def border_table(stack: Stack) -> Markdown | None:
    """List the typical intensity at several distances from the border of the reference mask.

    Parameters
    ----------
    stack : Stack

    Returns
    -------
    IPython.display.Markdown or None
        None without a reference mask.

    Examples
    --------
    >>> image, mask = np.array([[[5.0, 5.0, 0.0, 9.0]]]), np.array([[[1, 1, 1, 0]]])
    >>> print(border_table(Stack(image, mask)).data.splitlines()[-1])
    | 0 to 4 | 9 |
    """
    if stack.reference is None:
        return None
    profile = border_profile(stack.images, stack.reference, stack.spacing_mm)
    unit, reach = ("px", REACH_PX) if stack.spacing_mm is None else ("mm", REACH_MM)
    edges = reach * np.array([-1, -0.5, -0.25, -0.1, 0, 0.1, 0.25, 0.5, 1])
    rows = []
    for low, high in pairwise(edges):
        here = (profile["distance"] > low) & (profile["distance"] < high)
        if here.any():
            rows.append([f"{low:g} to {high:g}", np.median(profile["median"][here])])
    return markdown_table([f"distance in {unit}", "median intensity"], rows, ["", ".3g"])


def largest_components(trace: SkullMaskTrace, count: int = 5) -> Markdown:
    """List the largest components of a slice.

    Parameters
    ----------
    trace : SkullMaskTrace
    count : int

    Returns
    -------
    IPython.display.Markdown
        Label, area, share of the bright pixels, whether it touches the frame, and what became of
        it; a sentence when there is none.

    Examples
    --------
    >>> from skullnb.pipeline import trace_skull_mask
    >>> image = np.zeros((7, 7))
    >>> image[2:4, 2:4] = 1
    >>> print(largest_components(trace_skull_mask(image)).data.splitlines()[2])
    | 1 | 4 | 100.00% | no | taken for the brain |
    """
    table: NDArray[Any] = trace.components
    if len(table) == 0:
        return Markdown(f"No bright component: {trace.reason}.")
    table = table[np.argsort(-table["area"], kind="stable")][:count]
    dropped = table["touches_edge"] & trace.settings.drop_edge_touching
    fates = np.select(
        [table["label"] == trace.chosen, dropped],
        ["taken for the brain", "dropped: touches the frame"],
        "left out: not the largest",
    )
    return columns_table(
        {
            "label": table["label"],
            "area [px]": table["area"],
            "share of bright": table["area"] / trace.components["area"].sum(),
            "touches the frame": [bool(touches) for touches in table["touches_edge"]],
            "outcome": [str(fate) for fate in fates],
        },
        {"share of bright": ".2%"},
    )


def levels_table(traces: Sequence[SkullMaskTrace], slice_numbers: Sequence[int]) -> Markdown:
    """Count how the levels 0 to 255 are used.

    Parameters
    ----------
    traces : sequence of SkullMaskTrace
    slice_numbers : sequence of int

    Returns
    -------
    IPython.display.Markdown

    Examples
    --------
    >>> from skullnb.pipeline import trace_skull_mask
    >>> print(levels_table([trace_skull_mask(np.eye(4))], [0]).data.splitlines()[2])
    | 0 | 2 | 0 | 255 | 4 |
    """
    levels = [trace.normalised for trace in traces]
    return columns_table(
        {
            "slice": slice_numbers,
            "levels in use": [len(np.unique(one)) for one in levels],
            "median level": [int(np.quantile(one, 0.5)) for one in levels],
            "99% lie at or below": [int(np.ceil(np.quantile(one, 0.99))) for one in levels],
            "pixels at 255": [int(np.count_nonzero(one == 255)) for one in levels],
        }
    )


def hot_pixel_table(traces: Sequence[SkullMaskTrace], factors: Sequence[float]) -> Markdown:
    """List what one pixel, hotter and hotter, does to threshold and mask.

    Parameters
    ----------
    traces : sequence of SkullMaskTrace
        From `trials.hot_pixel_traces`.
    factors : sequence of float

    Returns
    -------
    IPython.display.Markdown

    Examples
    --------
    >>> from skullnb.pipeline import trace_skull_mask
    >>> print(hot_pixel_table([trace_skull_mask(np.eye(4))], [1]).data.splitlines()[2])
    | × 1 | 0 | 0 | yes |
    """
    return columns_table(
        {
            "hot pixel": [f"× {factor:g}" for factor in factors],
            "threshold": [trace.threshold for trace in traces],
            "mask [px]": [int(np.count_nonzero(trace.mask)) for trace in traces],
            "warned": [bool(trace.warnings) for trace in traces],
        }
    )


def threshold_table(traces: Sequence[SkullMaskTrace], slice_numbers: Sequence[int]) -> Markdown:
    """List each slice's threshold beside the means of the classes it separates.

    Parameters
    ----------
    traces : sequence of SkullMaskTrace
    slice_numbers : sequence of int

    Returns
    -------
    IPython.display.Markdown

    Examples
    --------
    >>> from skullnb.pipeline import trace_skull_mask
    >>> image = np.array([[0, 0, 10, 40, 60, 255.0]])
    >>> print(threshold_table([trace_skull_mask(image)], [0]).data.splitlines()[2])
    | 0 | 60 | 22.0 | 255.0 | 138.5 | 1 |
    """
    means = [class_means(trace.normalised, trace.threshold) for trace in traces]
    columns = {
        "slice": slice_numbers,
        "threshold": [trace.threshold for trace in traces],
        "mean of dark": [dark for dark, _ in means],
        "mean of bright": [bright for _, bright in means],
        "half their sum": [(dark + bright) / 2 for dark, bright in means],
        "pixels at the threshold": [
            int(np.count_nonzero(trace.normalised == trace.threshold)) for trace in traces
        ],
    }
    return columns_table(
        columns, {"mean of dark": ".1f", "mean of bright": ".1f", "half their sum": ".1f"}
    )


def connectivity_table(traces: Mapping[int, SkullMaskTrace]) -> Markdown:
    """Compare components joined over corners and over sides only.

    Parameters
    ----------
    traces : mapping of int to SkullMaskTrace
        From `trials.mask_by_connectivity`.

    Returns
    -------
    IPython.display.Markdown

    Examples
    --------
    >>> from skullnb.figures.trials import mask_by_connectivity
    >>> from skullnb.pipeline import PipelineSettings
    >>> image = np.zeros((7, 7))
    >>> image[2, 2] = image[3, 3] = 1
    >>> traces = mask_by_connectivity(image, PipelineSettings(kernel_width=0))
    >>> print(connectivity_table(traces).data.splitlines()[-1])
    | 4 | 2 | 1 | 1 |
    """
    return columns_table(
        {
            "neighbours": list(traces),
            "components": [len(trace.components) for trace in traces.values()],
            "largest [px]": [int(np.count_nonzero(trace.brain)) for trace in traces.values()],
            "mask [px]": [int(np.count_nonzero(trace.mask)) for trace in traces.values()],
        }
    )


def edge_experiment_table(experiments: Sequence[EdgeExperiment]) -> Markdown:
    """Compare masks with and without the edge rule on synthetic heads.

    Parameters
    ----------
    experiments : sequence of EdgeExperiment
        From `trials.edge_experiments`.

    Returns
    -------
    IPython.display.Markdown

    Examples
    --------
    >>> print(edge_experiment_table([]).data.splitlines()[0])
    | synthetic head | edge-touching, each slice | IoU with the rule | IoU without |
    """
    return markdown_table(
        ["synthetic head", "edge-touching, each slice", "IoU with the rule", "IoU without"],
        [
            [one.description, listed(one.n_edge_touching), one.iou_with, one.iou_without]
            for one in experiments
        ],
        ["", "", ".3f", ".3f"],
    )


def holes_table(
    traces: Sequence[SkullMaskTrace], slice_numbers: Sequence[int], reference: Any = None
) -> Markdown:
    """Count enclosed pixels before the dilation and after it.

    Parameters
    ----------
    traces : sequence of SkullMaskTrace
    slice_numbers : sequence of int
    reference : (n, H, W) uint8 {0, 1}, optional
        With it, the share of the filled pixels that belongs to the target.

    Returns
    -------
    IPython.display.Markdown

    Examples
    --------
    >>> from skullnb.pipeline import PipelineSettings, trace_skull_mask
    >>> image = np.zeros((9, 9))
    >>> image[2:7, 2:7] = 1
    >>> image[4, 4] = 0
    >>> trace = trace_skull_mask(image, PipelineSettings(kernel_width=0))
    >>> print(holes_table([trace], [0]).data.splitlines()[2])
    | 0 | 24 | 1 | 1 |
    """
    filled = [trace.mask > trace.dilated for trace in traces]
    columns: dict[str, Any] = {
        "slice": slice_numbers,
        "component [px]": [int(np.count_nonzero(trace.brain)) for trace in traces],
        "holes in it [px]": [
            int(np.count_nonzero(fill_holes(trace.brain) > trace.brain)) for trace in traces
        ],
        "holes left after the dilation [px]": [int(np.count_nonzero(new)) for new in filled],
    }
    if reference is not None:
        columns["of these in the target"] = [
            float(mask[new].mean()) if new.any() else None
            for new, mask in zip(filled, reference, strict=True)
        ]
    return columns_table(
        columns, {"of these in the target": ".1%"} if reference is not None else {}
    )
