"""The book's cover: one slice, cut like a cake, with a step of the pipeline on every piece."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from skullnb.figures.drawing import grey_levels
from skullnb.figures.layout import box_aspect, colour, head_box, joined, mask_box
from skullnb.figures.style import DPI, PageFigure, new_figure, outline
from skullnb.pipeline import SkullMaskTrace

# As wide and as high as previews of links are.
_INCHES: Final = (1200 / DPI, 630 / DPI)
_GROUND: Final = "#0B0F14"
_TEXT: Final = "#E8EDF2"
_HEAD: Final = 0.9  # of the height
_STEPS: Final = ("Normalise", "Threshold", "Choose", "Dilate", "Fill holes", "Compare")
# Where the middle of each piece lies: clockwise from the top, in degrees.
_ANGLES: Final = (330, 270, 210, 30, 90, 150)


def cover(
    image: NDArray[Any], trace: SkullMaskTrace, reference: NDArray[Any] | None = None
) -> PageFigure:
    """Draw the cover.

    Parameters
    ----------
    image : (H, W) array
        A slice, in its own unit.
    trace : SkullMaskTrace
        What the pipeline made of it.
    reference : (H, W) array, optional
        Its reference mask, outlined on the last piece.

    Examples
    --------
    >>> from skullnb.pipeline import trace_skull_mask
    >>> image = np.zeros((96, 80)); image[20:76, 20:60] = 1
    >>> cover(image, trace_skull_mask(image)).png()[1:4]
    b'PNG'
    """
    box = joined(head_box(image[np.newaxis]), mask_box(trace.mask))
    pictures = _pictures(image, trace)
    height, width = image.shape
    rows, columns = np.indices(image.shape)
    middle = [(one.start + one.stop - 1) / 2 for one in box]
    angle = np.degrees(np.arctan2(columns - middle[1], middle[0] - rows)) % 360
    piece = (angle // 60).astype(int)
    order = np.argsort(_ANGLES)  # which step lies on the first, second, ... piece clockwise
    here = np.take(order, piece)
    picture = np.choose(here[..., np.newaxis], pictures)
    picture += (1 - picture) * to_rgb(_GROUND)  # the frame's black is the ground's

    figure, axes = new_figure(_INCHES[1])
    figure.set_size_inches(*_INCHES)
    figure.set_layout_engine("none")
    figure.add_artist(Rectangle((0, 0), 1, 1, facecolor=_GROUND, zorder=-1))
    share = min(_HEAD * _INCHES[1] / _INCHES[0] / box_aspect(box), 0.48)
    axes.set_position(((1 - share) / 2, (1 - _HEAD) / 2, share, _HEAD))
    axes.imshow(
        picture, interpolation="antialiased", extent=(-0.5, width - 0.5, height - 0.5, -0.5)
    )
    axes.axis("off")
    for kind, mask, wide in (("reference", reference, 5), ("mask", trace.mask, 2.5)):
        if mask is not None and mask[here == 5].any():
            outline(axes, np.ma.masked_where(here != 5, mask), kind, linewidths=wide)
    radius = max(height, width)
    for edge in np.radians(range(0, 360, 60)):
        along = [middle[1], middle[1] + radius * np.sin(edge)]
        axes.plot(along, [middle[0], middle[0] - radius * np.cos(edge)], color=_GROUND, linewidth=3)
    axes.set_xlim(box[1].start - 0.5, box[1].stop - 0.5)
    axes.set_ylim(box[0].stop - 0.5, box[0].start - 0.5)
    for number, (step, at) in enumerate(zip(_STEPS, _ANGLES, strict=True), 1):
        left = at > 180
        x = 0.5 + (-1 if left else 1) * (share / 2 + 0.03)
        y = 0.5 + 0.35 * np.cos(np.radians(at))
        side: dict[str, Any] = {"ha": "right" if left else "left", "va": "center"}
        figure.text(x, y, f"{number}  {step}", fontsize=17.5, color=_TEXT, **side)
    return figure


def _pictures(image: NDArray[Any], trace: SkullMaskTrace) -> list[NDArray[np.float64]]:
    """One picture a step, (H, W, 3) in [0, 1]."""
    # Air is not quite black, and its noise would draw the frame.
    shade = np.clip((grey_levels(image).astype(np.float64) - 0.09) / 0.91, 0, 1) ** 0.8
    grey = np.repeat(shade[..., np.newaxis], 3, axis=2)
    bright, brain, dilated, mask = (
        (one > 0)[..., np.newaxis].astype(np.float64)
        for one in (trace.binary, trace.brain, trace.dilated, trace.mask)
    )
    chosen = bright * 0.28 * (1 - brain) + brain * colour("brain")
    new = dilated * (1 - brain)
    grown = 0.35 * grey * (1 - dilated) + brain * colour("brain") + new * colour("mask")
    filled = 0.35 * grey * (1 - mask) + mask * (0.55 * colour("mask") + 0.45 * grey)
    return [grey, 0.95 * np.repeat(bright, 3, axis=2), chosen, grown, filled, grey]
