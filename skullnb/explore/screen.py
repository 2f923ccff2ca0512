"""What the explorer shows: the picture and everything said about it, updated in place."""

from __future__ import annotations

from html import escape
from typing import Any

import ipywidgets as widgets
import numpy as np

from skullnb.explore.numbers import View
from skullnb.explore.panel import WIDEST_KERNEL, caption_text, facts_table, html_table
from skullnb.explore.stages import Stages
from skullnb.figures.explorer import Picture, compose, encode_png
from skullnb.figures.explorer_charts import histogram_svg, sweep_svg
from skullnb.figures.stage_tables import largest_components
from skullnb.pipeline import otsu_threshold

_NO_PICTURE = np.zeros((1, 1, 3), dtype=np.uint8)


class Screen:
    """The parts of the panel that are looked at.

    Attributes
    ----------
    parts : dict of str to ipywidgets.Widget
        picture (PNG), and as HTML: caption, histogram, sentence, readout, sweep, components.
    facts : dict of str to str
        What is said about the mask shown.

    Examples
    --------
    >>> Screen().parts["sentence"].value
    ''
    """

    def __init__(self) -> None:
        """Show nothing yet."""
        whole = {"max_width": "100%", "max_height": "55vh", "object_fit": "contain"}
        self.parts: dict[str, Any] = {"picture": widgets.Image(format="png", layout=whole)}
        for name in ("caption", "histogram", "sentence", "readout", "sweep", "components"):
            self.parts[name] = widgets.HTML(layout={"width": "auto"})
        self.facts: dict[str, str] = {}
        self._labels: Any = None

    def show(self, view: View, before: View | None, stages: Stages, *, scored: bool) -> None:
        """Show a view.

        Parameters
        ----------
        view : View
        before : View or None
            What it is compared with.
        stages : Stages
            Of the view's stack; gives the sweep.
        scored : bool
            Whether scores may be seen.
        """
        state, trace = view.state, view.trace
        self.facts = view.facts(scored=scored)
        changes = view.changes(before) if before and view.is_of_slice_of(before) else {}
        sentence = escape(view.sentence(before, scored=scored))
        values = {
            "caption": caption_text(state, view.stack.slice_numbers[state.slice_number]),
            "sentence": f'<div role="status" style="line-height:1.4">{sentence}</div>',
            "readout": facts_table(self.facts, changes),
            "sweep": _sweep(view, stages, scored),
        }
        # The same array again, from the cache: only what comes after the components has changed.
        if trace.labels is not self._labels:
            otsu = otsu_threshold(trace.normalised)
            table = largest_components(trace).data
            values["histogram"] = histogram_svg(trace.normalised, trace.threshold, otsu)
            values["components"] = html_table(table, "Largest components")
            self._labels = trace.labels
        self.parts["picture"].value = encode_png(picture_of(view))
        for name, value in values.items():
            self.parts[name].value = value

    def show_problem(self, number: int, problem: str) -> None:
        """Say why a slice cannot be shown, with no picture rather than another slice's."""
        self.facts = {"slice": str(number), "problem": problem}
        self._labels = None
        for name, part in self.parts.items():
            part.value = encode_png(_NO_PICTURE) if name == "picture" else ""
        self.parts["readout"].value = facts_table(self.facts)

    def charts(self) -> str:
        """Set histogram and sweep side by side, as HTML for a page."""
        charts = "".join(
            f'<div style="flex:1 1 20em;min-width:min(20em,100%)">{self.parts[name].value}</div>'
            for name in ("histogram", "sweep")
        )
        row = "display:flex;flex-wrap:wrap;gap:1em 2em;align-items:flex-end"
        return f'<div style="{row}">{charts}</div>'


def picture_of(view: View) -> Picture:
    """Compose the picture of a view, (H, W, 3) uint8."""
    state, spacing = view.state, view.stack.spacing_mm
    return compose(view.trace, state.stage, view.reference, state.outlines, spacing)


def _sweep(view: View, stages: Stages, scored: bool) -> str:
    settings = view.state.settings
    widest = max(WIDEST_KERNEL, settings.kernel_width)
    widths, curves = stages.sweep(view.state.slice_number, settings, widest)
    known = ("Dice", "IoU") if scored else ()
    names: list[str] = [name for name in known if name in curves] or ["share"]
    values = {**view.numbers, "share": view.numbers["mask"] / view.trace.mask.size}
    chosen = {name: curves[name] for name in names}
    return sweep_svg(widths, chosen, settings.kernel_width, values)
