"""`Explorer`: the controls, the picture and the numbers, kept in step."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields, replace
from html import escape
from typing import Any

import ipywidgets as widgets
import numpy as np

from skullnb import metrics
from skullnb.errors import InvalidSetting, SkullnbError
from skullnb.explore.panel import caption_text, facts_table, lay_out, make_controls, set_controls
from skullnb.explore.stages import Stages
from skullnb.explore.state import ExplorerState
from skullnb.figures.explorer import OUTLINES, compose, encode_png, explorer_figure
from skullnb.pipeline import Mask, PipelineSettings, SkullMaskTrace, otsu_threshold
from skullnb.stack import Stack

_SETTINGS = {one.name for one in fields(PipelineSettings)}
_STATE = {one.name for one in fields(ExplorerState)} - {"settings"}


class Explorer:
    """Controls for the pipeline's settings beside a picture of what they do to one slice.

    Parameters
    ----------
    stack : Stack
        Slices are read one at a time, so a memory-mapped stack of any length will do.
    settings : PipelineSettings, optional
        Where the controls start; the article's settings when left out. What has no control
        (kernel shape, connectivity, filling) stays as given.
    slice_number : int, optional
        Where the slice control starts; the middle of the stack when left out.

    Attributes
    ----------
    widget : ipywidgets.Widget
        Show it as the last expression of a notebook cell.
    controls : dict of str to ipywidgets.Widget
        slice, stage, kernel_width, otsu, threshold, drop_edge_touching, scores, and the outlines
        brain, mask and reference.
    picture : ipywidgets.Image
        PNG, updated in place.
    caption, readout : ipywidgets.HTML
        What the picture shows, and the facts as a table.
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
        self.stack = stack
        self._settings = settings or PipelineSettings()
        self._stages = Stages(stack)
        self._holding = False
        self.facts: dict[str, str] = {}
        first = ExplorerState(
            len(stack) // 2 if slice_number is None else slice_number, settings=self._settings
        )
        self._check_slice(first)
        self.controls = make_controls(stack, first)
        self.picture = widgets.Image(format="png", layout={"max_width": "100%", "height": "auto"})
        self.caption = widgets.HTML()
        self.readout = widgets.HTML()
        self._code = widgets.HTML()
        self.widget = lay_out(self.controls, self.picture, self.caption, self.readout, self._code)
        self._refresh()
        for control in self.controls.values():
            control.observe(self._on_change, names="value")

    @property
    def state(self) -> ExplorerState:
        """What the controls say; assign to set them all at once."""
        value = {name: control.value for name, control in self.controls.items()}
        settings = replace(
            self._settings,
            kernel_width=value["kernel_width"],
            threshold="otsu" if value["otsu"] else value["threshold"],
            drop_edge_touching=value["drop_edge_touching"],
        )
        outlines = tuple(name for name in OUTLINES if value[name])
        return ExplorerState(value["slice"], value["stage"], settings, outlines)

    @state.setter
    def state(self, state: ExplorerState) -> None:
        self._check_slice(state)
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
        state = self.state
        return explorer_figure(self._compose(state, self._trace(state)), self.facts, state.outlines)

    def _trace(self, state: ExplorerState) -> SkullMaskTrace:
        return self._stages.trace(state.slice_number, state.settings)

    def _reference(self, state: ExplorerState) -> Mask | None:
        if self.stack.reference is None:
            return None
        return np.asarray(self.stack.reference[state.slice_number])

    def _compose(self, state: ExplorerState, trace: SkullMaskTrace) -> Any:
        return compose(
            trace, state.stage, self._reference(state), state.outlines, self.stack.spacing_mm
        )

    def _facts(self, state: ExplorerState, trace: SkullMaskTrace) -> dict[str, str]:
        place = f"no. {state.slice_number + 1} of {len(self.stack)}"
        facts = {"slice": f"{self.stack.slice_numbers[state.slice_number]} ({place})"}
        if self.stack.groups is not None:
            facts["group"] = self.stack.groups[state.slice_number]
        if state.settings.threshold == "otsu":
            facts["threshold"] = f"{trace.threshold} (Otsu)"
        else:
            facts["threshold"] = f"{trace.threshold} (Otsu: {otsu_threshold(trace.normalised)})"
        facts["kernel width"] = f"{state.settings.kernel_width} px"
        facts["components"] = f"{len(trace.components)}, {trace.n_edge_touching} touch the frame"
        facts["brain"] = f"{np.count_nonzero(trace.brain):,} px"
        area = np.count_nonzero(trace.mask)
        facts["mask"] = f"{area:,} px, {area / trace.mask.size:.1%} of frame"
        if trace.reason:
            facts["why empty"] = trace.reason
        reference = self._reference(state)
        if reference is None:
            facts["scores"] = "none: no reference mask"
        elif not self.controls["scores"].value:
            facts["scores"] = "hidden"
        else:
            pair = trace.mask.view(np.bool_), reference.astype(np.bool_)
            facts["reference"] = f"{np.count_nonzero(pair[1]):,} px"
            facts["IoU"] = f"{metrics.iou(*pair):.4f}"
            facts["Dice"] = f"{metrics.dice(*pair):.4f}"
        return facts

    def _on_change(self, change: Any) -> None:
        if not self._holding:
            self._refresh()

    def _refresh(self) -> None:
        state = self.state
        by_otsu = state.settings.threshold == "otsu"
        self.controls["threshold"].disabled = by_otsu
        try:
            trace = self._trace(state)
        except SkullnbError as error:
            # In JupyterLab the error itself only reaches the log, so the panel says it as well,
            # and shows no picture rather than another slice's.
            self._show(
                {"slice": str(self.stack.slice_numbers[state.slice_number]), "problem": str(error)},
                _NO_PICTURE,
            )
            self.caption.value = ""
            raise
        if by_otsu:
            # The control follows Otsu, so that a move by hand starts from its level.
            with self._hold():
                self.controls["threshold"].value = trace.threshold
        self._show(self._facts(state, trace), self._compose(state, trace))
        self.caption.value = caption_text(state, self.stack.slice_numbers[state.slice_number])
        self._code.value = f"<pre>{escape(state.code())}</pre>"

    def _show(self, facts: dict[str, str], picture: Any) -> None:
        self.facts = facts
        self.picture.value = encode_png(picture)
        self.readout.value = facts_table(facts)

    def _check_slice(self, state: ExplorerState) -> None:
        if not 0 <= state.slice_number < len(self.stack):
            raise InvalidSetting(
                f"There is no slice {state.slice_number}; "
                f"the stack has slices 0 to {len(self.stack) - 1}."
            )

    @contextmanager
    def _hold(self) -> Iterator[None]:
        """Set controls without each of them refreshing the picture."""
        self._holding = True
        try:
            yield
        finally:
            self._holding = False


_NO_PICTURE = np.zeros((1, 1, 3), dtype=np.uint8)
