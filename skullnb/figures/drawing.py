"""Small things that several figures draw: slices that cost few bytes, and pixel cells."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from skullnb.figures.layout import colour, show_framed, window
from skullnb.figures.style import PALETTE

# Noise hardly compresses. So many rows and grey levels look the same on a page, in a quarter of
# the bytes.
_ROWS, _LEVELS = 400, 24


def draw_slice(
    axes: Any,
    image: NDArray[Any],
    caption: str = "",
    *,
    rows: int = _ROWS,
    tints: Sequence[tuple[NDArray[Any], str]] = (),
) -> None:
    """Draw one slice as a background, in no more pixels and grey levels than a page can show.

    Parameters
    ----------
    axes : Axes
        Its coordinates are the slice's own pixels.
    rows : int
        The most rows of pixels to draw.
    tints : sequence of (mask, kind)
        Masks of (H, W) to lay over it, each in the colour that `PALETTE` has for its kind.

    Examples
    --------
    >>> from skullnb.figures.layout import panels
    >>> _, axes = panels(1)
    >>> draw_slice(axes[0], np.zeros((800, 600)))
    >>> axes[0].images[0].get_array().shape
    (400, 300, 3)
    """
    height, width = image.shape
    picture: NDArray[Any] = np.repeat(
        _reduced(grey_levels(image), rows)[..., np.newaxis], 3, axis=2
    )
    picture = np.round(picture * _LEVELS) / _LEVELS
    for mask, kind in tints:
        opacity = 0.45 * _reduced(mask.astype(np.float32), rows)[..., np.newaxis]
        picture = (1 - opacity) * picture + opacity * colour(kind)
    extent = (-0.5, width - 0.5, height - 0.5, -0.5)
    show_framed(axes, picture, caption, extent=extent, interpolation="nearest")


def grey_levels(image: NDArray[Any]) -> NDArray[np.float32]:
    """Map a slice to what is shown: 0 is black, 1 is white.

    Returns
    -------
    (H, W) float32
        In [0, 1], clipped as `skullnb.figures.layout.window` says.

    Examples
    --------
    >>> grey_levels(np.array([[0, 5], [10, 10]]))
    array([[0. , 0.5],
           [1. , 1. ]], dtype=float32)
    """
    shown = window(image)
    low, high = shown["vmin"], shown["vmax"]
    share = (image.astype(np.float64) - low) / (high - low if high > low else 1.0)
    return np.clip(share, 0, 1).astype(np.float32)


def draw_cells(
    axes: Any, mask: NDArray[Any], kind: str, alpha: float = 0.45, offset: int = 0
) -> None:
    """Draw every pixel of a small mask as a square.

    Parameters
    ----------
    alpha : float
        Opacity, in [0, 1].
    offset : int
        Added to rows and columns.

    Examples
    --------
    >>> from skullnb.figures.layout import panels
    >>> _, axes = panels(1)
    >>> draw_cells(axes[0], np.eye(3), "mask")
    >>> len(axes[0].patches)
    3
    """
    from matplotlib.patches import Rectangle

    for row, column in np.argwhere(mask):
        corner = (column + offset - 0.5, row + offset - 0.5)
        fill = (*colour(kind), alpha)
        axes.add_patch(
            Rectangle(corner, 1, 1, facecolor=fill, edgecolor=PALETTE["faint"], linewidth=0.4)
        )


def _reduced(picture: NDArray[np.float32], rows: int) -> NDArray[np.float32]:
    """Shrink a picture to a number of rows, averaging; smaller ones stay as they are."""
    height, width = picture.shape
    if height <= rows:
        return picture
    size = (max(1, round(width * rows / height)), rows)
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), dtype=np.float32)
