"""How panels and headlines are laid out on a page-wide figure."""

from __future__ import annotations

from textwrap import fill
from typing import Any, Final

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import to_rgb
from numpy.typing import NDArray

from skullnb.figures.style import PALETTE, WIDTH_INCHES, PageFigure, new_figure, show_image

HEADLINE_SIZE = 11
TALLEST_INCHES = 3.7
# For what a figure points at and is none of the palette's tissues or masks: a threshold, a limit.
ACCENT: Final = "#CC6699"
LEGEND: Final[dict[str, Any]] = {"labelcolor": PALETTE["text"], "frameon": False, "fontsize": 9}
# A few very bright pixels would make the rest of a picture black.
DISPLAY_QUANTILE = 0.995
# Left around a mask, relative to its size.
_MARGIN = 0.12
# Noise in 256 shades makes a page heavy; an eye does not miss the others.
SHADES = 32


def headline(figure: Any, finding: str) -> None:
    """Set a figure's one finding above all its panels.

    Parameters
    ----------
    finding : str
        One sentence, without a full stop.

    Examples
    --------
    >>> figure, _ = panels(2)
    >>> headline(figure, "Bright is brain and scalp")
    >>> figure.get_suptitle()
    'Bright is brain and scalp'
    """
    figure.suptitle(
        fill(finding, 70), x=0.01, ha="left", fontsize=HEADLINE_SIZE, color=PALETTE["text"]
    )


def panels(
    count: int, aspect: float = 1.0, extra_inches: float = 0.65
) -> tuple[PageFigure, list[Any]]:
    """Make a row of equal panels for pictures.

    Parameters
    ----------
    aspect : float
        Height of a picture over its width.
    extra_inches : float
        Height left for headline and captions.

    Examples
    --------
    >>> figure, axes = panels(5, aspect=768 / 624)
    >>> len(axes)
    5
    """
    tall = min(WIDTH_INCHES / count * aspect, TALLEST_INCHES)
    figure, axes = new_figure(tall + extra_inches, columns=count, squeeze=False)
    return figure, list(axes[0])


