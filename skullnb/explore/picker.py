"""The explorer's choice of data: a list, an upload, a path; a bad file ends in a sentence."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from typing import Any

import ipywidgets as widgets

from skullnb.errors import SkullnbError
from skullnb.explore.sources import (
    KINDS,
    UPLOAD_BYTES,
    Source,
    file_source,
    list_sources,
    open_safely,
    upload_source,
)
from skullnb.stack import Stack

_WIDE: dict[str, Any] = {"style": {"description_width": "7em"}, "layout": {"width": "auto"}}


class DataPicker:
    """A list of what can be explored, with a fold for a file of one's own.

    Parameters
    ----------
    given : Stack
        What the explorer opens with, first in the list.
    show : callable
        Called with a stack and its source to show it; may raise a `SkullnbError`, and then shows
        what it showed before.

    Attributes
    ----------
    widget : ipywidgets.Widget
    choice, upload, path, reference, button : ipywidgets.Widget
        The list; the file, the paths and what opens them.
    message : ipywidgets.HTML
        What went wrong, or what is going on.

    Examples
    --------
    >>> import numpy as np
    >>> shown = []
    >>> picker = DataPicker(Stack(np.eye(8)[None]), lambda stack, source: shown.append(stack))
    >>> picker.open(file_source("missing.npy")), shown
    (False, [])
    """

    def __init__(self, given: Stack, show: Callable[[Stack, Source], None]) -> None:
        """List the sources; nothing is opened."""
        self._show = show
        opened = f"this notebook's: {given.name or 'unnamed'}"
        self._sources = [Source(opened, lambda: given), *list_sources()]
        self._n_listed = len(self._sources)
        self._shown = 0
        self._holding = False
        self.choice = widgets.Dropdown(
            options=self._options(), value=0, description="Data", **_WIDE
        )
        self.upload = widgets.FileUpload(
            accept=KINDS,
            description="Upload a file",
            tooltip=f"At most {UPLOAD_BYTES // 1_000_000} MB; it stays on this machine",
            layout={"width": "auto", "align_self": "flex-start"},
        )
        self.path = widgets.Text(
            description="Path", placeholder="file or folder of slices", **_WIDE
        )
        self.reference = widgets.Text(
            description="Reference", placeholder="masks of the same slices, if any", **_WIDE
        )
        self.button = widgets.Button(
            description="Open the path", layout={"width": "auto", "align_self": "flex-start"}
        )
        self.message = widgets.HTML()
        own = widgets.VBox([self.upload, self.path, self.reference, self.button])
        folded = widgets.Accordion([own], titles=["A file of your own"])
        self.widget = widgets.VBox([self.choice, folded, self.message], layout={"width": "100%"})
        self.choice.observe(self._on_choice, names="value")
        self.upload.observe(self._on_upload, names="value")
        self.button.on_click(self._on_path)

    def open(self, source: Source) -> bool:
        """Open a source and show it; where that fails, say why and leave the rest as it was.

        Parameters
        ----------
        source : Source
            It takes the last place in the list when it is not on it.

        Returns
        -------
        bool
            Whether it is shown now.
        """
        self._say(f"Opening {source.label} …")
        try:
            self._show(open_safely(source), source)
        except SkullnbError as error:
            self._say(str(error), wrong=True)
            self._select(self._shown)
            return False
        if source not in self._sources:
            # One file of one's own at a time, or uploads would pile up in memory.
            self._sources[self._n_listed :] = [source]
        self._select(self._sources.index(source))
        self._say("")
        return True

    def _on_choice(self, change: Any) -> None:
        if not self._holding and change.new is not None:
            self.open(self._sources[change.new])

    def _on_upload(self, change: Any) -> None:
        if change.new:
            file = change.new[0]
            source = upload_source(file["name"], file["content"])
            self.upload.value = ()  # the same file again is a new upload, and this copy can go
            self.open(source)

    def _on_path(self, _: Any) -> None:
        self.open(file_source(self.path.value, self.reference.value))

    def _select(self, index: int) -> None:
        self._shown, self._holding = index, True
        self.choice.options = self._options()
        self.choice.value = index
        self._holding = False

    def _options(self) -> list[tuple[str, int]]:
        return [(source.label, index) for index, source in enumerate(self._sources)]

    def _say(self, text: str, *, wrong: bool = False) -> None:
        colour = "var(--jp-error-color1,#b3261e)" if wrong else "inherit"
        said = f'<span style="color:{colour};line-height:1.4">{escape(text)}</span>' if text else ""
        self.message.value = f'<div role="status" aria-live="polite">{said}</div>'
