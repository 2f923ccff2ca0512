"""Pictures of the evidence ledger: rules by slices, and masks with and without a rule."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

import numpy as np
from matplotlib.patches import Patch

from skullnb.evidence import EXERCISED, INERT, NEVER_FIRED, Ledger, switch_off
from skullnb.figures.drawing import draw_slice
from skullnb.figures.layout import LEGEND, headline
from skullnb.figures.style import PALETTE, PageFigure, new_figure, outline, plain
from skullnb.metrics import iou
from skullnb.pipeline import RULES, PipelineSettings, trace_skull_mask
from skullnb.stack import Stack

# Heights say the same as the colours: nothing, half a row, a full row.
_HEIGHTS = {NEVER_FIRED: 0.05, INERT: 0.32, EXERCISED: 0.8}
_COLOURS = {NEVER_FIRED: PALETTE["text"], INERT: PALETTE["skull"], EXERCISED: PALETTE["mask"]}
_MEANINGS = {
    NEVER_FIRED: "did not fire",
    INERT: "fired, changed nothing",
    EXERCISED: "changed the mask",
}
# More columns than these leave no room for a number in each.
_MOST_NUMBERED = 12


def rules_by_slices(ledger: Ledger) -> PageFigure:
    """Draw what every rule did on every slice, one row a rule and one column a slice.

    A low dash where the rule did not fire, a half bar where it fired and changed nothing, a full
    bar where it changed the mask. On few slices a full bar carries what the IoU loses without the
    rule, or without a reference mask how many pixels of the mask differ.

    Examples
    --------
    >>> from skullnb.evidence import build_ledger
    >>> figure = rules_by_slices(build_ledger(Stack(np.zeros((2, 8, 8)))))
    >>> figure.get_suptitle()
    'The slices exercised 0 of 6 rules'
    """
    figure, axes = new_figure(3.9)
    columns, rows = np.arange(len(ledger)), np.arange(len(RULES))
    states = np.where(ledger.changed, EXERCISED, np.where(ledger.fired, INERT, NEVER_FIRED))
    for state, height in _HEIGHTS.items():
        slices, rules = np.nonzero(states == state)
        axes.bar(slices, height, 0.86, bottom=rules - height / 2, color=_COLOURS[state])
    if len(ledger) <= _MOST_NUMBERED:
        for i, j in np.argwhere(ledger.changed):
            axes.text(i, j, _loss(ledger, i, j), ha="center", va="center", color="#10151C", size=8)
    axes.set_ylim(len(RULES) - 0.4, -1.1)
    axes.set_xlim(-0.7, len(ledger) - 0.3)
    axes.set_yticks(rows, RULES)
    shown = columns[:: -(-len(ledger) // _MOST_NUMBERED)]
    axes.set_xticks(shown, [str(number) for number in ledger.slices[shown]])
    axes.set_xlabel("slice")
    axes.grid(False)
    axes.spines["left"].set_visible(False)
    _name_stacks(axes, ledger)
    found = ledger.summary()
    side = axes.secondary_yaxis("right")
    side.set_yticks(rows, [one.status for one in found])
    side.tick_params(length=0, colors=PALETTE["text"])
    side.spines["right"].set_visible(False)
    keys = [Patch(color=_COLOURS[state], label=text) for state, text in _MEANINGS.items()]
    figure.legend(handles=keys, loc="outside lower center", ncols=3, **LEGEND)
    n_exercised = sum(one.status == EXERCISED for one in found)
    kind = "synthetic slices" if ledger.synthetic.all() else "slices"
    headline(figure, f"The {kind} exercised {n_exercised} of {len(RULES)} rules")
    return figure


def with_and_without(
    stacks: Sequence[Stack], rule: str, settings: PipelineSettings | None = None
) -> PageFigure:
    r"""Show the middle slice of some stacks with its mask, a rule on (above) and off (below).

    `stacks`: four or fewer fit the page.

    Examples
    --------
    >>> image = np.zeros((1, 60, 60))
    >>> image[0, 20:40, 20:40] = image[0, 0, 0] = 1.0
    >>> figure = with_and_without([Stack(image, name="demo")], "dilate")
    >>> [axes.get_title(loc="left") for axes in figure.axes]
    ['demo\nwith it', 'without it']
    """
    figure, axes = new_figure(5.6, rows=2, columns=len(stacks), squeeze=False)
    for column, stack in enumerate(stacks):
        middle = len(stack) // 2
        image, number = stack.images[middle], stack.slice_numbers[middle]
        trace = trace_skull_mask(image, settings, slice_number=number)
        reference = None if stack.reference is None else stack.reference[middle]
        name = _short(stack.name)
        for row, (mask, caption) in enumerate(
            ((trace.mask, f"{name}\nwith it"), (switch_off(trace, rule), "without it"))
        ):
            score = "" if reference is None else f": IoU {iou(mask, reference):.3f}"
            draw_slice(axes[row, column], image, caption + score, tints=[(mask, "mask")])
            outline(axes[row, column], mask, "mask", linewidths=1.6)
            if reference is not None:
                outline(axes[row, column], reference, "reference", linewidths=0.9)
    headline(figure, f"With and without “{rule}”: mask in blue, reference in orange")
    return figure


def _loss(ledger: Ledger, i: int, j: int) -> str:
    lost = ledger.iou_off[i, j] - ledger.iou[i]
    if np.isnan(lost):
        return f"{ledger.changed_px[i, j]:,d} px"
    return f"{lost:+.3f}".replace("-", "−")


def _name_stacks(axes: Any, ledger: Ledger) -> None:
    """Write above the columns which stack they are from, and whether it was drawn."""
    start = 0
    for (name, drawn), run in groupby(zip(ledger.stacks, ledger.synthetic, strict=True)):
        n = len(list(run))
        text = _short(name) + (" (synthetic)" if drawn else "")
        # A long name over few columns at the end has room to its left only.
        at_end = bool(start) and start + n == len(ledger)
        where = {"x": start + n - 0.57, "ha": "right"} if at_end else {"x": start - 0.43}
        axes.text(y=-0.75, s=text, size=9, color=PALETTE["text"], va="center", **where)
        if start:
            axes.vlines(start - 0.5, -0.45, len(RULES), color=PALETTE["text"], linewidth=0.8)
        start += n


def _short(name: object) -> str:
    return plain(name).removeprefix("synthetic phantom: ").removeprefix("synthetic ")
