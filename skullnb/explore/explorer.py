"""`Explorer`: the data, the controls, the picture and the numbers, kept in step."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import fields, replace
from html import escape
from time import monotonic
from typing import Any

import ipywidgets as widgets
import numpy as np

from skullnb.errors import InvalidSetting, SkullnbError
from skullnb.explore.numbers import View, take_view
from skullnb.explore.panel import (
    WIDEST_KERNEL,
    caption_text,
    facts_table,
    fit_controls,
    html_table,
    lay_out,
    make_controls,
    set_controls,
)
from skullnb.explore.picker import DataPicker
from skullnb.explore.sources import Source
from skullnb.explore.stages import Stages
from skullnb.explore.state import ExplorerState
from skullnb.figures.explorer import OUTLINES, compose, encode_png, explorer_figure
from skullnb.figures.explorer_charts import histogram_svg, sweep_svg
from skullnb.figures.stage_tables import largest_components
from skullnb.pipeline import Mask, PipelineSettings, SkullMaskTrace, otsu_threshold
from skullnb.stack import Stack

_SETTINGS = {one.name for one in fields(PipelineSettings)}
_STATE = {one.name for one in fields(ExplorerState)} - {"settings"}

# Steps of one control with shorter pauses are one move: a drag is compared with where it began.
PAUSE_SECONDS = 1.0


class Explorer:
    """Controls for data and settings beside a picture of what the pipeline does to one slice.

    Parameters
    ----------
    stack : Stack
        Slices are read one at a time, so a memory-mapped stack of any length will do.
    settings : PipelineSettings, optional
        Where the controls start; the article's settings when left out. What has no control
        (kernel shape, filling) stays as given.
    slice_number : int, optional
        Where the slice control starts; the middle of the stack when left out.

    Attributes
    ----------
    widget : ipywidgets.Widget
        Show it as the last expression of a notebook cell.
    controls : dict of str to ipywidgets.Widget
        slice, stage, kernel_width, otsu, threshold, drop_edge_touching, connectivity, scores, and
        the outlines brain, mask and reference.
    data : DataPicker
        The choice of data: by name, by path, or uploaded.
    picture : ipywidgets.Image
        PNG, updated in place.
    caption, readout : ipywidgets.HTML
        What the picture shows, and the facts as a table.
    parts : dict of str to ipywidgets.Widget
        Everything that is shown: the picture, its caption, the histogram, what changed, the facts,
        the sweep and the components.
    code : ipywidgets.Textarea
        The cell that makes the mask; the button shows it.
    facts : dict of str to str
        What the panel says about the mask shown.

    Raises
    ------
    InvalidImage
        If the first slice shown cannot be worked on.
    InvalidSetting
        If there is no such slice.

    Examples
    --------
    >>> images = np.zeros((1, 60, 60))
    >>> images[0, 20:40, 20:40] = 1.0
    >>> explorer = Explorer(Stack(images))
    >>> explorer.controls["kernel_width"].value = 3
    >>> explorer.facts["mask"]
    '480 px, 13.3% of frame'
    """

    def __init__(
        self,
        stack: Stack,
        settings: PipelineSettings | None = None,
        slice_number: int | None = None,
    ) -> None:
        """Build the controls and show the first slice."""
        self._settings = settings or PipelineSettings()
        self._holding = False
        self._mover: tuple[Any, float] = (None, 0.0)
        self._before: View | None = None
        self._now: View | None = None
        self.facts: dict[str, str] = {}
        self.controls = make_controls()
        self.picture = widgets.Image(
            format="png",
            layout={"max_width": "100%", "max_height": "70vh", "object_fit": "contain"},
        )
        texts = ("caption", "histogram", "sentence", "readout", "sweep", "components")
        self.parts: dict[str, Any] = {"picture": self.picture}
        self.parts |= {name: widgets.HTML(layout={"width": "100%"}) for name in texts}
        self.caption, self.readout = self.parts["caption"], self.parts["readout"]
        self.code = widgets.Textarea(
            rows=7, disabled=False, layout={"width": "100%", "display": "none"}
        )
        self.code_button = widgets.ToggleButton(
            description="Code that makes this mask", icon="code", layout={"width": "auto"}
        )
        self.code_button.observe(self._on_code, names="value")
        self._open(stack, slice_number, ("", ""))
        self.data = DataPicker(stack, self._on_data)
        self.widget = lay_out(
            self.data.widget, self.controls, self.parts, [self.code_button, self.code]
        )
        for control in self.controls.values():
            control.observe(self._on_change, names="value")

    def open(self, stack: Stack) -> None:
        """Show another stack under the settings chosen.

        Parameters
        ----------
        stack : Stack

        Raises
        ------
        InvalidImage
            If its middle slice cannot be worked on; what was shown stays then.

        Examples
        --------
        >>> explorer = Explorer(Stack(np.eye(16)[np.newaxis]))
        >>> explorer.open(Stack(np.eye(20)[np.newaxis]))
        >>> explorer.mask.shape
        (20, 20)
        """
        self._open(stack, None, ("", ""))

    def _open(self, stack: Stack, number: int | None, lines: tuple[str, str]) -> None:
        number = len(stack) // 2 if number is None else number
        stages = Stages(stack)
        _check_slice(number, stack)
        stages.trace(number, self._settings)
        self.stack, self._stages, self._lines = stack, stages, lines
        with self._hold():
            fit_controls(self.controls, stack)
            outlines = tuple(name for name in OUTLINES if self.controls[name].value)
            stage = self.controls["stage"].value
            set_controls(self.controls, ExplorerState(number, stage, self._settings, outlines))
        self._refresh()

    @property
    def state(self) -> ExplorerState:
        """What the controls say; assign to set them all at once."""
        value = {name: control.value for name, control in self.controls.items()}
        settings = replace(
            self._settings,
            kernel_width=value["kernel_width"],
            threshold="otsu" if value["otsu"] else value["threshold"],
            drop_edge_touching=value["drop_edge_touching"],
            connectivity=value["connectivity"],
        )
        outlines = tuple(name for name in OUTLINES if value[name])
        return ExplorerState(value["slice"], value["stage"], settings, outlines)

    @state.setter
    def state(self, state: ExplorerState) -> None:
        _check_slice(state.slice_number, self.stack)
        self._settings = state.settings
        with self._hold():
            set_controls(self.controls, state)
        self._refresh()

    def move(self, **changes: Any) -> None:
        """Move some controls, and refresh once.

        Parameters
        ----------
        **changes
            `slice_number`, `stage`, `outlines`, or any field of `PipelineSettings`.

        Raises
        ------
        InvalidSetting
            If there is no such control, slice or stage, or a setting is not possible.
        InvalidImage
            If the slice cannot be worked on.

        Examples
        --------
        >>> explorer = Explorer(Stack(np.eye(16)[np.newaxis]))
        >>> explorer.move(stage="binary", threshold=100)
        >>> explorer.state.settings.threshold
        100
        """
        for name in changes:
            if name not in _SETTINGS | _STATE:
                known = ", ".join(sorted(_SETTINGS | _STATE))
                raise InvalidSetting(f"The explorer cannot move {name!r}; it can move {known}.")
        state = self.state
        settings = replace(
            state.settings, **{name: changes[name] for name in changes.keys() & _SETTINGS}
        )
        self.state = replace(
            state, settings=settings, **{name: changes[name] for name in changes.keys() & _STATE}
        )

    @property
    def mask(self) -> Mask:
        """The skull mask shown, (H, W) uint8 {0, 1}."""
        return self._trace(self.state).mask

    def describe(self) -> str:
        """Say what the explorer shows, one line a fact.

        Returns
        -------
        str
        """
        width = max(map(len, self.facts))
        return "\n".join(f"{name:<{width}}  {text}" for name, text in self.facts.items())

    def figure(self) -> Any:
        """Draw what the explorer shows as a figure for a page, where no control can move.

        Returns
        -------
        PageFigure
        """
        view = self._view()
        return explorer_figure(self._compose(view), self.facts, view.state.outlines)

    def charts(self) -> Any:
        """Set histogram and sweep side by side for a page, where no control can move.

        Returns
        -------
        IPython.display.HTML
        """
        from IPython.display import HTML

        charts = "".join(
            f'<div style="flex:1 1 20em;min-width:min(20em,100%)">{self.parts[name].value}</div>'
            for name in ("histogram", "sweep")
        )
        return HTML(
            '<div style="display:flex;flex-wrap:wrap;gap:1em 2em;align-items:flex-end">'
            f"{charts}</div>"
        )

    def _view(self) -> View:
        assert self._now is not None
        return self._now

    def _trace(self, state: ExplorerState) -> SkullMaskTrace:
        return self._stages.trace(state.slice_number, state.settings)

    def _compose(self, view: View) -> Any:
        state, spacing = view.state, self.stack.spacing_mm
        return compose(view.trace, state.stage, view.reference, state.outlines, spacing)

    def _on_change(self, change: Any) -> None:
        if self._holding:
            return
        mover, self._mover = self._mover, (change.owner, monotonic())
        same_move = mover[0] is change.owner and self._mover[1] - mover[1] < PAUSE_SECONDS
        # The panel says what is wrong; raised here, it would only fill a log.
        with suppress(SkullnbError):
            self._refresh(same_move=same_move)

    def _on_data(self, stack: Stack, source: Source) -> None:
        self._open(stack, None, source.lines)

    def _on_code(self, change: Any) -> None:
        self.code.layout.display = "" if change.new else "none"

    def _refresh(self, *, same_move: bool = False) -> None:
        state = self.state
        by_otsu = state.settings.threshold == "otsu"
        self.controls["threshold"].disabled = by_otsu
        try:
            trace = self._trace(state)
        except SkullnbError as error:
            # No picture rather than another slice's.
            self.facts = {
                "slice": str(self.stack.slice_numbers[state.slice_number]),
                "problem": str(error),
            }
            for name in self.parts.keys() - {"picture"}:
                self.parts[name].value = ""
            self.picture.value = encode_png(_NO_PICTURE)
            self.parts["readout"].value = facts_table(self.facts)
            raise
        if by_otsu:
            # The control follows Otsu, so that a move by hand starts from its level.
            with self._hold():
                self.controls["threshold"].value = trace.threshold
        self._remember(take_view(self.stack, state, trace), same_move)
        self._show(self._view())

    def _remember(self, view: View, same_move: bool) -> None:
        """Keep what a move started from; looks are no move."""
        now = self._now
        if now is not None and not same_move and not view.makes_what(now):
            self._before = now
        self._now = view

    def _show(self, view: View) -> None:
        state, trace, before = view.state, view.trace, self._before
        scored = self.controls["scores"].value
        self.facts = view.facts(scored=scored)
        changes = view.changes(before) if before and view.comparable(before) else {}
        sentence = view.sentence(before, scored=scored)
        values = {
            "caption": caption_text(state, self.stack.slice_numbers[state.slice_number]),
            "histogram": histogram_svg(
                trace.normalised, trace.threshold, otsu_threshold(trace.normalised)
            ),
            "sentence": f'<div role="status" style="line-height:1.4">{escape(sentence)}</div>',
            "readout": facts_table(self.facts, changes),
            "sweep": self._sweep(view, scored),
            "components": html_table(largest_components(trace).data, "Largest components"),
        }
        self.picture.value = encode_png(self._compose(view))
        for name, value in values.items():
            self.parts[name].value = value
        self.code.value = state.code(self._lines)

    def _sweep(self, view: View, scored: bool) -> str:
        settings = view.state.settings
        widest = max(WIDEST_KERNEL, settings.kernel_width)
        widths, curves = self._stages.sweep(view.state.slice_number, settings, widest)
        values = {**view.numbers, "share": view.numbers["mask"] / view.trace.mask.size}
        known = ("Dice", "IoU") if scored else ()
        names: list[str] = [name for name in known if name in curves] or ["share"]
        chosen = {name: curves[name] for name in names}
        return sweep_svg(widths, chosen, settings.kernel_width, values)

    @contextmanager
    def _hold(self) -> Iterator[None]:
        """Set controls without each of them refreshing the picture."""
        self._holding = True
        try:
            yield
        finally:
            self._holding = False


def _check_slice(number: int, stack: Stack) -> None:
    if not 0 <= number < len(stack):
        raise InvalidSetting(
            f"There is no slice {number}; the stack has slices 0 to {len(stack) - 1}."
        )


_NO_PICTURE = np.zeros((1, 1, 3), dtype=np.uint8)