def picture_grid(
    count: int, columns: int, aspect: float, tallest_inches: float
) -> tuple[PageFigure, list[Any]]:
    """Make panels for pictures in rows of so many columns.

    `aspect`: height of a picture over its width. `tallest_inches`: the most for the whole figure.

    Examples
    --------
    >>> len(picture_grid(5, 3, 1.0, 8.0)[1])
    5
    """
    rows = -(-count // columns)
    tall = rows * (WIDTH_INCHES / columns * aspect + 0.3) + 0.4
    figure, axes = new_figure(min(tall, tallest_inches), rows, columns, squeeze=False)
    for unused in axes.flat[count:]:
        unused.remove()
    return figure, list(axes.flat[:count])


def caption(axes: Any, text: str) -> None:
    """Say above a panel what it shows.

    Examples
    --------
    >>> _, axes = panels(1)
    >>> caption(axes[0], "slice 0")
    >>> axes[0].get_title(loc="left")
    'slice 0'
    """
    axes.set_title(text, fontsize=10, loc="left", color=PALETTE["text"])


def show_framed(axes: Any, pixels: Any, text: str = "", **options: Any) -> None:
    """Draw one slice with its frame, which decides what counts as edge-touching.

    `text`: shown above the picture.

    Examples
    --------
    >>> _, axes = panels(1)
    >>> show_framed(axes[0], np.zeros((8, 6)), "slice 0")
    >>> axes[0].get_title(loc="left")
    'slice 0'
    """
    # Smoothed before it is turned into shades, or smoothing would make new ones.
    shades = {"cmap": colormaps["gray"].resampled(SHADES), "interpolation_stage": "data"}
    show_image(axes, pixels, **{**shades, **options})
    axes.set_anchor("N")
    caption(axes, text)
    for spine in axes.spines.values():
        spine.set(visible=True, color=PALETTE["text"], linewidth=0.6)


def head_box(images: NDArray[Any]) -> tuple[slice, slice]:
    """Find the part of the frame that holds the heads, to leave empty air out of a picture.

    Returns
    -------
    rows, columns : slice
        The rows and columns in which at least a fiftieth of the pixels of some slice is brighter
        than a fifth of what `window` shows as white, with a margin of a fiftieth of the frame; the
        whole frame where there are none.

    Examples
    --------
    >>> image = np.zeros((1, 100, 100))
    >>> image[0, 20:60, 30:50] = 1
    >>> head_box(image)
    (slice(18, 62, None), slice(28, 52, None))
    """
    shade = window(images)
    bright = images > shade["vmin"] + 0.2 * (shade["vmax"] - shade["vmin"])
    box = []
    for axis in (2, 1):
        # A share, because single noisy pixels are everywhere.
        there = np.nonzero((bright.mean(axis=axis) >= 0.02).any(axis=0))[0]
        size = images.shape[3 - axis]
        margin = size // 50
        first, last = (there[0], there[-1]) if len(there) else (0, size)
        box.append(slice(max(int(first) - margin, 0), min(int(last) + 1 + margin, size)))
    return box[0], box[1]


def mask_box(mask: NDArray[np.uint8]) -> tuple[slice, slice]:
    """Find the part of a slice to show: around a mask, with a margin.

    Returns
    -------
    rows, columns : slice
        The whole slice when the mask is empty.

    Examples
    --------
    >>> mask = np.zeros((40, 40), dtype=np.uint8)
    >>> mask[10:20, 0:10] = 1
    >>> mask_box(mask)
    (slice(8, 22, None), slice(0, 12, None))
    """
    if not mask.any():
        return slice(0, mask.shape[0]), slice(0, mask.shape[1])
    ranges = []
    for axis in (0, 1):
        found = np.flatnonzero(mask.any(axis=1 - axis))
        first, last = int(found[0]), int(found[-1])
        margin = int(_MARGIN * (last - first + 1)) + 1
        ranges.append(slice(max(0, first - margin), min(mask.shape[axis], last + 1 + margin)))
    return ranges[0], ranges[1]


def joined(*boxes: tuple[slice, slice]) -> tuple[slice, slice]:
    """Find the smallest box that holds several.

    Examples
    --------
    >>> joined((slice(2, 4), slice(0, 3)), (slice(3, 9), slice(1, 2)))
    (slice(2, 9, None), slice(0, 3, None))
    """
    rows, columns = zip(*boxes, strict=True)
    return (
        slice(min(one.start for one in rows), max(one.stop for one in rows)),
        slice(min(one.start for one in columns), max(one.stop for one in columns)),
    )


def crop(axes: Any, box: tuple[slice, slice]) -> None:
    """Show only a part of a picture, so that outlines drawn later still lie right.

    Examples
    --------
    >>> _, axes = panels(1)
    >>> show_framed(axes[0], np.zeros((8, 6)))
    >>> crop(axes[0], (slice(2, 4), slice(0, 6)))
    >>> tuple(map(float, axes[0].get_ylim()))
    (3.5, 1.5)
    """
    rows, columns = box
    axes.set_xlim(columns.start - 0.5, columns.stop - 0.5)
    axes.set_ylim(rows.stop - 0.5, rows.start - 0.5)


def box_aspect(box: tuple[slice, slice]) -> float:
    """Height of a box over its width.

    Examples
    --------
    >>> box_aspect((slice(0, 20), slice(0, 10)))
    2.0
    """
    return float((box[0].stop - box[0].start) / (box[1].stop - box[1].start))


def window(image: NDArray[Any]) -> dict[str, float]:
    """Choose the intensities that are shown as black and as white.

    Returns
    -------
    dict
        `vmin` and `vmax` for `Axes.imshow`: the minimum, and the level that 99.5% of the
        pixels stay below.

    Examples
    --------
    >>> window(np.arange(1001))
    {'vmin': 0.0, 'vmax': 995.0}
    """
    return {"vmin": float(image.min()), "vmax": float(np.quantile(image, DISPLAY_QUANTILE))}


def colour(kind: str) -> NDArray[np.float64]:
    """Give a palette colour as red, green and blue in [0, 1].

    Examples
    --------
    >>> colour("brain").shape
    (3,)
    """
    return np.array(to_rgb(PALETTE[kind]))
