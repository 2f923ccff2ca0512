"""Live figures: pictures whose reader moves the pipeline's settings on the published page.

A notebook shows a picture. In the book, `book/assets/live.js` puts controls in its place and runs
`book/assets/pipeline.js`, which gives the same masks bit for bit. A page takes a slice's 256 levels
as a lossless picture, in a script of its own: opened from disk it may fetch nothing else.
"""

from __future__ import annotations

import json
import re
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
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
_LINK = re.compile(r'<a xlink:href="live:([\w-]+)"[^>]*>(.*?)</a>', re.DOTALL)


@dataclass(frozen=True, repr=False)
class LiveFigure:
    """A picture for the notebook, with what the book needs to make it live."""

    png: bytes
    config: dict[str, Any]
    text: str = ""

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
        The step that it is about; another one is refused.
    heads : sequence of (variant, index)
        Slices of `skullnb.phantom.variant` to add; it opens with the first.
    slices : sequence of int
        Indices of slices that are to be among those of the chapter; it opens with the first.

    Returns
    -------
    LiveFigure

    Examples
    --------
    >>> from skullnb.report.chapter import open_chapter
    >>> live_figure(open_chapter("03-threshold"), "threshold").config["start"]
    'studyforrest-8'
    """
    if focus not in FOCUS:
        known = ", ".join(FOCUS)
        raise InvalidSetting(f"No live figure is about {focus!r}; choose one of {known}.")
    stack, settings, index = chapter.stack, chapter.settings, [*slices, chapter.middle][0]
    config = configure(focus, settings, stack, slices, start=index)
    trace = chapter.trace(index)
    # Pixels of another size would ask for another width than the article's.
    article = replace(settings, kernel_width=PipelineSettings().kernel_width)
    for name, number in heads:
        label, width = f"synthetic: {name.replace('-', ' ')}", article.kernel_width
        source = {"key": f"{name}-{number}", "label": label, "kernelWidth": width}
        config["sources"].append(source)
    if heads:
        name, index = heads[0]
        stack, config["start"] = _of_the_package(name), f"{name}-{index}"
        trace = trace_skull_mask(stack.images[index], article, spacing_mm=stack.spacing_mm)
    reference = None if stack.reference is None else np.asarray(stack.reference[index])
    score = "" if reference is None else f", IoU {iou(trace.mask, reference):.4f}"
    what = f"threshold {trace.threshold}, brain {int(trace.brain.sum()):,} px, mask "
    what += f"{int(trace.mask.sum()):,} px{score}"
    png = _still(trace, focus, reference, stack.spacing_mm, what)
    return LiveFigure(png, config, f"live figure: {focus}; {what}")


def configure(
    focus: str, settings: PipelineSettings, stack: Stack, slices: Sequence[int] = (), start: int = 0
) -> dict[str, Any]:
    """Say what a figure of slices needs; of a large stack a few are live, and those in `slices`."""
    most = MOST_LIVE if len(stack) <= MOST_LIVE else MOST_SHOWN
    shown = sorted({*spread(len(stack), most), len(stack) // 2, *slices})
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
        "sources": [
            {"key": _key(stack, i), "label": f"slice {stack.slice_numbers[i]}"} for i in shown
        ],
        "start": _key(stack, start),
        "of": len(stack),
        "palette": dict(plot.PALETTE),
    }


def link_to(stack: Stack, index: int) -> str:
    """Give the `url` with which a part of a figure leads to a slice that is live on the same page.

    >>> link_to(heads.load("studyforrest"), 3)
    'live:studyforrest-3'
    """
    return f"live:{_key(stack, index)}"


def publish(notebook: Any, stack: Stack, folder: Path) -> None:
    """Make the live figures of an executed notebook live, in place; `stack`: of the report.

    `folder` gets a script for each slice that the figures use and that is not there yet.
    """
    import nbformat

    outputs = [one for cell in notebook.cells for one in cell.get("outputs", [])]
    drawings = [one["data"] for one in outputs if "image/svg+xml" in one.get("data", {})]
    wanted = {link[1] for one in drawings for link in _LINK.finditer(one["image/svg+xml"])}
    labels: dict[str, str] = {}
    for output in outputs:
        data = output.get("data", {})
        if MIME not in data:
            continue
        config = write_slices(json.loads(data.pop(MIME)), stack, folder)
        here = {one["key"]: one["label"] for one in config["sources"]}
        if here:
            linked = (wanted & here.keys()) - labels.keys()
            png, alt = b64decode(data["image/png"]), data.get("text/plain", "")
            html = figure_html(config, png, alt, sorted(linked))
            output.clear()
            output.update(nbformat.v4.new_output("display_data", {"text/html": html}))
            labels |= here

    def point(link: re.Match[str]) -> str:
        key, drawn = link.groups()
        if key not in labels:
            return ""
        return f'<a href="#live-{key}" aria-label="{labels[key]}">{drawn}</a>'

    for data in drawings:
        data["image/svg+xml"] = _LINK.sub(point, data["image/svg+xml"])


def try_it(stack: Stack, settings: PipelineSettings, folder: Path) -> str:
    """Write the figure into which a reader may drop an image; the report's slices are there too."""
    config = configure("whole", settings, stack, start=len(stack) // 2)
    return figure_html({**write_slices(config, stack, folder), "drop": True})


def figure_html(
    config: Mapping[str, Any], png: bytes = b"", alt: str = "", linked: Sequence[str] = ()
) -> str:
    """Write the element that `book/assets/live.js` makes live; `linked`: slices that links lead to.

    >>> figure_html({"focus": "whole"})
    '<figure class="live" data-live="{&quot;focus&quot;: &quot;whole&quot;}"></figure>'
    """
    inside = "".join(f'<span id="live-{key}" data-key="{key}"></span>' for key in linked)
    if png:
        data = b64encode(png).decode("ascii")
        inside += f'<img alt="{escape(alt)}" src="data:image/png;base64,{data}">'
    return f'<figure class="live" data-live="{escape(json.dumps(config))}">{inside}</figure>'


def write_slices(config: Mapping[str, Any], stack: Stack, folder: Path) -> dict[str, Any]:
    """Write a figure's slices into `folder`; give its settings with those not too large for a page.

    A note says how many those are.
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


def _script(key: str, stack: Stack) -> str:
    name, _, number = key.rpartition("-")
    index = int(number)
    if name != OWN:  # a slice that comes with the package, by its number
        stack = _of_the_package(name)
        index = list(stack.slice_numbers).index(index)
    data: dict[str, Any] = {"image": _png(normalise(stack.images[index]))}
    if stack.reference is not None:
        data["reference"] = _png(np.asarray(stack.reference[index], dtype=np.uint8) * 255)
    if stack.spacing_mm is not None:
        data["spacing"] = stack.spacing_mm
    return f"skullnbLive.take({json.dumps(key)}, {json.dumps(data)});\n"


def _png(levels: NDArray[np.uint8]) -> str:
    """Encode levels as a grey PNG in base64, without loss and without colour management."""
    from PIL import Image

    file = BytesIO()
    Image.fromarray(levels).save(file, "PNG", optimize=True)
    return b64encode(file.getvalue()).decode("ascii")


@lru_cache(maxsize=3)  # slices are asked for one by one, and a head takes a second to draw
def _of_the_package(name: str) -> Stack:
    if name == HEAD:
        return heads.load(HEAD)
    return phantom.published_stack() if name == PHANTOM else phantom.variant(name)


def _key(stack: Stack, index: int) -> str:
    """Name a slice, by its number where anybody's `_of_the_package` finds the same."""
    if stack.sources == _of_the_package(HEAD).sources:
        return f"{HEAD}-{stack.slice_numbers[index]}"
    if stack.synthetic and not stack.sources and stack.name == _of_the_package(PHANTOM).name:
        return f"{PHANTOM}-{stack.slice_numbers[index]}"
    return f"{OWN}-{index}"


def _still(trace: SkullMaskTrace, focus: str, reference: Any, spacing_mm: Any, title: str) -> bytes:
    """Draw the slice, and its right border enlarged."""
    import matplotlib.pyplot as plt

    masks = {"binary": trace.binary, "brain": trace.brain, "dilated": trace.dilated}
    masks |= {"mask": trace.mask, "reference": reference}
    areas, lines = FOCUS[focus]
    height, width = trace.mask.shape
    last = np.flatnonzero(trace.mask.any(axis=0))
    row, column = height // 2, int(last[-1]) if last.size else width // 2
    rows = slice(max(0, row - height // 6), row + height // 6)
    box = (rows, slice(max(0, column - width // 5), column + width // 8))
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
