"""Figures about real heads: outlines, scores, named failures, and cropped slices."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.colors import to_rgb
from numpy.typing import NDArray

from skullnb.external.choice import BRAIN
from skullnb.external.cropping import HARDLY, HELPS, HURTS, LOSES, NOT_FIRED, NOTHING
from skullnb.external.gallery import FAILURES
from skullnb.external.measuring import CUTS
from skullnb.figures.external_tables import by_crop, by_stack
from skullnb.figures.layout import ACCENT, LEGEND, headline, panels, show_framed
from skullnb.figures.style import PALETTE, new_figure, outline
from skullnb.heads import HEADS

OUTCOME_COLOURS = {
    NOT_FIRED: PALETTE["faint"],
    NOTHING: PALETTE["text"],
    HARDLY: PALETTE["skull"],
    HELPS: PALETTE["brain"],
    HURTS: PALETTE["scalp"],
    LOSES: PALETTE["reference"],
}


def head_outlines(stored: Mapping[str, Any]) -> Any:
    """Draw a slice of every stack in mm: reference mask, and masks with both kernels.

    Returns
    -------
    PageFigure
    """
    drawn = stored["outlines"]
    figure, axes = panels(len(drawn), aspect=1.35)
    kinds = (("reference", "reference"), ("px", "mask"), ("mm", "brain"))
    for one, (name, shapes) in zip(axes, drawn.items(), strict=True):
        for kind, colour in kinds:
            for line in shapes[kind]:
                x, y = np.array([*line, line[0]]).T
                dashes = "--" if kind == "px" else "-"
                one.plot(x, y, dashes, color=PALETTE[colour], linewidth=1.2)
        one.set(aspect="equal", xticks=[], yticks=[])
        one.invert_yaxis()
        one.grid(False)
        for spine in one.spines.values():
            spine.set_visible(False)
        one.set_title(f"{name}\n{HEADS[name].reference}", fontsize=9)
    labels = ("reference mask", "26 px wide", "chosen in mm")
    lines = [axes[0].lines[0], *_first(axes[0].lines, drawn)]
    figure.legend(lines, labels, loc="outside lower center", ncols=3, **LEGEND)
    headline(figure, "26 px reach elsewhere on every stack (outlines, in mm)")
    return figure


def scores_by_stack(stored: Mapping[str, Any]) -> Any:
    """Show the IoU of every slice with both kernels, and what was chosen where it failed.

    Returns
    -------
    PageFigure
    """
    slices = stored["slices"]
    figure, axes = new_figure(3.2)
    kinds = (("px", "mask", "26 px wide", -0.2), ("mm", "brain", "chosen in mm", 0.2))
    stacks = by_stack(slices)
    for kernel, colour, label, shift in kinds:
        for place, at in enumerate(stacks.values()):
            x = place + shift + np.linspace(-0.14, 0.14, len(at))
            y = np.array([slices[f"iou_{kernel}"][i] for i in at])
            wrong = np.array([slices["chosen"][i] != BRAIN for i in at])
            named = {"label": label} if place == 0 else {}
            axes.plot(x[~wrong], y[~wrong], ".", color=PALETTE[colour], markersize=5, **named)
            axes.plot(x[wrong], y[wrong], "x", color=ACCENT, markersize=7)
    axes.plot([], [], "x", color=ACCENT, label="not the brain chosen")
    ticks = [f"{name}\n{HEADS[name].reference}" for name in stacks]
    axes.set_xticks(range(len(stacks)), ticks, fontsize=9)
    axes.set(ylabel="IoU", ylim=(None, 1))
    figure.legend(loc="outside lower center", ncols=3, **LEGEND)
    n = sum(one != BRAIN for one in slices["chosen"])
    headline(figure, f"{n} of {len(slices['chosen'])} real slices fail by the choice")
    return figure


def failure_gallery(drawn: Mapping[str, NDArray[np.uint8]]) -> Any:
    """Show the named failures: the bright components, the chosen one in green, the mask outlined.

    Parameters
    ----------
    drawn : mapping
        From `skullnb.external.stored.stored_pictures`.

    Returns
    -------
    PageFigure
    """
    figure, axes = panels(len(FAILURES), aspect=1.35)
    colours = np.array([(0, 0, 0), (150, 150, 150), np.array(to_rgb(PALETTE["brain"])) * 255])
    for i, (one, (name, number)) in enumerate(zip(axes, FAILURES.items(), strict=True)):
        parts = colours.astype(np.uint8)[drawn[f"parts_{i}"]]
        show_framed(one, parts, f"{name}\nslice {number}", interpolation="nearest")
        one.title.set_fontsize(9)
        outline(one, drawn[f"mask_{i}"], "mask")
    headline(figure, "Four ways to choose wrongly (chosen component: green)")
    return figure


def crop_outcomes(stored: Mapping[str, Any]) -> Any:
    """Show what the edge rule did on cropped slices, as shares of the slices of each stack.

    Returns
    -------
    PageFigure
    """
    crops = stored["crops"]
    figure, axes = new_figure(3.4, columns=len(CUTS), sharey=True)
    for one, wanted in zip(axes, CUTS, strict=True):
        labels: list[str] = []
        for (name, sides, depth), at in by_crop(crops).items():
            if sides != wanted:
                continue
            told = Counter(crops["outcome"][i] for i in at)
            start = 0.0
            for outcome, colour in OUTCOME_COLOURS.items():
                share = told[outcome] / len(at)
                one.barh(len(labels), share, left=start, color=colour, height=0.7)
                start += share
            labels.append(f"{name}, {depth:g} mm")
        one.set_yticks(range(len(labels)), labels, fontsize=9)
        one.set(title=f"cut: {wanted}", xlabel="share of the slices", xlim=(0, 1))
        one.grid(False)
    axes[0].invert_yaxis()
    seen = set(crops["outcome"])
    for outcome, colour in OUTCOME_COLOURS.items():
        if outcome in seen:
            axes[0].bar(0, 0, color=colour, label=outcome)
    figure.legend(loc="outside lower center", ncols=4, **LEGEND)
    told = Counter(crops["outcome"])
    headline(
        figure,
        f"The edge rule on {told.total()} crops: helps {told[HELPS]}, hurts {told[HURTS]}, "
        f"loses the brain on {told[LOSES]}",
    )
    return figure


def _first(lines: Any, drawn: Mapping[str, Any]) -> list[Any]:
    """Pick the first line of each mask of the first panel, for the legend."""
    first = next(iter(drawn.values()))
    n_reference, n_px = len(first["reference"]), len(first["px"])
    return [lines[n_reference], lines[n_reference + n_px]]
