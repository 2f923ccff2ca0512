"""The explorer's looks: its controls, and how they lie beside the picture."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

import ipywidgets as widgets

from skullnb.explore.state import ExplorerState
from skullnb.figures.explorer import OUTLINES, STAGES
from skullnb.figures.style import PALETTE
from skullnb.stack import Stack

WIDEST_KERNEL = 60

# A slice with more pixels than this is traced when a control is let go, not while it moves.
LIVE_PIXELS = 2_000_000

_BOX: dict[str, Any] = {"indent": False, "layout": {"width": "auto"}}


def make_controls(stack: Stack, state: ExplorerState) -> dict[str, Any]:
    """Make the controls, where a state has them.

    Parameters
    ----------
    stack : Stack
    state : ExplorerState

    Returns
    -------
    dict of str to ipywidgets.Widget
        slice, stage, kernel_width, otsu, threshold, drop_edge_touching, scores, and the outlines
        brain, mask and reference.

    Examples
    --------
    >>> import numpy as np
    >>> controls = make_controls(Stack(np.zeros((3, 8, 8))), ExplorerState(1))
    >>> controls["slice"].max, controls["reference"].disabled
    (2, True)
    """
    height, width = stack.images.shape[1:]
    slider: dict[str, Any] = {
        "continuous_update": height * width <= LIVE_PIXELS,
        "style": {"description_width": "7em"},
        "layout": {"width": "100%"},
    }
    # The slider counts from 0; where slices are called otherwise, the facts give the name.
    own = stack.slice_numbers == tuple(range(len(stack)))
    controls = {
        "slice": widgets.IntSlider(
            0, 0, len(stack) - 1, description="Slice", readout=own, **slider
        ),
        "kernel_width": widgets.IntSlider(0, 0, 0, description="Kernel width", **slider),
        "threshold": widgets.IntSlider(0, 0, 255, description="Threshold", **slider),
        "otsu": widgets.Checkbox(description="Otsu chooses the threshold", **_BOX),
        "drop_edge_touching": widgets.Checkbox(
            description="Drop components that touch the frame", **_BOX
        ),
        "scores": widgets.Checkbox(
            value=stack.reference is not None,
            description="Show the scores",
            disabled=stack.reference is None,
            **_BOX,
        ),
        "stage": widgets.ToggleButtons(
            options=STAGES, description="Stage", style={"button_width": "auto"}
        ),
    }
    for name in OUTLINES:
        controls[name] = widgets.Checkbox(
            description=f"outline of the {name}",
            disabled=name == "reference" and stack.reference is None,
            **_BOX,
        )
    set_controls(controls, state)
    return controls


def set_controls(controls: Mapping[str, Any], state: ExplorerState) -> None:
    """Set every control to what a state says.

    Parameters
    ----------
    controls : mapping
        From `make_controls`.
    state : ExplorerState
    """
    settings = state.settings
    kernel_width = controls["kernel_width"]
    kernel_width.max = max(kernel_width.max, WIDEST_KERNEL, settings.kernel_width)
    kernel_width.value = settings.kernel_width
    controls["slice"].value = state.slice_number
    controls["stage"].value = state.stage
    controls["otsu"].value = settings.threshold == "otsu"
    if settings.threshold != "otsu":
        controls["threshold"].value = settings.threshold
    controls["drop_edge_touching"].value = settings.drop_edge_touching
    for name in OUTLINES:
        controls[name].value = name in state.outlines and not controls[name].disabled


def lay_out(
    controls: Mapping[str, Any], picture: Any, caption: Any, readout: Any, code: Any
) -> Any:
    """Lay the controls and the numbers beside the picture; above it where the page is narrow.

    Parameters
    ----------
    controls : mapping
        From `make_controls`.
    picture, caption, readout, code : ipywidgets.Widget

    Returns
    -------
    ipywidgets.Box
    """
    outlines = widgets.Box([controls[name] for name in OUTLINES], layout={"flex_flow": "row wrap"})
    others = [control for name, control in controls.items() if name not in OUTLINES]
    folded = widgets.Accordion([code], titles=["Code that makes this mask"])
    left = widgets.VBox(
        [*others, outlines, readout, folded],
        layout={"flex": "1 1 20em", "min_width": "18em", "padding": "0 1em 0 0"},
    )
    right = widgets.VBox(
        [picture, caption],
        layout={"flex": "1 1 20em", "min_width": "18em", "align_items": "flex-start"},
    )
    return widgets.Box([left, right], layout={"flex_flow": "row wrap", "width": "100%"})


def caption_text(state: ExplorerState, number: int) -> str:
    """Say in words and colours what the picture shows, for an Image widget has no alt text.

    Parameters
    ----------
    state : ExplorerState
    number : int
        What the slice is called.

    Returns
    -------
    str
        HTML.

    Examples
    --------
    >>> caption_text(ExplorerState(2, outlines=()), 104)
    'Slice 104, normalised; no outlines'
    """
    lines = [
        f'<span style="color:{PALETTE[name]}" aria-hidden="true">'
        f"{'╌╌' if name == 'reference' else '━━'}</span> {name}"
        for name in state.outlines
    ]
    shown = f"outlines: {', '.join(lines)}" if lines else "no outlines"
    return f"Slice {number}, {state.stage}; {shown}"


def facts_table(facts: Mapping[str, str]) -> str:
    """Set facts as an HTML table; texts from outside are escaped.

    Parameters
    ----------
    facts : mapping
        Name to text.

    Returns
    -------
    str

    Examples
    --------
    >>> "&lt;b&gt;" in facts_table({"group": "<b>"})
    True
    """
    rows = "".join(
        f'<tr><th scope="row" style="text-align:left;padding:0 1em 0 0">{escape(name)}</th>'
        f'<td style="text-align:left;padding:0">{escape(text)}</td></tr>'
        for name, text in facts.items()
    )
    return f'<table style="font-variant-numeric:tabular-nums;line-height:1.5">{rows}</table>'
