"""The explorer's looks: its controls, and how they lie beside the picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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

LABEL_WIDTH = "7em"
# Beside a slider's track: half its handle, and its number.
_TRACK = "0 80px 0 4px"
_ASK_REFERENCE = ("scores", "reference")
_BOX: dict[str, Any] = {"indent": False, "layout": {"width": "auto"}}
_WIDE: dict[str, Any] = {
    "style": {"description_width": LABEL_WIDTH},
    "layout": {"width": "auto"},
}


def make_controls() -> dict[str, Any]:
    """Make the controls; `fit_controls` and `set_controls` give them range and value.

    Returns
    -------
    dict of str to ipywidgets.Widget
        slice, kernel_width, threshold, otsu, drop_edge_touching, connectivity, scores, stage, and
        the outlines brain, mask and reference.

    Examples
    --------
    >>> import numpy as np
    >>> controls = make_controls()
    >>> fit_controls(controls, Stack(np.zeros((3, 8, 8))))
    >>> controls["slice"].max, controls["reference"].disabled
    (2, True)
    """
    controls = {
        "slice": widgets.IntSlider(0, 0, 0, description="Slice", **_WIDE),
        "stage": widgets.ToggleButtons(
            options=STAGES,
            description="Stage",
            style={"button_width": "auto", "description_width": LABEL_WIDTH},
        ),
        "kernel_width": widgets.IntSlider(0, 0, 0, description="Kernel width", **_WIDE),
        # Without a label of its own, its track lies under the histogram, level under level.
        "threshold": widgets.IntSlider(0, 0, 255, layout={"width": "auto", "margin": "0"}),
        "otsu": widgets.Checkbox(description="Otsu chooses the threshold", **_BOX),
        "drop_edge_touching": widgets.Checkbox(
            description="Drop components that touch the frame", **_BOX
        ),
        "connectivity": widgets.Dropdown(
            options=[("8: sides and corners", 8), ("4: sides only", 4)],
            description="Neighbours",
            **_WIDE,
        ),
        "scores": widgets.Checkbox(description="Show the scores", **_BOX),
    }
    for name in OUTLINES:
        controls[name] = widgets.Checkbox(
            True, description=name, tooltip=f"Outline of the {name}", **_BOX
        )
    for name in _ASK_REFERENCE:
        controls[name].disabled = True
    controls["threshold"].add_class("skullnb-threshold")
    return controls


def fit_controls(controls: Mapping[str, Any], stack: Stack) -> None:
    """Give the controls the range that a stack has; what needs a reference is off without one.

    Parameters
    ----------
    controls : mapping
        From `make_controls`.
    stack : Stack
    """
    height, width = stack.images.shape[1:]
    for name in ("slice", "kernel_width", "threshold"):
        controls[name].continuous_update = height * width <= LIVE_PIXELS
    controls["slice"].max = len(stack) - 1
    # The slider counts from 0; where slices are called otherwise, the facts give the name.
    controls["slice"].readout = stack.slice_numbers == tuple(range(len(stack)))
    for name in _ASK_REFERENCE:
        # What was switched off stays so; what was not to be had comes back switched on.
        wanted = controls[name].value or controls[name].disabled
        controls[name].disabled = stack.reference is None
        controls[name].value = wanted and stack.reference is not None


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
    controls["connectivity"].value = settings.connectivity
    for name in OUTLINES:
        controls[name].value = name in state.outlines and not controls[name].disabled


def lay_out(
    data: Any, controls: Mapping[str, Any], parts: Mapping[str, Any], code: Sequence[Any]
) -> Any:
    """Lay controls, picture and numbers beside one another; below one another where it is narrow.

    Parameters
    ----------
    data : ipywidgets.Widget
        The choice of data.
    controls : mapping
        From `make_controls`.
    parts : mapping of str to ipywidgets.Widget
        picture, caption, histogram, sentence, readout, sweep and components.
    code : sequence of ipywidgets.Widget
        The button for the code, and the code.

    Returns
    -------
    ipywidgets.Box
    """
    wrapping = {"flex_flow": "row wrap"}
    outlines = widgets.Box([controls[name] for name in OUTLINES], layout=wrapping)
    names = ("slice", "stage", "kernel_width", "otsu")
    rules = ("drop_edge_touching", "connectivity", "scores")
    settings = [
        *(controls[name] for name in names),
        widgets.VBox([parts["histogram"]], layout={"padding": _TRACK}),
        controls["threshold"],
        *(controls[name] for name in rules),
    ]
    columns = [
        _column([parts["picture"], parts["caption"], outlines], "1.5 1 17em"),
        _column([data, *settings], "1 1 21em"),
        _column([parts["sentence"], parts["readout"], parts["sweep"]], "0.8 1 17em"),
        _column([parts["components"], *code], "1 1 100%"),
    ]
    return widgets.Box(columns, layout={**wrapping, "width": "100%", "grid_gap": "0.5em 1.5em"})


def _column(parts: Sequence[Any], flex: str) -> Any:
    return widgets.VBox(list(parts), layout={"flex": flex, "min_width": "min(17em, 100%)"})


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
    '<div style="line-height:1.4">Slice 104, normalised; no outlines</div>'
    """
    lines = [
        f'<span style="color:{PALETTE[name]}" aria-hidden="true">'
        f"{'╌╌' if name == 'reference' else '━━'}</span> {name}"
        for name in state.outlines
    ]
    shown = f"outlines: {', '.join(lines)}" if lines else "no outlines"
    return f'<div style="line-height:1.4">Slice {number}, {state.stage}; {shown}</div>'


