"""Live figures: pictures that `book/assets/live.js` gives controls, from slices in scripts."""

import json
import os
import re
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from html import escape
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from PIL import Image

from skullnb import phantom
from skullnb.metrics import iou
from skullnb.pipeline import PipelineSettings, SkullMaskTrace, normalise, trace_skull_mask
from skullnb.pipeline.settings import REACH_MM
from skullnb.report import plot
from skullnb.report.chapter import SVG, Chapter
from skullnb.stack import Stack

MIME = "application/vnd.skullnb.live"
MOST_LIVE = 16  # slices of a stack

# What the picture shows, for each focus of a figure: areas painted and borders drawn.
FOCUS: dict[str, tuple[dict[str, str], tuple[str, ...]]] = {
    "threshold": ({"binary": "accent"}, ()),
    "components": ({"binary": "scalp", "brain": "brain"}, ()),
    "dilation": ({"dilated": "mask", "brain": "brain"}, ("reference",)),
    "holes": ({"mask": "accent", "dilated": "mask"}, ("brain",)),
    "whole": ({}, ("reference", "brain", "mask")),
    "border": ({"mask": "mask", "brain": "brain"}, ("reference",)),
}
OWN = "slice"  # the key of a slice of the report; of a drawn head it is the variant
_LINK = re.compile(r'<a xlink:href="live:([\w-]+)"[^>]*>(.*?)</a>', re.DOTALL)


def live_figure(
    chapter: Chapter,
    focus: str = "whole",
    heads: Sequence[tuple[str, int]] = (),
    slices: Sequence[int] = (),
) -> None:
    """Show a figure of the chapter's slices, live on the published page.

    It starts from the chapter's settings, and is about the step `focus`, one of `FOCUS`. `heads`
    are slices of `skullnb.phantom.variant` to add, by name and index, `slices` indices of slices
    that are to be among those of the chapter; it opens with the first of either.
    """
    from IPython.display import display

    stack, settings, index = chapter.stack, chapter.settings, [*slices, chapter.middle][0]
    config = configure(focus, settings, stack, slices, start=index)
    width = PipelineSettings().kernel_width  # the article's, for pixels of any size
    for name, number in heads:
        label = {"label": f"synthetic: {name.replace('-', ' ')}", "kernelWidth": width}
        config["sources"].append({"key": f"{name}-{number}", **label})
    if heads and os.environ.get(SVG) == "1":  # so that pages need not draw them once more
        drawn = {**config, "sources": config["sources"][-len(heads) :]}
        write_scripts(drawn, stack, Path(str(chapter.parameters["output_dir"]), "live"))
    if heads:
        name, index = heads[0]
        stack, config["start"] = phantom.variant(name), f"{name}-{index}"
        settings = replace(settings, kernel_width=width)
    trace = trace_skull_mask(stack.images[index], settings, spacing_mm=stack.spacing_mm)
    reference = stack.drawn.get(index)
    n_brain, n_mask = int(trace.brain.sum()), int(trace.mask.sum())
    what = f"threshold {trace.threshold}, brain {n_brain:,} px, mask {n_mask:,} px"
    what += "" if reference is None else f", IoU {iou(trace.mask, reference):.4f}"
    shown = _still(trace, focus, reference, stack.spacing_mm, what)
    words = {"text/plain": f"live figure: {focus}; {what}", MIME: json.dumps(config)}
    display({**shown, **words}, raw=True)


