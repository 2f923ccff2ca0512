"""What a notebook's first cell calls: open the data, run the pipeline, keep the numbers.

Every chapter has the same parameters, so the same few lines serve them all, on the built-in
phantom and on anyone's scans.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skullnb import metrics
from skullnb.errors import InvalidSetting
from skullnb.phantom import published_stack
from skullnb.pipeline import PipelineSettings, SkullMaskTrace, trace_skull_mask
from skullnb.results import Results
from skullnb.stack import Stack, read_stack
from skullnb.summary import Summary, spread, summarise_stack
from skullnb.text import escape, fill

# Pages show a handful of slices; more would be a wall of pictures.
MOST_SHOWN = 5


@dataclass
class Chapter:
    """The data of one chapter, and the pipeline's answers about it.

    Attributes
    ----------
    name : str
        The notebook's name.
    stack : Stack
        What the chapter is about.
    settings : PipelineSettings
        The article's, with the chosen kernel width.
    results : Results
        The numbers recorded so far.
    is_published_stack : bool
        Whether the data is the built-in phantom, to which the published figures apply.
    output_dir : str
        Where `close` writes the results; "" = nowhere.
    """

    name: str
    stack: Stack
    settings: PipelineSettings
    results: Results
    is_published_stack: bool
    output_dir: str = ""
    _traces: dict[int, SkullMaskTrace] = field(default_factory=dict, repr=False)

    def trace(self, number: int) -> SkullMaskTrace:
        """Every stage of one slice; the last few are remembered.

        Parameters
        ----------
        number : int
            Index into the stack.
        """
        if number not in self._traces:
            if len(self._traces) > MOST_SHOWN:
                self._traces.pop(next(iter(self._traces)))
            self._traces[number] = trace_skull_mask(
                self.stack.images[number],
                self.settings,
                slice_number=self.stack.slice_numbers[number],
            )
        return self._traces[number]

    @property
    def shown(self) -> tuple[int, ...]:
        """Slices that a figure shows: all of a small stack, else a few spread over it."""
        return tuple(spread(len(self.stack), MOST_SHOWN))

    @property
    def middle(self) -> int:
        """The slice that stands for the stack where one has to."""
        return len(self.stack) // 2

    @cached_property
    def _pass(self) -> Summary:
        """Run over the stack once; a trace that a figure will show is kept on the way."""
        shown = self.shown

        def keep(index: int, trace: SkullMaskTrace) -> None:
            if index in shown:
                self._traces[index] = trace

        return summarise_stack(self.stack, self.settings, keep)

    @property
    def masks(self) -> NDArray[np.uint8]:
        """Skull masks of all slices, (N, H, W) uint8 {0, 1}."""
        return self._pass.masks

    @property
    def summary(self) -> NDArray[Any]:
        """One row a slice: threshold, component counts, and areas in px."""
        return self._pass.table

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why a slice's mask is empty, one text a slice ("" when it is not)."""
        return self._pass.reasons

    @property
    def warnings(self) -> tuple[tuple[str, ...], ...]:
        """What looks wrong, one tuple of texts a slice."""
        return self._pass.warnings

    @cached_property
    def scores(self) -> list[metrics.SliceScore] | None:
        """All metrics of every slice; None without a reference mask."""
        if self.stack.reference is None:
            return None
        return [
            metrics.score(mask, reference, self.stack.spacing_mm)
            for mask, reference in zip(self.masks, self.stack.reference, strict=True)
        ]

    def record(self, **values: Any) -> None:
        """Keep numbers under a name each, for the results file and for `say`."""
        self.results.record(**values)

    def say(self, text: str) -> Any:
        """Markdown with recorded numbers filled in, so that no number is typed by hand.

        Parameters
        ----------
        text : str
            With fields such as `{best_width}` or `{iou:.4f}`; each must have been recorded.

        Returns
        -------
        IPython.display.Markdown
        """
        from IPython.display import Markdown

        return Markdown(fill(text, self.results.values))

    def describe(self) -> Any:
        """Say what the chapter is about, as a line that wraps on a narrow page.

        Returns
        -------
        IPython.display.Markdown
        """
        from IPython.display import Markdown

        return Markdown(f"**{escape(self.stack.name)}**: {escape(self.stack.contents)}.")

    def close(self) -> str:
        """Write the results file, if there is a place for it.

        Returns
        -------
        str
            One line that says what was kept.
        """
        if self.output_dir:
            self.results.write(Path(self.output_dir) / "results")
        return f"{self.name}: {len(self.results.values)} results"


def open_chapter(
    name: str,
    *,
    images: str = "",
    reference: str = "",
    groups: str = "",
    spacing_mm: str = "",
    slices: str = "",
    axis: str = "axial",
    kernel_width: int = 26,
    output_dir: str = "",
) -> Chapter:
    """Open a chapter on the given data.

    Parameters
    ----------
    name : str
        The notebook's name, for instance "05-dilation".
    images, reference, groups, spacing_mm, slices, axis : str
        As in `skullnb.stack.read_stack`; images "" = the built-in synthetic phantom.
    kernel_width : int
        In px.
    output_dir : str
        Folder for the results; "" = none are written.

    Returns
    -------
    Chapter

    Raises
    ------
    SkullnbError
        If the data cannot be read or a setting is not possible.
    """
    stack = open_data(
        images, reference, groups=groups, spacing_mm=spacing_mm, slices=slices, axis=axis
    )
    parameters = {
        "images": Path(images).name,
        "reference": Path(reference).name,
        "groups": Path(groups).name,
        "spacing_mm": str(spacing_mm),
        "slices": slices,
        "axis": axis,
        "kernel_width": kernel_width,
    }
    return Chapter(
        name=name,
        stack=stack,
        settings=PipelineSettings(kernel_width=kernel_width),
        results=Results(name, parameters, stack.fingerprint()),
        is_published_stack=not images,
        output_dir=output_dir,
    )


def open_data(
    images: str = "",
    reference: str = "",
    *,
    groups: str = "",
    spacing_mm: str = "",
    slices: str = "",
    axis: str = "axial",
) -> Stack:
    """Read a stack, or make the built-in phantom when no images are named.

    Parameters
    ----------
    images, reference, groups, spacing_mm, slices, axis : str
        As in `skullnb.stack.read_stack`.

    Returns
    -------
    Stack

    Raises
    ------
    InvalidSetting
        If something is given that needs images, and there are none.
    """
    if images:
        return read_stack(
            images, reference, groups=groups, spacing_mm=spacing_mm, slices=slices, axis=axis
        )
    given = {"reference": reference, "groups": groups, "spacing_mm": spacing_mm, "slices": slices}
    for parameter, value in given.items():
        if value:
            raise InvalidSetting(
                f"{parameter} is given and images is not; the built-in phantom brings its own, "
                "so name the images too."
            )
    return _published_stack()


# A report's chapters run in processes of their own; within one, the phantom is made once.
_published_stack = lru_cache(maxsize=1)(published_stack)