def facts_table(facts: Mapping[str, str], changes: Mapping[str, str] | None = None) -> str:
    """Set facts as an HTML table; texts from outside are escaped.

    Parameters
    ----------
    facts : mapping
        Name to text.
    changes : mapping, optional
        By how much a fact differs from before, by its name.

    Returns
    -------
    str

    Examples
    --------
    >>> "&lt;b&gt;" in facts_table({"group": "<b>"})
    True
    """
    changes = changes or {}
    rows = "".join(
        f'<tr><th scope="row" style="{_CELL};{_NAME}">{escape(name)}</th>'
        f'<td style="{_CELL}">{escape(text)}</td>'
        f'<td style="{_CELL};{_CHANGE}">{changes.get(name, "")}</td></tr>'
        for name, text in facts.items()
    )
    return f'<table style="{_TABLE};width:100%">{rows}</table>'


def html_table(markdown: str, caption: str) -> str:
    r"""Set a table from `skullnb.figures.tables` as HTML, for a widget cannot show Markdown.

    Parameters
    ----------
    markdown : str
        A table with pipes, its texts escaped; other text is set as a paragraph.
    caption : str

    Returns
    -------
    str

    Examples
    --------
    >>> "<th" in html_table("| a |\n| ---: |\n| 1 |", "numbers")
    True
    """
    head = f'<div style="font-weight:bold">{escape(caption)}</div>'
    if not markdown.startswith("|"):
        return f"{head}<p>{markdown}</p>"
    header, _, *rows = (
        [cell.strip() for cell in line.split("|")[1:-1]] for line in markdown.splitlines()
    )
    titles = "".join(f'<th scope="col" style="{_CELL}">{cell}</th>' for cell in header)
    body = "".join(
        "<tr>" + "".join(f'<td style="{_CELL}">{cell}</td>' for cell in row) + "</tr>"
        for row in rows
    )
    table = f'<table style="{_TABLE}"><tr>{titles}</tr>{body}</table>'
    return f'{head}<div style="overflow-x:auto">{table}</div>'


_CELL = "text-align:left;padding:0 .9em 0 0;vertical-align:top"
_NAME = "font-weight:normal;opacity:.8;white-space:nowrap"
_CHANGE = "font-weight:bold;text-align:right;white-space:nowrap;width:1%;padding:0"
_TABLE = (
    "table-layout:auto;font-variant-numeric:tabular-nums;line-height:1.5;border-collapse:collapse"
)
