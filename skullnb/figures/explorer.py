"""The explorer's picture: one stage of one slice with outlines, composed fast enough to drag.

The live picture is put together from plain arrays, because a matplotlib figure takes longer to
draw than the pipeline takes to run. `explorer_figure` sets the same picture on a page.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import wrap
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from skullnb.figures.layout import DISPLAY_QUANTILE, LEGEND
from skullnb.figures.style import PALETTE, PageFigure, new_figure, show_image
from skullnb.pipeline import Mask, SkullMaskTrace

STAGES = ("normalised", "binary", "components", "brain", "dilated", "mask")
OUTLINES = ("brain", "mask", "reference")

# A smaller picture is too coarse for outlines, a larger one too slow to send on every move.
SHORTEST_SIDE, LONGEST_SIDE = 512, 1024
TINT = 0.45
DASH = 7
LINE_LENGTH = 26

# Trying every filter on every row, as newer versions of OpenCV do, takes longer than it saves.
PNG_OPTIONS = [cv2.IMWRITE_PNG_COMPRESSION, 1]
if hasattr(cv2, "IMWRITE_PNG_FILTER"):
    PNG_OPTIONS += [cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_SUB]

Picture = NDArray[np.uint8]


def picture_size(
    shape: tuple[int, int], spacing_mm: tuple[float, float] | None = None
) -> tuple[int, int]:
    """Size at which a slice is shown: its own where that is practical, in true proportions.

    Parameters
    ----------
    spacing_mm : (row, column), optional
        In mm per pixel; square pixels without it.

    Returns
    -------
    (rows, columns)
        In px; the longer one is from 512 to 1024.

    Examples
    --------
    >>> picture_size((768, 624)), picture_size((100, 200)), picture_size((100, 200), (2.0, 1.0))
    ((768, 624), (256, 512), (512, 512))
    """
    spacing = np.array(spacing_mm or (1.0, 1.0))
    extent = np.array(shape) * spacing / spacing.min()
    longest = extent.max()
    scale = np.clip(longest, SHORTEST_SIDE, LONGEST_SIDE) / longest
    rows, columns = np.maximum(np.rint(extent * scale), 1).astype(int)
    return int(rows), int(columns)


def paint_stage(trace: SkullMaskTrace, stage: str) -> Picture:
    """Paint one stage of the pipeline.

    Parameters
    ----------
    stage : str
        One of `STAGES`. The components are painted as brain (the chosen one), scalp (touching the
        frame) and grey; brain, dilated and mask as a tint over the slice. The slice is shown
        brighter than it is, so that a few very bright pixels do not leave the rest black.

    Examples
    --------
    >>> from skullnb.pipeline import trace_skull_mask
    >>> trace = trace_skull_mask(np.array([[0, 0, 0], [0, 9, 0], [0, 0, 0]]))
    >>> paint_stage(trace, "binary")[1, :, 0]
    array([  0, 255,   0], dtype=uint8)
    """
    if stage == "binary":
        return np.full((2, 3), [[0], [255]], dtype=np.uint8)[trace.binary]
    if stage == "components":
        return _component_colours(trace)[trace.labels]
    grey = np.repeat(_brightened(trace.normalised)[:, np.newaxis], 3, axis=1)
    if stage == "normalised":
        return _as_bytes(grey)[trace.normalised]
    tint = np.concatenate([grey, (1 - TINT) * grey + TINT * np.array(_colour(stage))])
    area: Mask = getattr(trace, stage)
    return _as_bytes(tint)[trace.normalised + np.uint16(256) * area]


def _draw_outline(picture: Picture, mask: Mask, kind: str) -> None:
    """Draw the outline of a mask into a picture of any size; the reference mask's is dashed."""
    rows, columns = picture.shape[:2]
    if mask.shape != (rows, columns):
        mask = np.asarray(cv2.resize(mask, (columns, rows), interpolation=cv2.INTER_NEAREST_EXACT))
    lines, _ = cv2.findContours(np.ascontiguousarray(mask), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    thickness = 1 if kind == "brain" else 2
    if kind == "reference":
        dashes = [
            line[start : start + DASH] for line in lines for start in range(0, len(line), 2 * DASH)
        ]
        cv2.polylines(picture, dashes, False, _colour(kind), thickness)
    else:
        cv2.polylines(picture, lines, True, _colour(kind), thickness)


def compose(
    trace: SkullMaskTrace,
    stage: str = "normalised",
    reference: Mask | None = None,
    outlines: Sequence[str] = OUTLINES,
    spacing_mm: tuple[float, float] | None = None,
) -> Picture:
    """Put the explorer's picture together: a stage, and outlines over it.

    Parameters
    ----------
    outlines : sequence of str
        Any of `OUTLINES`; the reference's needs a reference.
    spacing_mm : (row, column), optional
        In mm per pixel, for the proportions.

    Examples
    --------
    >>> from skullnb.pipeline import trace_skull_mask
    >>> compose(trace_skull_mask(np.eye(16))).shape
    (512, 512, 3)
    """
    picture = paint_stage(trace, stage)
    height, width = picture.shape[:2]
    rows, columns = picture_size((height, width), spacing_mm)
    if (rows, columns) != (height, width):
        # Averaging when it gets smaller keeps thin bone; repeating shows pixels as pixels.
        how = cv2.INTER_AREA if rows * columns < height * width else cv2.INTER_NEAREST_EXACT
        picture = np.asarray(cv2.resize(picture, (columns, rows), interpolation=how), np.uint8)
    masks = {"brain": trace.brain, "mask": trace.mask, "reference": reference}
    for kind in OUTLINES:
        mask = masks[kind]
        if kind in outlines and mask is not None:
            _draw_outline(picture, mask, kind)
    return picture


def encode_png(picture: Picture) -> bytes:
    """Encode a picture without loss, quickly rather than tightly.

    Examples
    --------
    >>> encode_png(np.zeros((2, 2, 3), dtype=np.uint8))[1:4]
    b'PNG'
    """
    _, file = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), PNG_OPTIONS)
    return bytes(file)


