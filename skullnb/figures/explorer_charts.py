"""The explorer's two charts as SVG: drawn in a millisecond, crisp, and in the page's own colours.

A matplotlib figure takes longer than the pipeline, and these follow every move.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray

from skullnb.figures.layout import ACCENT
from skullnb.figures.style import PALETTE

# In the drawing's own units, about one CSS pixel each where a chart stands beside the controls.
WIDTH, HEIGHT = 280, 150
LEFT, RIGHT, TOP, BOTTOM = 30, 44, 10, 34
HISTOGRAM_HEIGHT = 100
COLOURS = {"Dice": PALETTE["mask"], "IoU": PALETTE["skull"]}


def histogram_svg(normalised: NDArray[np.uint8], threshold: int, otsu: int) -> str:
    """Draw how many pixels have each level, counts on a logarithmic scale, and the threshold.

    Parameters
    ----------
    normalised : (H, W) uint8
    threshold : int
        The level used; what is above it is drawn fainter, as bright.
    otsu : int
        Otsu's level; marked too where it is another.

    Returns
    -------
    str
        HTML; the levels 0 to 255 span its full width, as they span a slider below it.

    Examples
    --------
    >>> svg = histogram_svg(np.eye(4, dtype=np.uint8) * 255, 40, 0)
    >>> 'aria-label="Histogram of the levels; threshold 40, Otsu 0"' in svg
    True
    """
    counts = np.bincount(normalised.ravel(), minlength=256)
    heights = np.log1p(counts) / np.log1p(counts.max()) * HISTOGRAM_HEIGHT
    by_hand = threshold != otsu
    label = f"Histogram of the levels; threshold {threshold}" + f", Otsu {otsu}" * by_hand
    parts = []
    for first, end, opacity in ((0, threshold + 1, 0.75), (threshold + 1, 256, 0.3)):
        steps = "".join(
            f"V{HISTOGRAM_HEIGHT - heights[level]:.1f}H{level + 1}" for level in range(first, end)
        )
        outline = f"M{first},{HISTOGRAM_HEIGHT}{steps}V{HISTOGRAM_HEIGHT}Z"
        parts.append(f'<path d="{outline}" fill="currentColor" opacity="{opacity}"/>')
    if by_hand:
        parts.append(_line(otsu + 1, 0, HISTOGRAM_HEIGHT, dashed=True))
    parts.append(_line(threshold + 1, 0, HISTOGRAM_HEIGHT))
    place = (threshold + 1) / 256
    side = (
        f"right;padding-right:{1 - place:.1%}" if place > 0.5 else f"left;padding-left:{place:.1%}"
    )
    words = f"threshold {threshold}" + " (Otsu)" * (not by_hand)
    return f'<div style="line-height:1.3;text-align:{side}">{words}</div>' + _svg(
        parts, label, (256, HISTOGRAM_HEIGHT), 'preserveAspectRatio="none"', "height:72px"
    )


def sweep_svg(
    widths: Sequence[int],
    curves: Mapping[str, Sequence[float]],
    kernel_width: int,
    values: Mapping[str, float],
) -> str:
    """Draw what one slice's mask is worth at every kernel width, with the current one marked.

    Parameters
    ----------
    widths : sequence of int
        In px, rising.
    curves : mapping of str to sequence of float
        One value a width, by name; NaN is left out.
    kernel_width : int
        The current one.
    values : mapping of str to float
        The current mask's own value on each curve.

    Returns
    -------
    str
        An SVG.

    Examples
    --------
    >>> svg = sweep_svg((0, 2, 4), {"Dice": (0.5, 0.9, 0.8)}, 2, {"Dice": 0.9})
    >>> 'aria-label="Dice against the kernel width; at 2 px Dice 0.9000"' in svg
    True
    """
    every = np.concatenate([np.asarray(curve, float) for curve in curves.values()])
    known = every[np.isfinite(every)]
    low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)
    if high - low < 1e-9:
        low, high = low - 0.05, high + 0.05
    last = max(widths[-1], 1)

    def across(width: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * width / last

    def down(value: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (value - low) / (high - low)

    parts = []
    for share in (0, 0.5, 1):
        y, value = down(low + share * (high - low)), low + share * (high - low)
        parts.append(
            f'<path d="M{LEFT},{y:.1f}H{WIDTH - RIGHT}" stroke="currentColor" opacity="0.2"/>'
        )
        parts.append(_text(LEFT - 5, y + 4, f"{value:.2f}", "end"))
    for tick in range(0, last + 1, _step(last)):
        parts.append(_text(across(tick), HEIGHT - 19, str(tick), "middle"))
    parts.append(_text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 4, "kernel width (px)", "middle"))
    here = across(kernel_width)
    parts.append(_line(here, TOP, HEIGHT - BOTTOM, dashed=True))
    said = []
    for name, curve in curves.items():
        points = [
            f"{across(width):.1f},{down(value):.1f}"
            for width, value in zip(widths, curve, strict=True)
            if np.isfinite(value)
        ]
        colour = COLOURS.get(name, PALETTE["mask"])
        parts.append(
            f'<polyline points="{" ".join(points)}" fill="none" stroke="{colour}" '
            'stroke-width="2"/>'
        )
        value = values[name]
        if np.isfinite(value):
            parts.append(f'<circle cx="{here:.1f}" cy="{down(value):.1f}" r="4" fill="{colour}"/>')
        said.append(f"{name} {value:.4f}")
    parts += _names(curves, down)
    label = (
        f"{' and '.join(curves)} against the kernel width; at {kernel_width} px {', '.join(said)}"
    )
    return _svg(parts, label, (WIDTH, HEIGHT))


def _names(curves: Mapping[str, Sequence[float]], down: Callable[[float], float]) -> list[str]:
    """Write each curve's name at its right end, far enough from the one above."""
    ends = sorted(
        (down(curve[-1]) if np.isfinite(curve[-1]) else TOP, name) for name, curve in curves.items()
    )
    parts, free = [], 0.0
    for end, name in ends:
        y = max(end, free)
        free = y + 14
        colour = COLOURS.get(name, PALETTE["mask"])
        swatch = f"M{WIDTH - RIGHT + 3},{y:.1f}h8"
        parts.append(f'<path d="{swatch}" stroke="{colour}" stroke-width="3"/>')
        parts.append(_text(WIDTH - RIGHT + 14, y + 4, name, "start"))
    return parts


def _step(last: int) -> int:
    """Distance of ticks: about six of them."""
    return next((step for step in (1, 2, 5, 10, 20, 50, 100) if last / step <= 6), 200)


def _text(x: float, y: float, words: str, anchor: str, *, bold: bool = False) -> str:
    weight = ' font-weight="bold"' if bold else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{weight}>{escape(words)}</text>'


def _line(place: float, top: float, bottom: float, *, dashed: bool = False) -> str:
    how = ' stroke-dasharray="3 3"' if dashed else ' stroke-width="2"'
    return (
        f'<path d="M{place:.1f},{top}V{bottom}" stroke="{ACCENT}"{how} '
        'vector-effect="non-scaling-stroke"/>'
    )


def _svg(
    parts: Sequence[str], label: str, size: tuple[int, int], scaling: str = "", style: str = ""
) -> str:
    return (
        f'<svg viewBox="0 0 {size[0]} {size[1]}" {scaling} role="img" aria-label="{escape(label)}" '
        f'style="display:block;width:100%;{style or "height:auto;max-width:30em"}" '
        f'fill="currentColor" font-size="11" font-family="inherit">{"".join(parts)}</svg>'
    )
