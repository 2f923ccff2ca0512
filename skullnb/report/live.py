"""Live figures: pictures whose reader moves the pipeline's settings on the published page.

A notebook shows a picture of the report's settings. In the book, `book/assets/live.js` puts
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

import nbformat
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from skullnb import phantom
from skullnb.errors import InvalidSetting
from skullnb.figures.explorer import OUTLINES, compose, explorer_figure
from skullnb.figures.layout import ACCENT
from skullnb.figures.style import PALETTE
from skullnb.metrics import dice, iou
from skullnb.pipeline import Mask, PipelineSettings, SkullMaskTrace, normalise, trace_skull_mask
from skullnb.report.chapter import MOST_SHOWN, Chapter, spread
from skullnb.stack import Stack

MIME = "application/vnd.skullnb.live"
MOST_BYTES = 1_000_000
"""A page loads one slice by itself; a slice that needs more than this is not live."""

# What the picture shows, for each focus of a figure: the stage, outlines, and painted areas.
FOCUS: dict[str, tuple[str, tuple[str, ...], dict[str, str]]] = {
    "threshold": ("binary", ("reference",), {}),
    "components": ("components", (), {"brain": "chosen", "scalp": "touch the frame"}),
    "dilation": ("dilated", ("brain", "reference"), {"mask": "dilated"}),
    "holes": ("mask", ("brain",), {"mask": "holes filled"}),
    "whole": ("normalised", OUTLINES, {}),
}

# Its slices are asked for one after the other; drawing a head takes about a second.
_variant = lru_cache(maxsize=1)(phantom.variant)


class LiveFigure:
    """A picture for the notebook, with what the book needs to make it live."""

    def __init__(self, png: bytes, config: Mapping[str, Any]) -> None:
        self.png = png
        self.config = dict(config)

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return {
            "image/png": b64encode(self.png).decode("ascii"),
            "text/plain": f"live figure: {self.config['focus']}",
            MIME: json.dumps(self.config),
        }


def live_figure(
    chapter: Chapter, focus: str = "whole", heads: Sequence[tuple[str, int]] = ()
) -> LiveFigure:
    """Make a figure of the chapter's slices, live on the published page.

    Parameters
    ----------
    chapter : Chapter
        Its slices, and the settings that the figure starts from.
    focus : {"threshold", "components", "dilation", "holes", "whole"}
        The step that the figure is about: what it paints, and which controls come first.
    heads : sequence of (variant, index)
        Slices of `skullnb.phantom.variant` to add. The figure opens with the first of them.

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
    'slice-2'
    """
    if focus not in FOCUS:
        raise InvalidSetting(
            f"No live figure is about {focus!r}; choose one of {', '.join(FOCUS)}."
        )
    stack, settings = chapter.stack, chapter.settings
    sources, index = _sources(stack), _middle(stack)
    start, trace = _key(index), chapter.trace(index)
    if heads:
        name, index = heads[0]
        stack, start = _variant(name), _key(index, name)
        trace = trace_skull_mask(stack.images[index], settings)
        sources += [
            {"key": _key(number, name), "label": f"synthetic: {name.replace('-', ' ')}"}
            for name, number in heads
        ]
    reference = None if stack.reference is None else np.asarray(stack.reference[index])
    stage, outlines, areas = FOCUS[focus]
    picture = compose(trace, stage, reference, outlines, stack.spacing_mm)
    shown = [name for name in outlines if name != "reference" or reference is not None]
    figure = explorer_figure(picture, _facts(trace, reference), shown, areas)
    config = _config(focus, settings, sources, start, len(chapter.stack))
    return LiveFigure(figure.png(), config)


def publish(notebook: Any, stack: Stack, folder: Path) -> None:
    """Make the live figures of a chapter live.

    Parameters
    ----------
    notebook : NotebookNode
        An executed chapter, changed in place.
    stack : Stack
        What the report is about.
    folder : Path
        Gets a script for each slice that the figures use and that is not there yet.
    """
    for cell in notebook.cells:
        for number, output in enumerate(cell.get("outputs", [])):
            data = output.get("data", {})
            if MIME not in data:
                continue
            config = write_slices(json.loads(data.pop(MIME)), stack, folder)
            if config["sources"]:
                alt = cell.metadata.get("mystnb", {}).get("image", {}).get("alt", "")
                html = figure_html(config, b64decode(data["image/png"]), alt)
                cell.outputs[number] = nbformat.v4.new_output(
                    "display_data", data={"text/html": html}
                )


def try_it(stack: Stack, settings: PipelineSettings, folder: Path) -> str:
    """Write the figure into which a reader may drop an image.

    Parameters
    ----------
    stack : Stack
        What the report is about; its middle slice is there to begin with.
    settings : PipelineSettings
        Of the report.
    folder : Path
        As for `publish`.

    Returns
    -------
    str
        HTML: what the kernel's width means for other pixels, and the figure.
    """
    width, size = PipelineSettings().kernel_width, phantom.BUILT_IN_SPACING_MM[0]
    hint = (
        f"<p>The kernel’s width is counted in pixels. {width}&nbsp;px fits slices such as the"
        f" built-in ones, whose pixels are {size:g}&nbsp;mm wide: there the brain grows by about"
        f" {width * size / 2:.0f}&nbsp;mm. Where pixels are larger it grows further, into the"
        " scalp: choose a narrower kernel.</p>\n"
    )
    config = _config("whole", settings, _sources(stack), _key(_middle(stack)), len(stack))
    return hint + figure_html({**write_slices(config, stack, folder), "drop": True})


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
    """Write the slices that a figure uses, and leave out those that are too large for a page.

    Parameters
    ----------
    config : mapping
        Of a `LiveFigure`.
    stack : Stack
        What the report is about.
    folder : Path
        Gets a script for each slice that is not there yet.

    Returns
    -------
    dict
        The settings of the figure, with the slices that are live, and a note that says how many
        of how many they are.
    """
    folder.mkdir(parents=True, exist_ok=True)
    kept = []
    for source in config["sources"]:
        file = folder / f"{source['key']}.js"
        if not file.exists():
            name, _, index = source["key"].rpartition("-")
            origin = stack if name == "slice" else _variant(name)
            file.write_text(_script(source["key"], origin, int(index)), encoding="ascii")
        if file.stat().st_size <= MOST_BYTES:
            kept.append(source)
        else:
            file.unlink()
    own = sum(source["key"].startswith("slice-") for source in kept)
    keys = [source["key"] for source in kept]
    start = config["start"] if config["start"] in keys or not keys else keys[0]
    note = "" if own == config["of"] else f"{own} of {config['of']} slices are live here."
    return {**config, "sources": kept, "start": start, "note": note}


def encode_png(levels: NDArray[Any]) -> bytes:
    """Encode 8-bit levels as a grey PNG, without loss and without colour management.

    Examples
    --------
    >>> encode_png(np.zeros((2, 2), dtype=np.uint8))[1:4]
    b'PNG'
    """
    file = BytesIO()
    Image.fromarray(levels).save(file, "PNG", optimize=True)
    return file.getvalue()


def _script(key: str, stack: Stack, index: int) -> str:
    data: dict[str, Any] = {"image": _base64(normalise(stack.images[index]))}
    if stack.reference is not None:
        data["reference"] = _base64(np.asarray(stack.reference[index], dtype=np.uint8) * 255)
    if stack.spacing_mm is not None:
        data["spacing"] = stack.spacing_mm
    return f"skullnbLive.take({json.dumps(key)}, {json.dumps(data)});\n"


def _base64(levels: Any) -> str:
    return b64encode(encode_png(np.asarray(levels, dtype=np.uint8))).decode("ascii")


def _key(index: int, variant: str = "slice") -> str:
    return f"{variant}-{index}"


def _sources(stack: Stack) -> list[dict[str, str]]:
    """Slices that are live: all of a small stack, else a few spread over it."""
    shown = spread(len(stack), MOST_SHOWN)
    return [{"key": _key(i), "label": f"slice {stack.slice_numbers[i]}"} for i in shown]


def _middle(stack: Stack) -> int:
    shown = spread(len(stack), MOST_SHOWN)
    return shown[len(shown) // 2]


def _config(
    focus: str,
    settings: PipelineSettings,
    sources: Sequence[Mapping[str, str]],
    start: str,
    n_slices: int,
) -> dict[str, Any]:
    return {
        "focus": focus,
        "settings": {
            "threshold": settings.threshold,
            "connectivity": settings.connectivity,
            "dropEdgeTouching": settings.drop_edge_touching,
            "kernelWidth": settings.kernel_width,
            "kernelShape": settings.kernel_shape,
            "fillHoles": settings.fill_holes,
        },
        "sources": list(sources),
        "start": start,
        "of": n_slices,
        "palette": {**PALETTE, "accent": ACCENT},
    }


def _facts(trace: SkullMaskTrace, reference: Mask | None) -> dict[str, str]:
    facts = {
        "threshold": str(trace.threshold),
        "components": f"{len(trace.components):,}",
        "touch the frame": f"{trace.n_edge_touching:,}",
        "brain": f"{np.count_nonzero(trace.brain):,} px",
        "mask": f"{np.count_nonzero(trace.mask):,} px",
    }
    if reference is not None:
        facts["IoU"] = f"{iou(trace.mask, reference):.4f}"
        facts["Dice"] = f"{dice(trace.mask, reference):.4f}"
    return facts