def explorer_figure(
    picture: Picture,
    facts: Mapping[str, str],
    outlines: Sequence[str] = OUTLINES,
    areas: Mapping[str, str] | None = None,
) -> PageFigure:
    """Set the explorer's picture on a page, with its numbers and a legend beside it.

    Parameters
    ----------
    facts : mapping
        What to write beside it, name to text.
    outlines : sequence of str
        What the legend explains, names in `OUTLINES`.
    areas : mapping, optional
        Painted areas that it explains, name in `PALETTE` to text.

    Examples
    --------
    >>> figure = explorer_figure(np.zeros((8, 8, 3), np.uint8), {"threshold": "23"})
    >>> [text.get_text() for text in figure.axes[1].texts]
    ['threshold', '23']
    """
    figure, (left, right) = new_figure(4.0, columns=2, width_ratios=(5, 4))
    figure.few_colours = True
    show_image(left, picture)
    right.set_axis_off()
    place: dict[str, Any] = {
        "transform": right.transAxes,
        "va": "top",
        "color": PALETTE["text"],
        "fontsize": 9,
    }
    height, heights = 1.0, []
    values = ["\n".join(wrap(text, LINE_LENGTH)) for text in facts.values()]
    for value in values:
        heights.append(height)
        height -= 0.02 + 0.05 * (1 + value.count("\n"))
    names = [right.text(0.0, at, name, **place) for name, at in zip(facts, heights, strict=True)]
    longest = max(names, key=lambda name: name.get_window_extent().width, default=None)
    for name, value in zip(names, values, strict=True):
        # A column of their own, to the right of the longest name in whatever font there is.
        right.annotate(
            value,
            (1.0, name.get_position()[1]),
            xycoords=(longest, right.transAxes),
            xytext=(12, 0),
            textcoords="offset points",
            va="top",
            color=PALETTE["text"],
            fontsize=9,
            weight="bold",
        )
    for kind in outlines:
        style = "--" if kind == "reference" else "-"
        right.plot([], [], style, color=PALETTE[kind], linewidth=2, label=f"outline of the {kind}")
    for kind, text in (areas or {}).items():
        right.plot([], [], "s", color=PALETTE[kind], markersize=9, label=text)
    if outlines or areas:
        right.legend(loc="lower left", borderaxespad=0.0, **LEGEND)
    return figure


def _brightened(normalised: Mask) -> NDArray[np.float64]:
    """Grey level to show for each of the 256 levels."""
    counts = cv2.calcHist([normalised], [0], None, [256], [0, 256]).ravel()
    white = int(np.searchsorted(np.cumsum(counts), DISPLAY_QUANTILE * normalised.size))
    return np.minimum(np.arange(256) * 255 / max(white, 1), 255)


def _component_colours(trace: SkullMaskTrace) -> Picture:
    colours = np.zeros((len(trace.components) + 1, 3), dtype=np.uint8)
    colours[1:] = 110
    colours[trace.components["label"][trace.components["touches_edge"]]] = _colour("scalp")
    if trace.chosen:
        colours[trace.chosen] = _colour("brain")
    return colours


def _colour(kind: str) -> tuple[int, int, int]:
    code = PALETTE["mask" if kind == "dilated" else kind]
    return int(code[1:3], 16), int(code[3:5], 16), int(code[5:7], 16)


def _as_bytes(table: NDArray[Any]) -> Picture:
    return np.asarray(np.clip(table, 0, 255), dtype=np.uint8)
