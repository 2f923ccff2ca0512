"""`Explorer`: the data, the controls, the picture and the numbers, kept in step."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import fields, replace
from time import monotonic
from typing import Any

import ipywidgets as widgets

from skullnb.errors import InvalidSetting, SkullnbError
from skullnb.explore.numbers import View, take_view
from skullnb.explore.panel import fit_controls, lay_out, make_controls, set_controls
from skullnb.explore.picker import DataPicker
from skullnb.explore.screen import Screen, picture_of
from skullnb.explore.sources import Source
from skullnb.explore.stages import Stages
from skullnb.explore.state import ExplorerState
from skullnb.figures.explorer import OUTLINES, explorer_figure
from skullnb.pipeline import Mask, PipelineSettings, SkullMaskTrace
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
    screen : Screen
        All that is looked at: these, the histogram, what changed, the sweep and the components.
    code : ipywidgets.Textarea
        The cell that makes the mask; the button shows it.

    Raises
    ------
    InvalidImage
        If the first slice shown cannot be worked on.
    InvalidSetting
        If there is no such slice.

    Examples
    --------
    >>> import numpy as np
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
        self.controls = make_controls()
        self.screen = Screen()
        parts = self.screen.parts
        self.picture, self.caption, self.readout = (
            parts[name] for name in ("picture", "caption", "readout")
        )
        self.code = widgets.Textarea(
            rows=7, disabled=False, layout={"width": "100%", "display": "none"}
        )
        self.code_button = widgets.ToggleButton(
            description="Code that makes this mask",
            icon="code",
            layout={"width": "auto", "align_self": "flex-start"},
        )
        self.code_button.observe(self._on_code, names="value")
        self._open(stack, slice_number, ("", ""))
        self.data = DataPicker(stack, self._on_data)
        self.widget = lay_out(self.data.widget, self.controls, parts, [self.code_button, self.code])
        for control in self.controls.values():
            control.observe(self._on_change, names="value")

    def _open(self, stack: Stack, number: int | None, lines: tuple[str, str]) -> None:
        """Show a stack under the settings chosen; nothing has changed where that fails."""
        settings = self._settings if self._now is None else self.state.settings
        number = len(stack) // 2 if number is None else number
        stages = Stages(stack)
        _check_slice(number, stack)
        stages.trace(number, settings)
        self.stack, self._stages, self._lines, self._settings = stack, stages, lines, settings
        self._before = self._now = None
        with self._hold():
            fit_controls(self.controls, stack)
            outlines = tuple(name for name in OUTLINES if self.controls[name].value)
            stage = self.controls["stage"].value
            set_controls(self.controls, ExplorerState(number, stage, settings, outlines))
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
        self._mover = (None, 0.0)
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
        >>> import numpy as np
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
    def facts(self) -> dict[str, str]:
        """What the panel says about the mask shown, name to text."""
        return self.screen.facts

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
        return explorer_figure(picture_of(view), self.facts, view.state.outlines)

    def charts(self) -> Any:
        """Set histogram and sweep side by side for a page, where no control can move.

        Returns
        -------
        IPython.display.HTML
        """
        from IPython.display import HTML

        return HTML(self.screen.charts())

    def _view(self) -> View:
        assert self._now is not None
        return self._now

    def _trace(self, state: ExplorerState) -> SkullMaskTrace:
        return self._stages.trace(state.slice_number, state.settings)

    def _on_change(self, change: Any) -> None:
        if self._holding:
            return
        owner, ended = self._mover
        same_move = owner is change.owner and monotonic() - ended < PAUSE_SECONDS
        # The panel says what is wrong; raised here, it would only fill a log.
        with suppress(SkullnbError):
            self._refresh(same_move=same_move)
        # From the end of the work, so that a slow machine does not cut a drag into many moves.
        self._mover = (change.owner, monotonic())

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
            self.screen.show_problem(self.stack.slice_numbers[state.slice_number], str(error))
            raise
        if by_otsu:
            # The control follows Otsu, so that a move by hand starts from its level.
            with self._hold():
                self.controls["threshold"].value = trace.threshold
        view, now = take_view(self.stack, state, trace), self._now
        if now is not None and not same_move and not view.differs_in_looks_only(now):
            self._before = now
        self._now = view
        scored = self.controls["scores"].value
        self.screen.show(view, self._before, self._stages, scored=scored)
        self.code.value = state.code(self._lines)

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
