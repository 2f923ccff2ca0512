"""Live figures: pictures whose reader moves the pipeline's settings on the published page.

A notebook shows a picture at the chapter's settings. In the book, `book/assets/live.js` puts
controls in its place and runs `book/assets/pipeline.js`, which gives the same masks bit for bit.
After normalising, 256 levels are all that the later steps need, so a page takes a slice as a
lossless picture. Each lies in a script of its own, loaded when a reader turns to it: a page opened
from disk may run scripts, and may not fetch data.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from functools import lru_cache
from html import escape
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skullnb import heads, phantom
from skullnb.errors import InvalidSetting
from skullnb.metrics import iou
from skullnb.pipeline import PipelineSettings, SkullMaskTrace, normalise, trace_skull_mask
from skullnb.pipeline.settings import REACH_MM
from skullnb.report import plot
from skullnb.report.chapter import MOST_SHOWN, Chapter, spread
from skullnb.stack import Stack

MIME = "application/vnd.skullnb.live"
MOST_BYTES = 1_000_000
"""A page loads one slice by itself; a slice that needs more than this is not live."""

MOST_LIVE = 16
"""Of a larger stack a few slices are live."""

# What the picture shows, for each focus of a figure: areas painted and borders drawn.
FOCUS: dict[str, tuple[dict[str, str], tuple[str, ...]]] = {
    "threshold": ({"binary": "accent"}, ()),
    "components": ({"binary": "scalp", "brain": "brain"}, ()),
    "dilation": ({"dilated": "mask", "brain": "brain"}, ("reference",)),
    "holes": ({"mask": "accent", "dilated": "mask"}, ("brain",)),
    "whole": ({}, ("reference", "brain", "mask")),
    "border": ({"mask": "mask", "brain": "brain"}, ("reference",)),
}
HEAD, PHANTOM, OWN = "studyforrest", "phantom", "slice"


class LiveFigure:
    """A picture for the notebook, with what the book needs to make it live."""

    def __init__(self, png: bytes, config: Mapping[str, Any], text: str = "") -> None:
        self.png, self.config, self.text = png, dict(config), text

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return {
            "image/png": b64encode(self.png).decode("ascii"),
            "text/plain": self.text,
            MIME: json.dumps(self.config),
        }


def live_figure(
    chapter: Chapter,
    focus: str = "whole",
    heads: Sequence[tuple[str, int]] = (),
    slices: Sequence[int] = (),
) -> LiveFigure:
    """Make a figure of the chapter's slices, live on the published page.

    Parameters
    ----------
    chapter : Chapter
        Its slices, and the settings that the figure starts from.
    focus : {"threshold", "components", "dilation", "holes", "whole", "border"}
        The step that the figure is about: what it paints, and which controls come first.
    heads : sequence of (variant, index)
        Slices of `skullnb.phantom.variant` to add. The figure opens with the first of them.
    slices : sequence of int
        Indices of slices that are to be among those of the chapter; it opens with the first.

    Returns
    -------
    LiveFigure
        In a notebook, the picture at the chapter's settings.

    Raises
    ------
    InvalidSetting
        If there is no such focus or variant.

    Examples
    --------
    >>> from skullnb.report.chapter import open_chapter
    >>> live_figure(open_chapter("03-threshold"), "threshold").config["start"]
    'studyforrest-8'
    """
    if focus not in FOCUS:
        raise InvalidSetting(
            f"No live figure is about {focus!r}; choose one of {', '.join(FOCUS)}."
        )
    stack, settings, index = chapter.stack, chapter.settings, [*slices, chapter.middle][0]
    sources, trace, start = _sources(stack, slices), chapter.trace(index), _key(stack, index)
    if heads:
        name, index = heads[0]
        stack, start = _of_the_package(name), f"{name}-{index}"
        settings = _for_a_phantom(settings)
        trace = trace_skull_mask(stack.images[index], settings, spacing_mm=stack.spacing_mm)
        sources += [
            {
                "key": f"{name}-{number}",
                "label": f"synthetic: {name.replace('-', ' ')}",
                "kernelWidth": settings.kernel_width,
            }
            for name, number in heads
        ]
    reference = None if stack.reference is None else np.asarray(stack.reference[index])
    score = "" if reference is None else f", IoU {iou(trace.mask, reference):.4f}"
    what = f"threshold {trace.threshold}, brain {int(trace.brain.sum()):,} px, mask "
    what += f"{int(trace.mask.sum()):,} px{score}"
    png = _still(trace, focus, reference, stack.spacing_mm, what)
    config = _config(focus, chapter.settings, sources, start, len(chapter.stack))
    return LiveFigure(png, config, f"live figure: {focus}; {what}")


def publish(notebook: Any, stack: Stack, folder: Path) -> None:
    """Make the live figures of an executed notebook live, in place; `stack`: of the report.

    `folder` gets a script for each slice that the figures use and that is not there yet.
    """
    import nbformat

    for cell in notebook.cells:
        for number, output in enumerate(cell.get("outputs", [])):
            data = output.get("data", {})
            if MIME not in data:
                continue
            config = write_slices(json.loads(data.pop(MIME)), stack, folder)
            if config["sources"]:
                alt = data.get("text/plain", "")
                html = figure_html(config, b64decode(data["image/png"]), alt)
                cell.outputs[number] = nbformat.v4.new_output(
                    "display_data", data={"text/html": html}
                )


def try_it(stack: Stack, settings: PipelineSettings, folder: Path) -> str:
    """Write the figure into which a reader may drop an image; the report's slices are there too."""
    middle = _key(stack, len(stack) // 2)
    config = _config("whole", settings, _sources(stack), middle, len(stack))
    return figure_html({**write_slices(config, stack, folder), "drop": True})


def figure_html(config: Mapping[str, Any], png: bytes = b"", alt: str = "") -> str:
    """Write the element that `book/assets/live.js` makes live.

    Examples
    --------
    >>> figure_html({"focus": "whole"})
    '<figure class="live" data-live="{&quot;focus&quot;: &quot;whole&quot;}"></figure>'
    """
    image = ""
    if png:
        data = b64encode(png).decode("ascii")
        image = f'<img alt="{escape(alt)}" src="data:image/png;base64,{data}">'
    return f'<figure class="live" data-live="{escape(json.dumps(config))}">{image}</figure>'


def write_slices(config: Mapping[str, Any], stack: Stack, folder: Path) -> dict[str, Any]:
    """Write the slices that a figure uses into `folder`, without those too large for a page.

    Gives the figure's settings with the slices that are live, and a note how many those are.
    """
    folder.mkdir(parents=True, exist_ok=True)
    kept = []
    for source in config["sources"]:
        file = folder / f"{source['key']}.js"
        if not file.exists():
            file.write_text(_script(source["key"], stack), encoding="ascii")
        if file.stat().st_size <= MOST_BYTES:
            kept.append(source)
        else:
            file.unlink()
    own = sum("kernelWidth" not in source for source in kept)
    keys = [source["key"] for source in kept]
    start = config["start"] if config["start"] in keys or not keys else keys[0]
    note = "" if own == config["of"] else f"{own} of {config['of']} slices are live here."
    return {**config, "sources": kept, "start": start, "note": note}


def encode_png(levels: NDArray[Any]) -> bytes:
    """Encode 8-bit levels as a grey PNG, without loss and without colour management."""
    from PIL import Image

    file = BytesIO()
    Image.fromarray(levels).save(file, "PNG", optimize=True)
    return file.getvalue()


def _script(key: str, stack: Stack) -> str:
    name, _, number = key.rpartition("-")
    index = int(number)
    if name != OWN:  # a slice that comes with the package, by its number
        stack = _of_the_package(name)
        index = list(stack.slice_numbers).index(index)
    data: dict[str, Any] = {"image": _base64(normalise(stack.images[index]))}
    if stack.reference is not None:
        data["reference"] = _base64(np.asarray(stack.reference[index], dtype=np.uint8) * 255)
    if stack.spacing_mm is not None:
        data["spacing"] = stack.spacing_mm
    return f"skullnbLive.take({json.dumps(key)}, {json.dumps(data)});\n"


@lru_cache(maxsize=3)  # slices are asked for one by one, and a head takes a second to draw
def _of_the_package(name: str) -> Stack:
    if name == HEAD:
        return heads.load(HEAD)
    return phantom.published_stack() if name == PHANTOM else phantom.variant(name)


def _base64(levels: Any) -> str:
    return b64encode(encode_png(np.asarray(levels, dtype=np.uint8))).decode("ascii")


def _key(stack: Stack, index: int) -> str:
    """Name a slice, by its number where anybody's `_of_the_package` finds the same."""
    if stack.sources == _of_the_package(HEAD).sources:
        return f"{HEAD}-{stack.slice_numbers[index]}"
    if stack.synthetic and not stack.sources and stack.name == _of_the_package(PHANTOM).name:
        return f"{PHANTOM}-{stack.slice_numbers[index]}"
    return f"{OWN}-{index}"


def _sources(stack: Stack, chosen: Sequence[int] = ()) -> list[dict[str, Any]]:
    """Slices that are live: all of a small stack, else a few spread over it and those chosen."""
    most = MOST_LIVE if len(stack) <= MOST_LIVE else MOST_SHOWN
    shown = sorted({*spread(len(stack), most), len(stack) // 2, *chosen})
    return [{"key": _key(stack, i), "label": f"slice {stack.slice_numbers[i]}"} for i in shown]


def _for_a_phantom(settings: PipelineSettings) -> PipelineSettings:
    """The chapter's settings at the article's width: another would fit pixels of another size."""
    from dataclasses import replace

    return replace(settings, kernel_width=PipelineSettings().kernel_width)


def _config(
    focus: str,
    settings: PipelineSettings,
    sources: Sequence[Mapping[str, Any]],
    start: str,
    n_slices: int,
) -> dict[str, Any]:
    return {
        "focus": focus,
        "settings": {
            "threshold": settings.threshold,
            "connectivity": settings.connectivity,
            "dropEdgeTouching": settings.drop_edge_touching,
            "border": settings.border,
            "kernelWidth": settings.kernel_width,
            "kernelShape": settings.kernel_shape,
            "reachMm": settings.reach_mm or REACH_MM,
            "fillHoles": settings.fill_holes,
        },
        "sources": list(sources),
        "start": start,
        "of": n_slices,
        "palette": dict(plot.PALETTE),
    }


def _still(trace: SkullMaskTrace, focus: str, reference: Any, spacing_mm: Any, title: str) -> bytes:
    """Draw the slice, and its right border enlarged."""
    import matplotlib.pyplot as plt

    masks = {"binary": trace.binary, "brain": trace.brain, "dilated": trace.dilated}
    masks |= {"mask": trace.mask, "reference": reference}
    areas, lines = FOCUS[focus]
    height, width = trace.mask.shape
    last = np.flatnonzero(trace.mask.any(axis=0))
    row, column = height // 2, int(last[-1]) if last.size else width // 2
    box = (
        slice(max(0, row - height // 6), row + height // 6),
        slice(max(0, column - width // 5), column + width // 8),
    )
    with plt.rc_context(plot.STYLE):
        fig, axes = plot.panels(2, trace.mask.shape, spacing=spacing_mm)
        for ax, part in zip(axes, (None, box), strict=True):
            plot.show(ax, trace.normalised, spacing=spacing_mm, box=part)
            for name, colour in areas.items():
                plot.tint(ax, masks[name], colour)
            for name in lines:
                plot.outline(ax, masks[name], name, label=None if part else name)
        plot.headline(title, fig)
        if lines:
            fig.legend(loc="outside lower left", ncols=3, fontsize=9)
        png = b64decode(plot.picture(fig)["image/png"])
        plt.close(fig)
    return png