def configure(
    focus: str, settings: PipelineSettings, stack: Stack, slices: Sequence[int] = (), start: int = 0
) -> dict[str, Any]:
    """Say what a figure of slices needs; of a large stack some are live, and those in `slices`."""
    shown = sorted({*plot.spread(len(stack), MOST_LIVE), len(stack) // 2, start, *slices})
    numbers = stack.slice_numbers
    # The page's scripts write names in another way.
    words = [re.sub(r"_(.)", lambda found: found[1].upper(), name) for name in asdict(settings)]
    said = dict(zip(words, asdict(settings).values(), strict=True))
    return {
        "focus": focus,
        "settings": {**said, "reachMm": settings.reach_mm or REACH_MM},
        "sources": [{"key": f"{OWN}-{i}", "label": f"slice {numbers[i]}"} for i in shown],
        "start": f"{OWN}-{start}",
        "of": len(stack),
        "palette": dict(plot.PALETTE),
    }


def make_live(notebook: Any, stack: Stack, folder: Path) -> None:
    """Make the figures of an executed notebook live, in place; `folder` gets the stack's slices."""
    shown = [one.get("data", {}) for cell in notebook.cells for one in cell.get("outputs", [])]
    labels: dict[str, str] = {}
    for data in [one for one in shown if MIME in one]:
        config = write_scripts(json.loads(data.pop(MIME)), stack, folder)
        here = {one["key"]: one["label"] for one in config["sources"]}
        png, alt = b64decode(data.pop("image/png")), data.pop("text/plain", "")
        data["text/html"] = figure_html(config, png, alt, sorted(here.keys() - labels.keys()))
        labels |= here

    def point(link: re.Match[str]) -> str:
        key, drawn = link.groups()
        named = f'<a href="#live-{key}" aria-label="{labels.get(key)}">{drawn}</a>'
        return named if key in labels else ""

    for data in [one for one in shown if "image/svg+xml" in one]:
        data["image/svg+xml"] = _LINK.sub(point, data["image/svg+xml"])


def try_it(stack: Stack, settings: PipelineSettings, folder: Path) -> str:
    """Write the figure into which a reader may drop an image; the report's slices are there too."""
    config = configure("whole", settings, stack, start=len(stack) // 2)
    return figure_html({**write_scripts(config, stack, folder), "drop": True})


def figure_html(
    config: Mapping[str, Any], png: bytes = b"", alt: str = "", linked: Sequence[str] = ()
) -> str:
    """Write the element that `book/assets/live.js` makes live; links lead to `linked` slices."""
    inside = "".join(f'<span id="live-{key}" data-key="{key}"></span>' for key in linked)
    if png:
        data = b64encode(png).decode("ascii")
        inside += f'<img alt="{escape(alt)}" src="data:image/png;base64,{data}">'
    return f'<figure class="live" data-live="{escape(json.dumps(config))}">{inside}</figure>'


def write_scripts(config: Mapping[str, Any], stack: Stack, folder: Path) -> dict[str, Any]:
    """Write a figure's slices into `folder`, and note in its settings how many those are."""
    folder.mkdir(parents=True, exist_ok=True)
    for source in config["sources"]:
        file = folder / f"{source['key']}.js"
        if not file.exists():
            file.write_text(_script(source["key"], stack), encoding="ascii")
    own = sum("kernelWidth" not in source for source in config["sources"])
    note = "" if own == config["of"] else f"{own} of {config['of']} slices are live here."
    return {**config, "note": note}


def _script(key: str, stack: Stack) -> str:
    """Write a slice as lossless grey PNGs, without colour management, in a script."""
    name, _, number = key.rpartition("-")
    stack, index = stack if name == OWN else phantom.variant(name), int(number)
    pictures = {"image": normalise(stack.images[index])}
    if index in stack.drawn:
        pictures["reference"] = stack.drawn[index] * np.uint8(255)
    data: dict[str, Any] = {} if stack.spacing_mm is None else {"spacing": stack.spacing_mm}
    for name, levels in pictures.items():
        data[name] = plot.encode(Image.fromarray(levels), "PNG", optimize=True)
    return f"skullnbLive.take({json.dumps(key)}, {json.dumps(data)});\n"


def _still(trace: SkullMaskTrace, focus: str, reference: Any, spacing_mm: Any, title: str) -> Any:
    """Draw the slice, and its right border enlarged."""
    masks, (areas, lines) = {**vars(trace), "reference": reference}, FOCUS[focus]
    height, width = trace.mask.shape
    right = plot.box_of(trace.mask, margin=0)[1].stop
    rows = slice(height // 3, height // 2 + height // 6)
    box = rows, slice(max(0, right - 1 - width // 5), min(width, right - 1 + width // 8))
    fig, axes = plot.panels(2, trace.mask.shape, spacing=spacing_mm)
    for ax, part in zip(axes, (None, box), strict=True):
        plot.show(ax, trace.normalised, spacing=spacing_mm, box=part)
        for name, colour in areas.items():
            plot.tint(ax, masks[name], colour)
        for name in lines:
            plot.outline(ax, masks[name], name, label=None if part else name)
    plot.headline(title)
    if lines:
        fig.legend(loc="outside lower left", ncols=3, fontsize=9)
    shown = plot.picture(fig)
    plt.close(fig)
    return shown
